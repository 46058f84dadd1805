"""The training loop of kind ``adapt``: one unit through its stages, under a budget, with its state in a checkpoint.

Full weights or adapters, float32 weights under bf16 autocast, one device. Two remedies live in the loop: the pull to
the start is applied beside the optimizer's step (decoupled, as AdamW decays weights; Li et al. 2018,
arXiv:1802.01483, add it to the loss), and the KL term is that of distillation from the start on the batch's own rows
(Li and Hoiem 2016, arXiv:1606.09282). Time that counts is that of steps alone. Not covered: measuring (``probing``)
and several devices.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from codelab.errors import UserError
from codelab.records import Run
from codelab.train import checkpoint
from codelab.train.adapt_recipe import AdaptRecipe, Arm, Stage
from codelab.train.arms_recipe import Unit
from codelab.train.packing import Batch, Rows
from codelab.train.schedule import Schedule

RowsOf = Callable[[Stage], Rows]
_COUNTERS = ("stage", "steps", "rows", "rows_done", "spent", "seconds", "counted", "old_counted")


def forward(model: Any, batch: Batch, device: torch.device, precision: str) -> torch.Tensor:
    """Logits of a batch, shape (rows, length, vocabulary), each segment attending to itself alone.

    Args:
        model: a causal language model with sdpa attention.
        batch: the rows.
        device: where the model is.
        precision: ``bf16`` for autocast.
    """
    ids = torch.from_numpy(batch.ids[:, :-1]).to(device)
    more: dict[str, torch.Tensor] = {}
    if batch.packed:
        segments = torch.from_numpy(batch.segments).to(device)
        causal = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=device).tril()
        more["attention_mask"] = ((segments[:, :, None] == segments[:, None, :]) & causal)[:, None]
        more["position_ids"] = torch.from_numpy(batch.positions).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        logits: torch.Tensor = model(input_ids=ids, use_cache=False, **more).logits
    return logits


def token_losses(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Cross entropy of every label in nats, shape (rows, length)."""
    labels = torch.from_numpy(batch.ids[:, 1:]).to(logits.device)
    flat = functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none")
    return flat.view(labels.shape)


