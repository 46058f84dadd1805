"""What goes into vLLM and what is made of its answers, with an engine that stands in for it; the real one on a GPU."""

import importlib.machinery
import importlib.util
import os
import runpy
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest

from codelab.errors import UserError
from codelab.models.generation import Prompt, Sampling, sample_seed
from codelab.models.vllm_generation import ENVIRONMENT, VllmGenerator, cache_bytes_per_token

pytest.importorskip("torch")

import torch

from codelab.models.transformers_generation import TransformersGenerator

from .test_generation import PROMPTS, StopAt
from .tiny import model, tokenizer


class StandIn:
    """Answers like vLLM: greedy, without our stop rule, the end token included."""

    def __init__(self, **options):
        self.options, self.asked = options, []
        length = options["max_model_len"] or 256
        cache = SimpleNamespace(kv_cache_size_tokens=None, num_gpu_blocks=10, block_size=16)
        settings = SimpleNamespace(model_config=SimpleNamespace(max_model_len=length), cache_config=cache)
        self.down = []
        core = SimpleNamespace(shutdown=lambda: self.down.append(True))
        self.llm_engine = SimpleNamespace(vllm_config=settings, engine_core=core)

    def generate(self, prompts, settings, use_tqdm):
        self.asked = list(zip(prompts, settings, strict=True))
        answers = []
        for prompt, setting in self.asked:
            ids = prompt["prompt_token_ids"]
            out = model().generate(torch.tensor([ids]), max_new_tokens=setting.max_tokens, do_sample=False)
            answers.append(SimpleNamespace(outputs=[SimpleNamespace(token_ids=out[0, len(ids) :], logprobs=None)]))
        return answers


@pytest.fixture
def folder(tmp_path, monkeypatch):
    module = ModuleType("vllm")
    module.__spec__ = importlib.machinery.ModuleSpec("vllm", None)
    module.LLM, module.SamplingParams = StandIn, SimpleNamespace
    monkeypatch.setitem(sys.modules, "vllm", module)
    model().save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    return tmp_path


def test_same_completions_as_transformers_stop_rule_included(folder):
    prompts = [replace(prompt, stop=StopAt("a")) for prompt in PROMPTS]
    mine = TransformersGenerator(model(), tokenizer()).generate(prompts, 2, Sampling(16), seed=0)
    assert VllmGenerator(folder).generate(prompts, 2, Sampling(16), seed=0) == mine


def test_a_fixed_cache_reaches_the_engine(folder):
    assert VllmGenerator(folder).llm.options["kv_cache_memory_bytes"] is None
    assert VllmGenerator(folder, cache_bytes=1_000_000).llm.options["kv_cache_memory_bytes"] == 1_000_000


def test_each_sample_has_its_seed_and_its_rule(folder):
    engine = VllmGenerator(folder)
    engine.generate([replace(PROMPTS[1], stop=StopAt("###"))], 3, Sampling(4, 0.8, 0.9), seed=7)
    settings = [setting for _, setting in engine.llm.asked]
    assert [setting.seed for setting in settings] == [sample_seed(7, "task-1", i) for i in range(3)]
    assert {(s.temperature, s.top_p, tuple(s.stop), tuple(s.stop_token_ids)) for s in settings} == {
        (0.8, 0.9, ("###",), (1,))
    }
    assert engine.llm.options["generation_config"] == "vllm"


def test_prompt_that_does_not_fit_is_counted_and_never_sent(folder):
    engine = VllmGenerator(folder, max_model_len=64)
    rows = engine.generate([Prompt("long", "x" * 60), PROMPTS[0]], 2, Sampling(16), seed=0)
    assert [completion.finish for completion in rows[0]] == ["too_long"] * 2
    assert len(engine.llm.asked) == 2
    assert engine.generate([Prompt("long", "x" * 60)], 1, Sampling(16), seed=0)[0][0].finish == "too_long"


def test_cache_reservation_counts_layers_heads_and_bytes(folder):
    engine = VllmGenerator(folder)
    # 10 blocks of 16 tokens; 2 layers, 2 key-value heads of 8 numbers, keys and values, 2 bytes.
    assert engine.cache_bytes == 160 * 2 * 2 * 8 * 2 * 2
    assert cache_bytes_per_token(model("gpt2").config, 4) == 2 * 2 * 32 * 4
    llm = engine.llm
    engine.close()
    assert llm.down == [True]


def test_without_vllm_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="make setup-gpu"):
        VllmGenerator(tmp_path)


def test_environment_is_set_before_the_import_and_the_users_own_stays(folder, monkeypatch):
    seen = {}

    class Looks(StandIn):
        def __init__(self, **options):
            seen.update(os.environ)
            super().__init__(**options)

    for name in ENVIRONMENT:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setattr(sys.modules["vllm"], "LLM", Looks)
    VllmGenerator(folder)
    assert seen["VLLM_USE_FLASHINFER_SAMPLER"] == "0", "its import is unguarded"
    assert seen["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"
    assert seen["VLLM_LOGGING_LEVEL"] == "DEBUG"


@pytest.mark.parametrize("module", ["codelab.__main__", "codelab.measure.child"])
def test_an_engine_that_is_spawned_may_import_the_main_module(module):
    """A spawned process runs the main module again under another name; without a guard it would start over."""
    path = importlib.util.find_spec(module).origin
    assert "__mp_main__" in runpy.run_path(path, run_name="__mp_main__")["__name__"]


def test_the_end_is_generated_past_on_request_by_both_engines(folder):
    ending = tokenizer()("a")["input_ids"][0]
    asked = [Prompt("given", ids=(5, 6, ending))]
    engine = VllmGenerator(folder, count_memory=True)
    (row,) = engine.generate(asked, 1, Sampling(24, ignore_end=True), seed=0)
    ((prompt, setting),) = engine.llm.asked
    assert prompt["prompt_token_ids"] == [5, 6, ending]
    assert setting.ignore_eos is True
    assert setting.stop_token_ids == []
    assert row[0].tokens == 24
    mine = TransformersGenerator(model(), tokenizer())
    (short,) = mine.generate(asked, 1, Sampling(24, 5.0), seed=3)
    mine.ends = tuple(range(2, 258))  # now any token is an end
    assert mine.generate(asked, 1, Sampling(24, 5.0), seed=3)[0][0].tokens < short[0].tokens
    assert mine.generate(asked, 1, Sampling(24, 5.0, ignore_end=True), seed=3)[0][0].tokens == 24


def test_the_engine_is_asked_for_its_own_memory(folder):
    engine = VllmGenerator(folder, count_memory=True)
    module, _, name = engine.llm.options["worker_extension_cls"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name).allocator_peak)
    engine.llm.collective_rpc = lambda method: [3, 7] if method == "allocator_peak" else []
    assert engine.allocator_peak() == 7
    assert "worker_extension_cls" not in VllmGenerator(folder).llm.options
