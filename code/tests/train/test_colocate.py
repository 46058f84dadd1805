"""One engine for trainers and evaluations: a stand-in for vLLM that generates with transformers."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from trl.generation import vllm_generation as seam

from codelab.errors import UserError
from codelab.evaluate.recipe import Model
from codelab.models.generation import Prompt, Sampling
from codelab.train import colocate, watch
from codelab.train.colocate import Colocated
from codelab.train.grpo_recipe import GrpoRecipe

from .grpo_world import make, values


class FakeLLM:
    """As much of ``vllm.LLM`` as trl and the generator use, with a transformers model inside."""

    made: ClassVar[list["FakeLLM"]] = []

    def __init__(self, **settings: Any) -> None:
        from transformers import AutoModelForCausalLM

        self.settings, self.loads, self.resets, self.asked = settings, 0, 0, 0
        self.model = AutoModelForCausalLM.from_pretrained(settings["model"], dtype=torch.float32).eval()
        inner = SimpleNamespace(load_weights=self.load_weights)
        worker = SimpleNamespace(model_runner=SimpleNamespace(model=inner))
        facts = SimpleNamespace(
            model_config=SimpleNamespace(hf_config=self.model.config, max_model_len=512),
            cache_config=SimpleNamespace(num_gpu_blocks=10, block_size=16),
        )
        self.llm_engine = SimpleNamespace(
            model_executor=SimpleNamespace(driver_worker=worker), vllm_config=facts,
            engine_core=SimpleNamespace(shutdown=lambda: setattr(self, "stopped", True)),
        )  # fmt: skip
        self.stopped = False
        FakeLLM.made.append(self)

    def load_weights(self, pairs: Iterable[tuple[str, torch.Tensor]]) -> None:
        own, self.loads = dict(self.model.named_parameters()), self.loads + 1
        given = {name: own[name].data.copy_(value) for name, value in pairs}
        assert given.keys() == own.keys(), "one call brings all tensors"

    def reset_prefix_cache(self) -> None:
        self.resets += 1

    def generate(self, prompts: list[dict[str, Any]], sampling_params: Any, use_tqdm: bool) -> list[Any]:
        self.asked += len(prompts)
        rows = sampling_params if isinstance(sampling_params, list) else [sampling_params] * len(prompts)
        done = []
        for one, row in zip(prompts, rows, strict=True):
            ids, chances = list(one["prompt_token_ids"]), []
            for _ in range(row.max_tokens):
                with torch.no_grad():
                    logits = self.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
                token = int(torch.multinomial(logits.exp(), 1)) if row.temperature else int(logits.argmax())
                ids.append(token)
                chances.append({token: SimpleNamespace(logprob=float(logits[token]), rank=1)})
                if token == 0:
                    break
            tail = ids[len(one["prompt_token_ids"]) :]
            output = SimpleNamespace(token_ids=tail, logprobs=chances, finish_reason="stop")
            done.append(SimpleNamespace(prompt_token_ids=one["prompt_token_ids"], outputs=[output]))
        return done


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeLLM.made.clear()
    package = SimpleNamespace(LLM=FakeLLM, SamplingParams=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "vllm", package)
    monkeypatch.setattr(seam, "LLM", FakeLLM, raising=False)
    monkeypatch.setattr(seam, "SamplingParams", SimpleNamespace, raising=False)
    monkeypatch.setattr(seam, "is_vllm_available", lambda: True)


def recipe(folder: Path, tokenizer: Path, share: bool = True) -> GrpoRecipe:
    training = {"steps": 2, "vllm": "colocate", "share_engine": share, "length": 20}
    training["weight_decay"] = 50.0  # moves the weights where nothing is rewarded
    make(folder, tokenizer, lessons=3)
    looks = {"every": 2, "kl_prompts": 2, "kl_samples": 2, "kl_tokens": 8, "pass_tasks": 2, "pass_samples": 2}
    more = {"backend": "vllm", "vllm": {"max_model_len": 512}, "max_new_tokens": 20}
    return GrpoRecipe.model_validate(values(folder, training=training, watch=looks, **more))


def test_one_engine_serves_trainers_and_evaluations(tmp_path: Path, tiny_tokenizer: Path, vllm: None) -> None:
    settings = recipe(tmp_path, tiny_tokenizer)
    before = {name: os.environ.get(name) for name in colocate._LAUNCHER}
    own = seam.VLLMGeneration.sync_weights
    engine = Colocated(settings)
    generator, facts = engine.build(Model(model=settings.model, dtype="float16"))
    (llm,) = FakeLLM.made
    assert (llm.settings["dtype"], llm.settings["max_num_seqs"]) == ("float32", 256)
    assert facts.source == settings.model
    text = generator.generate([Prompt("1", "def run_601")], 2, Sampling(5), 0)
    assert len(text[0]) == 2
    other = {name: value.detach().clone() for name, value in llm.model.named_parameters()}
    with engine.serving():
        assert seam.LLM(model="anything", max_num_seqs=1) is llm
        assert seam.VLLMGeneration.sync_weights is not own
    assert (seam.LLM, seam.VLLMGeneration.sync_weights) == (FakeLLM, own)
    with torch.no_grad():
        for value in llm.model.parameters():
            value.zero_()
    again, _ = engine.build(Model(model=settings.model))
    assert all(torch.equal(value, other[name]) for name, value in llm.model.named_parameters())
    again.close()
    assert not llm.stopped
    engine.close()
    assert llm.stopped
    assert {name: os.environ.get(name) for name in colocate._LAUNCHER} == before


def test_a_fixed_cache_reaches_the_engine_whoever_asks_for_it(tmp_path: Path, tiny_tokenizer: Path, vllm: None) -> None:
    settings = recipe(tmp_path, tiny_tokenizer)
    fixed = settings.model_copy(update={"vllm": settings.vllm.model_copy(update={"cache_bytes": 9_000_000})})
    for one, expected in ((settings, None), (fixed, 9_000_000)):
        engine = Colocated(one)
        with engine.serving():
            seam.LLM(model=str(tmp_path / "start"))
        engine.close()
        assert FakeLLM.made[-1].settings["kv_cache_memory_bytes"] == expected


def test_a_model_of_another_shape_is_refused(tmp_path: Path, tiny_tokenizer: Path, vllm: None) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    settings = recipe(tmp_path, tiny_tokenizer)
    engine = Colocated(settings)
    engine.build(Model(model=settings.model))
    GPT2LMHeadModel(GPT2Config(vocab_size=320, n_embd=32, n_layer=1, n_head=1)).save_pretrained(tmp_path / "other")
    for path in (tmp_path / "start").glob("token*"):
        (tmp_path / "other" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="hidden_size"):
        engine.build(Model(model=f"path:{tmp_path / 'other'}"))


def test_what_trl_must_merge_or_wake_is_left_to_it() -> None:
    seen: list[Any] = []
    sync = colocate._one_call(seen.append)
    adapter = SimpleNamespace(enable_sleep_mode=False, model=SimpleNamespace(peft_config={}))
    asleep = SimpleNamespace(enable_sleep_mode=True, model=SimpleNamespace())
    sync(adapter)
    sync(asleep)
    assert seen == [adapter, asleep]


@pytest.mark.parametrize("share", [True, False])
def test_two_units_train_with_it(
    tmp_path: Path, tiny_tokenizer: Path, vllm: None, share: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(watch, "TransformersGenerator")  # looks ask the engine,
    monkeypatch.delattr(watch, "load_model")  # and take the unit's reference
    from codelab.evaluate.engines import Asker
    from codelab.records import open_run
    from codelab.sandbox import Pool
    from codelab.tasks.mbpp import tasks_of_rows
    from codelab.train.arms import Lab
    from codelab.train.arms_recipe import Unit
    from codelab.train.grpo_loop import train_unit

    from ..evaluate.small import rows

    settings = recipe(tmp_path, tiny_tokenizer, share)
    run = open_run(settings, "tiny", tmp_path / "results", [])
    tasks = tasks_of_rows(enumerate(rows([11, 12, 511, 512, 601, 603, 604]), 1), "small")
    engine = Colocated(settings)
    before = dict(os.environ)
    with Pool(1) as pool:
        lab = Lab(settings, run, {task.task_id: task for task in tasks}, Asker("docstring", tasks), pool.judge)
        for seed in (0, 1):
            train_unit(lab, Unit(name="grpo", seed=seed), tasks[4:], lab.ask, engine)
    assert len(FakeLLM.made) == (1 if share else 2)
    assert [llm.stopped for llm in FakeLLM.made] == ([False] if share else [True, True])
    assert {name: os.environ.get(name) for name in colocate._LAUNCHER} == {
        name: before.get(name) for name in colocate._LAUNCHER
    }
    trained = load_file(tmp_path / "tuned-grpo-seed1" / "model.safetensors")
    for name, value in FakeLLM.made[-1].model.named_parameters():
        assert torch.allclose(value, trained[name], atol=1e-6), "the last look asked the policy after the last step"
    looks, of_a_look = [row for row in run.steps_so_far() if "kl" in row], 2 * 2 + 2 * 2
    assert [(row["arm"], row["step"]) for row in looks] == [(f"grpo-seed{i}", n) for i in (0, 1) for n in (0, 2)]
    assert looks[0] | {"arm": "grpo-seed1"} == looks[2], "before the first step both are the start"
    assert looks[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert all(row["kl"] > 0 and row["kl_samples"] == 4 and 0 <= row["pass@1"] <= 1 for row in looks[1::2])
    assert sum(llm.asked for llm in FakeLLM.made) == 4 * 8 + 3 * of_a_look, "the look at the start is not repeated"
    assert sum(llm.loads for llm in FakeLLM.made) == 4 + 3
    (record,) = (tmp_path / "results").glob("tiny/.*/state.json")
    assert "gpu_allocated holds vLLM's weights" in record.read_text()
    steps = [row for row in run.steps_so_far() if "loss" in row]
    assert [row["arm"] for row in steps] == ["grpo-seed0"] * 2 + ["grpo-seed1"] * 2
    for row in steps:
        assert row["engine_difference"] == pytest.approx(0, abs=2e-3), "the engine had the policy's weights"
        assert row["engine_ratio"] == pytest.approx(1, abs=1e-2)
        assert row["sampling_seconds"] > 0
