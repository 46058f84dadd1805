"""A second run on the pairs of a first one, trained in a process of its own: the same models, and said so."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "evaluate"))

from small import FakePool, data, derivable

from codelab.cli.registry import load
from codelab.cli.run import execute
from codelab.errors import Paused, UserError
from codelab.records import find_records, open_run, read_samples, read_steps
from codelab.tasks import mbpp
from codelab.tasks.enlarged import FIRST
from codelab.train import arms, dpo, own_process
from codelab.train.dpo_recipe import DpoRecipe
from codelab.train.kept_pairs import kept_pairs, newest
from codelab.train.save import adopt, write_weights

from .test_dpo import values


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Path:
    """A folder with a start, a recipe and its record."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from codelab.train.save import save_model

    folder = tmp_path_factory.mktemp("first")
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=320, n_positions=512, n_embd=32, n_layer=2, n_head=2)
    save_model(GPT2LMHeadModel(config), AutoTokenizer.from_pretrained(tiny_tokenizer), folder / "start")
    with pytest.MonkeyPatch.context() as patch:
        world(folder, patch)
        (folder / "first.yaml").write_text(yaml.safe_dump(recipe(folder)))
        execute(load(folder / "first.yaml"), folder / "results")
    return folder


def world(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(mbpp, "SHA256", mbpp.SHA256)  # put back afterwards
    data(folder / "mbpp.jsonl", [11, 12, 13, 14, 511, 512, 601, 603, 604, 605, 606])
    patch.setattr("codelab.evaluate.experiment.Pool", FakePool)
    patch.setenv("CODELAB_CACHE", str(folder / "cache"))
    # Sums come out the same, here and in the child, only where as many threads add them up.
    torch.set_num_threads(1)
    patch.setenv("OMP_NUM_THREADS", "1")


def recipe(folder: Path, **changes: Any) -> dict[str, Any]:
    made = values(folder, seeds=[0], mutants={"per_task": 12}, **changes)
    made["training"] = made["training"] | {"steps": 4, "checkpoint_every": 2}
    made["watch"] = {"every": 4, "kl_prompts": 1, "kl_samples": 1, "kl_tokens": 4}
    made["pairs"] = made["pairs"] | {"enlarged": str(derivable(folder / "pairs.jsonl.zst"))}
    return made


def again(folder: Path, **changes: Any) -> dict[str, Any]:
    return recipe(
        folder, output=str(folder / "again"), pairs_from=str(folder / "results" / "first"),
        counterparts=[str(folder / "results" / "first")], **changes,
    )  # fmt: skip


@pytest.mark.slow
def test_same_pairs_in_another_process_give_the_same_model(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world(first, monkeypatch)
    monkeypatch.setattr(dpo, "needs_own_process", lambda trainer: True)
    (first / "second.yaml").write_text(yaml.safe_dump(again(first)))
    folder = execute(load(first / "second.yaml"), first / "results")

    here, there = (load_file(first / f"{name}-dpo-seed0" / "model.safetensors") for name in ("again", "tuned"))
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in here)
    start = load_file(first / "start" / "model.safetensors")
    name = "transformer.h.0.attn.c_attn.weight"
    assert not torch.equal(here[name], start[name].float()), "or nothing was trained"

    records = {record.recipe.name: (at, record) for at, record in find_records(first / "results")}
    _, record = records["second"]
    pairs = [[row for row in read_samples(at) if row["variant"] == "pair"] for at, _ in records.values()]
    assert pairs[0] == pairs[1]
    assert len(pairs[0]) == record.metrics["pairs"].value > 1
    assert record.metrics["pairs.enlarged"].value == sum(row["task_id"] >= FIRST for row in pairs[0]) > 0
    assert next(facts for facts in record.data if facts.name == "pairs").source.startswith("file:first/")
    assert {"load_policy", "reference", "train", "save"} <= {
        phase.name for phase in record.phases if phase.variant == "dpo-seed0"
    }
    assert any("No looks at the policy" in note for note in record.notes)
    steps = read_steps(folder)
    assert [(row["arm"], int(row["step"])) for row in steps] == [("dpo-seed0", step) for step in (1, 2, 3, 4)]
    same = [row["loss"] for row in read_steps(records["first"][0]) if row["loss"]]
    assert [float(row["loss"]) for row in steps] == pytest.approx([float(loss) for loss in same])

    compared = record.tables["counterparts"]
    assert {(row["model"], row["setting"], row["k"]) for row in compared} == {
        (model, setting, k) for model in ("start", "dpo") for setting, k in (("greedy", 1), ("t0.8", 1), ("t0.8", 2))
    }
    assert all(row["difference"] == 0 and row["agree"] for row in compared)
    assert all(row["identical"] == 1 for row in record.tables["same_text"])
    assert record.metrics["counterpart.dpo.greedy.pass@1.difference"].n == 4


def test_other_conditions_are_named(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world(first, monkeypatch)
    facts = [mbpp.facts(first / "mbpp.jsonl")]

    def ask(**changes: Any) -> None:
        wanted = DpoRecipe.model_validate(again(first) | changes)
        kept_pairs(wanted, tmp_path, len, facts)

    with pytest.raises(UserError, match=r"made with another drawn .*0\.5"):
        ask(drawn={"samples": 2, "temperature": 0.5})
    with pytest.raises(UserError, match="made with another pairs"):
        ask(pairs=again(first)["pairs"] | {"enlarged": None})
    with pytest.raises(UserError, match="made with another model"):
        ask(model="pypi:smollm2-135m")
    with pytest.raises(UserError, match="made with seed 0, here 1"):
        ask(seeds=[1])
    with pytest.raises(UserError, match=r"no successful record there; run its recipe first: recipes/absent\.yaml"):
        ask(pairs_from=str(first / "results" / "absent"))
    for name in ("mbpp", "instructions"):
        other = facts[0].model_copy(update={"name": name, "sha256": "0" * 64})
        with pytest.raises(UserError, match=f"SHA-256 of {name} differs"):
            kept_pairs(DpoRecipe.model_validate(again(first)), tmp_path, len, [other])
    assert not list(tmp_path.iterdir()), "nothing half written"


def test_what_an_older_record_could_not_say_counts_as_its_default(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world(first, monkeypatch)
    shutil.copytree(first / "results" / "first", results := tmp_path / "results" / "first")
    (path,) = results.glob("*/record.json")
    record = json.loads(path.read_text())
    for name in ("enlarged", "least_tests"):
        del record["recipe"]["values"]["pairs"][name]
    path.write_text(json.dumps(record))
    wanted = again(first) | {"pairs_from": str(results)}
    facts = [mbpp.facts(first / "mbpp.jsonl")]
    with pytest.raises(UserError, match=r"another pairs .*'enlarged': None"):
        kept_pairs(DpoRecipe.model_validate(wanted), tmp_path, len, facts)
    del wanted["pairs"]["enlarged"]
    assert kept_pairs(DpoRecipe.model_validate(wanted), tmp_path, len, facts)[0]


def test_pairs_stay_when_a_newer_record_appears(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world(first, monkeypatch)
    results = tmp_path / "results" / "first"
    shutil.copytree(first / "results" / "first", results)
    wanted = DpoRecipe.model_validate(again(first) | {"pairs_from": str(results)})
    (work := tmp_path / "work").mkdir()
    facts = [mbpp.facts(first / "mbpp.jsonl")]
    pairs, _ = kept_pairs(wanted, work, len, facts)
    shutil.rmtree(results)
    assert kept_pairs(wanted, work, len, facts)[0] == pairs
    assert pairs[0].chosen_tokens == len(pairs[0].chosen.program)


def test_a_counterpart_that_is_missing_or_differs_is_a_note_and_not_a_failure(first: Path, tmp_path: Path) -> None:
    from codelab.train.counterparts import against

    wanted = DpoRecipe.model_validate(again(first, max_new_tokens=9) | {"pairs_from": None})
    wanted = wanted.model_copy(update={"counterparts": (*wanted.counterparts, str(tmp_path / "none"))})
    run = open_run(wanted, "t", tmp_path, [])
    against(wanted, run, {})
    notes = run._state["notes"]
    assert any("another max_new_tokens (8, here 9)" in note for note in notes)
    assert any("no successful record" in note for note in notes)
    assert run._state["tables"]["counterparts"] == []


def test_a_unit_that_paused_pauses_the_run(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world(first, monkeypatch)
    wanted = DpoRecipe.model_validate(again(first))
    run = open_run(wanted, "t", tmp_path, [])
    run.stop_after = 500.0
    asked: list[dict[str, Any]] = []

    def child(target: str, payload: dict[str, Any], timeout: float) -> dict[str, Any]:
        asked.append(json.loads(json.dumps(payload)))
        return {"paused": True}

    monkeypatch.setattr(own_process, "run_in_child", child)
    lab = arms.Lab(wanted, run, {}, None, None)  # type: ignore[arg-type]
    with pytest.raises(Paused):
        own_process.train_unit(lab, wanted.units()[0], [])
    assert 0 < asked[0]["seconds_left"] < 500
    assert asked[0]["recipe"]["model"] == f"path:{first / 'start'}"


def test_weights_of_another_model_are_not_adopted(first: Path, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    other = GPT2LMHeadModel(GPT2Config(vocab_size=320, n_positions=512, n_embd=32, n_layer=1, n_head=2))
    file = write_weights(other, tmp_path / "w.safetensors")
    assert "lm_head.weight" not in load_file(file), "shared weights once"
    with pytest.raises(RuntimeError, match="not the weights of"):
        adopt(f"path:{first / 'start'}", file, tmp_path / "out")


def test_the_newest_record_is_read(first: Path) -> None:
    folder, record = newest(first / "results" / "first", "pairs_from")
    assert newest(folder, "pairs_from")[1] == record


@pytest.mark.parametrize("module", ["codelab.train.own_process", "codelab.train.engines.training"])
def test_nothing_that_unsloth_must_precede_is_imported_early(module: str) -> None:
    names = "('torch', 'transformers', 'trl', 'peft', 'vllm')"
    code = f"import sys, {module}; print([name for name in {names} if name in sys.modules])"
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=paths, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
