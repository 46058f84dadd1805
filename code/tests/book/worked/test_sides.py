"""Two runs beside each other: only shared models count, medians and extremes, and when a slow start is paid."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book import figures
from codelab.book.facts import Facts
from codelab.book.style import styled
from codelab.book.worked import sides
from codelab.errors import UserError
from codelab.records import Environment, Metric, Phase, Record
from codelab.records.files import to_csv
from codelab.records.schema import CodeFacts, RecipeFacts

MODELS = ("start", "dpo-seed0", "dpo-seed1")


def phases(start: float, generate: float, train: float, **more: Any) -> list[Phase]:
    made = []
    for place, model in enumerate(MODELS):
        made += [
            Phase(name="load", seconds=start - 1, variant=model, cpu_peak=10**9),
            Phase(name="warm-up", seconds=1, variant=model),
            Phase(name="evaluate", seconds=generate, variant=model, cpu_peak=2 * 10**9, gpu_allocated=0, **more),
            Phase(name="generate", seconds=generate + place, variant=model),
        ]
        if model != "start":
            made += [
                Phase(name="load_policy", seconds=1, variant=model),
                Phase(name="reference", seconds=3, variant=model, gpu_allocated=5),
                Phase(name="train", seconds=train, variant=model, gpu_allocated=7),
            ]
    return made


def facts(folder: Path, made: list[Phase], losses: dict[int, float], notes: list[str]) -> Facts:
    folder.mkdir()
    rows: list[dict[str, Any]] = [{"arm": "dpo-seed0", "step": step, "loss": loss} for step, loss in losses.items()]
    rows += [{"arm": "dpo-seed0", "step": 2, "loss": None}, {"arm": "dpo-seed1", "step": 1, "loss": 9.0}]
    (folder / "steps.csv").write_text(to_csv(rows), encoding="utf-8")
    tokens = {"start.greedy.tokens": 20, "start.t0.6.tokens": 80, "start.generated_tokens": None, "other.tokens": 7}
    record = Record(
        run=folder.name, title="t", state="ok", command=[], started="2026-01-01", finished="2026-01-01", seconds=1,
        recipe=RecipeFacts(name=folder.name, kind="dpo", sha256="0", values={}), code=CodeFacts(sha256="0"), seeds=[0],
        environment=Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
        phases=made, metrics={name: Metric(value=1.0, n=n) for name, n in tokens.items()}, notes=notes,
    )  # fmt: skip
    return Facts(folder, record)


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Facts]:
    base = Phase(name="load", seconds=500, variant="base", gpu_device=10**12)
    lone = Phase(name="calibrate", seconds=500)
    there = facts(tmp_path / "there", [base, lone, *phases(5, 40, 60)], {1: 0.7, 2: 0.6, 3: 0.5}, [])
    quick = phases(45, 20, 50, gpu_reserved=8, gpu_device=10)
    here = facts(tmp_path / "here", quick, {1: 0.7, 2: 0.61, 3: 0.3}, ["Shared its GPU with other runs: no."])
    return {"plain": there, "quick": here}


def test_parts_are_medians_over_the_models_of_both(runs: dict[str, Facts]) -> None:
    rows = {row["part"]: row for row in sides.parts(*runs.values())}
    assert list(rows) == ["start", "generate", "setup", "train"], "a part that one side lacks has no row"
    assert (rows["start"]["models"], rows["start"]["there"], rows["start"]["here"]) == (3, 5, 45)
    assert (rows["train"]["models"], rows["train"]["ratio"]) == (2, pytest.approx(50 / 60))
    generate = rows["generate"]
    assert (generate["there"], generate["there_range"], generate["clear"]) == (41, "40.0–42.0", True)
    assert rows["setup"]["clear"] is False
    assert sides.seconds(*runs.values(), "generate") == (41, 21)
    with pytest.raises(UserError, match="no model with part 'execute'"):
        sides.seconds(*runs.values(), "execute")


def test_bars_add_up_the_shared_models(runs: dict[str, Facts]) -> None:
    frame = sides.bars(runs)
    totals = frame.groupby("variant")["seconds"].sum()
    assert totals["plain"] == pytest.approx(3 * 5 + 40 + 41 + 42 + 2 * 4 + 2 * 60), "base is the first run's alone"
    assert totals["quick"] == pytest.approx(3 * 45 + 20 + 21 + 22 + 2 * 4 + 2 * 50)
    with styled():
        assert figures.timeline(frame).axes[0].patches


def test_memory_by_stage_leaves_zero_out(runs: dict[str, Facts]) -> None:
    rows = {(row["stage"], row["name"]): row for row in sides.memory(runs)}
    assert rows["sampling", "plain"]["gpu_device"] is None, "base does not count"
    assert rows["sampling", "quick"]["gpu_reserved"] == 8
    assert rows["sampling", "quick"]["gpu_allocated"] is None, "the parent's allocator saw nothing"
    assert rows["sampling", "quick"]["cpu_peak"] == 2 * 10**9
    assert rows["training", "quick"]["gpu_allocated"] == 7


def test_a_slow_start_is_paid_by_quicker_answers_or_never(runs: dict[str, Facts]) -> None:
    there, here = runs.values()
    assert sides.completions(here) == 100
    assert sides.paid_after(there, here) == pytest.approx(40 / 0.2)
    assert sides.paid_after(here, there) is None
    with pytest.raises(UserError, match="no completions of 'dpo-seed9'"):
        sides.completions(here, "dpo-seed9")


def test_losses_of_one_model_and_their_gap(runs: dict[str, Facts]) -> None:
    there, here = runs.values()
    frame = sides.losses(runs, "dpo-seed0")
    assert list(frame["name"]) == ["plain"] * 3 + ["quick"] * 3
    assert sides.loss_gap(there, here, "dpo-seed0", steps=2) == pytest.approx(0.01)
    assert sides.loss_gap(there, here, "dpo-seed0") == pytest.approx(0.2)
    with pytest.raises(UserError, match="no step of 'dpo-seed5'"):
        sides.loss_gap(there, here, "dpo-seed5")


def test_a_shared_gpu_is_noticed(runs: dict[str, Facts]) -> None:
    there, here = runs.values()
    assert sides.alone(there)
    assert not sides.alone(there, here)
