"""Optimizers for pretraining: AdamW, or Muon for the hidden matrices with AdamW for everything else.

Muon orthogonalises the momentum of two-dimensional hidden weights by a Newton-Schulz iteration (Jordan et al., 2024);
embeddings, norms and biases are not matrices between hidden spaces and stay with AdamW. Not covered: fine-tuning,
where trl and transformers choose the optimizer.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from codelab.records import Strict

if TYPE_CHECKING:
    import torch
    from torch import nn


class OptimizerSettings(Strict):
    """Peak learning rates and the rest; the schedule multiplies both rates by the same factor."""

    name: Literal["muon", "adamw"] = "muon"
    matrix_rate: float = Field(default=0.02, gt=0, description="Muon's rate for hidden matrices; unused by adamw")
    rate: float = Field(default=2e-3, gt=0, description="AdamW's rate")
    betas: tuple[float, float] = (0.9, 0.95)
    momentum: float = Field(default=0.95, ge=0, lt=1)
    weight_decay: float = Field(default=0.1, ge=0, description="on matrices only")
    clip: float = Field(default=1.0, gt=0, description="largest gradient norm")
    batched: bool = Field(default=False, description="Muon takes matrices of one shape together: faster on a GPU")


def build(model: "nn.Module", settings: OptimizerSettings) -> "list[torch.optim.Optimizer]":
    """Make the optimizers, with every trainable parameter in exactly one group.

    Each group remembers its peak rate as ``peak``.
    """
    import torch  # noqa: PLC0415

    hidden, embeddings, vectors = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim < 2:
            vectors.append(parameter)
        elif "wte" in name or "wpe" in name or "embed" in name or "lm_head" in name:
            embeddings.append(parameter)
        else:
            hidden.append(parameter)
    fused = {"fused": True} if next(model.parameters()).is_cuda else {}
    plain: list[dict[str, Any]] = [
        {"params": embeddings, "weight_decay": 0.0},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if settings.name == "adamw":
        plain.append({"params": hidden, "weight_decay": settings.weight_decay})
    groups = [group for group in plain if group["params"]]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=settings.rate, betas=settings.betas, **fused)
    ]
    if settings.name == "muon" and hidden:
        muon = torch.optim.Muon
        if settings.batched:
            from codelab.train.muon import BatchedMuon as muon  # noqa: N813, PLC0415 - needs torch
        optimizers.append(
            muon(hidden, lr=settings.matrix_rate, momentum=settings.momentum, weight_decay=settings.weight_decay)
        )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers
