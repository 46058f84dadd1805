"""Generation with vLLM: continuous batching and paged key-value memory, on an NVIDIA GPU.

Prompts go in as token ids from the same tokenizer that transformers uses, with one seed a sample. vLLM stops on the
rule's strings and on end tokens; a rule that needs more than strings is applied to the finished text, so that some
tokens are generated in vain. Batches differ from run to run, so in 16 bits a sample may differ where two tokens are
nearly tied (``codelab.evaluate.agreement`` shows how often). vLLM starts its engine in a spawned process: the program
that gets here must have a guarded main module, as ``codelab`` has. Not covered: several GPUs, adapters, quantisation.
"""

import gc
import importlib.util
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.models.generation import Completion, Prompt, Sampling, encode, end_tokens, finish, sample_seed
from codelab.models.quantization.config import DType

ENVIRONMENT = {
    "VLLM_USE_FLASHINFER_SAMPLER": "0",  # its import is unguarded and the package is not required
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork would copy the sandbox's and the meter's threads' locks
    "VLLM_LOGGING_LEVEL": "WARNING",
}
"""Set before vLLM is imported, unless the environment says otherwise."""


class VllmGenerator:
    """A model served by vLLM as a :class:`~codelab.models.generation.Generator`.

    Args:
        folder: config, weights and tokenizer.
        dtype: of weights and activations.
        gpu_memory_utilization: share of the device that the engine may take, weights and cache together.
        cache_bytes: memory for keys and values. None: what the share leaves, found by profiling, which fails where
            another program gives memory back meanwhile.
        max_model_len: tokens of prompt and completion together; None for the model's own.
        max_num_seqs: completions in flight.
        enforce_eager: no compilation and no CUDA graphs: starts faster, generates slower.
        logprobs: sum the chosen tokens' log-probabilities; costs time for every token.
        on_rows: called with the number of completions when they are done.
        count_memory: let :meth:`allocator_peak` ask the engine's process.

    Raises:
        UserError: vLLM or a GPU is missing.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        dtype: DType = "bfloat16",
        gpu_memory_utilization: float = 0.5,
        cache_bytes: int | None = None,
        max_model_len: int | None = None,
        max_num_seqs: int = 256,
        enforce_eager: bool = False,
        logprobs: bool = False,
        on_rows: Callable[[int], None] | None = None,
        count_memory: bool = False,
    ) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise UserError(
                "backend vllm: vLLM is not installed here; run: make setup-gpu, or use backend transformers"
            )
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig  # noqa: PLC0415
        from vllm import LLM  # noqa: PLC0415

        self.tokenizer = AutoTokenizer.from_pretrained(str(folder))
        self.config = AutoConfig.from_pretrained(str(folder))
        try:
            defaults = GenerationConfig.from_pretrained(str(folder))
        except OSError:  # the file is optional
            defaults = GenerationConfig()
        self.ends = end_tokens(self.tokenizer, defaults)
        self.on_rows = on_rows
        self.logprobs = 0 if logprobs else None  # 0: of the chosen token alone
        self.width = 4 if dtype == "float32" else 2
        self.llm: Any = LLM(
            model=str(folder),
            dtype=dtype,
            gpu_memory_utilization=gpu_memory_utilization,
            kv_cache_memory_bytes=cache_bytes,
            max_model_len=max_model_len,
            max_num_seqs=max_num_seqs,
            enforce_eager=enforce_eager,
            enable_prefix_caching=True,
            generation_config="vllm",  # else the model's own file would change temperature or top-p unseen
            seed=0,
            **({"worker_extension_cls": "codelab.models.vllm_worker.CountMemory"} if count_memory else {}),
        )

    def allocator_peak(self) -> int:
        """Peak of torch's CUDA allocator in the engine's process, bytes; the parent's own allocator sees none of it.

        Only with ``count_memory``.
        """
        return int(max(self.llm.collective_rpc("allocator_peak")))

    @property
    def context(self) -> int:
        """Tokens that the engine was started for."""
        return int(self.llm.llm_engine.vllm_config.model_config.max_model_len)

    @property
    def cache_bytes(self) -> int | None:
        """Memory reserved for keys and values; None where this version of vLLM does not say."""
        settings = self.llm.llm_engine.vllm_config.cache_config
        tokens = getattr(settings, "kv_cache_size_tokens", None)
        if not tokens and settings.num_gpu_blocks:
            tokens = settings.num_gpu_blocks * settings.block_size
        return int(tokens) * cache_bytes_per_token(self.config, self.width) if tokens else None

    def generate(self, prompts: Sequence[Prompt], n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """See :class:`~codelab.models.generation.Generator`."""
        from vllm import SamplingParams  # noqa: PLC0415

        encoded = [encode(self.tokenizer, prompt) for prompt in prompts]
        room = self.context - sampling.max_new_tokens
        results: list[list[Completion]] = [[Completion("", 0, "too_long")] * n for _ in prompts]
        rows = [(i, index) for i, ids in enumerate(encoded) if len(ids) <= room for index in range(n)]
        settings = [
            SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p if sampling.temperature > 0 else 1.0,
                max_tokens=sampling.max_new_tokens,
                seed=sample_seed(seed, prompts[i].key, index) if sampling.temperature > 0 else None,
                stop=list(prompts[i].stop.strings) or None,
                stop_token_ids=[] if sampling.ignore_end else list(self.ends),
                ignore_eos=sampling.ignore_end,
                include_stop_str_in_output=True,  # the rule looks for it again in the finished text
                logprobs=self.logprobs,
            )
            for i, index in rows
        ]
        if rows:
            asked = [{"prompt_token_ids": encoded[i]} for i, _ in rows]
            done = self.llm.generate(asked, settings, use_tqdm=False)
            for (i, index), output in zip(rows, done, strict=True):
                results[i][index] = self._completion(output.outputs[0], prompts[i], sampling)
            if self.on_rows:
                self.on_rows(len(rows))
        return results

    def _completion(self, output: Any, prompt: Prompt, sampling: Sampling) -> Completion:
        made = finish(self.tokenizer, list(output.token_ids), () if sampling.ignore_end else self.ends, prompt.stop)
        if output.logprobs is None:
            return made
        chosen = [next(iter(step.values())).logprob for step in output.logprobs[: made.tokens]]
        return replace(made, logprob=math.fsum(chosen))

    def close(self) -> None:
        """Stop the engine and give its memory back."""
        engine = getattr(getattr(self.llm, "llm_engine", None), "engine_core", None)
        if engine is not None:
            engine.shutdown()
        self.llm = None
        gc.collect()


def cache_bytes_per_token(config: Any, width: int) -> int:
    """Bytes of keys and values that one token needs over all layers.

    Args:
        config: a transformers configuration.
        width: bytes of one number.
    """
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * head * width)