class Trainer:
    """One unit in training.

    Args:
        recipe: the settings.
        unit: arm and seed.
        run: where steps go.
        models: the model, with adapters if the arm has any, whose trainable parameters are trained; and for arms with
            ``kl`` a frozen copy of the start, else None.
        rows_of: the rows of a stage.

    Attributes:
        steps: optimizer steps so far, over all stages; ``stage``, ``spent`` and ``rows_done`` (rows of the stages
            before) say where in the arm that is.
        seconds: of steps.
        counted, old_counted: labels that carried loss, and those of them that were old text.
    """

    def __init__(self, recipe: AdaptRecipe, unit: Unit, run: Run, models: tuple[Any, Any], rows_of: RowsOf) -> None:
        self.recipe, self.unit, self.run = recipe, unit, run
        self.model, self.start = models
        self.arm: Arm = recipe.arms[unit.name]
        self.device = next(self.model.parameters()).device
        self.parameters = [one for one in self.model.parameters() if one.requires_grad]
        self.anchors = [one.detach().clone() for one in self.parameters] if self.arm.pull else []
        self.rows_of = rows_of
        self.stage, self.steps, self.rows, self.rows_done, self.counted, self.old_counted = 0, 0, 0, 0, 0, 0
        self.spent, self.seconds = 0.0, 0.0
        self.optimizer = self._optimizer()
        self.path = run.work / f"{unit.label}.pt"
        self.saved_at = time.monotonic()
        self._sums: list[dict[str, float]] = []

    @property
    def finished(self) -> bool:
        """Whether every stage has run out."""
        return self.stage >= len(self.arm.stages)

    @property
    def tokens(self) -> int:
        """Inputs of all steps so far."""
        return self.rows * self.recipe.length

    def restore(self) -> None:
        """Continue from a checkpoint of this unit, if there is one; steps logged after it are dropped."""
        state = checkpoint.load(self.path, str(self.device))
        if state:
            with torch.no_grad():
                for parameter, saved in zip(self.parameters, state["parameters"], strict=True):
                    parameter.copy_(saved)
            for name in _COUNTERS:
                setattr(self, name, state[name])
            if state["optimizer"]:
                self.optimizer.load_state_dict(state["optimizer"])
        label, kept = self.unit.label, self.steps
        rows = self.run.steps_so_far()
        fitting = [row for row in rows if row.get("unit") != label or row["step"] <= kept]
        if len(fitting) != len(rows):
            self.run.truncate("steps", 0)
            for row in fitting:
                self.run.step(**row)

    def save(self) -> None:
        """Write everything that the next step depends on; a finished unit's optimizer is left out."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _COUNTERS}
        state["parameters"] = [one.detach() for one in self.parameters]
        state["optimizer"] = None if self.finished else self.optimizer.state_dict()
        checkpoint.save(self.path, state)
        self.saved_at = time.monotonic()

    def train(self) -> bool:
        """Run to the end of the budget; False where the command's time was over before, with a checkpoint written."""
        if not self.finished:
            self._warm()
        while not self.finished:
            if self.run.time_is_up(reserve=15):
                self.save()
                return False
            self.step()
            if time.monotonic() - self.saved_at > self.recipe.checkpoint_every:
                self.save()
        self.save()
        return True

    def step(self) -> None:
        """One optimizer step."""
        stage = self.arm.stages[self.stage]
        limit = self.recipe.budget.total * stage.share
        curve = Schedule(total=1, warmup=stage.warmup, decay=stage.decay, final=stage.final)
        # The rate of a step is that of its middle, in steps; the first one would otherwise be thrown away.
        ahead = 0.5 if self.recipe.budget.unit == "steps" else 0.0
        factor = curve.factor((self.spent + ahead) / limit)
        began = time.perf_counter()
        for group in self.optimizer.param_groups:
            group["lr"] = stage.rate * factor
        sums = self._gradients(self.rows_of(stage), self.rows - self.rows_done)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip)
        self.optimizer.step()
        if self.anchors:
            with torch.no_grad():
                torch._foreach_lerp_(self.parameters, self.anchors, min(1.0, stage.rate * factor * self.arm.pull))
        self.optimizer.zero_grad(set_to_none=True)
        values = {name: float(value) for name, value in sums.items()}  # waits for the device
        spent = time.perf_counter() - began
        self.rows += self.recipe.rows_per_step
        self.counted += int(values.pop("labels"))
        self.old_counted += int(values.pop("old_labels"))
        self.steps, self.seconds = self.steps + 1, self.seconds + spent
        self.spent += spent if self.recipe.budget.unit == "seconds" else 1
        if not math.isfinite(values["loss"]):
            raise RuntimeError(f"{self.unit.label}: loss is {values['loss']} at step {self.steps}")
        self._sums.append(values | {"gradient_norm": float(norm)})
        if self.spent >= limit:
            self.stage, self.spent, self.rows_done = self.stage + 1, 0.0, self.rows
            self._log(stage, factor)
            self.optimizer = self._optimizer()
        elif self.steps % self.recipe.log_every == 0:
            self._log(stage, factor)

    def _gradients(self, rows: Rows, first: int) -> dict[str, Any]:
        """Accumulate the gradients of a step's rows; returns the sums that are logged."""
        recipe = self.recipe
        whole = rows.take(first, recipe.rows_per_step)
        total = max(1, int(whole.counted.sum()))
        valid = max(1, int((whole.segments > 0).sum()))
        sums: dict[str, Any] = {"loss": 0.0, "labels": total, "old_labels": _old_labels(rows, first, recipe)}
        for begin in range(0, recipe.rows_per_step, recipe.rows_per_pass):
            part = _part(whole, begin, begin + recipe.rows_per_pass)
            logits = forward(self.model, part, self.device, recipe.precision)
            mask = torch.from_numpy(part.counted).to(self.device)
            loss = (token_losses(logits, part) * mask).sum() / total
            sums["loss"] += loss.detach()
            if self.arm.kl:
                kl = self._divergence(logits, part) / valid
                sums["kl"] = sums.get("kl", 0.0) + kl.detach()
                loss = loss + self.arm.kl * kl
            loss.backward()
        return sums

    def _divergence(self, logits: torch.Tensor, part: Batch) -> torch.Tensor:
        """KL(start || policy) summed over the tokens of a pass, nats."""
        with torch.no_grad():
            before = forward(self.start, part, self.device, self.recipe.precision).float().log_softmax(-1)
        each = functional.kl_div(logits.float().log_softmax(-1), before, reduction="none", log_target=True).sum(-1)
        return (each * torch.from_numpy(part.segments > 0).to(self.device)).sum()

    def _log(self, stage: Stage, factor: float) -> None:
        names = self._sums[-1]
        means = {name: sum(row[name] for row in self._sums) / len(self._sums) for name in names}
        row: dict[str, Any] = {"unit": self.unit.label, "step": self.steps, "data": stage.data, "tokens": self.tokens}
        row |= {"seconds": round(self.seconds, 3), "rate": stage.rate * factor, **means}
        self._sums = []
        self.run.step(**row)
        shown = " ".join(
            f"{key}={value:.5g}" if isinstance(value, float) else f"{key}={value}" for key, value in row.items()
        )
        print(shown, flush=True)

    def _warm(self) -> None:
        """Pay for kernels and allocations before the clock runs; no weight changes."""
        self._gradients(self.rows_of(self.arm.stages[self.stage]), 0)
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _optimizer(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        matrices = [one for one in self.parameters if one.ndim > 1]
        vectors = [one for one in self.parameters if one.ndim < 2]
        groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        return make_optimizer(self.arm.optimizer, [group for group in groups if group["params"]], recipe.betas)


def make_optimizer(name: str, groups: list[dict[str, Any]], betas: tuple[float, float]) -> torch.optim.Optimizer:
    """AdamW of torch, fused on a GPU, or bitsandbytes' paged ones, whose state may move to the host.

    Raises:
        UserError: a paged optimizer without a GPU.
    """
    on_gpu = bool(groups[0]["params"][0].is_cuda)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, betas=betas, **({"fused": True} if on_gpu else {}))
    if not on_gpu:
        raise UserError(f"optimizer {name}: pages between GPU and host, and there is no GPU; use adamw")
    import bitsandbytes as bnb  # noqa: PLC0415

    made: dict[str, Any] = {"paged_adamw32bit": bnb.optim.PagedAdamW32bit, "paged_adamw8bit": bnb.optim.PagedAdamW8bit}
    optimizer: torch.optim.Optimizer = made[name](groups, lr=0.0, betas=betas)
    return optimizer


def _part(batch: Batch, begin: int, end: int) -> Batch:
    return Batch(batch.ids[begin:end], batch.segments[begin:end], batch.counted[begin:end], batch.packed)


def _old_labels(rows: Rows, first: int, recipe: AdaptRecipe) -> int:
    """Labels of old text among a step's; every label of such a row counts."""
    is_old = getattr(rows, "is_old", None)
    return recipe.length * sum(map(is_old, range(first, first + recipe.rows_per_step))) if is_old else 0
