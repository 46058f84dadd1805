"""Tiny random models, a byte-level tokenizer and a stop rule, made in memory: no weights, no network."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StopAfter:
    """Ended once the text has some characters."""

    length: int
    strings: tuple[str, ...] = ()

    def finished(self, completion: str) -> bool:
        return len(completion) >= self.length


def tokenizer(chat: bool = False) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<end>", *alphabet])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<end>")
    if chat:
        made.chat_template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"
    return made


def model(kind: str = "llama", seed: int = 0, positions: int = 256) -> Any:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)  # threads cost more than they bring at this size
    torch.manual_seed(seed)
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    if kind == "gpt2":
        made = GPT2LMHeadModel(
            GPT2Config(vocab_size=258, n_positions=positions, n_embd=32, n_layer=2, n_head=2, **ends)
        )
    else:
        made = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=258,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=positions,
                **ends,
            )
        )
    # Random weights are near uniform; a larger head makes choices clear, so that rounding cannot flip them.
    with torch.no_grad():
        made.get_output_embeddings().weight.mul_(8)
    return made.eval()
