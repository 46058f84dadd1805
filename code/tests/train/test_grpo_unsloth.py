"""unsloth's trainer under our rows and figures, by a stand-in that takes a batch to its loss as unsloth's does.

The stand-in shifts rows, widens log-probabilities and logs as unsloth 2026.10.7 does; the real one, on a CPU with its
kernels off, gave trl's losses, figures and gradients to six digits on batches like these.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from datasets import Dataset
from pydantic import ValidationError
from trl import GRPOConfig, GRPOTrainer

from codelab.train import grpo_unsloth
from codelab.train.arms_recipe import Unit
from codelab.train.clock import Clock
from codelab.train.grpo import UNSLOTH
from codelab.train.grpo_loop import arguments
from codelab.train.grpo_recipe import GrpoRecipe
from codelab.train.grpo_trainer import TokenisedGRPOTrainer, by_width, true_positions
from codelab.train.grpo_unsloth import UnslothGRPOTrainer, entropies, told

from ..models.tiny import model, tokenizer
from .grpo_world import values

PAD = 0
KERNELS = "unsloth_zoo.rl_replacements"
PROMPTS = {"a": list(range(5, 45)), "b": [20, 21], "c": list(range(60, 75)), "d": [9]}
LENGTHS = [32, 3, 64, 1, 7, 12, 50, 5]
"""Of completions; with four rows a pass the short ones are 5 wide, where the batch is 64."""
SETTINGS = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "num_generations": 2}


def packed(ids: Any) -> Any:
    """Rows shifted to the left by their padding."""
    return ids.gather(1, (ids == PAD).long().argsort(dim=1, stable=True))


def chunked_hidden_states_selective_log_softmax(states: Any, head: Any, index: Any, *rest: Any, **more: Any) -> Any:
    Theirs.forced.append(torch._dynamo.eval_frame._stance.stance)
    return (states @ head.t()).log_softmax(-1).gather(-1, index[..., None]).squeeze(-1)


def k3(reference: Any, new: Any) -> Any:
    gap = reference - new
    return gap.exp() - gap - 1


class UnslothEfficientGRPO:
    """The loss ``grpo`` of shifted rows; a name that the trainer's module looks up when it is called."""

    @staticmethod
    def apply(new: Any, old: Any, reference: Any, *rest: Any) -> Any:
        _sampled, _head, _ids, mask, advantages, beta = rest
        advantages = advantages[:, None]
        ratio = (new - (new.detach() if old is None else old)).exp()
        loss = -torch.min(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages)
        loss = loss if reference is None else loss + beta * k3(reference, new)
        return ((loss * mask).sum(-1) / mask.sum(-1)).mean(), ratio.detach()


class Theirs(GRPOTrainer):
    """What unsloth's class does otherwise than trl's, for text and the loss ``grpo``."""

    forced: ClassVar[list[str]] = []

    def _get_per_token_logps_and_entropies(  # noqa: PLR0917 - unsloth's
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, batch_size: Any = None,
        compute_entropy: bool = False, compute_efficient: bool = False, **_: Any,
    ) -> Any:  # fmt: skip
        if compute_efficient:
            return None, None
        head = input_ids.shape[1] - logits_to_keep
        padding = int((input_ids[:, :head] == PAD).sum(1).max())
        return self.shifted(model, input_ids, logits_to_keep, padding), None, None

    def shifted(self, model: Any, ids: Any, keep: int, padding: int) -> Any:
        ids = packed(ids)
        states = model.transformer(input_ids=ids, attention_mask=ids != PAD).last_hidden_state
        kernel: Any = sys.modules[KERNELS]
        return kernel.chunked_hidden_states_selective_log_softmax(
            states[:, -(keep + padding + 1) : -1], model.lm_head.weight, ids[:, -(keep + padding) :], 4
        )

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
        keep, head = inputs["completion_ids"].shape[1], inputs["prompt_ids"].shape[1]
        assert self._get_per_token_logps_and_entropies(model, ids, None, keep, None, False, True) == (None, None)
        old, reference = inputs.get("old_per_token_logps"), inputs.get("ref_per_token_logps")
        rows = (ids[:, :head] == PAD).sum(1)
        padding = int(rows.max()) if reference is None else reference.shape[1] - keep
        new = self.shifted(model, ids, keep, padding)
        tail = packed(ids)[:, -(keep + padding) :]
        mask = ((torch.arange(keep + padding)[None] >= padding - rows[:, None]) & (tail != PAD)).float()
        loss, ratio = UnslothEfficientGRPO.apply(
            new, old, reference, None, None, tail, mask, inputs["advantages"], self.beta
        )
        logged = self._metrics["train"]
        rowwise = torch.zeros(1) if reference is None else (k3(reference, new.detach()) * mask).sum(1) / mask.sum(1)
        logged["kl"].append(float(rowwise.mean()))
        logged["clip_ratio/region_mean"].append(float(((ratio - 1).abs() > 0.2).float().mul(mask).sum() / mask.sum()))
        differences = {"sampling/sampling_logp_difference/mean": mask.mean(), f"{grpo_unsloth._RATIO}/min": mask.sum()}
        for name, value in differences.items():
            logged[name].append(float(value))
        return loss / self.current_gradient_accumulation_steps


