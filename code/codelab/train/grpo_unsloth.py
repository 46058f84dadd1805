"""unsloth's own ``GRPOTrainer``, where it differs from trl's, put under the same rows of ``steps.csv``.

unsloth 2026.10.7 replaces trl's class by a generated one with another path from a batch to its loss. It is used as it
is; this module sees to what would make its results others than trl's, or its first step endless:

- Its log-softmax is compiled as a loop that Dynamo unrolls: four turns for every row of a pass, so thousands of
  operations with symbolic bounds, and minutes of one core before the first step. Here its functions run uncompiled
  (:func:`uncompiled`), one turn a row; vLLM in the same process keeps its own compilation.
- It shifts every row to the left by its padding, so that absolute positions are true without :func:`true_positions`,
  and keeps log-probabilities in columns of its own (:func:`~codelab.train.grpo_trainer.by_width`).
- Packing several rows into one (``UNSLOTH_GRPO_SEQ_PACKING``, ``…_PREFIX_GROUPER``) is off: in float32 its attention
  takes a mask of all tokens by all tokens, and each longer pass is first held against one forward pass a row.
- Its configuration takes some settings for advice (:func:`told`), its trainer may turn autocast on (``settle``).
- It logs no entropy, a divergence that is the mean of rows instead of tokens, and figures of vLLM's probabilities for
  each pass: :class:`UnslothGRPOTrainer` logs what trl does.

What remains different is :data:`NOTE`. Not covered: adapters, the loss ``bnpo`` (recipes with them are refused).
"""

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch

from codelab.train.grpo_trainer import TOKEN_MEANS, TokenisedGRPOTrainer

NOTE = (
    "unsloth's own GRPO trainer computed the loss: weights loaded and gradients taken through unsloth's model, its "
    "log-softmax in pieces, uncompiled and without packing of rows; the ratio to the reference is bounded at e^±20 and "
    "k3 at 10 a token, where trl bounds neither, and a padding token that was sampled would not count."
)
_LOG_SOFTMAX = ("chunked_hidden_states_selective_log_softmax", "chunked_selective_log_softmax")
_KERNELS = "unsloth_zoo.rl_replacements"
_LOSS = "UnslothEfficientGRPO"
_TOKENS = 1024  # whose logits are made at once: times the vocabulary, 4 bytes each, twice
_MASK = 3  # after vLLM's log-probabilities, the head and the token ids
_RATIO = "sampling/importance_sampling_ratio"
_OF_TOKENS = ("sampling/sampling_logp_difference/mean", f"{_RATIO}/mean")
_ARGUMENTS = (
    "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy", "compute_efficient",
)  # fmt: skip
_EXTREMES = {
    f"{_RATIO}/min": min,
    f"{_RATIO}/max": max,
    "sampling/sampling_logp_difference/max": max,
}


class UnslothGRPOTrainer(TokenisedGRPOTrainer):
    """unsloth's trainer with the rows, columns and logged figures of :class:`TokenisedGRPOTrainer`.

    Its base is trl's name for the trainer, which is unsloth's once that was imported.
    """

    packed = True

    def settle(self, *, bf16: bool) -> None:
        """Say before the first step whether to compute with autocast; unsloth would decide it by the process.

        Raises:
            RuntimeError: the base is not the trainer that this module was written for.
        """
        names, kernels = inspect.unwrap(super().compute_loss).__globals__, importlib.import_module(_KERNELS)
        if _LOSS not in names or any(not hasattr(kernels, name) for name in _LOG_SOFTMAX):
            raise RuntimeError("unsloth's GRPO trainer is not that of 2026.10.7: its loss cannot be looked at")
        self._autocast_enabled, self._autocast_force_float32 = bf16, False
        self._autocast_dtype = torch.bfloat16

    def _get_per_token_logps_and_entropies(self, *args: Any, **more: Any) -> Any:
        more |= dict(zip(_ARGUMENTS, args, strict=False))  # unsloth gives by place what trl gives by name
        with uncompiled():
            return super()._get_per_token_logps_and_entropies(**more)

    def compute_loss(self, model: Any, inputs: Any, *rest: Any, **more: Any) -> Any:
        """The loss of a pass, uncompiled; what was seen on the way replaces what unsloth logs."""
        compute = super().compute_loss
        seen = Seen(self.temperature)
        with uncompiled(), seen.watching(inspect.unwrap(compute).__globals__):
            loss = compute(model, inputs, *rest, **more)
        if self.model.training:
            tokens = float(inputs["completion_mask"].sum() / inputs["num_items_in_batch"].clamp(min=1))
            self.relog(seen, tokens * self.args.steps_per_generation)
        return loss

    def relog(self, seen: "Seen", weight: float) -> None:
        """Log a pass as trl does.

        Args:
            seen: what its loss was computed of.
            weight: the pass's share of the tokens, times the passes: makes a mean over passes one over tokens.
        """
        logged = self._metrics["train"]
        logged["entropy"].append(seen.entropy())
        if self.beta:
            logged["kl"][-1] = seen.divergence()
        else:  # unsloth's 0 would be taken for a measured one
            logged.pop("kl", None)
        by_row = str(self.vllm_importance_sampling_mode).startswith("sequence")  # every pass has as many rows
        for name in (*TOKEN_MEANS, *_OF_TOKENS):
            if logged.get(name) and not (by_row and name == f"{_RATIO}/mean"):
                logged[name][-1] *= weight
        for name, extreme in _EXTREMES.items():
            if logged.get(name):
                logged[name] = [extreme(logged[name])]


