"""trl's GRPO, as it is called here, against values computed by hand: advantages, losses, positions, divergence."""

import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from codelab.train.arms_recipe import Unit
from codelab.train.clock import Clock
from codelab.train.grpo_loop import arguments
from codelab.train.grpo_recipe import GrpoRecipe
from codelab.train.grpo_trainer import Divergence, TokenisedGRPOTrainer, by_length, tight, true_positions

from ..models.tiny import model, tokenizer
from .grpo_world import values
from .test_dpo_loss import log_prob

PROMPTS = {"a": [5, 6, 7, 8, 9], "b": [20]}
ROWS = [("a", [8, 9, 1]), ("b", [21, 22, 23, 24, 1]), ("b", [25, 1]), ("a", [30, 31, 32, 33])]
"""The last one has no end token: the length limit cut it."""
TWO_PASSES = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}


def trainer(folder: Path, rewards: list[float | None], policy: Any = None, **changes: Any) -> TokenisedGRPOTrainer:
    settings: dict[str, Any] = {
        "num_generations": 2, "loss_type": "grpo", "scale_rewards": "group", "beta": 0.0, "max_completion_length": 8,
        "mask_truncated_completions": False, "use_bias_correction_kl": False, "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1, "max_steps": 1,
    }  # fmt: skip
    config = GRPOConfig(
        output_dir=str(folder), bf16=False,
        report_to="none", use_cpu=True, gradient_checkpointing=False, remove_unused_columns=False,
        disable_dropout=True, **(settings | changes),
    )  # fmt: skip
    made = TokenisedGRPOTrainer(
        model=policy or model("gpt2", seed=2), reward_funcs=lambda **_: rewards, args=config,
        train_dataset=Dataset.from_list([{"prompt": key} for key in PROMPTS]), processing_class=tokenizer(),
    )  # fmt: skip
    made.prompt_ids, made.clock = PROMPTS, Clock()
    true_positions(made.model)
    return made


def scored(made: TokenisedGRPOTrainer) -> dict[str, Any]:
    made.model.train()
    return made._generate_and_score_completions([{"prompt": key} for key in ("a", "a", "b", "b")])


@pytest.mark.parametrize("scale", ["group", "none", "batch"])
def test_advantages_are_those_of_the_equation(scale: str, tmp_path: Path) -> None:
    rewards = [1.0, 0.0, 0.25, 0.75]
    got = scored(trainer(tmp_path, list(rewards), scale_rewards=scale))["advantages"].tolist()
    wanted = []
    for group in (rewards[:2], rewards[2:]):
        spread = {"group": statistics.stdev(group), "none": None, "batch": statistics.stdev(rewards)}[scale]
        centred = [value - statistics.mean(group) for value in group]
        wanted += centred if spread is None else [value / (spread + 1e-4) for value in centred]
    assert got == pytest.approx(wanted, rel=1e-5)


def test_a_completion_without_reward_moves_nothing_and_counts_for_nothing(tmp_path: Path) -> None:
    made = trainer(tmp_path, [1.0, None, 0.5, 0.0, 1.0, None, None, None], num_generations=4, scale_rewards="none")
    made.model.train()
    got = made._generate_and_score_completions([{"prompt": key} for key in "aaaabbbb"])["advantages"].tolist()
    assert got == pytest.approx([0.5, 0.0, 0.0, -0.5, 0.0, 0.0, 0.0, 0.0])
    assert made._metrics["train"]["reward"] == [pytest.approx(0.625)]


def batch(advantages: list[float]) -> dict[str, Any]:
    """The rows as trl pads them: prompts on the left, completions on the right."""
    left, right = max(len(PROMPTS[key]) for key, _ in ROWS), max(len(tail) for _, tail in ROWS)
    out = {
        "prompt_ids": torch.zeros(4, left, dtype=torch.long),
        "completion_ids": torch.zeros(4, right, dtype=torch.long),
    }
    out |= {"prompt_mask": torch.zeros(4, left, dtype=torch.long), "completion_mask": torch.zeros(4, right).long()}
    for i, (key, tail) in enumerate(ROWS):
        out["prompt_ids"][i, left - len(PROMPTS[key]) :] = torch.tensor(PROMPTS[key])
        out["prompt_mask"][i, left - len(PROMPTS[key]) :] = 1
        out["completion_ids"][i, : len(tail)] = torch.tensor(tail)
        out["completion_mask"][i, : len(tail)] = 1
    total = out["completion_mask"].sum()
    return out | {"advantages": torch.tensor(advantages), "num_items_in_batch": total}


