"""The step's peak: activations against autograd's own account, states by hand, moments in their order."""

from typing import Any

import pytest

from codelab.measure.estimate import SHAPES, ModelShape
from codelab.measure.peak import LIBRARY, Step, block_bytes, end_bytes, step_peak

SHAPE = ModelShape("small", layers=2, hidden=64, intermediate=176, heads=4, kv_heads=2, vocabulary=512, tied=True)
MODULES = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj", "gate": "gate_proj", "up": "up_proj",
           "down": "down_proj"}  # fmt: skip
TOKENS = 48
FULL, HALVED = Step("full", 1, TOKENS), Step("full", 1, TOKENS, weights="bfloat16")
ALL, TWO = Step("lora", 1, TOKENS, rank=8), Step("lora", 1, TOKENS, rank=4, targets=("q", "down"))


def saved_bytes(layers: int, step: Step) -> int:
    """Bytes that autograd keeps of a forward pass through a model, parameters and weight copies left out."""
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=SHAPE.vocabulary, hidden_size=SHAPE.hidden, intermediate_size=SHAPE.intermediate,
        num_hidden_layers=layers, num_attention_heads=SHAPE.heads, num_key_value_heads=SHAPE.kv_heads,
        tie_word_embeddings=True, attn_implementation="sdpa",
    )  # fmt: skip
    wide = step.method == "full" and step.weights == "float32"
    model: Any = LlamaForCausalLM(config).to(torch.float32 if wide else torch.bfloat16)
    if step.method == "qlora":
        model = _in_four_bits(model)
    if step.method != "full":
        from peft import LoraConfig, get_peft_model

        targets = [MODULES[name] for name in step.targets or MODULES]
        model = get_peft_model(model, LoraConfig(r=step.rank, target_modules=targets, task_type="CAUSAL_LM"))
    parameters = {one.untyped_storage().data_ptr() for one in model.parameters()}
    seen: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters and TOKENS in tensor.shape:
            seen[storage.data_ptr()] = (storage.nbytes(), storage)
        return tensor

    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=wide or step.method != "full")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), autocast:
        model(input_ids=torch.zeros(1, TOKENS, dtype=torch.long), use_cache=False)
    return sum(size for size, _ in seen.values())


def _in_four_bits(model: Any) -> Any:
    """The blocks' linear layers in NF4, marked as transformers marks them, or PEFT adapts them as 16-bit ones."""
    torch, bnb = pytest.importorskip("torch"), pytest.importorskip("bitsandbytes")
    for name, layer in list(model.model.named_modules()):
        if isinstance(layer, torch.nn.Linear):
            made = bnb.nn.Linear4bit(
                layer.in_features, layer.out_features, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4"
            )
            made.load_state_dict(layer.state_dict())
            parent = model.model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], made.to("cpu"))
    model.is_loaded_in_4bit = True
    return model


@pytest.mark.parametrize("targets", [None, ("q", "down"), ("k", "v", "up"), ("q", "o")])
def test_a_block_in_four_bits_shares_inputs(targets: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    # Asked without a device it speaks of CUDA's autocast, under which these layers cast nothing. Asked with one it must
    # tell the truth: autocast restores on leaving what it was told on entering.
    enabled = torch.is_autocast_enabled
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *device: enabled(*device) if device else True)
    step = Step("qlora", 1, TOKENS, rank=8, targets=targets)
    three, one = saved_bytes(3, step), saved_bytes(1, step)
    assert (three - one) / 2 == pytest.approx(TOKENS * block_bytes(SHAPE, step), rel=0.002)
    assert not enabled("cpu")


@pytest.mark.parametrize("step", [FULL, HALVED, ALL, TWO], ids=["full", "half", "all", "two"])
def test_a_block_keeps_what_autograd_keeps(step: Step) -> None:
    three, one = saved_bytes(3, step), saved_bytes(1, step)
    assert (three - one) / 2 == pytest.approx(TOKENS * block_bytes(SHAPE, step), rel=0.002)


@pytest.mark.parametrize("step", [FULL, HALVED], ids=["full", "half"])
def test_the_ends_keep_what_autograd_keeps(step: Step) -> None:
    angles = 2 * SHAPE.hidden // SHAPE.heads * (4 if step.weights == "float32" else 2)
    rest = saved_bytes(1, step) - TOKENS * block_bytes(SHAPE, step)
    assert rest / TOKENS == pytest.approx(end_bytes(SHAPE, step) - 8 + angles, rel=0.05)


def test_states_by_hand() -> None:
    count = SHAPE.parameters
    peak = step_peak(SHAPE, FULL)
    assert (peak.parts["weights"], peak.parts["gradients"], peak.parts["optimizer"]) == (
        4 * count,
        4 * count,
        8 * count,
    )
    half = step_peak(SHAPE, HALVED)
    assert (half.parts["weights"], half.parts["optimizer"]) == (2 * count, 4 * count)
    adapters = SHAPE.adapter_parameters(8)
    lora = step_peak(SHAPE, ALL)
    assert (lora.parts["adapters"], lora.parts["optimizer"]) == (4 * adapters, 8 * adapters)
    assert lora.moments["update"] == 2 * count + 16 * adapters + LIBRARY


def test_paged_state_is_not_on_the_device_where_tensors_are_large() -> None:
    shape = SHAPES["llama-2-7b"]
    small, large = (
        step_peak(shape, Step("qlora", 1, 64, rank=rank, optimizer="paged_adamw32bit")).parts["optimizer"]
        for rank in (8, 64)
    )
    assert large == 0 < small


@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-1.5b", "llama-2-7b"])
def test_methods_and_checkpointing_are_ordered(name: str) -> None:
    shape = SHAPES[name]
    full, lora, qlora = (step_peak(shape, Step(method, 2, 1024, checkpointing=True)).total
                         for method in ("full", "lora", "qlora"))  # fmt: skip
    assert full > lora > qlora
    kept = step_peak(shape, Step("lora", 2, 1024)).total
    assert kept > lora
    assert step_peak(shape, Step("lora", 4, 1024)).total > kept


def test_the_largest_moment_is_named() -> None:
    # One token of a large model: its states decide; many tokens of a small one: the scores do.
    assert step_peak(SHAPES["llama-2-7b"], Step("full", 1, 1)).moment == "update"
    assert step_peak(SHAPES["smollm2-135m"], Step("full", 16, 1024)).moment == "loss"


@pytest.mark.parametrize(
    ("shape", "step", "match"),
    [
        (SHAPES["gpt2"], FULL, "Llama"),
        (SHAPE, Step("full", 0, 8), "at least 1"),
        (SHAPE, Step("lora", 1, 8, targets=("x",)), "names among"),
    ],
)
def test_what_is_not_covered_is_refused(shape: ModelShape, step: Step, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        step_peak(shape, step)
