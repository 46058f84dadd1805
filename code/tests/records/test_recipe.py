"""Recipes: every mistake is named with file, key and expectation."""

from pathlib import Path

import pytest

from codelab.errors import UserError
from codelab.records import Recipe, Strict, parse_recipe, read_yaml


class Section(Strict):
    rate: float = 0.1


class Demo(Recipe):
    section: Section = Section()
    steps: int


GOOD = {"kind": "demo", "title": "Demo", "hardware": {"minutes": 1}, "steps": 3}


def parse(**changes: object) -> Demo:
    return parse_recipe(Path("demo.yaml"), {**GOOD, **changes}, Demo)


def test_defaults_are_visible_in_the_dump() -> None:
    dumped = parse().model_dump(mode="json")
    assert dumped["section"] == {"rate": 0.1}
    assert dumped["seeds"] == [0]
    assert dumped["hardware"]["device"] == "any"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stepz": 3}, ["demo.yaml", "stepz", "unknown key", "steps"]),
        ({"hardware": {}}, ["hardware.minutes", "required key is missing"]),
        ({"steps": "many", "stepz": 3}, ["stepz", "unknown key", "and 1 more"]),
        ({"section": {"rat": 1}}, ["section.rat", "unknown key", "rate"]),
        ({"steps": "many"}, ["steps", "integer", "'many'"]),
        ({"hardware": {"minutes": -1}}, ["hardware.minutes", "greater than 0"]),
        ({"section": {"rate": float("nan")}}, ["section.rate", "finite"]),
        ({"question": 11}, ["question", "less than or equal to 10"]),
    ],
)
def test_a_mistake_names_file_key_and_expectation(changes: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse(**changes)
    message = str(caught.value)
    assert "\n" not in message
    for word in ["demo.yaml", *words]:
        assert word in message


def test_digest_depends_on_values_not_on_order() -> None:
    assert parse().digest() == parse_recipe(Path("x"), dict(reversed(GOOD.items())), Demo).digest()
    assert parse().digest() != parse(steps=4).digest()


@pytest.mark.parametrize(
    ("text", "word"),
    [("a: [1", "not valid YAML"), ("- 1", "expected a mapping"), ("title: x", "'kind'"), ("kind: 3", "'kind'")],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=word):
        read_yaml(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml")
