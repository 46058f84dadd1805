"""The part of GRPO that needs torch: one arm with one seed, from the start to a saved model.

What a continued run repeats exactly, on one machine with transformers sampling: weights, optimizer, random numbers and
the order of prompts come back from trl's checkpoint, so that the steps after a kill are those of an unbroken run while
its first pass over the prompts lasts; later passes are shuffled anew. With vLLM they are not: its own random numbers
begin anew, and its batches differ. Steps between the checkpoint and the kill
are done again, their rows dropped first. Not covered: the reward (``grpo_judge``), several devices.
"""

import gc
import sys
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import PrinterCallback
from trl import GRPOConfig

from codelab.errors import Paused, UserError
from codelab.evaluate.engines import Asker
from codelab.measure import Meter
from codelab.models.generation import encode
from codelab.models.load import load_model
from codelab.records import Run
from codelab.tasks.mbpp import Task
from codelab.train import grpo_unsloth
from codelab.train.arms import Lab
from codelab.train.arms_recipe import Unit
from codelab.train.callbacks import QUIET, newest_checkpoint
from codelab.train.clock import Clock
from codelab.train.colocate import Colocated
from codelab.train.grpo_judge import Rewarder
from codelab.train.grpo_recipe import GrpoRecipe, Objective
from codelab.train.grpo_record import RecordGrpo
from codelab.train.grpo_trainer import Divergence, TokenisedGRPOTrainer, true_positions
from codelab.train.save import save_model
from codelab.train.shelf import Shelf
from codelab.train.trainers import check_settings, load_policy, precision_kept
from codelab.train.watch import WatchPolicy


def train_unit(lab: Lab[GrpoRecipe], unit: Unit, pool: Sequence[Task], ask: Asker, engine: Colocated) -> str:
    """Train one arm with one seed and save the model.

    Args:
        lab: with the prompt style of the evaluation, in which the policy is looked at.
        unit: what to train.
        pool: the prompts; a task may stand in it more than once.
        ask: the prompt style of training, which may show fewer tests.
        engine: vLLM, where the recipe samples with it.

    Returns:
        The folder of the model.

    Raises:
        UserError: weights are missing, or no prompt fits.
        Paused: the allowed time is over; a checkpoint was written.
    """
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        with engine.serving():
            return _train(lab, unit, pool, ask, engine)
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _train(lab: Lab[GrpoRecipe], unit: Unit, pool: Sequence[Task], ask: Asker, engine: Colocated) -> str:
    recipe, run, label = lab.recipe, lab.run, unit.label
    settings, arm = recipe.training, recipe.arms[unit.name]
    meter = Meter(run, label)
    with meter.phase("load_policy"):
        length = recipe.prompts.length + settings.length
        model, tokenizer, adapter = load_policy(recipe.trainer, recipe.model, length, settings.adapter, unit.seed)
        reference = load_model(recipe.model, dtype="float32", device=str(model.device)).model
    prompts = {str(task.task_id): encode(tokenizer, ask(task)) for task in pool}
    rows = [str(task.task_id) for task in pool if len(prompts[str(task.task_id)]) <= recipe.prompts.length]
    if len(set(rows)) < settings.completions // arm.group:
        raise UserError(
            f"recipe: prompts: {len(set(rows))} tasks fit into {recipe.prompts.length} tokens, "
            f"a step needs {settings.completions // arm.group}"
        )
    run.metric("prompts_left_out", len(pool) - len(rows), unit="prompts", method="longer than prompts.length")
    checkpoints, kept = run.work / "checkpoints" / label, Shelf(run, f"{label}.train")
    checkpoint = newest_checkpoint(checkpoints, run, label)
    clock = Clock(_spent(run, kept, label))
    rewarder = Rewarder(
        {str(task.task_id): task for task in pool}, ask, lab.judge, weights=recipe.rewards[arm.reward],
        group=arm.group, shown=recipe.prompts.shown, clock=clock,
    )  # fmt: skip
    record = RecordGrpo(
        run, label, clock, rewarder, seconds=settings.seconds, every=arm.iterations, kept=kept,
        keep=settings.keep_samples, keep_every=recipe.watch.every,
    )  # fmt: skip
    watch = WatchPolicy(
        lab, label, tokenizer, spent=lambda: clock.spent, over=lambda: record.over,
        engine=lambda: engine.policy(trainer, tokenizer), reference=reference,
    )  # fmt: skip
    with meter.phase("set_up"), precision_kept(model, settings.precision):  # with vLLM: the engine's start
        trainer = _trainer(recipe)(
            model=model, reward_funcs=rewarder, args=arguments(recipe, unit, str(checkpoints)),
            train_dataset=Dataset.from_list([{"prompt": key} for key in rows]), processing_class=tokenizer,
            peft_config=adapter, callbacks=[record, watch],
        )  # fmt: skip
    check_settings(trainer, settings.precision)
    if recipe.trainer == "unsloth":
        trainer.settle(bf16=settings.precision == "bf16")
        run.note(grpo_unsloth.NOTE)
    trainer.prompt_ids, trainer.clock = prompts, clock
    trainer.remove_callback(PrinterCallback)
    for one in filter(None, (trainer.model, trainer.ref_model)):
        true_positions(one)
    rewarder.observe = Divergence(trainer, reference, prompts, tokenizer, settings.kl_rows)
    with meter.phase("train") as whole:
        trainer.train(resume_from_checkpoint=checkpoint)
    watch.split(whole)
    if settings.vllm == "colocate":
        run.note("gpu_allocated holds vLLM's weights and cache too: its engine lives in the training process.")
    if record.paused:
        raise Paused
    _sums(run, label)
    trained: Any = trainer.accelerator.unwrap_model(trainer.model)
    if settings.adapter:
        trained = trained.merge_and_unload()
    output = f"{recipe.output}-{label}"
    with meter.phase("save"):
        save_model(trained, tokenizer, output, "float32")
    return output


