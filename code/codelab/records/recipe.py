"""Recipes: YAML files loaded into typed, frozen models.

A recipe says what to run and nothing about where results go. Every kind of experiment subclasses :class:`Recipe` in its
own module, which also holds the function that runs it. Not covered: finding that module (``codelab.cli`` does).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from codelab.errors import UserError
from codelab.records.hashing import sha256_value


class Strict(BaseModel):
    """Base of every recipe section: unknown keys are errors, values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


class Hardware(Strict):
    """What a recipe needs, so that the lab can refuse early and say what would be needed."""

    device: Literal["cpu", "gpu", "any"] = "any"
    gpu_memory_gb: float = Field(default=0, ge=0, description="device memory needed at the peak, in GB (1e9 bytes)")
    minutes: float = Field(gt=0, description="expected wall time on the hardware named in the recipe's header")
    cpu_recipe: str | None = Field(default=None, description="recipe of the same experiment sized for a CPU")
    extras: tuple[str, ...] = Field(default=(), description="pip extras that must be installed: train, gpu")


class Recipe(Strict):
    """Fields that every recipe has; each experiment adds its own.

    ``name`` is the file's stem and names the folder below ``results/``.
    """

    kind: str
    title: str
    question: int | None = Field(default=None, ge=1, le=10)
    seeds: tuple[int, ...] = (0,)
    hardware: Hardware

    def digest(self) -> str:
        """SHA-256 of all values, defaults included."""
        return sha256_value(self.model_dump(mode="json"))


R = TypeVar("R", bound=Recipe)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a recipe file into a mapping.

    Raises:
        UserError: the file is missing, is not YAML, or is not a mapping with a ``kind``.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"recipe {path}: cannot be read ({error.strerror})") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"recipe {path}{where}: not valid YAML ({getattr(error, 'problem', error)})") from error
    if not isinstance(values, dict) or not isinstance(values.get("kind"), str):
        raise UserError(f"recipe {path}: expected a mapping with a 'kind' key")
    return values


def parse_recipe(path: Path, values: Mapping[str, Any], model: type[R]) -> R:
    """Validate a mapping as one kind of recipe.

    Raises:
        UserError: names the file, the first offending key and what was expected.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        # A mistyped key also leaves its right name missing: the mistyped one is what helps.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"]) or "(top level)"
        if first["type"] == "extra_forbidden":
            expected = f"unknown key; known keys here: {', '.join(_siblings(model, first['loc']))}"
        elif first["type"] == "missing":
            expected = "required key is missing"
        else:
            expected = f"{first['msg']}, got {first.get('input')!r}"[:300]
        more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
        raise UserError(f"recipe {path}: {key}: {expected}{more}") from error


def _siblings(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    current: Any = model
    for part in location[:-1]:
        if not (isinstance(current, type) and issubclass(current, BaseModel)):
            return []
        field = current.model_fields.get(str(part))
        current = field.annotation if field else None
    if isinstance(current, type) and issubclass(current, BaseModel):
        return sorted(current.model_fields)
    return []
