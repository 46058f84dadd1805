"""The part of preference training that needs torch: trl's ``DPOTrainer`` on rows that are tokenised already.

Prompt and completion are tokenised apart, as in generation and supervised training, so that no token spans both. Not
covered: making pairs (``codelab.train.pairs``), the objective itself, which is trl's, and several devices.
"""

import gc
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import PrinterCallback
from trl import DPOConfig, DPOTrainer

from codelab.errors import Paused, UserError
from codelab.measure import Meter
from codelab.models.attention import any_length
from codelab.models.generation import encode
from codelab.train.arms import Lab
from codelab.train.arms_recipe import Unit
from codelab.train.best import BestLook
from codelab.train.callbacks import QUIET, RecordSteps, newest_checkpoint
from codelab.train.dpo_data import encode_pairs
from codelab.train.dpo_recipe import EARLY, DpoRecipe
from codelab.train.pairs import Pair
from codelab.train.save import adopt, save_model, write_weights
from codelab.train.trainers import check_settings, load_policy, precision_kept
from codelab.train.watch import WatchPolicy


class TokenisedDPOTrainer(DPOTrainer):
    """trl's trainer, given token ids instead of text, and a reference in the precision of the policy.

    Without the second, log-ratios would not begin at zero: trl computes stored reference log-probabilities outside the
    mixed precision that the policy trains in.
    """

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def compute_ref_log_probs(self, model: Any, inputs: Any) -> Any:
        """Log-probabilities of a batch under the reference, shape (pairs,) each for chosen and rejected."""
        with self.accelerator.autocast():
            return super().compute_ref_log_probs(model, inputs)


def train_unit(lab: Lab[DpoRecipe], unit: Unit, pairs: Sequence[Pair], weights: Path | None = None) -> str:
    """Train one arm with one seed and save the model.

    Args:
        lab: the run and its parts.
        unit: the arm and the seed.
        pairs: what is compared.
        weights: write bare weights to this file instead of a model, and look at nothing meanwhile: for a trainer that
            changes transformers in its process.

    Returns:
        The folder of the model, or the file.

    Raises:
        UserError: weights are missing, or no pair fits.
        Paused: the allowed time is over; a checkpoint was written.
    """
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # trl's bar over the reference's log-probabilities
        disable_progress_bars()
    had_group = has_group()
    try:
        return _train(lab, unit, pairs, weights)
    finally:
        if has_group() and not had_group:
            torch.distributed.destroy_process_group()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _train(lab: Lab[DpoRecipe], unit: Unit, pairs: Sequence[Pair], weights: Path | None) -> str:
    recipe, run, settings, label = lab.recipe, lab.run, lab.recipe.training, unit.label
    meter = Meter(run, label)
    with meter.phase("load_policy"):  # "load" is the engine's that evaluates
        model, tokenizer, adapter = load_policy(
            recipe.trainer, recipe.model, settings.length, settings.adapter, unit.seed, weights=settings.weights
        )
    rows = encode_pairs(
        pairs, lambda task_id: encode(tokenizer, lab.ask(lab.tasks[task_id])), tokenizer, lab.ask, settings.length
    )
    if not rows:
        raise UserError(f"recipe: training.length: no pair fits into {settings.length} tokens")
    run.metric("pairs_left_out", len(pairs) - len(rows), unit="pairs", method=f"longer than {settings.length} tokens")
    checkpoints = run.work / "checkpoints" / label
    if weights and settings.adapter:  # unsloth begins a continued adapter anew, at the checkpoint's step
        shutil.rmtree(checkpoints, ignore_errors=True)
    record = RecordSteps(run, arm=label)
    best = BestLook(run.work / "best" / label, checkpoints) if EARLY in recipe.variants(unit.name) else None
    watch = WatchPolicy(lab, label, tokenizer, best=best) if weights is None else None
    with meter.phase("reference"), precision_kept(model, settings.precision):  # trl precomputes while it is set up
        trainer = TokenisedDPOTrainer(
            model=model, args=_arguments(recipe, unit, str(checkpoints)), train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer, peft_config=adapter, callbacks=[watch, record] if watch else [record],
        )  # fmt: skip
    check_settings(trainer, settings.precision)
    trainer.remove_callback(PrinterCallback)  # record prints each step, once
    resume = newest_checkpoint(checkpoints, run, label)
    if best and resume and best.lost(int(resume.rpartition("-")[2]), recipe.watch.every):
        shutil.rmtree(checkpoints)  # of another machine, say: only from the beginning can the best look be had
        resume = newest_checkpoint(checkpoints, run, label)
    with meter.phase("train") as whole, any_length():
        trainer.train(resume_from_checkpoint=resume)
    if watch:
        watch.split(whole)
    if record.paused:
        raise Paused
    trained: Any = trainer.accelerator.unwrap_model(trainer.model)
    if settings.adapter:
        trained = trained.float().merge_and_unload()  # merged in 16 bits, small updates would vanish
    if weights:
        return str(write_weights(trained, weights))
    output = f"{recipe.output}-{label}"
    with meter.phase("save"):
        save_model(trained, tokenizer, output, "float32")
        if best:
            kept, file = best.best()
            adopt(recipe.model, file, f"{output}{EARLY}")
            run.metric(f"{label}{EARLY}.step", kept.step, unit="steps")
            run.metric(
                f"{label}{EARLY}.{recipe.watch.pass_split}", kept.score, unit="share", method="best of the looks"
            )
    return output


def _arguments(recipe: DpoRecipe, unit: Unit, folder: str) -> DPOConfig:
    settings, objective = recipe.training, recipe.arms[unit.name]
    return DPOConfig(
        output_dir=folder,
        max_steps=settings.steps,
        per_device_train_batch_size=settings.pairs_per_pass,
        gradient_accumulation_steps=settings.batch // settings.pairs_per_pass,
        learning_rate=objective.rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=int(settings.steps * settings.warmup),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        optim="adamw_torch",
        bf16=settings.precision == "bf16",
        tf32=True if settings.precision == "tf32" and torch.cuda.is_available() else None,
        gradient_checkpointing=False,
        logging_steps=settings.log_every,
        save_steps=settings.checkpoint_every,
        seed=unit.seed,
        data_seed=unit.seed,
        max_length=settings.length,
        padding_free=False,  # trl's own default; unsloth's is another
        torch_empty_cache_steps=None,  # the same
        loss_type=list(objective.loss),
        loss_weights=list(objective.weights) if objective.weights else None,
        beta=objective.beta,
        disable_dropout=settings.disable_dropout,
        precompute_ref_log_probs=settings.precompute_reference,
        precompute_ref_batch_size=settings.pairs_per_pass,
        **QUIET,
    )


def has_group() -> bool:
    """Whether a group of processes was made, which must be ended again."""
    return bool(torch.distributed.is_available() and torch.distributed.is_initialized())
