"""What training a decoder-only transformer takes in device memory, part by part, without torch.

API::

    from codelab.measure.estimate import SHAPES, ModelShape, training_memory, weight_bytes, kv_cache_bytes

    estimate = training_memory(SHAPES["llama-2-7b"], "qlora", batch=1, sequence=512, rank=16)
    estimate.total            # bytes
    estimate.parts()          # {"weights": …, "constants": …, "master": …, "adapters": …, "gradients": …,
                              #  "optimizer": …, "activations": …, "logits": …, "workspace": …}
    estimate.parameters, estimate.trainable   # counts
    SHAPES["qwen2.5-1.5b"].parameters         # also llama-2-7b, llama-2-13b, llama-2-70b, llama-65b, gpt2, smollm2-135m

Sizes are bytes, counts are parameters. What is counted, and from where:

- *weights*: 2 bytes a parameter. ``qlora``: 4 bits for each weight of a linear layer in the blocks; embeddings, head,
  norms and biases stay in 16 bits, as bitsandbytes leaves them.
- *constants*: one 32-bit constant for 64 weights (0.5 bit a weight); with double quantisation 8 bits for 64 weights and
  one 32-bit constant for 256 of those (0.127 bit a weight). Dettmers et al. 2023 (arXiv:2305.14314), section 3.
- *master*: 32-bit copies of the trained weights in mixed precision; gradients 2 bytes and AdamW's two 32-bit moments
  8 bytes beside them give the 16 bytes a parameter of Rajbhandari et al. 2020 (arXiv:1910.02054), section 3.1.
- *adapters*: rank × (inputs + outputs) for each adapted layer (Hu et al. 2021, arXiv:2106.09685), 4 bytes each by
  default because PEFT keeps trained adapters in 32 bits; their gradients have the same width.
- *activations*: the 16-bit tensors that the backward pass reads, counted layer by layer in the manner of Korthikanti et
  al. 2022 (arXiv:2205.05198) for this shape; with checkpointing the input of each block and one block in full.
- *logits*: the 16-bit scores, their 32-bit copy and the saved log-probabilities, 10 bytes a token and vocabulary entry.
- *workspace*: the largest 4-bit layer while it is expanded to 16 bits.

Not covered: the CUDA context (0.3 to 0.6 GB), fragmentation, communication buffers, sharding over devices, dropout
masks, 32-bit intermediates of unfused norms, and paging of optimizer state to the host. The total is therefore a
lower bound that a real run exceeds by some tenths.
"""

from dataclasses import dataclass, fields
from typing import Literal

Method = Literal["full", "lora", "qlora"]
Precision = Literal["mixed", "bf16"]
Optimizer = Literal["adamw", "adamw8bit", "sgd"]
Attention = Literal["fused", "eager"]

HALF = 2
SINGLE = 4
BLOCK = 64
SECOND_BLOCK = 256
OPTIMIZER_BLOCK = 256
ATTENTION = ("q", "k", "v", "o")


