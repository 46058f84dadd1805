"""The part of supervised fine-tuning that needs torch: trl's ``SFTTrainer`` on rows that are tokenised already."""

from typing import Any

from codelab.errors import Paused, UserError
from codelab.measure import Meter
from codelab.models import load_model
from codelab.models.attention import any_length
from codelab.records import Run
from codelab.tasks import mbpp
from codelab.train.callbacks import QUIET, RecordSteps, newest_checkpoint
from codelab.train.probing import completion_losses
from codelab.train.save import save_model
from codelab.train.sft import MIXED_UP, Example, SftRecipe, encode_examples, solved


def train(recipe: SftRecipe, run: Run, rows: list[Example]) -> None:
    """Fine-tune on prompt and completion pairs and save the model.

    Raises:
        UserError: no pair fits, or the weights are missing.
        Paused: the allowed time is over; a checkpoint was written.
    """
    from datasets import Dataset  # noqa: PLC0415
    from trl import SFTConfig, SFTTrainer  # noqa: PLC0415

    meter = Meter(run)
    with meter.phase("load"):
        loaded = load_model(recipe.model, dtype="float32")
    run.model(loaded.facts)
    encoded = encode_examples(rows, loaded.tokenizer, recipe.length)
    if not encoded:
        raise UserError(f"recipe: length: no pair fits into {recipe.length} tokens")
    run.metric("pairs", len(encoded), unit="pairs an epoch")
    run.metric("pairs_left_out", len(rows) - len(encoded), unit="pairs", method=f"longer than {recipe.length} tokens")
    run.metric("completion_tokens", sum(sum(row["completion_mask"]) for row in encoded), unit="tokens an epoch")
    if recipe.batch % recipe.pairs_per_pass:
        raise UserError(f"recipe: batch: expected a multiple of pairs_per_pass ({recipe.pairs_per_pass})")
    arguments = SFTConfig(
        output_dir=str(run.work / "sft"), max_steps=recipe.steps, per_device_train_batch_size=recipe.pairs_per_pass,
        gradient_accumulation_steps=recipe.batch // recipe.pairs_per_pass, learning_rate=recipe.rate,
        lr_scheduler_type="linear", warmup_steps=int(recipe.steps * recipe.warmup), weight_decay=recipe.weight_decay,
        bf16=recipe.precision == "bf16", gradient_checkpointing=False, logging_steps=1, seed=recipe.seeds[0],
        data_seed=recipe.seeds[0], max_length=recipe.length, packing=False, completion_only_loss=True,
        save_steps=recipe.checkpoint_every, **QUIET,
    )  # fmt: skip
    callback = RecordSteps(run)
    trainer = SFTTrainer(
        model=loaded.model, args=arguments, train_dataset=Dataset.from_list(encoded),
        processing_class=loaded.tokenizer, peft_config=_adapter(recipe), callbacks=[callback],
    )  # fmt: skip
    with meter.phase("train"), any_length():
        trainer.train(resume_from_checkpoint=newest_checkpoint(run.work / "sft", run))
    if callback.paused:
        raise Paused
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    if recipe.adapter:
        model = model.merge_and_unload()
    with meter.phase("save"):
        save_model(model, loaded.tokenizer, recipe.output)
    losses = [float(row["loss"]) for row in run.steps_so_far() if "loss" in row]
    last = losses[-max(1, len(losses) // 10) :]
    run.metric("final_loss", sum(last) / len(last), n=len(last), unit="nats/token", method="mean of the last tenth")
    score_references(recipe, run, model, loaded.tokenizer)


def score_references(recipe: SftRecipe, run: Run, model: Any, tokenizer: Any) -> None:
    """Write ``loss.<split>``, nats a token of the reference solutions, for every split that the recipe names.

    A loss that is low on the train split and high elsewhere is memory, not skill.
    """
    tasks = mbpp.load(recipe.mix.mbpp_source) if recipe.reference_splits else []
    model.eval()
    for split in recipe.reference_splits:
        chosen = [task for task in mbpp.select(tasks, split) if task.task_id not in MIXED_UP]
        rows = encode_examples(solved(chosen, recipe.mix.style, tasks), tokenizer, recipe.length)
        tokens = sum(sum(row["completion_mask"]) for row in rows)
        nats = sum(completion_losses(model, rows, recipe.pairs_per_pass, recipe.precision))
        run.metric(f"loss.{split}", nats / tokens, n=len(rows), unit="nats/token", method="reference solutions")


def _adapter(recipe: SftRecipe) -> Any:
    if recipe.adapter is None:
        return None
    from peft import LoraConfig  # noqa: PLC0415

    return LoraConfig(
        r=recipe.adapter.rank, lora_alpha=recipe.adapter.alpha, lora_dropout=recipe.adapter.dropout,
        target_modules=list(recipe.adapter.targets), bias="none", task_type="CAUSAL_LM",
    )  # fmt: skip
