"""What goes into vLLM and what is made of its answers, with an engine that stands in for it; the real one on a GPU."""

import importlib.machinery
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest

from codelab.errors import UserError
from codelab.models.generation import Prompt, Sampling, sample_seed
from codelab.models.vllm_generation import VllmGenerator, cache_bytes_per_token

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