@pytest.mark.parametrize("loss", ["grpo", "dr_grpo", "bnpo", "dapo"])
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_losses_are_averaged_as_their_names_say(loss: str, beta: float, tmp_path: Path) -> None:
    start, policy, advantages = model("gpt2", seed=1), model("gpt2", seed=2), [1.0, -0.5, 0.5, -1.0]
    made = trainer(tmp_path, [], policy, loss_type=loss, epsilon=0.2, epsilon_high=0.28)
    made.beta = beta  # set here, so that no reference has to lie on disk
    inputs = batch(advantages)
    old = torch.zeros(4, inputs["completion_ids"].shape[1])
    reference = torch.zeros_like(old)
    sums, lengths, clipped = [], [], 0
    for i, (key, tail) in enumerate(ROWS):
        row = 0.0
        for place, token in enumerate(tail):
            seen = [*PROMPTS[key], *tail[:place]]
            now, then = log_prob(policy, seen, [token]), log_prob(start, seen, [token])
            old[i, place], reference[i, place] = now - 0.25 * (place % 3), then  # ratios 1, 1.28 and 1.65
            ratio = float(torch.tensor(0.25 * (place % 3)).exp())
            bounded = min(max(ratio, 0.8), 1.28)
            clipped += ratio > 1.28 and advantages[i] > 0
            row -= min(ratio * advantages[i], bounded * advantages[i])
            gap = then - now
            row += beta * (float(torch.tensor(gap).exp()) - gap - 1)
        sums.append(row)
        lengths.append(len(tail))
    inputs |= {"old_per_token_logps": old, "ref_per_token_logps": reference}
    made.model.train()
    made.current_gradient_accumulation_steps = 1
    got = float(made._compute_loss(made.model, tight(inputs)).detach())
    per_sequence = [value / length for value, length in zip(sums, lengths, strict=True)]
    wanted = {
        "grpo": sum(per_sequence) / 4,
        "dr_grpo": sum(sums) / (4 * 8),
        "bnpo": sum(sums) / sum(lengths),
        "dapo": sum(sums) / sum(lengths),
    }[loss]
    assert got == pytest.approx(wanted, rel=1e-3)
    assert made._metrics["train"]["clip_ratio/region_mean"] == [pytest.approx(clipped / sum(lengths))]


def test_log_probabilities_are_those_of_the_unpadded_text(tmp_path: Path) -> None:
    policy = model("gpt2", seed=2)
    made, inputs = trainer(tmp_path, [], policy), batch([0.0] * 4)
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    got, _, _ = made._get_per_token_logps_and_entropies(policy, ids, mask, inputs["completion_ids"].shape[1])
    for i, (key, tail) in enumerate(ROWS):
        assert float(got[i, : len(tail)].sum()) == pytest.approx(log_prob(policy, PROMPTS[key], tail), abs=1e-3)
    policy._forward_pre_hooks.clear()
    policy._forward_pre_hooks_with_kwargs.clear()
    plain, _, _ = made._get_per_token_logps_and_entropies(policy, ids, mask, inputs["completion_ids"].shape[1])
    assert float((plain - got)[1].abs().max()) > 1e-3, "without true positions trl sees a padded row elsewhere"


def rows_of(inputs: dict[str, Any], rows: slice) -> dict[str, Any]:
    cut = {key: value[rows] for key, value in inputs.items() if isinstance(value, torch.Tensor) and value.dim()}
    return inputs | cut


def test_a_tight_pass_keeps_every_token() -> None:
    inputs = batch([0.0] * 4) | {"old_per_token_logps": torch.arange(20.0).reshape(4, 5), "other": 3}
    part = rows_of(inputs, slice(1, 3))
    cut = tight(part)
    assert (cut["prompt_ids"].tolist(), cut["completion_ids"].shape) == ([[20], [20]], (2, 5))
    cut = tight(rows_of(inputs, slice(0, 1)))
    assert (cut["prompt_ids"].shape, cut["completion_ids"].tolist()) == ((1, 5), [[8, 9, 1]])
    assert cut["old_per_token_logps"].tolist() == [[0.0, 1.0, 2.0]]
    assert cut["other"] == 3
    masked = part | {"completion_mask": torch.zeros(2, 5, dtype=torch.long)}
    assert tight(masked)["completion_ids"].shape == (2, 1)


