"""Claims: each kind can fail, the words must be the chapter's, and what the real chapters claim holds."""

from pathlib import Path

import pytest

from codelab.book import claims
from codelab.book.claim_check import faults
from codelab.book.project import Chapter, read_book
from codelab.errors import UserError
from codelab.records import Metric

ROOT = Path(__file__).resolve().parents[3]


def metric(value: float, low: float | None = None, high: float | None = None) -> Metric:
    return Metric(value=value, low=low, high=high)


def test_what_is_so_passes_silently() -> None:
    claims.falling("w", 3.0, 2.0, 1.0)
    claims.order("w", {"a": 3.0, "b": 2.5, "c": 1.0, "other": 9.0}, ("a", "b"), ("c",))
    claims.order("w", [{"a": 3.0, "c": 1.0}, {"a": 0.3, "c": 0.1}], ("a",), ("c",))
    claims.apart("w", metric(2, 1.5, 2.5), metric(1, 0.5, 1.4))
    claims.overlap("w", metric(2, 1.5, 2.5), metric(1, 0.5, 1.5), metric(3, 2, 4))
    claims.near("w", 0.21, 0.2, within=0.02)


@pytest.mark.parametrize("values", [(3.0, 1.0, 2.0), (1.0, 1.0), (1.0,), (2.0, float("nan"))])
def test_values_that_do_not_fall(values: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="claim 'it falls': the record says otherwise"):
        claims.falling("it falls", *values)


@pytest.mark.parametrize(
    "cells",
    [
        {"a": 1.0, "b": 3.0, "c": 2.0},
        {"a": 3.0, "b": 2.0, "c": 2.0},
        [{"a": 3.0, "b": 2.0, "c": 1.0}, {"a": 3.0, "b": 1.0, "c": 2.0}],
        [],
    ],
)
def test_one_value_out_of_order_in_one_cell_is_enough(cells: dict[str, float] | list[dict[str, float]]) -> None:
    with pytest.raises(UserError, match="claim 'c is last'"):
        claims.order("c is last", cells, ("a", "b"), ("c",))


@pytest.mark.parametrize("other", [metric(1, 0.5, 1.5), metric(1, 0.5, 1.8), metric(1)])
def test_intervals_that_touch_or_are_missing(other: Metric) -> None:
    with pytest.raises(UserError, match="claim 'apart'"):
        claims.apart("apart", metric(2, 1.5, 2.5), other)
    with pytest.raises(UserError, match="claim 'apart'"):
        claims.apart("apart", other, metric(2, 1.5, 2.5))


@pytest.mark.parametrize("other", [metric(1, 0.5, 1.4), metric(4, 2.6, 5), metric(2)])
def test_intervals_with_nothing_in_common_or_missing(other: Metric) -> None:
    with pytest.raises(UserError, match="claim 'overlap'"):
        claims.overlap("overlap", metric(2, 1.5, 2.5), metric(2, 1, 3), other)


def test_round_words_have_a_width() -> None:
    with pytest.raises(UserError, match=r"0\.23 is not 0\.2 ± 0\.02"):
        claims.near("a fifth", 0.23, 0.2, within=0.02)


CHAPTER = """# Title {#sec-x}

```{python}
from codelab.book import claims
rate = {"full": 2.0, "small": 1.0}
```

```{python}
#| include: false
claims.order("the full model is fastest", rate, ("full",), ("small",))
```

Here the full model is
fastest.

```{python}
#| label: fig-x
#| fig-alt: "One bar is taller."
rate
```
"""


def chapter(tmp_path: Path, old: str = "", new: str = "") -> Chapter:
    text = CHAPTER.replace('model is\nfastest"', 'model is fastest"')
    assert old in text
    (tmp_path / "x.qmd").write_text(text.replace(old, new) if old else text)
    return Chapter(tmp_path, "x.qmd")


def test_a_chapter_whose_claims_hold_has_no_fault(tmp_path: Path) -> None:
    assert list(faults(chapter(tmp_path))) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("2.0", "0.5", "claim 'the full model is fastest': the record says otherwise"),
        ("fastest.", "slowest.", "claim 'the full model is fastest': the chapter does not say this"),
        ('order("the full model is fastest"', "order(words", "begin with the chapter's words"),
        ('("small",))', '("tiny",))', "KeyError: 'tiny'"),
        ("import claims", "import claims, nothing", "ImportError"),
    ],
)
def test_a_fault_names_line_and_reason(tmp_path: Path, old: str, new: str, fault: str) -> None:
    found = list(faults(chapter(tmp_path, old, new)))
    assert fault in found[0][1]
    assert "claims" in chapter(tmp_path, old, new).text.split("\n")[found[0][0] - 1]


def test_an_alternative_text_can_be_claimed(tmp_path: Path) -> None:
    claimed = chapter(tmp_path, '"the full model is fastest"', '"One bar is taller."')
    assert list(faults(claimed)) == []


@pytest.mark.parametrize("path", [chapter.path for chapter in read_book(ROOT).chapters])
def test_the_records_bear_out_what_the_chapters_claim(path: str) -> None:
    assert list(faults(Chapter(ROOT, path))) == []


def test_a_record_that_contradicts_chapter_7_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from codelab.book.facts import Facts

    true = Facts.number
    monkeypatch.setattr(Facts, "number", lambda self, name: 9.0 if name == "int8-t6.kl" else true(self, name))
    found = [what for _, what in faults(Chapter(ROOT, "chapters/07-quantization.qmd"))]
    assert len(found) == 1
    assert "The threshold buys fidelity with time" in found[0]


def test_chapter_7_claims_its_orders() -> None:
    text = Chapter(ROOT, "chapters/07-quantization.qmd").text
    assert text.count("\nclaims.") >= 15
