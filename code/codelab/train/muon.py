"""Muon (Jordan et al., 2024) with the matrices of one shape orthogonalised together.

``torch.optim.Muon`` takes one matrix after another: for GPT-2 small about 1,600 small kernels a step, most of them too
small to fill a GPU. Here matrices of equal shape, up to transposition, go through the same iteration as one batch.
State and options are those of ``torch.optim.Muon``, and so are the results, up to the rounding of the iteration's
bfloat16. Not covered: matrices spread over devices.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch


class BatchedMuon(torch.optim.Muon):
    """Drop-in for ``torch.optim.Muon``; state dictionaries of one are read by the other."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step.

        Args:
            closure: computes the loss again, as in every optimizer of torch.
        """
        loss = closure() if closure is not None else None
        with torch.no_grad():
            for group in self.param_groups:
                self._update(group)
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        matrices = [one for one in group["params"] if one.grad is not None]
        if not matrices:
            return
        gradients = [one.grad for one in matrices]
        for one in matrices:
            if "momentum_buffer" not in self.state[one]:
                self.state[one]["momentum_buffer"] = torch.zeros_like(one.grad)
        momenta = [self.state[one]["momentum_buffer"] for one in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        updates = torch._foreach_lerp(gradients, momenta, group["momentum"]) if group["nesterov"] else momenta
        torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
        for one, update in zip(matrices, orthogonal(updates, group), strict=True):
            one.add_(update, alpha=-group["lr"] * _factor(one.shape, group["adjust_lr_fn"]))


def orthogonal(updates: list[torch.Tensor], group: dict[str, Any]) -> list[torch.Tensor]:
    """Orthogonalise matrices by Newton-Schulz iterations, those of one shape in one batch.

    Args:
        updates: matrices of any shapes.
        group: ``ns_coefficients``, ``ns_steps`` and ``eps``.

    Returns:
        A bfloat16 matrix for each, in their order.
    """
    batches: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, update in enumerate(updates):
        rows, columns = update.shape
        batches[min(rows, columns), max(rows, columns)].append(index)
    found: dict[int, torch.Tensor] = {}
    a, b, c = group["ns_coefficients"]
    for indices in batches.values():
        tall = [updates[index].size(0) > updates[index].size(1) for index in indices]
        parts = [updates[index].bfloat16() for index in indices]
        batch = torch.stack([part.T if turn else part for part, turn in zip(parts, tall, strict=True)])
        batch /= batch.norm(dim=(1, 2), keepdim=True).clamp(min=group["eps"])
        for _ in range(group["ns_steps"]):
            gram = batch @ batch.mT
            batch = torch.baddbmm(batch, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), batch, beta=a)
        for index, matrix, turn in zip(indices, batch, tall, strict=True):
            found[index] = matrix.T if turn else matrix
    return [found[index] for index in range(len(updates))]


def _factor(shape: torch.Size, name: str | None) -> float:
    rows, columns = shape
    if name in {None, "original"}:
        return math.sqrt(max(1.0, rows / columns))
    return 0.2 * math.sqrt(max(rows, columns)) if name == "match_rms_adamw" else 1.0
