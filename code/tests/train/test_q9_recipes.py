"""Question 9's recipes: each side differs from the other in what is compared, and in nothing else."""

from pathlib import Path
from typing import Any

import pytest

from codelab.cli.registry import load
from codelab.train.engines.recipe import EnginesRecipe

RECIPES = Path(__file__).resolve().parents[3] / "recipes"
NAMES = {"title", "question", "hardware", "output", "baselines", "pairs_from", "counterparts"}


def flat(name: str) -> dict[str, Any]:
    values = load(RECIPES / f"{name}.yaml").recipe.model_dump(mode="json")
    found = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= {f"{key}.{inner}": more for inner, more in value.items()}
        else:
            found[key] = value
    return {key: value for key, value in found.items() if key.partition(".")[0] not in NAMES}


@pytest.mark.parametrize(
    ("side", "other", "compared"),
    [
        # unsloth's process takes no looks at the policy, and an early stop needs them
        ("q8-dpo-gpt2", "q9-dpo-gpt2-unsloth-vllm", {"trainer", "backend", "early_stop"}),
        ("q9-dpo-gpt2-lora", "q9-dpo-gpt2-lora-unsloth-vllm", {"trainer", "backend"}),
        ("q8-dpo-smollm2", "q9-dpo-smollm2-unsloth", {"trainer"}),
        ("q9-dpo-smollm2-lora", "q9-dpo-smollm2-lora-unsloth", {"trainer"}),
    ],
)
def test_twins_differ_only_in_what_is_compared(side: str, other: str, compared: set[str]) -> None:
    left, right = flat(side), flat(other)
    different = {key for key in left.keys() | right.keys() if left.get(key) != right.get(key)}
    assert {key for key in different if not key.startswith("vllm.")} == compared
    recipe = load(RECIPES / f"{other}.yaml").recipe
    assert f"results/{side}" in recipe.counterparts
    assert recipe.trainer == "unsloth"
    assert recipe.pairs_from == f"results/q8-dpo-{'gpt2' if 'gpt2' in other else 'smollm2'}"
    assert recipe.output != load(RECIPES / f"{side}.yaml").recipe.output, "or one side would replace the other's models"


@pytest.mark.parametrize("model", ["gpt2", "smollm2"])
def test_adapters_change_nothing_but_the_adapter(model: str) -> None:
    full, lora = flat(f"q8-dpo-{model}"), flat(f"q9-dpo-{model}-lora")
    different = {key for key in full.keys() | lora.keys() if full.get(key) != lora.get(key)}
    assert different == {
        "arms.dpo", "arms.dpo-lora", "training.adapter", "training.weights", "training.precision",
    } | ({"early_stop"} if model == "gpt2" else set())  # fmt: skip
    targets = lora["training.adapter"]["targets"]
    assert ("c_fc" in targets) == (model == "gpt2")
    assert ("gate_proj" in targets) == (model == "smollm2")


def test_the_comparison_covers_lengths_methods_engines_and_a_larger_model() -> None:
    small, large = (load(RECIPES / f"{name}.yaml").recipe for name in ("q9-engines", "q9-engines-1b"))
    for recipe in (small, large):
        assert isinstance(recipe, EnginesRecipe)
        assert recipe.lengths == (512, 1024)
        assert set(recipe.methods) == {"full", "lora"}
        assert {sampler.backend for sampler in recipe.samplers.values()} == {"transformers", "vllm"}
        assert set(recipe.trainers) == {"trl", "unsloth"}
        assert min(recipe.sampling.repeats, recipe.training.repeats) >= 3
        for sampler in recipe.samplers.values():
            if sampler.backend == "transformers":
                assert sampler.transformers.batch_rows >= recipe.sampling.counts[-1], "batched, never one by one"
                assert sampler.transformers.batch_tokens >= recipe.sampling.counts[-1] * recipe.lengths[-1]
            else:
                assert (sampler.vllm.max_model_len or 0) >= recipe.lengths[-1]
                assert sampler.vllm.max_num_seqs >= recipe.sampling.counts[-1]
    assert list(small.models) == ["gpt2", "smollm2"]
    assert [subject.source for subject in large.models.values()] == ["scratch:llama-1b"]


def test_greedy_agreement_asks_what_question_8_asks() -> None:
    agreement, dpo = (load(RECIPES / f"{name}.yaml").recipe for name in ("agreement-gpt2-python", "q8-dpo-gpt2"))
    assert agreement.answers.model == dpo.model
    assert (agreement.questions, agreement.answers.dtype) == (dpo.questions, dpo.dtype)
    assert agreement.max_new_tokens == dpo.max_new_tokens
