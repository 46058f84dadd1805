"""The experiment of kind ``engines``: {transformers, vLLM} sampling and {trl, unsloth} training, cell by cell.

Each cell runs in a process of its own and leaves one file, so that a killed or paused run continues with the cells that
have none. A cold start has empty compile caches; a warm one finds those that the cold start left. Weights are read from
disk once before anything is timed. A cell that fails is recorded as failed, and the others are measured. Not covered:
what is measured (``sampling``, ``training``) and what is made of it (``report``).
"""

import importlib.util
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from codelab.errors import Paused, UserError
from codelab.evaluate import engines
from codelab.measure import run_in_child
from codelab.measure.child import ChildError
from codelab.models.load import local_folder
from codelab.models.padding import own_padding
from codelab.models.source import ModelSource
from codelab.records import ModelFacts, Phase, Run, sha256_file
from codelab.records.files import write_atomic
from codelab.tasks import mbpp
from codelab.train.engines import report
from codelab.train.engines.recipe import Cell, EnginesRecipe
from codelab.train.trainers import require

RECIPE = EnginesRecipe


def run(recipe: EnginesRecipe, run: Run) -> None:
    """Measure every cell that has no answer yet, then write metrics and tables.

    Raises:
        UserError: a package, the weights, the questions or the device are missing.
        Paused: the time that the command was allowed is over.
        RuntimeError: every cell failed.
    """
    absent = _absent(recipe)
    if absent and not recipe.skip_absent:
        raise UserError(next(iter(absent.values())))
    mbpp.load(recipe.questions.source)
    engines.questions_asked(recipe.questions)
    folders = {name: _folder(recipe, name) for name in recipe.models}
    run.data(mbpp.facts(recipe.questions.source))
    answers: dict[str, dict[str, Any]] = {}
    longest = 60.0
    for number, cell in enumerate(recipe.cells(), start=1):
        kept = run.work / f"{cell.key}.json"
        if cell.engine in absent:
            answers[cell.key] = {"failed": f"not installed: {absent[cell.engine]}", "phases": [], "looks": []}
            continue
        if not kept.exists():
            if run.time_is_up(reserve=longest):  # a cell may take as long as the longest one so far
                raise Paused
            print(f"{number}/{len(recipe.cells())} {cell.key}", file=sys.stderr, flush=True)
            began = time.monotonic()
            answer = _measure(recipe, run, cell, folders[cell.model])
            longest = max(longest, time.monotonic() - began)
            write_atomic(kept, json.dumps(answer).encode())
        answers[cell.key] = json.loads(kept.read_bytes())
    if all("failed" in answer for answer in answers.values()):
        raise RuntimeError("every cell failed; " + "; ".join(f"{key}: {a['failed']}" for key, a in answers.items()))
    _record(recipe, run, answers)
    report.write(recipe, run, answers)


def _measure(recipe: EnginesRecipe, run: Run, cell: Cell, folder: str) -> dict[str, Any]:
    caches = run.work.resolve() / "caches" / cell.group
    if cell.start == "cold":
        shutil.rmtree(caches, ignore_errors=True)
        caches.mkdir(parents=True)
    elif not caches.exists():
        return {"failed": "the caches of its cold start are gone", "phases": [], "looks": []}
    payload = {
        "recipe": recipe.model_dump(mode="json"),
        "cell": cell.model_dump(),
        "folder": folder,
        "caches": str(caches),
    }
    try:
        answer = run_in_child("codelab.train.engines.worker:measure", payload, timeout=60 * recipe.cell_minutes)
    except ChildError as error:
        answer = {"failed": str(error)[-1500:], "phases": [], "looks": []}
    if cell.start == "warm" or "warm" not in recipe.starts(cell.model, cell.engine):
        shutil.rmtree(caches, ignore_errors=True)
    return answer


def _absent(recipe: EnginesRecipe) -> dict[str, str]:
    """Why a sampler or a trainer cannot run here, by name."""
    found: dict[str, str] = {}
    for name, sampler in recipe.samplers.items():
        try:
            engines.require(sampler.backend)
        except UserError as error:
            found[name] = str(error)
    for trainer in recipe.trainers:
        try:
            require(trainer)
        except UserError as error:
            found[trainer] = str(error)
    return found


def _folder(recipe: EnginesRecipe, name: str) -> str:
    """Where every engine reads a model from, with a pad token of its own; its weights are read once."""
    source = ModelSource.parse(recipe.models[name].source)
    if importlib.util.find_spec("transformers") is None:
        raise UserError(f"model {source}: needs transformers, not installed here; run: make setup-train")
    if source.kind == "scratch":
        from codelab.models.smollm2 import cache_folder  # noqa: PLC0415

        folder = cache_folder() / "scratch" / f"{source.name}-{recipe.seeds[0]}"
        if not (folder / "config.json").exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            run_in_child(
                "codelab.train.engines.worker:materialise",
                {"name": source.name, "folder": str(folder), "device": recipe.device, "seed": recipe.seeds[0]},
            )
    else:
        if source.kind != "hub" and not (local_folder(source) / "config.json").exists():
            raise UserError(f"model {source}: expected a folder with config.json, weights and tokenizer")
        padded = own_padding(source)
        if not isinstance(padded, Path):
            return padded
        folder = padded
    for path in folder.glob("*.safetensors"):
        sha256_file(path)
    return str(folder.resolve())


def _record(recipe: EnginesRecipe, run: Run, answers: dict[str, dict[str, Any]]) -> None:
    for name, subject in recipe.models.items():
        note = "random weights" if subject.source.startswith("scratch:") else None
        run.model(ModelFacts(role=name, source=subject.source, note=note))
    run.truncate("steps", 0)
    for key, answer in answers.items():
        for phase in answer["phases"]:
            more = {}
            if "gpu_reserved" in answer and phase["name"] != "import":  # the engine's process, over its whole life
                more = {"gpu_reserved": answer["gpu_reserved"], "gpu_allocated": answer["engine_allocated"]}
            elif peaks := [row["gpu_allocated"] for row in answer.get("training", ()) if row["gpu_allocated"]]:
                more = {"gpu_allocated": max(peaks)} if phase["name"] == "train" else {}
            run.phase(Phase.model_validate(phase | more))
        for look in answer["looks"]:
            run.step(cell=key, **{name: value for name, value in look.items() if value is not None})