def _trainer(recipe: GrpoRecipe) -> Any:
    return grpo_unsloth.UnslothGRPOTrainer if recipe.trainer == "unsloth" else TokenisedGRPOTrainer


def arguments(recipe: GrpoRecipe, unit: Unit, folder: str) -> GRPOConfig:
    """Arguments for trl: every one that decides what is learnt is set, also where it equals today's default."""
    settings, arm = recipe.training, recipe.arms[unit.name]
    wanted = _objective(arm) | _sampling(recipe)
    made = GRPOConfig(
        output_dir=folder,
        max_steps=settings.steps,
        per_device_train_batch_size=settings.completions_per_pass,
        gradient_accumulation_steps=settings.completions // settings.completions_per_pass,
        learning_rate=arm.rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        optim="adamw_torch",
        bf16=settings.precision == "bf16",
        tf32=True if settings.precision == "tf32" and torch.cuda.is_available() else None,
        gradient_checkpointing=False,  # trl's default is on; this model has room
        logging_steps=1,
        save_steps=settings.checkpoint_every,
        seed=unit.seed,
        data_seed=unit.seed,
        remove_unused_columns=False,
        disable_dropout=settings.disable_dropout,
        **wanted,
        **QUIET,
    )
    return grpo_unsloth.told(made, wanted) if recipe.trainer == "unsloth" else made


def _objective(arm: Objective) -> dict[str, Any]:
    return {
        "loss_type": arm.loss,  # trl: dapo, which is only the averaging over all tokens of a step
        "beta": arm.beta,  # trl: 0
        "scale_rewards": arm.scale,
        "num_generations": arm.group,
        "num_iterations": arm.iterations,
        "epsilon": arm.epsilon,
        "epsilon_high": arm.epsilon if arm.epsilon_high is None else arm.epsilon_high,  # unsloth, dapo: 0.28
        "delta": None,
        "importance_sampling_level": "token",
        "mask_truncated_completions": arm.mask_truncated,
        "use_bias_correction_kl": arm.unbiased_kl,
        "multi_objective_aggregation": "sum_then_normalize",
        "top_entropy_quantile": 1.0,
        "entropy_coef": 0.0,
        "sync_ref_model": False,
    }


def _sampling(recipe: GrpoRecipe) -> dict[str, Any]:
    settings, options = recipe.training, recipe.vllm
    correction: dict[str, Any] = {"vllm_importance_sampling_correction": settings.correction is not None}
    if settings.correction is not None:  # trl: sequence_mask, 3
        correction["vllm_importance_sampling_mode"] = settings.correction.mode
        correction["vllm_importance_sampling_clip_max"] = settings.correction.most
    return {
        "max_completion_length": settings.length,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": 0,
        "min_p": None,
        "repetition_penalty": 1.0,
        "use_vllm": settings.vllm == "colocate",
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": options.gpu_memory_utilization,
        "vllm_max_model_length": options.max_model_len,
        "vllm_enable_sleep_mode": False,
        **correction,
    }


def _spent(run: Run, kept: Shelf, label: str) -> float:
    """Seconds of training that the continued checkpoint has behind it; completions kept since then are dropped."""
    rows = [row for row in run.steps_so_far() if row.get("arm") == label and "loss" in row]
    reached = max((int(row["step"]) for row in rows), default=0)
    kept.truncate("samples", sum(row["step"] <= reached for row in kept.samples_so_far()))
    return max((float(row["seconds"]) for row in rows), default=0.0)


def _sums(run: Run, label: str) -> None:
    """What the unit's steps cost, by part, and the judge's share of them."""
    rows = [row for row in run.steps_so_far() if row.get("arm") == label and "step_seconds" in row]
    total = sum(float(row["step_seconds"]) for row in rows)
    run.metric(f"{label}.steps", len(rows), unit="steps")
    run.metric(f"{label}.training_seconds", total, n=len(rows), unit="s", method="steps alone")
    for part in ("sampling", "judging", "training"):
        seconds = sum(float(row[f"{part}_seconds"]) for row in rows)
        run.metric(f"{label}.{part}_share", seconds / total if total else 0.0, n=len(rows), unit="share")
    run.metric(f"{label}.step_seconds", total / max(1, len(rows)), n=len(rows), unit="s")
