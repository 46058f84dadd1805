"""One arm and seed trained in a process of its own, for a trainer that changes the process it runs in.

The child keeps a run of its own below the parent's work folder, so that a kill loses as little as in one process; the
parent takes its phases, metrics, notes and steps over. The child writes bare weights and the parent, whose transformers
is unchanged, saves the model. Not covered: looks at the policy while it trains, which would load a second model through
the changed classes.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codelab.errors import Paused
from codelab.measure import Meter, environment, run_in_child
from codelab.models.padding import own_padding
from codelab.records import open_run, read_record
from codelab.tasks import mbpp
from codelab.tasks.enlarged import FIRST
from codelab.tasks.mbpp import Task
from codelab.train.arms import Lab
from codelab.train.arms_recipe import Unit
from codelab.train.dpo_recipe import DpoRecipe
from codelab.train.pairs import Candidate, Pair
from codelab.train.save import adopt

_TIMEOUT = 3600.0  # seconds; a unit takes minutes
_NOTE = "No looks at the policy while {trainer} trains: it changes the process that a look would load models in."


def train_unit(lab: Lab[DpoRecipe], unit: Unit, pairs: Sequence[Pair]) -> str:
    """Train in a child and save the model here.

    Returns:
        The folder of the model.

    Raises:
        UserError: weights are missing, or no pair fits.
        Paused: the allowed time is over; a checkpoint was written.
    """
    recipe, run = lab.recipe, lab.run
    source = str(own_padding(recipe.model))
    folder = run.work / "units" / unit.label
    folder.mkdir(parents=True, exist_ok=True)
    answer = run_in_child(
        "codelab.train.own_process:train_here",
        {
            "recipe": recipe.model_copy(update={"model": _source(recipe.model, source)}).model_dump(mode="json"),
            "unit": unit.model_dump(),
            "pairs": [asdict(pair) for pair in pairs],
            "beyond": [asdict(lab.tasks[i]) for i in sorted({p.chosen.task_id for p in pairs}) if i >= FIRST],
            "folder": str(folder.resolve()),
            "seconds_left": run.seconds_left(),
        },
        timeout=_TIMEOUT,
    )
    if answer.get("paused"):
        raise Paused
    record = read_record(Path(answer["record"]))
    for phase in record.phases:
        run.phase(phase)
    for name, metric in record.metrics.items():
        run.metric(name, **metric.model_dump())
    for note in [*record.notes, _NOTE.format(trainer=recipe.trainer)]:
        run.note(note)
    rows = [row for row in run.steps_so_far() if row.get("arm") != unit.label]
    run.truncate("steps", 0)
    for row in [*rows, *answer["steps"]]:
        run.step(**row)
    output = f"{recipe.output}-{unit.label}"
    with Meter(run, unit.label).phase("save"):
        adopt(_source(recipe.model, source), Path(answer["weights"]), output)
    return output


def _source(model: str, padded: str) -> str:
    return model if model.startswith("hub:") and not Path(padded).is_dir() else f"path:{padded}"


def train_here(payload: dict[str, Any]) -> dict[str, Any]:
    """The child: import the trainer first, train, write weights and an own record below ``folder``."""
    from codelab.evaluate.engines import Asker  # noqa: PLC0415 - nothing heavy, but after the parent's checks
    from codelab.train.trainers import prepare  # noqa: PLC0415

    recipe = DpoRecipe.model_validate(payload["recipe"])
    unit, folder = Unit.model_validate(payload["unit"]), Path(payload["folder"])
    run = open_run(recipe, unit.label, folder, ["codelab"])
    run.stop_after = payload["seconds_left"]
    with Meter(run, unit.label).phase("import"):  # paid by every unit, since each has a process
        prepare(recipe.trainer)
        from codelab.train.dpo_loop import train_unit as train  # noqa: PLC0415 - imports trl, after its patches
    everything = mbpp.load(recipe.questions.source, verify=False)  # the parent has
    everything += [Task(**{key: _fixed(value) for key, value in row.items()}) for row in payload["beyond"]]
    run.environment(environment.facts(), None)
    lab = Lab(
        recipe, run, {task.task_id: task for task in everything}, Asker(recipe.questions.prompt, everything), _nobody
    )
    pairs = [
        Pair(Candidate(**row["chosen"]), Candidate(**row["rejected"]), row["chosen_tokens"], row["rejected_tokens"])
        for row in payload["pairs"]
    ]
    weights = folder / "weights.safetensors"
    try:
        train(lab, unit, pairs, weights=weights)
    except Paused:
        return {"paused": True}
    steps = run.steps_so_far()
    return {"record": str(run.finish()), "steps": steps, "weights": str(weights)}


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # JSON has no tuples


def _nobody(samples: Any) -> Any:
    raise RuntimeError("nothing is judged in a trainer's own process")
