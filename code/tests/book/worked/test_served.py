"""One evaluation by two engines: only the evaluated split counts, and starts from nothing."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book import figures
from codelab.book.facts import Facts
from codelab.book.style import styled
from codelab.book.worked import served
from codelab.errors import UserError
from codelab.records import Environment, Metric, Phase, Record
from codelab.records.files import to_csv
from codelab.records.schema import CodeFacts, RecipeFacts


def chunk(split: str, setting: str, samples: int, tokens: int, seconds: float) -> dict[str, Any]:
    times = {"generate_seconds": seconds, "execute_seconds": 0.5}
    return {"split": split, "setting": setting, "samples": samples, "tokens": tokens, **times}


def facts(folder: Path, kind: str, backend: str, phases: list[Phase], **more: Any) -> Facts:
    folder.mkdir()
    rows = more.pop("rows", [])
    if rows:
        (folder / "steps.csv").write_text(to_csv(rows), encoding="utf-8")
    values = {"questions": {"split": "test"}, "backend": backend}
    record = Record(
        run=folder.name, title="t", state="ok", command=[], started="2026-01-01", finished="2026-01-01", seconds=1,
        recipe=RecipeFacts(name=folder.name, kind=kind, sha256="0", values=values), code=CodeFacts(sha256="0"),
        seeds=[0], phases=phases, **more,
        environment=Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
    )  # fmt: skip
    return Facts(folder, record)


@pytest.fixture
def vllm(tmp_path: Path) -> Facts:
    phases = [
        Phase(name="calibrate", seconds=9),
        Phase(name="load", seconds=60, cpu_peak=4, gpu_device=70, gpu_allocated=1),
        Phase(name="warm-up", seconds=1, cpu_peak=3),
        Phase(name="generate", seconds=99, cpu_peak=5, gpu_device=80, gpu_allocated=1, gpu_reserved=75),
    ]
    rows = [
        chunk("validation", "t0.6", 50, 5000, 1.0),
        chunk("test", "greedy", 10, 900, 1.0),
        chunk("test", "t0.6", 100, 1000, 5.0),
        chunk("test", "t0.6", 90, 1100, 4.0),
    ]
    return facts(tmp_path / "vllm", "evaluate", "vllm", phases, rows=rows)


@pytest.fixture
def plain(tmp_path: Path) -> Facts:
    phases = []
    for model, seconds in (("start", 8.0), ("arm", 10.0)):
        phases += [
            Phase(name="load", seconds=1, variant=model, gpu_allocated=2),
            Phase(name="warm-up", seconds=0.5, variant=model),
            Phase(name="evaluate", seconds=9, variant=model, cpu_peak=3, gpu_allocated=30, gpu_device=60),
            Phase(name="generate", seconds=seconds, variant=model),
            Phase(name="execute", seconds=2, variant=model),
        ]
    metrics: dict[str, Metric] = {}
    for model in ("start", "arm"):
        metrics |= {f"{model}.greedy.tokens": Metric(value=9, n=40), f"{model}.t0.6.tokens": Metric(value=9, n=160)}
        metrics[f"{model}.generated_tokens"] = Metric(value=3000)
    notes = ["Shared its GPU with other runs: its seconds are not to be compared."]
    return facts(tmp_path / "plain", "dpo", "transformers", phases, metrics=metrics, notes=notes)


def test_an_evaluation_counts_the_evaluated_split_alone(vllm: Facts) -> None:
    row = served.evaluation(vllm)
    assert (row["completions"], row["tokens"], row["generate"], row["execute"]) == (200, 3000, 10.0, 1.5)
    assert (row["rate"], row["token_rate"], row["length"]) == (20, 300, 15)
    assert row["quickest"] == 275, "a greedy chunk is no sampled one"
    assert (row["load"], row["warm_up"], row["cpu_peak"], row["gpu_device"]) == (60, 1, 5, 80)
    assert (row["gpu_reserved"], row["gpu_allocated"], row["alone"]) == (75, None, True)


def test_a_model_of_several_is_read_from_its_phases_and_a_shared_device_is_left_out(plain: Facts) -> None:
    row = served.evaluation(plain, "start")
    assert (row["completions"], row["tokens"], row["rate"]) == (200, 3000, 25)
    assert (row["gpu_allocated"], row["gpu_device"], row["alone"], row["quickest"]) == (30, None, False, None)
    assert served.rates(plain, ["start", "arm"]) == (20, 25)
    assert (served.seconds(plain, "generate"), served.seconds(plain, "generate", ["arm"])) == (18, 10)
    with pytest.raises(UserError, match="no phase 'train'"):
        served.seconds(plain, "train")
    with pytest.raises(UserError, match="no completions of 'gone'"):
        served.evaluation(plain, "gone")


def test_nothing_on_the_split_is_an_error(tmp_path: Path) -> None:
    phases = [Phase(name=name, seconds=1) for name in ("load", "warm-up", "generate")]
    empty = facts(tmp_path / "e", "evaluate", "vllm", phases, rows=[chunk("validation", "greedy", 1, 1, 1.0)])
    with pytest.raises(UserError, match="nothing was generated on the evaluated split"):
        served.evaluation(empty)


def test_starts_are_counted_from_nothing_and_bars_add_up(vllm: Facts, plain: Facts) -> None:
    sides = {"plain": served.evaluation(plain, "start"), "vLLM": served.evaluation(vllm)}
    rows = served.beside(sides, {"plain": 8.0})
    assert [(row["start"], row["total"], row["card"]) for row in rows] == [(9.5, 17.5, "shared"), (61, 71, "alone")]
    frame = served.bars(rows)
    assert frame.groupby("variant")["seconds"].sum().to_dict() == {"plain": 17.5, "vLLM": 71}
    with styled():
        figures.timeline(frame)
