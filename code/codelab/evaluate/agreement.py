"""The experiment of kind ``agreement``: do two engines give the same greedy completions, and where not, is it a tie?

Engines round differently: they add in another order, in 16 bits. Where the two most likely tokens are nearly tied the
choice can flip, and everything after it differs. So the first difference of each pair is looked up: a reference in
float32 gives the logits there, and the gap between the two chosen tokens is put beside the spacing of the engines'
numbers at that size. A control (the first engine with another batch size) shows how often one engine disagrees with
itself. Not covered: sampling, whose random streams differ by design.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from codelab.evaluate import engines
from codelab.evaluate.engines import Asker
from codelab.evaluate.metrics import wilson
from codelab.evaluate.recipe import Backend, Model, Questions, TransformersOptions, VllmOptions
from codelab.measure import Meter
from codelab.models.generation import Completion, Prompt, Sampling, encode
from codelab.models.quantization.config import DType
from codelab.records import Recipe, Run
from codelab.tasks import mbpp

_MANTISSA = {"bfloat16": 7, "float16": 10, "float32": 23}


class AgreementRecipe(Recipe):
    """One model, greedy, through transformers and through another engine (or another precision)."""

    kind: Literal["agreement"]
    answers: Model
    questions: Questions
    max_new_tokens: int = Field(ge=1)
    other: Backend = "vllm"
    other_dtype: DType | None = Field(default=None, description="None: the same as the first engine's")
    control_batch_rows: int = Field(default=32, ge=1, description="batch of the first engine's second run")
    tie_spacings: float = Field(
        default=8, gt=0, description="a gap of at most so many spacings of the coarser number format counts as a tie"
    )
    transformers: TransformersOptions = TransformersOptions()
    vllm: VllmOptions = VllmOptions()


RECIPE = AgreementRecipe


def run(recipe: AgreementRecipe, run: Run) -> None:
    """Compare two engines; see :class:`AgreementRecipe`.

    Raises:
        UserError: data, weights, packages or device are missing.
    """
    engines.require("transformers")
    engines.require(recipe.other)
    everything = mbpp.load(recipe.questions.source)
    run.data(mbpp.facts(recipe.questions.source))
    ask = Asker(recipe.questions.prompt, everything)
    prompts = [ask(task) for task in engines.questions_asked(recipe.questions)]
    sampling = Sampling(recipe.max_new_tokens)
    meter = Meter()
    answers: dict[str, list[Completion]] = {}
    small = recipe.transformers.model_copy(update={"batch_rows": recipe.control_batch_rows})
    other = recipe.answers.model_copy(update={"dtype": recipe.other_dtype or recipe.answers.dtype})
    for name, model, backend, options in (
        ("first", recipe.answers, "transformers", recipe.transformers),
        ("control", recipe.answers, "transformers", small),
        ("other", other, recipe.other, recipe.transformers),
    ):
        with meter.phase(f"load {name}"):
            engine, facts = engines.build(model, backend, options, recipe.vllm)  # type: ignore[arg-type]
        if name == "first":
            run.model(facts)
        try:
            engine.generate(prompts[:1], 1, Sampling(8), 0)
            with meter.phase(f"generate {name}"):
                answers[name] = [row[0] for row in engine.generate(prompts, 1, sampling, 0)]
        finally:
            engine.close()
    for phase in meter.phases:
        run.phase(phase)
    dtypes = {recipe.answers.dtype, other.dtype}
    reference = _Reference(recipe.answers, coarsest(dtypes))
    for name in ("control", "other"):
        rows = [
            reference.explain(prompt, first, second)
            for prompt, first, second in zip(prompts, answers["first"], answers[name], strict=True)
        ]
        _report(run, f"{name}.", rows, recipe.tie_spacings)
        run.table(f"differences_{name}", [row for row in rows if not row["identical"]])
    for prompt, first, second in zip(prompts, answers["first"], answers["other"], strict=True):
        run.sample(task_id=int(prompt.key), first=first.text, other=second.text, identical=first.ids == second.ids)


def coarsest(dtypes: set[DType]) -> DType:
    """The number format with the fewest digits."""
    return min(dtypes, key=lambda dtype: _MANTISSA[dtype])


def spacing(value: float, dtype: DType) -> float:
    """Distance between neighbouring numbers of a format at the size of ``value``."""
    return math.ldexp(1.0, max(math.frexp(abs(value))[1] - 1, -14) - _MANTISSA[dtype])


def first_difference(first: Sequence[int], second: Sequence[int]) -> int | None:
    """Index of the first token that differs, the shorter one's end counting as a token; None if there is none."""
    for index, (here, there) in enumerate(zip(first, second, strict=False)):
        if here != there:
            return index
    return None if len(first) == len(second) else min(len(first), len(second))


