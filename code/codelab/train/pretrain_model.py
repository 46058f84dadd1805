"""The model of ``codelab.train.pretrain``: GPT-2 from random weights, its loss on rows, and the FLOPs of both.

What is computed is transformers' GPT-2; how, is chosen here where that costs time: the attention of full rows is called
causal instead of being given a mask, and GELU may be written with a sigmoid. Not covered: the training loop, padded
rows, and generation, for which the saved model is loaded again as an ordinary one.
"""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, GPT2Config, GPT2LMHeadModel

from codelab.train.pretrain import PretrainRecipe, Shape

FULL_ROWS = "causal_full_rows"
# Dense bf16 peaks of the data sheets, in FLOP/s, for the model FLOP utilisation.
_PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}


class RowLoss(nn.Module):
    """Mean next-token cross entropy of rows, computed inside one module so that it compiles as a whole."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Loss in nats a token for ``rows`` of shape (batch, length + 1)."""
        hidden = self.model.transformer(rows[:, :-1]).last_hidden_state
        logits = functional.linear(hidden, self.model.transformer.wte.weight)
        return functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())


class SigmoidGelu(nn.Module):
    """GPT-2's GELU by the identity (1 + tanh u) / 2 = 1 / (1 + exp(-2u)), in float32 inside.

    Compiled for a GPU, the tangent is a library routine of some twenty instructions and makes the kernel wait for
    arithmetic, where the sigmoid is one exponential and one division.
    """

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """GELU of every element; the result has the inputs' type."""
        wide = inputs.float()
        inner = math.sqrt(8.0 / math.pi) * (wide + 0.044715 * wide * wide * wide)
        return (wide * torch.sigmoid(inner)).to(inputs.dtype)


def causal_full_rows(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of rows without padding, in the form of transformers' attention functions.

    When it is compiled, transformers cannot see that a batch holds no packed documents, and gives the kernel a boolean
    mask of shape (rows, 1, positions, positions): flash kernels then refuse, and others compute the upper half too.
    Models that name this function get no mask made (transformers makes masks only for names that it knows).

    Args:
        module: the attention layer; not used.
        query: shape (rows, heads, positions, width of a head), as ``key`` and ``value``.
        key: see ``query``.
        value: see ``query``.
        attention_mask: must be None.
        dropout: probability.
        scaling: factor on the scores.

    Returns:
        Shape (rows, positions, heads, width of a head), and None in place of the attention weights.

    Raises:
        ValueError: there is a mask.
    """
    if attention_mask is not None:
        raise ValueError(f"{FULL_ROWS}: a mask of shape {tuple(attention_mask.shape)}, expected full rows and none")
    mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scaling, is_causal=True)
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(FULL_ROWS, causal_full_rows)


def make_model(shape: Shape, vocabulary: int, seed: int, *, mask: str = "flag", gelu: str = "tanh") -> GPT2LMHeadModel:
    """A GPT-2 with random weights, no dropout, and a vocabulary padded to a multiple of 64.

    Args:
        shape: its sizes.
        vocabulary: tokens, before padding.
        seed: of the weights.
        mask: "flag" or "tensor", see :class:`~codelab.train.pretrain.PretrainRecipe`.
        gelu: "tanh" or "sigmoid".
    """
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=math.ceil(vocabulary / 64) * 64, n_positions=shape.positions, n_embd=shape.width,
        n_layer=shape.layers, n_head=shape.heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        attn_implementation=FULL_ROWS if mask == "flag" else "sdpa", use_cache=False,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    if gelu == "sigmoid":
        for block in model.transformer.h:
            block.mlp.act = SigmoidGelu()
    return model


def compile_loss(loss: RowLoss, recipe: PretrainRecipe) -> None:
    """Compile in place, as the recipe says; the work is done at the first call."""
    if not recipe.compiled:
        return
    if recipe.tuning == "all":
        loss.compile(mode="max-autotune-no-cudagraphs")
    elif recipe.tuning == "kernels":
        loss.compile(options={"coordinate_descent_tuning": True})
    else:
        loss.compile()


def flops_per_token(shape: Shape, vocabulary: int) -> float:
    """Forward and backward FLOPs a token: 6 for each weight in a matrix product, plus causal attention."""
    matrices = shape.layers * 12 * shape.width**2 + vocabulary * shape.width
    return 6.0 * matrices + 6.0 * shape.layers * shape.width * shape.positions


def peak_flops() -> float | None:
    """Dense bf16 peak of the GPU in use, in FLOP/s, where it is known."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return next((value for key, value in _PEAKS.items() if key in name), None)
