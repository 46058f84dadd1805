"""The whole GRPO experiment on a tiny model and the real sandbox: record, resume after kill -9, budgets, refusals."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import get_scheduler

from codelab.book.facts import Facts
from codelab.book.worked import ch10, ch10_arms, ch10_costs
from codelab.cli.registry import load
from codelab.errors import UserError
from codelab.records import find_records, read_samples, read_steps, verify_files
from codelab.tasks import mbpp
from codelab.train import grpo
from codelab.train.grpo_loop import arguments
from codelab.train.grpo_recipe import GrpoRecipe
from codelab.train.rewards import RUNGS
from codelab.train.sft import MIXED_UP

from ..models.tiny import model
from .grpo_world import CODE, child, make, values
from .test_grpo_trainer import trainer

TIMES = {"seconds", "step_seconds", "sampling_seconds", "judging_seconds", "training_seconds"}
RECIPES = sorted((CODE.parent / "recipes").glob("q10-*.yaml"))


def finished(process: Any, folder: Path) -> None:
    assert process.wait(timeout=400) == 0, (folder / "log").read_text()[-3000:]


def steps_of(folder: Path) -> list[dict[str, str]]:
    return [row for row in read_steps(folder) if row["loss"]]


@pytest.mark.slow
@pytest.mark.timeout(900)  # three processes of some 20 seconds each on an idle machine
def test_the_whole_recipe_killed_and_continued_is_the_unbroken_one(tmp_path: Path, tiny_tokenizer: Path) -> None:
    chosen = {"length": 300, "shown": 2, "filter": {"samples": 4, "temperature": 1.0, "keep": "varied", "repeats": 2}}
    recipe = make(tmp_path, tiny_tokenizer, prompts=chosen, training={"steps": 5})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finished(child(recipe, whole), tmp_path)

    process = child(recipe, broken)
    deadline = time.monotonic() + 300
    while not list(broken.glob("tiny/.*/work/checkpoints/grpo-seed0/checkpoint-2/trainer_state.json")):
        assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished(child(recipe, broken), tmp_path)

    ((one, record),) = find_records(whole)
    ((two, again),) = find_records(broken)
    verify_files(two, again)
    assert (record.resumed, again.resumed) == (0, 1)
    first, second = steps_of(one), steps_of(two)
    assert [row["step"] for row in second] == list("12345")
    for left, right in zip(first, second, strict=True):
        assert {k: v for k, v in left.items() if k not in TIMES} == {k: v for k, v in right.items() if k not in TIMES}
        assert float(right["seconds"]) > 0
    assert sorted(float(row["seconds"]) for row in second) == [float(row["seconds"]) for row in second]

    for row in first:
        assert sum(float(row[f"rung_{name}"]) for name in RUNGS) == pytest.approx(1)
        parts = sum(float(row[f"{part}_seconds"]) for part in ("sampling", "judging", "training"))
        assert parts == pytest.approx(float(row["step_seconds"]), abs=1e-3)
        assert float(row["kl_token"]) >= 0
        assert 0 <= float(row["flat_groups"]) <= 1
        assert float(row["rate"]) == 0.001, "without warm-up the first step counts in full"
    assert any(float(row["flat_groups"]) < 1 and float(row["grad_norm"]) > 0 for row in first)
    assert float(first[0]["kl_token_exact"]) == pytest.approx(0, abs=1e-6)
    assert float(first[0]["kl_loss"]) == pytest.approx(0, abs=1e-5), "the reference is the start, at true positions"
    assert float(first[-1]["kl_token_exact"]) > 1e-6
    looks = [row for row in read_steps(two) if row["kl"]]
    assert [int(row["step"]) for row in looks] == [0, 2, 4, 5]
    weights, before = (load_file(tmp_path / name / "model.safetensors") for name in ("tuned-grpo-seed0", "start"))
    assert not torch.equal(weights["transformer.wpe.weight"], before["transformer.wpe.weight"])

    samples = read_samples(two)
    assert {row["variant"] for row in samples} == {"pool", "start", "grpo-seed0", "grpo-seed0.train"}
    kept = [row for row in samples if row["variant"] == "grpo-seed0.train"]
    assert [row["step"] for row in kept] == [1, 1, 2, 2, 4, 4]
    trained_on = {row["task_id"] for row in samples if row["variant"] in {"pool", "grpo-seed0.train"}}
    assert trained_on == {601, *range(603, 609)}
    assert not trained_on & (MIXED_UP | set(mbpp.SPLITS["test"]))
    assert again.metrics["grpo.t0.8.pass@2.difference"].n == 4
    assert 0 < again.metrics["grpo-seed0.judging_share"].value < 1
    assert again.tables["pool"][-1]["tasks"] == 7
    assert not [note for note in again.notes if "vLLM" in note], "there is none"
    assert {row["model"] for row in again.tables["hard_coded"]} == {"start", "grpo-seed0"}
    phases = {(phase.name, phase.variant) for phase in again.phases}
    assert {("prompts", None), ("sample", "pool"), ("set_up", "grpo-seed0"), ("train", "grpo-seed0")} <= phases


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_arms_end_when_their_seconds_are_spent(tmp_path: Path, tiny_tokenizer: Path) -> None:
    arm = values(tmp_path)["arms"]["grpo"]
    recipe = make(
        tmp_path, tiny_tokenizer, arms={"a": arm, "b": arm | {"beta": 0.0, "group": 2, "loss": "dr_grpo"}},
        training={"steps": 500, "seconds": 1.5},
    )  # fmt: skip
    finished(child(recipe, tmp_path / "results"), tmp_path)
    ((folder, record),) = find_records(tmp_path / "results")
    for name in ("a-seed0", "b-seed0"):
        rows = [row for row in steps_of(folder) if row["arm"] == name]
        assert 1 < len(rows) < 500
        assert float(rows[-2]["seconds"]) < 1.5 <= float(rows[-1]["seconds"])
        assert record.metrics[f"{name}.steps"].value == len(rows)
        last_look = [row for row in read_steps(folder) if row["kl"] and row["arm"] == name][-1]
        assert last_look["step"] == rows[-1]["step"]
        assert float(last_look["seconds"]) == pytest.approx(float(rows[-1]["seconds"]), abs=1e-3)
        assert float(rows[-1]["kl_token"]) > 0, "measured where the loss has none too"
    first, second = ([row[name] for name in row if name != "arm"] for row in read_steps(folder) if row["step"] == "0")
    assert first == second, "both arms begin at the same start"
    run = Facts(folder, record)  # what the book reads of it is there
    assert set(ch10.steps(run)["arm"]) == set(ch10.looks(run)["arm"]) == {"a", "b"}
    assert ch10.ladder(run, "a").groupby("step")["percent"].sum().tolist() == pytest.approx(
        [100.0] * len(ch10.steps(run, ["a"]))
    )
    assert [one["unit"] for one in ch10_costs.judge({"trl": run})] == ["a-seed0", "b-seed0"]
    assert {"flat_groups", "form", "kl_token_exact", "ratio_clipped"} <= ch10_arms.means(run, "a")["last"].keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": {"a": {"reward": "other"}}}, "is none of graded, pass"),
        ({"arms": {"a": {"group": 3}}}, "multiple"),
        ({"arms": {"a": {"iterations": 3}}}, "multiple"),
        ({"training": {"completions_per_pass": 3}}, "multiple of completions_per_pass"),
        ({"training": {"seconds": 9, "schedule": "linear"}}, "must be constant_with_warmup"),
        ({"training": {"share_engine": True}}, "needs vllm: colocate"),
        ({"training": {"share_engine": True, "vllm": "colocate"}}, "must be vllm too"),
        ({"prompts": {"length": 9, "splits": []}}, "expected splits, enlarged, or both"),
        ({"prompts": {"length": 9, "splits": ["validation"]}}, "pass_split must not"),
        ({"questions": {"split": "train", "prompt": "docstring"}}, "evaluated split must not"),
        ({"rewards": {"graded": {"passes": 0.5}}}, "add up to 1"),
    ],
)
def test_impossible_recipes_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    GrpoRecipe.model_validate(values(tmp_path))
    if "arms" in changes:
        changes = {"arms": {"a": values(tmp_path)["arms"]["grpo"] | changes["arms"]["a"]}}
    with pytest.raises(ValidationError, match=message):
        GrpoRecipe.model_validate(values(tmp_path, **changes))


def test_unsloth_is_imported_with_rows_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    def prepare(trainer: str) -> None:
        seen.update({name: os.environ[name] for name in grpo.UNSLOTH})
        raise UserError(trainer)

    for name in grpo.UNSLOTH:
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(grpo, "prepare", prepare)
    nothing: Any = None
    with pytest.raises(UserError, match="unsloth"):
        grpo.run(GrpoRecipe.model_validate(values(tmp_path, trainer="unsloth")), nothing)
    assert set(seen.values()) == {"0"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_question_10_is_valid(path: Path) -> None:
    recipe = load(path).recipe
    assert isinstance(recipe, GrpoRecipe)
    assert recipe.question == 10
    if recipe.hardware.device == "gpu":
        assert recipe.judging.workers == 16, "shares of the judge compare only at equal numbers of cores"


@pytest.mark.parametrize(
    ("name", "shares"),
    [("q10-ablations-gpt2", [1, 1, 1]), ("q10-grpo-gpt2", [0, 0.5, 1]), ("q10-grpo-smollm2", [0, 0.5, 1])],
)
def test_the_rate_of_a_recipe_s_first_steps(name: str, shares: list[float], tmp_path: Path) -> None:
    recipe = load(CODE.parent / f"recipes/{name}.yaml").recipe
    assert isinstance(recipe, GrpoRecipe)
    given = arguments(recipe, recipe.units()[0], str(tmp_path))
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], given.learning_rate)
    schedule = get_scheduler(given.lr_scheduler_type, optimizer, given.get_warmup_steps(given.max_steps))
    rates = []
    for _ in shares:
        rates += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([share * next(iter(recipe.arms.values())).rate for share in shares])


@pytest.mark.parametrize(("warmup", "first"), [(0, 1e-3), (2, 0.0)])
def test_without_warm_up_the_first_step_moves_weights_by_the_full_rate(
    warmup: int, first: float, tmp_path: Path
) -> None:
    policy = model("gpt2", seed=2)
    before = [value.detach().clone() for value in policy.parameters()]
    made = trainer(
        tmp_path, [1.0, 0.0, 0.25, 0.75], policy, learning_rate=1e-3, lr_scheduler_type="constant_with_warmup",
        warmup_steps=warmup, logging_steps=1, disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    made.train()
    moved = max(float((now - then).abs().max()) for now, then in zip(policy.parameters(), before, strict=True))
    assert moved == pytest.approx(first, rel=1e-2)
    assert made.state.log_history[0]["learning_rate"] == pytest.approx(first)
