"""trl's ``GRPOTrainer`` on prompts that are tokenised already, with true positions and tighter batches.

What trl 1.14.2 does and this changes:

- Prompts are padded on the left, and the log-probabilities of training are computed without position ids. A model with
  learned absolute positions (GPT-2) then sees each token at another place than when it wrote it; rotary positions are
  relative and do not mind. :func:`true_positions` gives every forward pass the positions that generation used.
- Every pass is as wide as the whole batch. Here it is cut to its own longest prompt and completion, and rows of like
  length share a pass (:func:`by_length`): no value changes, but most of the padding is gone.
- Entropy, divergence and clipped share are logged as means over passes of each pass's mean over tokens, which weighs a
  token of a short completion more once lengths are sorted. Here they are means over all tokens of the step.

Not covered: the advantages and the loss, which are trl's; what unsloth's trainer does otherwise (``grpo_unsloth``).
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase
from trl import GRPOTrainer

from codelab.train.clock import Clock
from codelab.train.watch import divergences

_PASS = 8  # float32 logits of a pass: rows x tokens x vocabulary x 4 bytes, for two models
BY_ROW_OR_BATCH = frozenset({"grpo", "dr_grpo", "dapo"})
"""Losses that do not depend on which rows share a pass: a mean over rows, over all places or all tokens of the batch.
``bnpo`` divides by the tokens of the pass."""
TOKEN_MEANS = ("entropy", "kl", "clip_ratio/region_mean")
"""What trl logs of each pass as a mean over its tokens."""
SHIFTED = ("old_per_token_logps", "ref_per_token_logps")
"""What unsloth's trainer keeps of a batch in columns of its own."""


class TokenisedGRPOTrainer(GRPOTrainer):
    """Takes keys for prompts, and tells a clock what sampling took.

    Set :attr:`prompt_ids` (token ids by key) and :attr:`clock` before training.
    """

    prompt_ids: Mapping[str, Sequence[int]]
    clock: Clock
    packed = False
    """Whether the log-probabilities that are computed before the loss are shifted (:func:`by_width`)."""

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(self.prompt_ids[key]) for key in prompts], None, {}

    def _generate_single_turn(self, *args: Any, **more: Any) -> Any:
        with self.clock.part("sampling"):
            return super()._generate_single_turn(*args, **more)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        # A batch of several optimizer steps would be given to them short rows first.
        whole = self.args.steps_per_generation == self.args.gradient_accumulation_steps
        cuts = super()._prepare_inputs
        with sorted_rows(cuts) if whole and self.loss_type in BY_ROW_OR_BATCH else nullcontext():
            return tight(cuts(generation_batch))

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, batch_size: int | None = None,
        **more: Any,
    ) -> Any:  # fmt: skip
        score = super()._get_per_token_logps_and_entropies
        if torch.is_grad_enabled() or batch_size is None:
            return score(model, input_ids, attention_mask, logits_to_keep, batch_size=batch_size, **more)

        def narrow(ids: Any, mask: Any, keep: int) -> Any:
            return score(model, ids, mask, keep, **more)[0]

        found = by_width(narrow, input_ids, attention_mask, logits_to_keep, batch_size, packed=self.packed)
        return found, None, None

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        loss = super()._compute_loss(model, inputs)
        logged = self._metrics["train"] if self.model.training else {}
        # trl takes the mean over passes: with these weights, it is the mean over the tokens of all of them.
        share = inputs["completion_mask"].sum() / inputs["num_items_in_batch"].clamp(min=1)
        for name in TOKEN_MEANS:
            if name in logged:
                logged[name][-1] *= float(share) * self.args.steps_per_generation
        return loss


@contextmanager
def sorted_rows(cuts: Callable[..., Any]) -> Iterator[None]:
    """While ``cuts``, a trainer's method, makes passes of a batch: rows by length, where it would shuffle them."""
    names = inspect.unwrap(cuts).__globals__  # of whichever module defines it; unsloth's is a generated one
    original, names["shuffle_sequence_dict"] = names["shuffle_sequence_dict"], by_length
    try:
        yield
    finally:
        names["shuffle_sequence_dict"] = original


def by_width(
    score: Callable[[Any, Any, int], Any], ids: Any, mask: Any, keep: int, batch_size: int, *, packed: bool = False
) -> Any:
    """Log-probabilities of a batch, scored in passes of like length that are cut to their own width.

    Args:
        score: gives those of a pass, from its token ids, its mask and the number of columns that are completions.
        ids: token ids of shape (rows, tokens), prompts padded on the left and completions on the right.
        mask: of the same shape.
        keep: columns that are completions.
        batch_size: rows of a pass.
        packed: rows come back as unsloth shifts them, to the left by their padding, and as much wider as the longest
            padding: a completion then begins where the longest padding of its pass exceeds its own.

    Returns:
        Shape (rows, keep), or if packed (rows, longest padding + keep), float32; zero where a row was not scored.
    """
    head = ids.shape[1] - keep
    padding = head - mask[:, :head].sum(dim=1) if packed else torch.zeros(len(ids), dtype=torch.long, device=ids.device)
    longest = int(padding.max())
    found = torch.zeros(len(ids), longest + keep, dtype=torch.float32, device=ids.device)
    lengths = mask[:, head:].sum(dim=1)
    for rows in lengths.argsort(stable=True).split(batch_size):
        first = int(mask[rows, :head].any(dim=0).int().argmax())
        width = max(1, int(lengths[rows].max()))
        part = slice(first, head + width)
        got = score(ids[rows, part], mask[rows, part], width).float()
        start = longest - int(padding[rows].max())
        found[rows, start : start + got.shape[1]] = got
    return found