def permuted(inputs: dict[str, Any]) -> dict[str, Any]:
    moved = {k: v[[3, 0, 2, 1]] for k, v in inputs.items() if isinstance(v, torch.Tensor) and v.dim()}
    return inputs | moved


def test_rows_lie_by_length_of_completion_then_of_prompt() -> None:
    inputs = batch([0.0, 1.0, 2.0, 3.0]) | {"names": list("abcd"), "absent": None, "number": torch.tensor(7)}
    got = by_length(inputs)
    assert got["advantages"].tolist() == [2.0, 0.0, 3.0, 1.0]
    assert got["names"] == ["c", "a", "d", "b"]
    assert got["completion_ids"][0].tolist() == [25, 1, 0, 0, 0]
    assert (got["absent"], int(got["number"])) == (None, 7)
    equal = permuted(inputs) | {"completion_mask": torch.ones(4, 5).long()}  # prompts of 5, 5, 1 and 1 tokens
    assert by_length(equal)["advantages"].tolist() == [2.0, 1.0, 3.0, 0.0]


def test_scores_without_gradient_do_not_depend_on_who_shares_a_pass(tmp_path: Path) -> None:
    policy, inputs = model("gpt2", seed=2), batch([0.0] * 4)
    made = trainer(tmp_path, [], policy)
    inputs["completion_mask"][2] = 0  # as trl masks a completion that was cut
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    keep, real = inputs["completion_ids"].shape[1], inputs["completion_mask"].bool()
    seen: list[int] = []
    with torch.no_grad():
        wanted = GRPOTrainer._get_per_token_logps_and_entropies(made, policy, ids, mask, keep, batch_size=4)[0]
        policy.register_forward_pre_hook(lambda _, args, more: seen.append(more["input_ids"].numel()), with_kwargs=True)
        for size in (1, 2, 4):
            got, _, _ = made._get_per_token_logps_and_entropies(policy, ids, mask, keep, batch_size=size)
            assert got.shape == wanted.shape
            assert torch.allclose(got[real], wanted[real], atol=1e-5)
    assert sum(seen[:4]) == 2 + 8 + 9 + 6, "alone, a row is as wide as its own prompt and completion"


@pytest.mark.parametrize("loss", ["grpo", "dr_grpo", "dapo", "bnpo"])
def test_the_gradient_depends_on_who_shares_a_pass_for_bnpo_alone(loss: str, tmp_path: Path) -> None:
    gradients, logged = [], []
    for arrange in (dict, by_length, permuted):
        policy = model("gpt2", seed=2)
        made = trainer(tmp_path, [], policy, loss_type=loss, **TWO_PASSES)
        made.model.train()
        made.current_gradient_accumulation_steps, made.beta = 2, 0.5
        inputs = batch([1.0, -0.5, 0.5, -1.0])
        inputs["old_per_token_logps"] = torch.linspace(-8, -5, 20).reshape(4, 5)
        inputs["ref_per_token_logps"] = torch.linspace(-5, -7, 20).reshape(4, 5)
        for rows in (slice(0, 2), slice(2, 4)):
            made._compute_loss(made.model, tight(rows_of(arrange(inputs), rows))).backward()
        gradients.append(torch.cat([value.grad.flatten() for value in policy.parameters() if value.grad is not None]))
        metrics = made._metrics["train"]
        logged.append([statistics.mean(metrics[name]) for name in ("kl", "entropy", "clip_ratio/region_mean")])
    assert float(gradients[0].norm()) > 0
    same = [torch.allclose(one, gradients[0], rtol=1e-4, atol=1e-6) for one in gradients[1:]]
    assert all(same) == (loss != "bnpo")
    for one in logged[1:]:
        assert one == pytest.approx(logged[0], rel=1e-4), "means over the step's tokens do not depend on its passes"


def test_entropy_is_the_mean_over_the_tokens_of_all_passes(tmp_path: Path) -> None:
    policy = model("gpt2", seed=2)
    made = trainer(tmp_path, [], policy, **TWO_PASSES)
    made.model.train()
    made.current_gradient_accumulation_steps = 2
    inputs = by_length(batch([0.0] * 4))
    for rows in (slice(0, 2), slice(2, 4)):
        made._compute_loss(made.model, tight(rows_of(inputs, rows)))
    found = []
    for key, tail in ROWS:
        with torch.no_grad():
            logits = policy(torch.tensor([[*PROMPTS[key], *tail]])).logits[0, len(PROMPTS[key]) - 1 : -1]
        found += torch.distributions.Categorical(logits=logits).entropy().tolist()
    assert statistics.mean(made._metrics["train"]["entropy"]) == pytest.approx(statistics.mean(found), rel=1e-4)


