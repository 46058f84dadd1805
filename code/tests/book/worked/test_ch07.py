"""Chapter 7's frames keep the records' numbers and put them under the right variant."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import ch07
from codelab.records import Environment, Metric, Record
from codelab.records.schema import CodeFacts, RecipeFacts


def _variant(key: str, weights: int, timed: bool = True) -> dict[str, Any]:
    seconds = 0.5 if timed else None
    return {"key": key, "weights_bytes": weights, "load_gpu_peak": weights + 1_000_000,
            "gpu_peak": weights + 2_000_000, "first_call_seconds": seconds}  # fmt: skip


def _speed(key: str, batch: int, length: int, rate: float) -> dict[str, Any]:
    return {"key": key, "batch": batch, "prompt_tokens": length, "tokens_per_second": rate, "first_token": 1 / rate,
            "tokens_per_second_min": rate / (1 + batch), "tokens_per_second_max": 2 * rate}  # fmt: skip


ASKED = {"quality": {"prompts": [{"name": "p", "text": "1. one\n# two"}]}}


@pytest.fixture
def run() -> Facts:
    keys = ("fp16", "int8-t6")
    record = Record(
        run="r", title="t", state="ok", command=[], started="2026", finished="2026", seconds=1, seeds=[0],
        recipe=RecipeFacts(name="q7", kind="quantize", sha256="0", values=ASKED), code=CodeFacts(sha256="0"),
        environment=Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
        metrics={f"int8-t6.{name}": Metric(value=value)
                 for name, value in {"forced": 0.9, "same": 0.4, "exact_match": 0.25}.items()},
        tables={
            "variants": [_variant("fp16", 4_000_000), _variant("bf16", 4_000_000, False),
                         _variant("int8-t6", 2_000_000)],
            "speed": [_speed(key, batch, length, 10.0 * batch / (1 + i) + length)
                      for i, key in enumerate(keys) for length in (32, 512) for batch in (1, 8)],
            "quality": [{"key": key, "domain": domain, "kl": 0.1 * i} for i, key in enumerate(keys)
                        for domain in ("all", "prose", "code")],
            "agreement": [{"key": key, "position": p, "same": 0.5, "prefix": 1 / p, "forced": 0.9}
                          for key in keys for p in (1, 2)],
            "completions": [{"key": key, "prompt": "p", "completion": f" {key} "} for key in keys],
        },
    )  # fmt: skip
    return Facts(Path("results/q7/r"), record)


def test_only_timed_variants_are_in_the_memory_plot(run: Facts) -> None:
    frame = ch07.memory_bars(run)
    assert list(dict.fromkeys(frame["name"])) == ["fp16 (full)", "8-bit, threshold 6"]
    picked = frame[(frame["name"] == "8-bit, threshold 6") & (frame["kind"] == "peak while generating")]
    assert picked["MB"].tolist() == [4.0]


def test_speed_is_one_row_a_variant(run: Facts) -> None:
    rows = ch07.speed(run)
    assert [row["key"] for row in rows] == ["fp16", "int8-t6"]
    assert rows[1]["b8.p512"] == pytest.approx(552)
    assert list(ch07.cells(run)) == ["b1.p32", "b8.p32", "b1.p512", "b8.p512"]
    assert set(ch07.speed_bars(run, 32)["prompt_tokens"]) == {32}


def test_quality_leaves_out_the_full_model(run: Facts) -> None:
    (row,) = ch07.quality(run)
    assert (row["key"], row["kl"], row["exact_match"]) == ("int8-t6", 0.1, 0.25)
    assert set(ch07.divergence_bars(run)["domain"]) == {"prose", "code"}


def test_text_and_agreement_keep_their_variant(run: Facts) -> None:
    assert ch07.side_by_side(run) == [
        {"prompt": "\N{WORD JOINER}1\\. one \\# two", "fp16": "fp16", "int8-t6": "int8\\-t6"}
    ]
    assert ch07.agreement(run, ["int8-t6"])["share"].tolist() == [1.0, 0.5]


def test_scaling_rows_carry_model_and_both_ends(run: Facts) -> None:
    row = ch07.sizes(run)[0]
    assert (row["one"], row["many"]) == (pytest.approx(42), pytest.approx(592))
    assert ch07.name("llama-8b.nf4") == "4-bit nf4"


def test_weights_are_read_once_a_token() -> None:
    metrics = {"m.fp16.tokens_per_second.b1.p32": Metric(value=50.0), "m.fp16.weights_bytes": Metric(value=16e9)}
    run = Facts(Path("results/q7/r"), Record.model_construct(metrics=metrics))
    assert ch07.read_rate(run, "m.fp16") == pytest.approx(0.8e12)
    assert ch07.reading_share(run, "m.fp16") == pytest.approx(1 / 6)


def test_what_claims_read_is_by_cell_and_by_variant(run: Facts) -> None:
    assert ch07.by_cell(run, 32) == [{"fp16": 42, "int8-t6": 37}, {"fp16": 112, "int8-t6": 72}]
    assert len(ch07.by_cell(run)) == 4
    assert ch07.by_batch(run, 32) == [{"b1": 42, "b8": 112}, {"b1": 37, "b8": 72}]
    assert ch07.measured(run, "gpu_peak") == {"fp16": 6_000_000, "int8-t6": 4_000_000}
    assert ch07.divergence(run, "code") == {"int8-t6": 0.1}
    assert ch07.identical(run) == {"fp16": 0.75, "int8-t6": 0.75}


def test_repeats_are_held_against_their_own_cell(run: Facts) -> None:
    assert sorted(ch07.slowest_repeats(run)) == pytest.approx([1 / 9] * 4 + [1 / 2] * 4)
    repeats, variants = ch07.spread(run)
    assert (repeats, variants) == (pytest.approx(18), pytest.approx(112 / 72))
