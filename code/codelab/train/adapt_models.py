"""The models of an ``adapt`` run: the start, a unit in training, an interpolation between the two, one at a time.

Interpolating is ``start + weight (trained - start)`` on full weights; on adapters, whose update is linear in their
scale, it is the same thing to scale the update. Not covered: what is done with the numbers (``adapt_report``).
"""

import copy
import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from codelab.errors import Paused
from codelab.measure import Meter
from codelab.models import LoadedModel, load_model
from codelab.models.generation import Generator
from codelab.models.transformers_generation import TransformersGenerator
from codelab.records import Run
from codelab.train import probing
from codelab.train.adapt_loop import Trainer
from codelab.train.adapt_recipe import AdaptRecipe, Arm, Stage
from codelab.train.arms_recipe import Unit
from codelab.train.packing import Mixed, PairRows, Rows, TextRows
from codelab.train.sft import Example, encode_examples
from codelab.train.tokens import RowOrder, TokenFolder
from codelab.train.trainers import lora_config


class Workshop:
    """Loads, trains and measures.

    Args:
        recipe: the settings.
        run: the run in progress.
        folders: token folders of the domain and of old text.
        examples: pairs to learn from, and pairs whose completions' loss is measured.
    """

    def __init__(
        self,
        recipe: AdaptRecipe,
        run: Run,
        folders: tuple[TokenFolder, TokenFolder],
        examples: tuple[list[Example], list[Example]],
    ) -> None:
        self.recipe, self.run = recipe, run
        self.text, self.old = folders
        self._examples = examples
        wanted, length = recipe.measures, recipe.length
        self._heldout = {  # now: too little text must be said before anything is measured
            "text": self.text.heldout.some_rows(length, wanted.text_rows, wanted.spread),
            "old": self.old.heldout.some_rows(length, wanted.old_rows, wanted.spread),
        }
        self._probes = probing.load_probes(Path(recipe.old), recipe.measures.probes)
        self._model: Any = None
        self._tokenizer: Any = None
        self._arm: Arm | None = None
        self._learnt: list[dict[str, list[int]]] = []
        self._asked: list[dict[str, list[int]]] = []
        self._asked_bytes: list[int] = []
        self._start: dict[str, torch.Tensor] = {}
        self._trained: dict[str, torch.Tensor] = {}

    def load_start(self) -> None:
        """The start, as it is measured: float32 weights, as every arm's."""
        self._load(None, 0)

    def train(self, unit: Unit) -> dict[str, Any]:
        """Train a unit to its end, or take it from its checkpoint; it is then the model that is measured.

        Returns:
            What training took: ``steps``, ``tokens``, ``seconds``, labels and the share of them that was old text.

        Raises:
            Paused: the allowed time is over; a checkpoint was written.
        """
        recipe, arm = self.recipe, self.recipe.arms[unit.name]
        meter = Meter(self.run, unit.label)
        with meter.phase("load"):
            self._load(arm, unit.seed)
            start = copy.deepcopy(self._model).requires_grad_(False).eval() if arm.kl else None
        self._start = {} if arm.adapter or not arm.interpolate else self._weights()
        self._model.train()
        trainer = Trainer(recipe, unit, self.run, (self._model, start), self._rows(unit))
        trainer.restore()
        with meter.phase("train"):
            finished = trainer.train()
        if not finished:
            raise Paused
        self._model.eval()
        self._trained = self._weights() if self._start else {}
        facts = {name: getattr(trainer, name) for name in ("steps", "tokens", "seconds")}
        facts["trainable"] = sum(one.numel() for one in trainer.parameters)
        return facts | {"labels": trainer.counted, "old_label_share": trainer.old_counted / max(1, trainer.counted)}

    def forget(self, unit: Unit) -> None:
        """Remove a measured unit's checkpoint."""
        (self.run.work / f"{unit.label}.pt").unlink(missing_ok=True)

    def set_weight(self, weight: float) -> None:
        """Make the model ``start + weight (trained - start)``."""
        if self._arm is not None and self._arm.adapter:
            from peft.tuners.lora import LoraLayer  # noqa: PLC0415

            for module in self._model.modules():
                if isinstance(module, LoraLayer):
                    module.set_scale("default", weight)
        elif self._start:
            with torch.no_grad():
                for name, parameter in self._model.named_parameters():
                    parameter.copy_(torch.lerp(self._start[name], self._trained[name], weight))

    def losses(self) -> dict[str, Any]:
        """All that likelihood measures: lists with a number a row or a completion, and probe by probe."""
        recipe, wanted = self.recipe, self.recipe.measures
        model, per_pass = self._model, wanted.rows_per_pass
        texts = {
            name: probing.text_losses(model, rows, per_pass, recipe.precision) for name, rows in self._heldout.items()
        }
        completions = probing.completion_losses(model, self._asked, per_pass, recipe.precision)
        probes = probing.score_probes(model, self._tokenizer, self._probes, wanted.probes_per_pass, recipe.precision)
        return {
            "completion_bytes": self._asked_bytes,
            "completions": [round(value, 4) for value in completions],
            "probes": probes,
            **{name: [[round(half, 5) for half in row] for row in rows] for name, rows in texts.items()},
        }

    @contextmanager
    def generator(self) -> Iterator[Generator]:
        """The model as an engine: in 16 bits and with adapters merged where the base is not quantised."""
        half = self.recipe.precision == "bf16"
        if self._arm is not None and self._arm.quantization:
            model, context = self._model, torch.autocast(self._model.device.type, dtype=torch.bfloat16, enabled=half)
        else:
            model, context = copy.deepcopy(self._model), nullcontext()
            model = model.merge_and_unload() if self._arm is not None and self._arm.adapter else model
            model = model.to(torch.bfloat16) if half else model
        model.eval()
        try:
            with context:
                yield TransformersGenerator(model, self._tokenizer, **self.recipe.transformers.model_dump())
        finally:
            del model
            _collect()

    def _load(self, arm: Arm | None, seed: int) -> None:
        self._model, self._start, self._trained = None, {}, {}
        _collect()
        quantised = arm.quantization if arm else None
        loaded = load_model(self.recipe.model, "bfloat16" if quantised else "float32", quantization=quantised)
        self._prepare(loaded)
        self._arm, model = arm, loaded.model
        if arm and arm.adapter:
            from peft import get_peft_model  # noqa: PLC0415

            torch.manual_seed(seed)
            # Without prepare_model_for_kbit_training, which would widen embedding and norms to 32 bits.
            model = get_peft_model(model, lora_config(arm.adapter))
        self._model = model.eval()

    def _prepare(self, loaded: LoadedModel) -> None:
        """Encode what is learnt and asked, once, with the model's tokenizer."""
        if self._tokenizer is not None:
            return
        self._tokenizer, run, length = loaded.tokenizer, self.run, self.recipe.length
        run.model(loaded.facts.model_copy(update={"role": "start"}))
        learnt, asked = self._examples
        self._learnt = encode_examples(learnt, loaded.tokenizer, length)
        fitting = [one for one in asked if encode_examples([one], loaded.tokenizer, length)]
        self._asked = encode_examples(fitting, loaded.tokenizer, length)
        self._asked_bytes = [len(one.completion.encode()) for one in fitting]
        run.metric("pairs", len(self._learnt), unit="pairs an epoch")
        run.metric(
            "pairs_left_out", len(learnt) - len(self._learnt), unit="pairs", method=f"longer than {length} tokens"
        )
        if self._learnt:
            packed = PairRows(self._learnt, length, self.recipe.seeds[0])
            filled = sum(len(one["input_ids"]) for one in self._learnt) / (packed.rows * length)
            run.metric("pair_rows", packed.rows, unit="rows an epoch")
            run.metric("pair_rows_filled", filled, unit="share")

    def _rows(self, unit: Unit) -> Any:
        """The rows of a stage, made once for each kind of data."""
        length, made = self.recipe.length, {}  # type: tuple[int, dict[str, Rows]]

        def rows(stage: Stage) -> Rows:
            if stage.data not in made:
                if stage.data == "text":
                    made["text"] = TextRows(RowOrder(self.text.train, length, unit.seed))
                else:
                    made["pairs"] = PairRows(self._learnt, length, unit.seed)
            if not stage.replay:
                return made[stage.data]
            if "old" not in made:
                made["old"] = TextRows(RowOrder(self.old.train, length, unit.seed))
            return Mixed(made[stage.data], made["old"], stage.replay)

        return rows

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: one.detach().clone() for name, one in self._model.named_parameters()}


def _collect() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