@pytest.mark.parametrize(("loss", "steps", "ordered"), [("grpo", 1, True), ("bnpo", 1, False), ("grpo", 2, False)])
def test_rows_are_sorted_only_where_that_changes_no_value(loss: str, steps: int, ordered: bool, tmp_path: Path) -> None:
    lengths = [3, 8, 1, 5]
    made = trainer(
        tmp_path, [0.0] * 4, loss_type=loss, per_device_train_batch_size=2, steps_per_generation=2,
        gradient_accumulation_steps=2 // steps,
    )  # fmt: skip
    made._generate_single_turn = lambda *_: ([[5] * n for n in lengths], None)
    made.model.train()
    torch.manual_seed(0)
    passes: list[int] = []
    for made._step in range(2):
        passes += made._prepare_inputs([{"prompt": key} for key in "aabb"])["completion_mask"].sum(dim=1).tolist()
    assert sorted(passes) == sorted(lengths)
    assert (passes == sorted(lengths)) == ordered


def test_the_divergence_is_a_mean_over_tokens(tmp_path: Path) -> None:
    start, policy = model("gpt2", seed=1), model("gpt2", seed=2)
    made = trainer(tmp_path, [], policy)
    measure = Divergence(made, start, PROMPTS, tokenizer(), rows=4)
    got = measure([key for key, _ in ROWS], [tail for _, tail in ROWS])
    gap, count = 0.0, sum(len(tail) for _, tail in ROWS)
    for key, tail in ROWS:
        gap += log_prob(policy, PROMPTS[key], tail) - log_prob(start, PROMPTS[key], tail)
    assert got["kl_token_k1"] == pytest.approx(gap / count, rel=1e-3)
    assert got["kl_token"] > 0
    same = Divergence(made, policy, PROMPTS, tokenizer(), rows=2)
    assert same(["a", "b"], [[8, 1], [9, 1]]) == {"kl_token_k1": 0.0, "kl_token": 0.0, "kl_token_exact": 0.0}


def test_trl_is_told_everything_that_the_recipe_says(tmp_path: Path) -> None:
    arm = {
        "reward": "pass", "loss": "dr_grpo", "scale": "none", "beta": 0.0, "group": 2, "rate": 1e-6, "epsilon": 0.1,
        "epsilon_high": 0.28, "iterations": 2, "mask_truncated": True, "unbiased_kl": True,
    }  # fmt: skip
    recipe = GrpoRecipe.model_validate(values(tmp_path, arms={"a": arm}))
    given = arguments(recipe, Unit(name="a", seed=7), str(tmp_path))
    wanted = {
        "loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0, "num_generations": 2, "learning_rate": 1e-6,
        "epsilon": 0.1, "epsilon_high": 0.28, "num_iterations": 2, "mask_truncated_completions": True,
        "use_bias_correction_kl": True, "disable_dropout": True, "seed": 7, "max_completion_length": 60,
        "temperature": 1.0, "top_p": 1.0, "top_k": 0, "use_vllm": False, "generation_batch_size": 8,
        "gradient_checkpointing": False, "vllm_importance_sampling_mode": "token_truncate",
    }  # fmt: skip
    assert {name: getattr(given, name) for name in wanted} == wanted


@pytest.mark.parametrize(("loss", "scale"), [("grpo", "group"), ("dr_grpo", "none"), ("dapo", "group")])
def test_what_is_rewarded_becomes_more_frequent(loss: str, scale: str, tmp_path: Path) -> None:
    shares: list[float] = []

    def even(completion_ids: list[list[int]], **_: Any) -> list[float]:
        found = [sum(token % 2 == 0 for token in ids) / len(ids) for ids in completion_ids]
        shares.append(statistics.mean(found))
        return found

    made = trainer(
        tmp_path, [], loss_type=loss, scale_rewards=scale, num_generations=16, max_steps=25, learning_rate=3e-3,
        per_device_train_batch_size=16, gradient_accumulation_steps=2, lr_scheduler_type="constant", save_strategy="no",
        disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    made.reward_funcs = [even]
    made.train()
    assert len(shares) == 25
    assert statistics.mean(shares[-3:]) > statistics.mean(shares[:3]) + 0.2