class Seen:
    """What passes through unsloth's loss: log-probabilities and mask with its columns, and the entropy of each token.

    Args:
        temperature: that of sampling.
    """

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature
        self._states: list[tuple[Any, Any, Any]] = []
        self._new: Any = None
        self._reference: Any = None
        self._mask: Any = None

    @contextmanager
    def watching(self, names: dict[str, Any]) -> Iterator[None]:
        """Look on while a loss is computed.

        Args:
            names: those of the module whose trainer computes it.
        """
        kernels: Any = importlib.import_module(_KERNELS)
        before, loss = {name: getattr(kernels, name) for name in _LOG_SOFTMAX}, names[_LOSS]
        for name, function in before.items():
            setattr(kernels, name, self._log_softmax(function, hidden="hidden" in name))
        names[_LOSS] = SimpleNamespace(apply=self._loss(loss))
        try:
            yield
        finally:
            names[_LOSS] = loss
            for name, function in before.items():
                setattr(kernels, name, function)

    def entropy(self) -> float:
        """Nats a token; computed here, when the mask is known, and of the tokens that count alone."""
        kept, first, total = self._mask.bool(), 0, 0.0
        for states, head, bias in self._states:
            chosen = states[kept[first : first + len(states)]]
            total += float(entropies(chosen, head, bias, self._temperature).sum())
            first += len(states)
        return total / max(1, int(kept.sum()))

    def divergence(self) -> float:
        """From the reference, k3, nats a token."""
        kept = self._mask.bool()
        gap = (self._reference - self._new)[kept]
        return float((gap.exp() - gap - 1).sum() / kept.sum().clamp(min=1))

    def _log_softmax(self, function: Any, *, hidden: bool) -> Any:
        def watched(states: Any, *args: Any, **more: Any) -> Any:
            head, bias = (args[0].detach(), more.get("lm_head_bias")) if hidden else (None, None)
            self._states.append((states.detach(), head, bias))
            return function(states, *args, **more)

        return watched

    def _loss(self, loss: Any) -> Any:
        def apply(new: Any, old: Any, reference: Any, *rest: Any) -> Any:
            self._new, self._reference, self._mask = new.detach(), reference, rest[_MASK]
            return loss.apply(new, old, reference, *rest)

        return apply


def entropies(states: Any, head: Any, bias: Any, temperature: float) -> Any:
    """Entropy of the next token, nats, shape (tokens,), float32.

    Args:
        states: last hidden states, or logits, of shape (tokens, size).
        head: matrix from the one to the other; None where they are logits.
        bias: of that matrix, if it has one.
        temperature: that logits are divided by.
    """
    found = []
    with torch.no_grad():
        for part in states.split(_TOKENS):
            logits = part if head is None else torch.nn.functional.linear(part.to(head.dtype), head, bias)
            logs = (logits.float() / temperature).log_softmax(-1)
            found.append(-(logs.exp() * logs).sum(-1))
    return torch.cat(found)


@contextmanager
def uncompiled() -> Iterator[None]:
    """While unsloth's functions run: as they are written, whatever they are decorated with."""
    with torch.compiler.set_stance("force_eager"):
        yield


def told(arguments: Any, wanted: dict[str, Any]) -> Any:
    """Give the arguments of a trainer the values that a recipe asked for, where unsloth's class took other ones.

    Args:
        arguments: as unsloth's configuration made them.
        wanted: by name; None leaves the choice.
    """
    for name, value in wanted.items():
        if value is not None and getattr(arguments, name) != value:
            setattr(arguments, name, value)
    arguments.torch_empty_cache_steps = None
    arguments.unsloth_grpo_mini_batch = 1  # the rows of a pass are ours to choose; else by what memory is free
    arguments.unsloth_logit_chunk_multiplier = 1  # pieces of the log-softmax for every row
    return arguments
