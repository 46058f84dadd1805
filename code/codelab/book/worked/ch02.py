"""Numbers worked in chapter 2: adapters, the NF4 code, and which model trains on which card.

Sizes are bytes, 1 GB is 1e9 of them. Not covered: the memory model itself (``codelab.measure.estimate``), and
measured memory, which the experiments record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from codelab.measure.estimate import SHAPES, MemoryEstimate, Method, training_memory

GB = 1e9
CARDS = (8, 16, 24, 48, 80)
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
            card = smallest_card(e.total)
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
                    card=f"{card} GB" if card else "none",
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


def quantise(block: Sequence[float], levels: Sequence[float]) -> list[float]:
    """A block after rounding to the nearest level times its largest magnitude.

    Raises:
        ValueError: a block without a value other than zero.
    """
    scale = max((abs(value) for value in block), default=0.0)
    if scale == 0:
        raise ValueError("expected a block with a value other than zero")
    return [scale * min(levels, key=lambda level: abs(level - value / scale)) for value in block]


def normal_block(size: int = BLOCK) -> list[float]:
    """A block of ideally normal weights: the quantiles at (i + 1/2)/size."""
    return [NormalDist().inv_cdf((i + 0.5) / size) for i in range(size)]


def relative_error(levels: Sequence[float], block: Sequence[float] | None = None) -> float:
    """Root mean square of the rounding error over that of the block itself."""
    values = normal_block() if block is None else block
    rounded = quantise(values, levels)
    error = sum((a - b) ** 2 for a, b in zip(values, rounded, strict=True))
    return float((error / sum(value**2 for value in values)) ** 0.5)
