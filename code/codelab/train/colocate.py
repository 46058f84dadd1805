"""One vLLM engine in the training process, for every unit and evaluation of a run; its weights are exchanged.

trl starts an engine for each trainer, and each start costs as much as minutes of training at this size. Here trl is
given the first one again. The engine is made as trl makes it, plus a number type (trl lets vLLM choose, which takes 8
bits of the weights, bf16, where training changes more) and, where the recipe says so, a fixed cache of keys and values:
the share of the device that trl asks for is found by profiling, which fails where another program frees memory then.
Weights are exchanged as trl does it, but in one call: vLLM 0.26 walks its modules anew for each, and trl makes one for
every tensor. The policy can be asked in the engine while it trains (:meth:`Colocated.policy`). The launcher's
environment variables, which vLLM reads, are taken back after each use: the next trainer would take the process for one
of several. Not covered: several devices, adapters (trl merges them itself), a server.
"""

import contextlib
import gc
import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from codelab.errors import UserError
from codelab.evaluate.engines import local_folder
from codelab.evaluate.recipe import Model
from codelab.models.generation import Generator, end_tokens
from codelab.models.vllm_generation import ENVIRONMENT, VllmGenerator
from codelab.records import ModelFacts
from codelab.train.grpo_recipe import GrpoRecipe

_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_TRL = "trl.generation.vllm_generation"


class SharedGenerator(VllmGenerator):
    """A model in an engine that outlives it.

    Args:
        llm: the engine, with the model's weights in it.
        model: the transformers model that they came from.
        tokenizer: its tokenizer.
        width: bytes of a number in the cache.
        logprobs: keep each completion's log-probability.
    """

    def __init__(self, llm: Any, model: Any, tokenizer: Any, *, width: int, logprobs: bool) -> None:
        self.llm, self.tokenizer, self.config, self.width = llm, tokenizer, model.config, width
        self.ends = end_tokens(tokenizer, model.generation_config)
        self.on_rows = None
        self.logprobs = 0 if logprobs else None

    def close(self) -> None:
        """Let go of the engine; it goes on."""
        self.llm = None


def exchange(llm: Any, weights: Iterable[tuple[str, Any]]) -> None:
    """Load the weights of a transformers model, by name, into a running engine of the same shape."""
    runner = llm.llm_engine.model_executor.driver_worker.model_runner
    runner.model.load_weights(weights)
    llm.reset_prefix_cache()


def _one_call(trl_s: Callable[[Any], None]) -> Callable[[Any], None]:
    """The exchange of the policy's weights that trl makes, with one call for all tensors."""

    def sync_weights(generation: Any) -> None:
        # Merged adapters are undone when the last tensor was asked for; what sleeps has to be woken.
        if generation.enable_sleep_mode or hasattr(generation.model, "peft_config"):
            trl_s(generation)
        else:
            exchange(generation.llm, generation._iter_named_params())

    return sync_weights


class Colocated:
    """The engine of a run, made when it is first needed.

    Args:
        recipe: says how large, in which type, and whether units share it.
    """

    def __init__(self, recipe: GrpoRecipe) -> None:
        self._recipe = recipe
        self._llm: Any = None
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """While a trainer is made and used: trl gets this engine where it asks for one of its own."""
        if self._recipe.training.vllm == "none":
            yield
            return
        seam: Any = importlib.import_module(_TRL)
        original, exchanging = seam.LLM, seam.VLLMGeneration.sync_weights
        with launcher_kept():
            seam.LLM = lambda **wanted: self._engine(original, wanted)
            seam.VLLMGeneration.sync_weights = _one_call(exchanging)
            try:
                yield
            finally:
                seam.LLM, seam.VLLMGeneration.sync_weights = original, exchanging
                if not self._recipe.training.share_engine:
                    self.close()

    def build(self, answers: Model) -> tuple[Generator, ModelFacts]:
        """A model to evaluate, in the shared engine.

        Raises:
            UserError: the weights cannot be had, or have another shape than the engine's.
        """
        from codelab.models.load import load_model  # noqa: PLC0415

        folder, facts = local_folder(answers)
        if self._llm is None:
            with launcher_kept():
                _launch()
                vllm: Any = importlib.import_module("vllm")
                self._engine(vllm.LLM, self._as_trl(str(folder)))
        loaded = load_model(answers.model, dtype="float32")
        mine, theirs = loaded.model.config, self._llm.llm_engine.vllm_config.model_config.hf_config
        for name in ("model_type", "vocab_size", "hidden_size", "num_hidden_layers"):
            if getattr(mine, name) != getattr(theirs, name):
                raise UserError(
                    f"recipe: training.share_engine: {answers.model} differs from the engine's model in {name}; "
                    "set share_engine: false"
                )
        exchange(self._llm, ((name, weight.data) for name, weight in loaded.model.named_parameters()))
        width = 4 if answers.dtype == "float32" else 2
        generator = SharedGenerator(
            self._llm, loaded.model, loaded.tokenizer, width=width, logprobs=self._recipe.vllm.logprobs
        )
        return generator, facts

    def policy(self, trainer: Any, tokenizer: Any) -> Generator | None:
        """The policy with its present weights, in the engine that its trainer samples with; None without an engine.

        The trainer brings the weights of its next step by itself.
        """
        exchanging = getattr(trainer, "vllm_generation", None)
        if self._llm is None or exchanging is None:
            return None
        exchanging.sync_weights()
        width = 4 if self._recipe.dtype == "float32" else 2
        return SharedGenerator(self._llm, trainer.model, tokenizer, width=width, logprobs=False)

    def close(self) -> None:
        """Stop the engine, if there is one, and give its memory and process group back."""
        llm, self._llm = self._llm, None
        if llm is None:
            return
        with contextlib.suppress(AttributeError):
            llm.llm_engine.engine_core.shutdown()
        del llm
        gc.collect()
        with contextlib.suppress(ImportError, AttributeError):
            importlib.import_module("vllm.distributed").cleanup_dist_env_and_memory()

    def _engine(self, make: Any, wanted: dict[str, Any]) -> Any:
        if self._llm is None:
            settings = self._recipe.vllm
            own = {
                "dtype": self._recipe.dtype,
                "enforce_eager": settings.enforce_eager,
                "generation_config": "vllm",
                "kv_cache_memory_bytes": settings.cache_bytes,
            }
            self._llm = make(**wanted | own)
        return self._llm

    def _as_trl(self, folder: str) -> dict[str, Any]:
        """The arguments with which trl 1.14.2 would start the engine."""
        settings = self._recipe.vllm
        return {
            "model": folder,
            "tensor_parallel_size": 1,
            "gpu_memory_utilization": settings.gpu_memory_utilization,
            "max_model_len": settings.max_model_len,
            "max_num_seqs": max(settings.max_num_seqs, self._recipe.training.completions),
            "distributed_executor_backend": "external_launcher",
            "seed": 0,
            "max_num_batched_tokens": 4096,
            "logprobs_mode": "processed_logprobs",
        }


@contextmanager
def launcher_kept() -> Iterator[None]:
    """Put the launcher's variables back as they were at the end."""
    before = {name: os.environ.get(name) for name in _LAUNCHER}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _launch() -> None:
    """The variables of a launcher with one process, as trl sets them before it starts an engine."""
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    importlib.import_module("trl.trainer.utils").ensure_master_addr_port()
