"""Which module runs which kind of recipe; imported only when a recipe of that kind is used.

Each module named here exports ``RECIPE`` (a subclass of :class:`~codelab.records.Recipe`) and
``run(recipe, run) -> None``. Neither may import torch at module level, so that a wrong recipe is reported anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.records import Recipe, Run, parse_recipe, read_yaml

KINDS: dict[str, str] = {
    "bench": "bench.evaluator",
    "bench-pretraining": "bench.pretraining",
    "compare": "codelab.evaluate.compared",
    "adapt": "codelab.train.adapt",
    "agreement": "codelab.evaluate.agreement",
    "corpus": "codelab.tasks.corpus.experiment",
    "quantize": "codelab.models.quantization.experiment",
    "dpo": "codelab.train.dpo",
    "engines": "codelab.train.engines.experiment",
    "grpo": "codelab.train.grpo",
    "evaluate": "codelab.evaluate.experiment",
    "general-text": "codelab.tasks.general.experiment",
    "memory": "codelab.train.memory",
    "pretrain": "codelab.train.pretrain",
    "sft": "codelab.train.sft",
    "signal": "codelab.train.signal",
}


@dataclass(frozen=True)
class Loaded:
    """A validated recipe, the name of its file and the function that runs it."""

    name: str
    path: Path
    recipe: Recipe
    execute: Callable[[Any, Run], None]


def load(path: Path) -> Loaded:
    """Read and validate a recipe file.

    Raises:
        UserError: unreadable file, unknown kind, unknown key, wrong type or impossible value.
    """
    values = read_yaml(path)
    kind = values["kind"]
    if kind not in KINDS:
        raise UserError(f"recipe {path}: kind: expected one of {', '.join(sorted(KINDS))}, got {kind!r}")
    module = import_module(KINDS[kind])
    return Loaded(path.stem, path, parse_recipe(path, values, module.RECIPE), module.run)
