"""Numbers worked in chapter 2: adapters, the NF4 code, and which model trains on which card.

Sizes are bytes, 1 GB is 1e9 of them. Not covered: the memory model itself (``codelab.measure.estimate``), and
measured memory, which the experiments record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from codelab.measure.estimate import SHAPES, MemoryEstimate, Method, training_memory

GB = 1e9
CARDS = (8, 16, 24, 32, 48, 80)
MODELS = {"1.5 B": "qwen2.5-1.5b", "7 B": "llama-2-7b", "13 B": "llama-2-13b", "70 B": "llama-2-70b"}
METHODS: dict[Method, str] = {"full": "full", "lora": "LoRA", "qlora": "QLoRA"}
RANK, BATCH, SEQUENCE = 16, 1, 1024
BLOCK = 64


def adapter_share(inputs: int, outputs: int, rank: int) -> tuple[int, float]:
    """Trained parameters of one adapter, and their share of the matrix that it adapts.

    Raises:
        ValueError: a size below 1.
    """
    if min(inputs, outputs, rank) < 1:
        raise ValueError(f"inputs {inputs}, outputs {outputs}, rank {rank}: expected at least 1")
    trained = rank * (inputs + outputs)
    return trained, trained / (inputs * outputs)


def memory(model: str, method: Method) -> MemoryEstimate:
    """The chapter's setting: rank 16 on all linear layers, one sequence of 1,024 tokens, checkpointing, AdamW.

    Args:
        model: a key of :data:`MODELS`.
        method: what is trained.
    """
    return training_memory(SHAPES[MODELS[model]], method, batch=BATCH, sequence=SEQUENCE, rank=RANK)


def qlora_65b() -> MemoryEstimate:
    """The QLoRA paper's largest model at rank 64 with 16-bit adapters and one sequence of 512 tokens."""
    return training_memory(SHAPES["llama-65b"], "qlora", batch=1, sequence=512, rank=64, adapter_bytes=2)


def smallest_card(size: float, cards: Sequence[int] = CARDS) -> int | None:
    """The smallest card, in GB as sold, that holds ``size`` bytes; None where none does.

    A card sold as 24 GB holds 24 × 2^30 bytes, 7 % more than 24e9. Counting it as 24e9 leaves that difference to the
    CUDA context and to fragmentation, which the estimate does not count.
    """
    return next((card for card in sorted(cards) if size <= card * GB), None)


def card(model: str, method: Method) -> str:
    """The smallest card for a model of the table, as text; "no single card" where none holds it."""
    size = smallest_card(memory(model, method).total)
    return f"{size} GB" if size else "no single card"


@dataclass(frozen=True)
class MemoryRow:
    """One line of the chapter's memory table, sizes in bytes."""

    model: str
    method: str
    weights: float
    gradients: float
    optimizer: float
    activations: float
    adapters: float
    total: float
    card: str


def memory_rows() -> list[MemoryRow]:
    """All models and methods; the small parts are folded into the five that the chapter names.

    Scales of the 4-bit code and the expanded layer count as weights, 32-bit master copies as optimizer state, logits as
    activations.
    """
    rows = []
    for model in MODELS:
        for method, name in METHODS.items():
            e = memory(model, method)
            rows.append(
                MemoryRow(
                    model,
                    name,
                    weights=e.weights + e.constants + e.workspace,
                    gradients=e.gradients,
                    optimizer=e.optimizer + e.master,
                    activations=e.activations + e.logits,
                    adapters=e.adapters,
                    total=e.total,
                    card=card(model, method).replace("no single card", "none"),
                )
            )
    return rows


def memory_table() -> list[dict[str, str | float]]:
    """:func:`memory_rows` with headings, sizes in GB."""
    return [
        {
            "Model": row.model,
            "Method": row.method,
            "Weights": row.weights / GB,
            "Gradients": row.gradients / GB,
            "Optimizer": row.optimizer / GB,
            "Activations": row.activations / GB,
            "Adapters": row.adapters / GB,
            "Total": row.total / GB,
            "Smallest card": row.card,
        }
        for row in memory_rows()
    ]


def nf4_levels() -> tuple[float, ...]:
    """The 16 values of 4-bit NormalFloat, from -1 to 1, as bitsandbytes builds them.

    Quantiles of the standard normal, eight above zero and seven below, zero itself, scaled to ±1; the outermost
    probability is the mean of 1 - 1/30 and 1 - 1/32 (Dettmers et al. 2023, arXiv:2305.14314, section 3 and appendix E).
    """
    outer = 0.5 * ((1 - 1 / 30) + (1 - 1 / 32))
    quantile = NormalDist().inv_cdf
    above = [quantile(outer + (0.5 - outer) * i / 8) for i in range(8)]
    below = [-quantile(outer + (0.5 - outer) * i / 7) for i in range(7)]
    top = max(above)
    return tuple(value / top for value in sorted([*above, 0.0, *below]))


def int4_levels() -> tuple[float, ...]:
    """The 15 evenly spaced values of symmetric 4-bit integers, -7/7 to 7/7."""
    return tuple(i / 7 for i in range(-7, 8))


def typical_largest(size: int = BLOCK) -> float:
    """Median of the largest magnitude among ``size`` standard normal weights."""
    return NormalDist().inv_cdf((1 + 0.5 ** (1 / size)) / 2)


def relative_error(levels: Sequence[float], size: int = BLOCK) -> float:
    """Root mean square of the rounding error over that of the weights, expected over normally distributed blocks.

    Every weight of a block is divided by the block's largest magnitude, rounded to the nearest level and multiplied
    again. The expectation is an integral over that largest magnitude and, below it, over the other weights; the
    largest itself has no error, so the levels must hold -1 and 1.

    Raises:
        ValueError: levels that do not end at -1 and 1.
    """
    table = np.sort(np.asarray(levels, dtype=float))
    if (table[0], table[-1]) != (-1, 1):
        raise ValueError(f"levels from {table[0]:g} to {table[-1]:g}: expected -1 to 1")
    largest = np.linspace(1e-3, 8, 2000)[:, None]
    place = (np.arange(4000) + 0.5) / 2000 - 1  # midpoints between -1 and 1, in units of the largest
    error = place - table[np.searchsorted((table[1:] + table[:-1]) / 2, place)]
    density = np.exp(-0.5 * (largest * place) ** 2)
    inside = density.sum(axis=1)
    squared = largest[:, 0] ** 2 * (error**2 * density).sum(axis=1) / inside  # of a weight that is not the largest
    share = np.array([2 * NormalDist().cdf(float(m)) - 1 for m in largest[:, 0]])
    weight = share ** (size - 1) * np.exp(-0.5 * largest[:, 0] ** 2)  # density of the largest, up to a factor
    return float(np.sqrt((size - 1) / size * (squared * weight).sum() / weight.sum()))