class Under(UnslothGRPOTrainer, Theirs):
    """Ours over theirs, as it is once unsloth has replaced trl's name."""


@pytest.fixture(autouse=True)
def kernels(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType(KERNELS)
    for name in grpo_unsloth._LOG_SOFTMAX:
        setattr(module, name, chunked_hidden_states_selective_log_softmax)
    monkeypatch.setitem(sys.modules, "unsloth_zoo", ModuleType("unsloth_zoo"))
    monkeypatch.setitem(sys.modules, KERNELS, module)
    return module


def made(kind: Any, folder: Path, **changes: Any) -> Any:
    model("gpt2", seed=1).save_pretrained(folder / "start")
    policy = model("gpt2", seed=1)
    policy.config._name_or_path = str(folder / "start")
    config = GRPOConfig(
        output_dir=str(folder), bf16=False, report_to="none", use_cpu=True, gradient_checkpointing=False,
        remove_unused_columns=False, disable_dropout=True, loss_type="grpo", scale_rewards="group", max_steps=1,
        max_completion_length=64, mask_truncated_completions=False, use_bias_correction_kl=False,
        **(SETTINGS | {"beta": 0.04} | changes),
    )  # fmt: skip
    trainer = kind(
        model=policy, reward_funcs=lambda completion_ids, **_: [float(sum(ids) % 7) for ids in completion_ids],
        args=config, train_dataset=Dataset.from_list([{"prompt": key} for key in PROMPTS]),
        processing_class=tokenizer(),
    )  # fmt: skip
    trainer.prompt_ids, trainer.clock = PROMPTS, Clock()
    random = torch.Generator().manual_seed(3)
    rows = [[*torch.randint(2, 258, (length - 1,), generator=random).tolist(), 1] for length in LENGTHS]
    trainer._generate_single_turn = lambda *_: (rows, None)
    for one in filter(None, (trainer.model, trainer.ref_model)):
        true_positions(one)
    with torch.no_grad():
        for weight in trainer.model.parameters():  # away from the reference, or the divergence would be 0
            weight.mul_(1.05)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    return trainer


def step(trainer: Any) -> tuple[list[float], Any, dict[str, float], list[tuple[int, int]]]:
    """Losses, gradient, logged figures and shapes of the passes of one step."""
    losses, shapes = [], []
    for number in range(trainer.args.steps_per_generation):
        trainer._step = number
        inputs = trainer._prepare_inputs([{"prompt": key} for key in "aabbccdd"])
        shapes.append((inputs["prompt_ids"].shape[1], inputs["completion_ids"].shape[1]))
        loss = trainer.compute_loss(trainer.model, inputs)
        loss.backward()
        losses.append(float(loss.detach()))
    gradient = torch.cat([value.grad.flatten() for value in trainer.model.parameters() if value.grad is not None])
    logged = {name: sum(found) / len(found) for name, found in trainer._metrics["train"].items()}
    return losses, gradient, logged, shapes


@pytest.mark.parametrize("beta", [0.04, 0.0])
def test_the_step_is_trl_s_with_lengths_that_differ_much(beta: float, tmp_path: Path) -> None:
    Theirs.forced.clear()
    losses, gradient, logged, shapes = step(made(TokenisedGRPOTrainer, tmp_path, beta=beta))
    before = torch._dynamo.eval_frame._stance.stance
    got, theirs, figures, cut = step(made(Under, tmp_path, beta=beta))
    assert cut == shapes
    assert [width for _, width in cut] == [7, 64], "each pass is as wide as its own rows"
    assert got == pytest.approx(losses, rel=1e-4, abs=1e-6)
    assert torch.allclose(theirs, gradient, rtol=1e-3, atol=1e-5 * float(gradient.norm()))
    assert ("kl" in figures) == ("kl" in logged) == (beta > 0), "0 would be taken for a measured divergence"
    for name in ("kl", "entropy", "clip_ratio/region_mean"):
        assert figures.get(name, 0.0) == pytest.approx(logged.get(name, 0.0), rel=1e-4)
    assert logged["entropy"] > 0
    assert set(Theirs.forced) == {"force_eager"}
    assert torch._dynamo.eval_frame._stance.stance == before, "vLLM's own compilation goes on"


def test_without_the_shift_the_columns_do_not_fit(tmp_path: Path) -> None:
    trainer = made(Under, tmp_path)
    trainer.packed = False
    with pytest.raises(RuntimeError, match=r"shape mismatch|expanded size"):
        trainer._prepare_inputs([{"prompt": key} for key in "aabbccdd"])


def test_scores_of_passes_lie_where_those_of_the_whole_batch_would() -> None:
    prompts, tails = [[5, 6, 7], [8], [9, 10]], [[1, 2], [3], [4, 5, 6, 7]]
    ids = torch.zeros(3, 7, dtype=torch.long)
    for i, (head, tail) in enumerate(zip(prompts, tails, strict=True)):
        ids[i, 3 - len(head) : 3], ids[i, 3 : 3 + len(tail)] = torch.tensor(head), torch.tensor(tail)

    def score(part: Any, mask: Any, keep: int) -> Any:
        assert torch.equal(mask, (part != PAD).long())
        padding = int((part[:, : part.shape[1] - keep] == PAD).sum(1).max())
        return packed(part)[:, -(keep + padding) :].float()

    whole = score(ids, (ids != PAD).long(), 4)
    for size in (1, 2, 3):
        got = by_width(score, ids, (ids != PAD).long(), 4, size, packed=True)
        assert got.shape == whole.shape == (3, 6)
        for i, tail in enumerate(tails):
            start = 2 - (3 - len(prompts[i]))
            assert got[i, start : start + len(tail)].tolist() == whole[i, start : start + len(tail)].tolist() == tail


def test_figures_of_passes_become_those_of_the_step(tmp_path: Path) -> None:
    trainer = made(Under, tmp_path)
    logged = trainer._metrics["train"]
    seen: Any = SimpleNamespace(entropy=lambda: 1.0, divergence=lambda: 0.5)
    trainer.vllm_importance_sampling_mode = "token_truncate"
    for weight, ratio, least in ((0.5, 1.0, 0.25), (1.5, 3.0, 0.75)):
        logged["kl"].append(9.0)
        logged[f"{grpo_unsloth._RATIO}/mean"].append(ratio)
        logged[f"{grpo_unsloth._RATIO}/min"].append(least)
        trainer.relog(seen, weight)
    assert logged["entropy"] == [0.5, 1.5]
    assert logged["kl"] == [0.25, 0.75]
    assert logged[f"{grpo_unsloth._RATIO}/mean"] == [0.5, 4.5]
    assert logged[f"{grpo_unsloth._RATIO}/min"] == [0.25], "the least of the step, not the mean of the passes' least"
    trainer.vllm_importance_sampling_mode = "sequence_mask"
    trainer.relog(seen, 0.1)
    assert logged[f"{grpo_unsloth._RATIO}/mean"] == [0.5, 4.5], "a mean of rows: every pass has as many"


def test_entropy_is_that_of_the_logits_at_the_sampling_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    states, head, bias = torch.randn(7, 4), torch.randn(9, 4), torch.randn(9)
    logits = states @ head.t() + bias
    wanted = torch.distributions.Categorical(logits=logits / 0.7).entropy()
    for size in (3, 100):
        monkeypatch.setattr(grpo_unsloth, "_TOKENS", size)
        assert torch.allclose(entropies(states, head, bias, 0.7), wanted, atol=1e-5)
        assert torch.allclose(entropies(logits, None, None, 0.7), wanted, atol=1e-5)


def test_another_trainer_is_refused_and_autocast_is_settled(tmp_path: Path, kernels: ModuleType) -> None:
    trainer = made(Under, tmp_path)
    trainer.settle(bf16=False)
    assert (trainer._autocast_enabled, trainer._autocast_force_float32) == (False, False)
    trainer.settle(bf16=True)
    assert (trainer._autocast_enabled, trainer._autocast_dtype) == (True, torch.bfloat16)
    del kernels.chunked_selective_log_softmax
    with pytest.raises(RuntimeError, match=r"not that of 2026\.10\.7"):
        trainer.settle(bf16=False)
    with pytest.raises(RuntimeError, match=r"not that of 2026\.10\.7"):
        made(UnslothGRPOTrainer, tmp_path).settle(bf16=False)  # over trl's own


def test_what_unsloth_takes_for_advice_is_set_again(tmp_path: Path) -> None:
    arm = values(tmp_path)["arms"]["grpo"] | {"loss": "dr_grpo"}
    recipe = GrpoRecipe.model_validate(values(tmp_path, trainer="unsloth", arms={"a": arm}))
    given: Any = arguments(recipe, Unit(name="a", seed=7), str(tmp_path))
    assert (given.scale_rewards, given.epsilon_high) == ("group", 0.2)
    assert (given.unsloth_grpo_mini_batch, given.unsloth_logit_chunk_multiplier) == (1, 1)
    given.scale_rewards, given.beta = "none", 0.3
    told(given, {"scale_rewards": "group", "beta": 0.0, "delta": None})
    assert (given.scale_rewards, given.beta) == ("group", 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": {"a": {"loss": "bnpo"}}}, "takes bnpo for dapo"),
        ({"training": {"adapter": {"rank": 4, "alpha": 8, "targets": ["c_attn"]}}}, "expected trainer: trl"),
    ],
)
def test_what_unsloth_cannot_do_is_refused_before_any_work(tmp_path: Path, changes: Any, message: str) -> None:
    if "arms" in changes:
        changes = {"arms": {"a": values(tmp_path)["arms"]["grpo"] | changes["arms"]["a"]}}
    GrpoRecipe.model_validate(values(tmp_path, **changes))
    with pytest.raises(ValidationError, match=message):
        GrpoRecipe.model_validate(values(tmp_path, trainer="unsloth", **changes))


def test_the_installed_unsloth_has_the_names_that_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("unsloth_zoo", KERNELS):
        monkeypatch.delitem(sys.modules, name)
    spec = importlib.util.find_spec("unsloth_zoo")  # not imported: it would patch this process, and asks for a GPU
    if spec is None or spec.origin is None:
        pytest.skip("unsloth is installed with the GPU extras")
    source = (Path(spec.origin).parent / "rl_replacements.py").read_text()
    body = source[source.index("def grpo_accumulated_loss(") :]
    for name in (*grpo_unsloth._LOG_SOFTMAX, f"{grpo_unsloth._LOSS}.apply(", "unsloth_grpo_mini_batch"):
        assert name in body
    assert all(f"def {name}(" in source for name in grpo_unsloth._LOG_SOFTMAX)
    assert all(name in source for name in UNSLOTH if "SEQ_PACKING" in name or "GROUPER" in name)