@dataclass(frozen=True)
class ModelShape:
    """Shape of a decoder-only transformer.

    Args:
        name: how the book calls it.
        layers: number of blocks.
        hidden: width of the residual stream.
        intermediate: inner width of the feed-forward part.
        heads: query heads; ``hidden`` must be a multiple.
        kv_heads: key and value heads.
        vocabulary: rows of the embedding.
        tied: whether head and embedding are one matrix.
        gated: three feed-forward matrices (SwiGLU) and RMSNorm, else two and LayerNorm with biases everywhere (GPT-2).
        qkv_bias: biases on query, key and value although ``gated`` (Qwen2).
        positions: rows of a learned position table, 0 for rotary positions.
    """

    name: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool = False
    gated: bool = True
    qkv_bias: bool = False
    positions: int = 0

    @property
    def kv_width(self) -> int:
        """Width of keys (and of values) of one token in one layer."""
        return self.hidden // self.heads * self.kv_heads

    def linears(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of each linear layer of one block, by name."""
        h, i, kv = self.hidden, self.intermediate, self.kv_width
        sizes = {"q": (h, h), "k": (h, kv), "v": (h, kv), "o": (h, h), "up": (h, i), "down": (i, h)}
        return sizes | ({"gate": (h, i)} if self.gated else {})

    @property
    def linear_parameters(self) -> int:
        """Weights of all linear layers in the blocks, without biases: what 4-bit loading quantises."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linears().values())

    @property
    def parameters(self) -> int:
        """All parameters, a tied head counted once."""
        h = self.hidden
        embedding = self.vocabulary * h * (1 if self.tied else 2) + self.positions * h
        norm = h if self.gated else 2 * h
        biases = 0 if self.gated else sum(outputs for _, outputs in self.linears().values())
        if self.gated and self.qkv_bias:
            biases = h + 2 * self.kv_width
        return embedding + self.linear_parameters + self.layers * (2 * norm + biases) + norm

    def adapter_parameters(self, rank: int, targets: tuple[str, ...] | None = None) -> int:
        """Parameters of low-rank adapters on the named layers of every block (all of them by default).

        Raises:
            ValueError: unknown layer name or a rank below 1.
        """
        sizes = self.linears()
        names = tuple(sizes) if targets is None else targets
        if rank < 1 or not set(names) <= set(sizes):
            raise ValueError(f"rank {rank}, targets {names}: expected rank >= 1 and names among {tuple(sizes)}")
        return self.layers * rank * sum(sum(sizes[name]) for name in names)


# From each model's published configuration file.
SHAPES: dict[str, ModelShape] = {
    shape.name: shape
    for shape in (
        ModelShape("gpt2", 12, 768, 3072, 12, 12, 50257, tied=True, gated=False, positions=1024),
        ModelShape("smollm2-135m", 30, 576, 1536, 9, 3, 49152, tied=True),
        ModelShape("qwen2.5-1.5b", 28, 1536, 8960, 12, 2, 151936, tied=True, qkv_bias=True),
        ModelShape("llama-2-7b", 32, 4096, 11008, 32, 32, 32000),
        ModelShape("llama-2-13b", 40, 5120, 13824, 40, 40, 32000),
        ModelShape("llama-65b", 80, 8192, 22016, 64, 64, 32000),
        ModelShape("llama-2-70b", 80, 8192, 28672, 64, 8, 32000),
    )
}


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by part, and the two counts that they follow from."""

    weights: int
    constants: int
    master: int
    adapters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    workspace: int
    parameters: int
    trainable: int

    def parts(self) -> dict[str, int]:
        """Bytes by part, in drawing order; they sum to :attr:`total`."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("parameters", "trainable")}

    @property
    def total(self) -> int:
        """Bytes altogether."""
        return sum(self.parts().values())


def constant_bits(double_quantisation: bool) -> float:
    """Bits a weight for the scales of blockwise 4-bit quantisation (0.5, or 0.127 when they are quantised again)."""
    if not double_quantisation:
        return 8 * SINGLE / BLOCK
    return 8 / BLOCK + 8 * SINGLE / (BLOCK * SECOND_BLOCK)


def weight_bytes(shape: ModelShape, bits: Literal[4, 8, 16, 32] = 16, *, double_quantisation: bool = False) -> int:
    """Bytes of the weights at rest, scales included; only the blocks' linear layers go below 16 bits.

    8 bits means LLM.int8: one byte a weight and a 32-bit scale an output row.
    """
    rest = shape.parameters - shape.linear_parameters
    if bits >= 16:
        return shape.parameters * bits // 8
    if bits == 8:
        rows = shape.layers * sum(outputs for _, outputs in shape.linears().values())
        return shape.linear_parameters + SINGLE * rows + HALF * rest
    return shape.linear_parameters // 2 + _constants(shape, double_quantisation) + HALF * rest


def kv_cache_bytes(shape: ModelShape, tokens: int, width: int = HALF) -> int:
    """Bytes of the key and value cache for ``tokens`` tokens (all sequences together), ``width`` bytes a number."""
    return 2 * shape.layers * shape.kv_width * tokens * width


def training_memory(
    shape: ModelShape,
    method: Method,
    *,
    batch: int = 1,
    sequence: int = 512,
    precision: Precision = "mixed",
    optimizer: Optimizer = "adamw",
    checkpointing: bool = True,
    attention: Attention = "fused",
    rank: int = 16,
    targets: tuple[str, ...] | None = None,
    double_quantisation: bool = True,
    adapter_bytes: int = SINGLE,
) -> MemoryEstimate:
    """Device memory at the peak of one training step on one device.

    Args:
        shape: the model.
        method: all weights, adapters on a 16-bit base, or adapters on a 4-bit base.
        batch: sequences a step.
        sequence: tokens a sequence.
        precision: for ``full``: 32-bit master copies beside 16-bit weights, or 16-bit weights alone.
        optimizer: AdamW with 32-bit or 8-bit blockwise moments, or plain SGD (no state).
        checkpointing: recompute each block in the backward pass.
        attention: ``eager`` also keeps the attention matrix (5 bytes a head and token pair).
        rank: of the adapters.
        targets: layers with adapters, names of :meth:`ModelShape.linears`; all by default.
        double_quantisation: for ``qlora``.
        adapter_bytes: bytes of an adapter's weight and of its gradient, 4 or 2.

    Raises:
        ValueError: a size below 1 or an unknown target.
    """
    if batch < 1 or sequence < 1:
        raise ValueError(f"batch {batch}, sequence {sequence}: expected at least 1")
    trained = shape.parameters if method == "full" else shape.adapter_parameters(rank, targets)
    linear = shape.linear_parameters if method == "qlora" else 0
    width = HALF if method == "full" else adapter_bytes
    tokens = batch * sequence
    adapter_inputs = 0 if method == "full" else rank * len(targets or shape.linears())
    return MemoryEstimate(
        weights=linear // 2 + HALF * (shape.parameters - linear),
        constants=_constants(shape, double_quantisation) if linear else 0,
        master=SINGLE * trained if method == "full" and precision == "mixed" else 0,
        adapters=0 if method == "full" else adapter_bytes * trained,
        gradients=width * trained,
        optimizer=_optimizer_bytes(optimizer, trained),
        activations=_activation_bytes(
            shape,
            tokens,
            sequence,
            checkpointing=checkpointing,
            attention=attention,
            adapter_inputs=adapter_inputs,
        ),
        logits=10 * tokens * shape.vocabulary,
        workspace=HALF * max(a * b for a, b in shape.linears().values()) if linear else 0,
        parameters=shape.parameters,
        trainable=trained,
    )


def block_activation_bytes(shape: ModelShape, attention: Attention = "fused", sequence: int = 0) -> int:
    """Bytes that one block keeps for the backward pass, for one token of a sequence of ``sequence`` tokens.

    Read back are: the inputs and outputs of both norms (4 tensors of width h), queries, keys and values, the attention
    output with one 32-bit statistic a head, and in the feed-forward part gate, its activation, up and their product
    (with two matrices: the inner tensor before and after the activation).
    """
    inner = (4 if shape.gated else 2) * shape.intermediate
    saved = HALF * (4 * shape.hidden + 2 * shape.hidden + 2 * shape.kv_width + inner) + SINGLE * shape.heads
    return saved + (5 * shape.heads * sequence if attention == "eager" else 0)


def _activation_bytes(
    shape: ModelShape, tokens: int, sequence: int, *, checkpointing: bool, attention: Attention, adapter_inputs: int
) -> int:
    block = block_activation_bytes(shape, attention, sequence) + HALF * adapter_inputs
    ends = 2 * HALF * shape.hidden  # input and output of the last norm
    if checkpointing:
        return tokens * (shape.layers * HALF * shape.hidden + block + ends)
    return tokens * (shape.layers * block + ends)


def _optimizer_bytes(optimizer: Optimizer, trained: int) -> int:
    if optimizer == "sgd":
        return 0
    if optimizer == "adamw":
        return 2 * SINGLE * trained
    return round(2 * trained * (1 + SINGLE / OPTIMIZER_BLOCK))


def _constants(shape: ModelShape, double_quantisation: bool) -> int:
    return round(shape.linear_parameters * constant_bits(double_quantisation) / 8)
