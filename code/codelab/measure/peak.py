"""Peak memory of one training step of a Llama-shaped model with transformers and PEFT, by moments. Torch-free.

:func:`codelab.measure.estimate.training_memory` adds every part up, as if all were there at once; a step is not like
that: gradients appear while activations go. Here a step has three moments, and its peak is the largest of them:

- ``loss``: the backward pass begins. All saved activations are there, no gradient yet, and beside the 16-bit scores
  their 32-bit log-probabilities and two gradients of that size: 14 bytes a token and vocabulary entry.
- ``block``: the last block's backward pass, with checkpointing after it was recomputed; a 4-bit layer is expanded.
- ``update``: activations are gone, gradients and optimizer state are there; a tied embedding's gradient is added up.

Saved activations are counted tensor by tensor as autograd keeps them for transformers 5's Llama with sdpa attention,
and are held against autograd's own account by a test. Three ways of holding weights: ``float32`` under bf16 autocast
(16-bit copies of the linear weights live until the backward pass used them, each linear layer keeps its own 16-bit
copy of its input, the residual stream is 32 bits wide), ``bfloat16`` throughout (optimizer state too), and a frozen
16-bit or 4-bit base with 32-bit adapters under autocast. Paged optimizer state of tensors of 100,000 numbers or more
lies in unified memory, which torch's allocator does not see (bitsandbytes 0.50, ``Optimizer8bit.get_state_buffer``).

Not covered: GPT-2's layers, dropout, fragmentation, the CUDA context, sharding.
"""

from dataclasses import dataclass
from typing import Literal

from codelab.measure.estimate import HALF, SINGLE, Method, ModelShape, constant_bits

Weights = Literal["float32", "bfloat16"]
StepOptimizer = Literal["adamw", "paged_adamw32bit", "paged_adamw8bit"]

LIBRARY = 2 * 32 * 2**20
"""Workspaces of cuBLAS on Hopper, 32 MiB for each of the two threads that multiply; torch's allocator holds them."""
PAGED_FROM = 100_000
_SHARED_INPUT = (("q", "k", "v"), ("gate", "up"))
_OWN_INPUT = ("down",)
_MOMENT = {"adamw": SINGLE, "paged_adamw32bit": SINGLE, "paged_adamw8bit": 1}


@dataclass(frozen=True)
class Step:
    """How a step is run.

    Args:
        method: all weights, adapters on a 16-bit base, or adapters on a 4-bit base.
        batch: sequences.
        sequence: tokens a sequence.
        weights: of ``full``; an adapter's base is always 16 bits or less.
        checkpointing: recompute each block in the backward pass.
        optimizer: its state is as wide as the weights for ``adamw``.
        rank: of the adapters.
        targets: layers with adapters, names of :meth:`ModelShape.linears`; None: all.
        double_quantisation: of the 4-bit base's scales.
    """

    method: Method
    batch: int
    sequence: int
    weights: Weights = "float32"
    checkpointing: bool = False
    optimizer: StepOptimizer = "adamw"
    rank: int = 16
    targets: tuple[str, ...] | None = None
    double_quantisation: bool = True


@dataclass(frozen=True)
class Peak:
    """Bytes: the parts that the moments are made of, and each moment's total."""

    parts: dict[str, int]
    moments: dict[str, int]

    @property
    def total(self) -> int:
        """The largest moment."""
        return max(self.moments.values())

    @property
    def moment(self) -> str:
        """Name of the largest moment."""
        return max(self.moments, key=lambda name: self.moments[name])


def step_peak(shape: ModelShape, step: Step) -> Peak:
    """Peak of torch's CUDA allocator in a step after the first, without gradient accumulation.

    Raises:
        ValueError: a size below 1, an unknown target, or a shape without gated feed-forward layers.
    """
    if not shape.gated or shape.positions:
        raise ValueError(f"{shape.name}: expected a Llama-shaped model")
    if step.batch < 1 or step.sequence < 1:
        raise ValueError(f"batch {step.batch}, sequence {step.sequence}: expected at least 1")
    tokens = step.batch * step.sequence
    wide = SINGLE if step.method == "full" and step.weights == "float32" else HALF
    parts = _states(shape, step)
    kept = tokens * block_bytes(shape, step)
    ends = tokens * end_bytes(shape, step)
    inputs = tokens * shape.layers * wide * shape.hidden
    logits = tokens * shape.vocabulary
    fixed = parts["weights"] + parts["adapters"] + parts["optimizer"] + LIBRARY
    activations = inputs if step.checkpointing else shape.layers * kept
    expanded = HALF * max(a * b for a, b in shape.linears().values()) if step.method == "qlora" else 0
    again = kept + parts["copies"] // shape.layers if step.checkpointing else 0
    copies = parts["head_copy"] if step.checkpointing else parts["copies"] + parts["head_copy"]
    head_gradient = wide * shape.vocabulary * shape.hidden if step.method == "full" else 0
    tied = head_gradient if shape.tied else 0
    moments = {
        "loss": fixed + copies + activations + ends + 14 * logits,
        "block": fixed + copies + activations + again + expanded + HALF * logits + head_gradient,
        "update": fixed + parts["gradients"] + tied,
    }
    return Peak(parts | {"activations": activations, "ends": ends, "logits": 14 * logits, "block": kept}, moments)