class _Reference:
    """The model in float32, asked for the logits at one place."""

    def __init__(self, answers: Model, dtype: DType) -> None:
        from codelab.models.generation import end_tokens  # noqa: PLC0415
        from codelab.models.load import load_model  # noqa: PLC0415

        loaded = load_model(answers.model, "float32", answers.device)
        self.model, self.tokenizer, self.dtype = loaded.model, loaded.tokenizer, dtype
        self.ends = end_tokens(self.tokenizer, self.model.generation_config)

    def explain(self, prompt: Prompt, first: Completion, second: Completion) -> dict[str, Any]:
        """Whether two completions are the same, else where they part and how near the two tokens are there."""
        ids = [self._with_end(first), self._with_end(second)]
        place = first_difference(*ids)
        row: dict[str, Any] = {"task_id": int(prompt.key), "identical": place is None}
        if place is None:
            return row
        logits = self._logits([*encode(self.tokenizer, prompt), *ids[0][:place]])
        chosen = [tokens[place] if place < len(tokens) else None for tokens in ids]
        order = np.argsort(-logits, kind="stable")
        row |= {
            "place": place,
            "top_gap": float(logits[order[0]] - logits[order[1]]),
            "spacing": spacing(float(logits[order[0]]), self.dtype),
            "first_token": None if chosen[0] is None else self.tokenizer.decode([chosen[0]]),
            "other_token": None if chosen[1] is None else self.tokenizer.decode([chosen[1]]),
            "chosen_gap": None,
            "among_top_two": set(chosen) == {int(order[0]), int(order[1])},
        }
        if chosen[0] is not None and chosen[1] is not None:
            row["chosen_gap"] = abs(float(logits[chosen[0]] - logits[chosen[1]]))
        return row

    def _with_end(self, completion: Completion) -> list[int]:
        return [*completion.ids, *(self.ends[:1] if completion.finish == "eos" else ())]

    def _logits(self, ids: list[int]) -> "np.ndarray[Any, Any]":
        import torch  # noqa: PLC0415

        with torch.inference_mode():
            out = self.model(torch.tensor([ids], device=self.model.device)).logits[0, -1]
        return np.asarray(out.float().cpu().numpy(), dtype=np.float64)


def is_tie(row: dict[str, Any], spacings: float) -> bool:
    """Whether a difference starts where the two engines' tokens are within so many spacings of each other."""
    return row["chosen_gap"] is not None and row["chosen_gap"] <= spacings * row["spacing"]


def _report(run: Run, prefix: str, rows: Sequence[dict[str, Any]], spacings: float) -> None:
    same = wilson(sum(row["identical"] for row in rows), len(rows))
    run.metric(f"{prefix}identical", same.value, low=same.low, high=same.high, level=same.level, n=same.n,
               unit="share", method=same.method)  # fmt: skip
    different = [row for row in rows if not row["identical"]]
    run.metric(f"{prefix}different", len(different), n=len(rows), unit="completions")
    run.metric(f"{prefix}ties", sum(is_tie(row, spacings) for row in different), n=len(different), unit="completions")
    if different:
        gaps = [row["chosen_gap"] / row["spacing"] for row in different if row["chosen_gap"] is not None]
        if gaps:
            run.metric(f"{prefix}median_gap", float(np.median(gaps)), n=len(gaps), unit="spacings")
            run.metric(f"{prefix}largest_gap", max(gaps), n=len(gaps), unit="spacings")
        run.metric(f"{prefix}median_place", float(np.median([row["place"] for row in different])), unit="tokens")