def by_length(inputs: dict[str, Any]) -> dict[str, Any]:
    """The rows of a batch in order of their completions' lengths, then of their prompts'.

    Args:
        inputs: ``completion_mask`` and ``prompt_mask`` of shape (rows, tokens); tensors and lists with as many rows are
            put in order with them, whatever else is there stays.
    """
    answers, prompts = inputs["completion_mask"].sum(dim=1), inputs["prompt_mask"].sum(dim=1)
    order = (answers * (1 + inputs["prompt_mask"].shape[1]) + prompts).argsort(stable=True)
    kept = dict(inputs)
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor) and value.dim() and len(value) == len(order):
            kept[name] = value[order]
        elif isinstance(value, list) and len(value) == len(order):
            kept[name] = [value[i] for i in order.tolist()]
    return kept


def tight(inputs: dict[str, Any]) -> dict[str, Any]:
    """A pass without the columns that are padding in all of its rows.

    Args:
        inputs: ``prompt_ids`` and ``prompt_mask`` padded on the left, ``completion_ids`` and ``completion_mask`` on the
            right, shapes (rows, tokens); further tensors of the completion's shape are cut with it, and those of
            :data:`SHIFTED` that are wider (:func:`by_width`) keep the columns that the narrower pass has.
    """
    cut = dict(inputs)
    keep = inputs["completion_mask"].shape[1]
    first = int(inputs["prompt_mask"].any(dim=0).int().argmax())
    for name in ("prompt_ids", "prompt_mask"):
        cut[name] = inputs[name][:, first:]
    shape = tuple(inputs["completion_mask"].shape)
    used = inputs["completion_mask"].any(dim=0).nonzero()
    width = int(used.max()) + 1 if used.numel() else 1  # all masked: one column, for shapes that trl can work on
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor) and tuple(value.shape) == shape and not name.startswith("prompt"):
            cut[name] = value[:, :width]
        elif name in SHIFTED and value is not None:
            padding = inputs["prompt_mask"].shape[1] - int(inputs["prompt_mask"].sum(dim=1).min())  # the pass's longest
            start = value.shape[1] - keep - padding
            cut[name] = value[:, start : start + padding - first + width]
    return cut


def true_positions(model: Any) -> Any:
    """Give every forward pass of a model that gets a mask and no positions the positions without padding.

    Returns:
        A handle; its ``remove`` takes the hook off again.
    """

    def add(_: Any, args: tuple[Any, ...], more: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        mask = more.get("attention_mask")
        if mask is None or mask.dim() != 2 or more.get("position_ids") is not None or more.get("past_key_values"):
            return None
        return args, more | {"position_ids": (mask.long().cumsum(-1) - 1).clamp(min=0)}

    return model.register_forward_pre_hook(add, with_kwargs=True)


class Divergence:
    """Measures the divergence from the start on the first rows of each batch, in every arm alike.

    Args:
        trainer: holds the policy.
        reference: the start, on the policy's device.
        prompt_ids: token ids by key.
        tokenizer: names the end token.
        rows: completions a step.
    """

    def __init__(
        self,
        trainer: Any,
        reference: Any,
        prompt_ids: Mapping[str, Sequence[int]],
        tokenizer: PreTrainedTokenizerBase,
        rows: int,
    ) -> None:
        self._trainer, self._reference, self._prompt_ids = trainer, reference, prompt_ids
        self._end, self._rows = tokenizer.eos_token_id, rows

    def __call__(self, prompts: Sequence[str], completion_ids: Sequence[Sequence[int]]) -> dict[str, float]:
        """Divergence in nats a token, of evenly spread completions: by k3, by k1, and exact for the next token."""
        count = min(self._rows, len(prompts))
        chosen = [i * len(prompts) // count for i in range(count)]
        rows = [(list(self._prompt_ids[prompts[i]]), list(completion_ids[i])) for i in chosen if completion_ids[i]]
        rows.sort(key=lambda row: len(row[0]) + len(row[1]))
        model = self._trainer.accelerator.unwrap_model(self._trainer.model)
        training = model.training
        model.eval()
        sums: list[tuple[float, float, float]] = []
        with torch.no_grad(), self._trainer.accelerator.autocast():
            for start in range(0, len(rows), _PASS):
                sums += divergences(model, self._reference, rows[start : start + _PASS])
        model.train(training)
        tokens = max(1, sum(len(tail) for _, tail in rows))
        k1, k3, full = (sum(one[i] for one in sums) / tokens for i in range(3))
        return {"kl_token_k1": k1, "kl_token": k3, "kl_token_exact": full}