def block_bytes(shape: ModelShape, step: Step) -> int:
    """Bytes of activations that one block keeps for the backward pass, for one token; 16-bit weight copies excluded.

    Attention keeps queries, keys, values, its output and one 32-bit number a head. With full weights the output is the
    input copy of the next layer.
    """
    h, i = shape.hidden, shape.intermediate
    attention = HALF * (h + 2 * shape.kv_width) + SINGLE * shape.heads
    statistics = 2 * SINGLE
    gates = 3 * HALF * i
    if step.method == "full" and step.weights == "float32":
        # Each norm: residual and normalised, 32 bits. Copies: query, key, value, output, gate, up; then down.
        return 2 * 2 * SINGLE * h + statistics + attention + 6 * HALF * h + gates + HALF * i
    if step.method == "full":
        # Each norm: a 32-bit copy of the residual, the normalised in 16. Layers share inputs: three of width h.
        return 2 * (SINGLE + HALF) * h + statistics + attention + 3 * HALF * h + gates + HALF * i
    sizes = shape.linears()
    targets = tuple(step.targets or sizes)
    # PEFT's 16-bit layers cast their input to the adapter's 32 bits and autocast casts it back: a copy each. Its 4-bit
    # layers cast nothing under autocast, so that layers which read one tensor share it; the output's is attention's.
    kept = [name for name in targets if step.method != "qlora" or name in _OWN_INPUT or _first_reader(name, targets)]
    copies = HALF * (sum(sizes[name][0] for name in kept) + step.rank * len(targets))
    return 2 * SINGLE * h + statistics + attention + HALF * h + gates + copies


def end_bytes(shape: ModelShape, step: Step) -> int:
    """Bytes that the last norm and the head keep for one token, with its id and its label."""
    h = shape.hidden
    if step.method != "full":
        return SINGLE * h + SINGLE + 16
    norm = 2 * SINGLE * h if step.weights == "float32" else (SINGLE + HALF) * h
    return norm + SINGLE + HALF * h + 16


def _first_reader(name: str, targets: tuple[str, ...]) -> bool:
    """Whether no earlier target reads the same tensor."""
    group = next((group for group in _SHARED_INPUT if name in group), ())
    return next((other for other in targets if other in group), "") == name


def _states(shape: ModelShape, step: Step) -> dict[str, int]:
    head = shape.vocabulary * shape.hidden
    if step.method == "full":
        width = SINGLE if step.weights == "float32" else HALF
        state = 2 * (width if step.optimizer == "adamw" else 0) * shape.parameters
        cast = HALF if width == SINGLE else 0
        return {
            "weights": width * shape.parameters, "adapters": 0, "gradients": width * shape.parameters,
            "optimizer": state, "copies": cast * shape.linear_parameters, "head_copy": cast * head,
        }  # fmt: skip
    trained = shape.adapter_parameters(step.rank, step.targets)
    weights = HALF * shape.parameters
    if step.method == "qlora":
        scales = round(shape.linear_parameters * constant_bits(step.double_quantisation) / 8)
        weights = shape.linear_parameters // 2 + scales + HALF * (shape.parameters - shape.linear_parameters)
    return {
        "weights": weights, "adapters": SINGLE * trained, "gradients": SINGLE * trained,
        "optimizer": _adapter_state(shape, step), "copies": HALF * trained, "head_copy": 0,
    }  # fmt: skip


def _adapter_state(shape: ModelShape, step: Step) -> int:
    """Optimizer state of the adapters that torch's allocator holds."""
    sizes = shape.linears()
    tensors = [step.rank * width for name in step.targets or sizes for width in sizes[name]]
    held = [count for count in tensors if step.optimizer == "adamw" or count < PAGED_FROM]
    # bitsandbytes keeps tensors below 4,096 numbers in 32 bits whatever its width.
    width = _MOMENT[step.optimizer]
    return shape.layers * sum(2 * (SINGLE if count < 4096 else width) * count for count in held)
