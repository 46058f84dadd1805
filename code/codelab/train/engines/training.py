"""DPO steps under one trainer at fixed lengths, timed step by step. Run in a process of its own.

Rows come in order, one length after another; the first steps of each length are its warm-up, in which kernels compile
and allocators grow. The reference's log-probabilities are columns of zeros: they cost one pass over the data before
training, the same pass under either trainer, and no step depends on what they are. Not covered: the loss, which such
pairs make meaningless.
"""

import time
from importlib import import_module
from typing import Any

from codelab.train.engines.recipe import TrainingCost
from codelab.train.engines.texts import Stream, pairs
from codelab.train.engines.worker import Bench
from codelab.train.sft import Adapter
from codelab.train.trainers import check_settings, load_policy, precision_kept, prepare


def measure_training(bench: Bench) -> None:
    """Load, set up, train every length; a warm start ends after the first length's warm-up.

    Raises:
        UserError: weights, packages or device are missing.
    """
    recipe, cell, wanted = bench.recipe, bench.cell, bench.recipe.training
    trainer_name: Any = cell.engine
    targets = recipe.models[cell.model].targets
    adapter = Adapter(rank=wanted.rank, alpha=wanted.alpha, targets=targets) if cell.method == "lora" else None
    with bench.phase("import"):
        prepare(trainer_name)
        dpo_loop: Any = import_module("codelab.train.dpo_loop")  # imports trl, after its patches
    with bench.phase("load"):
        model, tokenizer, left = load_policy(
            trainer_name, bench.source, max(recipe.lengths), adapter, recipe.seeds[0], weights=wanted.adapter_weights
        )
    lengths = recipe.lengths if cell.start == "cold" else recipe.lengths[:1]
    rows = _rows(bench, tokenizer, lengths)
    clock = _clock(bench, lengths)
    with bench.phase("setup"), precision_kept(model, wanted.precision):
        trainer = _trainer(dpo_loop)(
            model=model, args=_arguments(bench, dpo_loop, len(rows)), train_dataset=dpo_loop.Dataset.from_list(rows),
            processing_class=tokenizer, peft_config=left, callbacks=[clock],
        )  # fmt: skip
    check_settings(trainer, wanted.precision)
    trainer.remove_callback(dpo_loop.PrinterCallback)
    with bench.phase("train"):
        trainer.train()
    if dpo_loop.has_group():  # accelerate's, which nobody else ends
        dpo_loop.torch.distributed.destroy_process_group()
    bench.answer["training"] = clock.rows
    bench.answer["trained_parameters"] = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)


def _per_length(bench: Bench) -> int:
    wanted = bench.recipe.training
    return wanted.warm_steps + (wanted.steps * wanted.repeats if bench.cell.start == "cold" else 0)


def _rows(bench: Bench, tokenizer: Any, lengths: tuple[int, ...]) -> list[dict[str, Any]]:
    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    tasks, _ = bench.tasks()
    stream = Stream([f"{task.text}\n" for task in tasks], encode)
    programs = [encode(task.code) for task in tasks]
    count = _per_length(bench) * bench.recipe.training.batch
    return [
        row | {"ref_chosen_logps": 0.0, "ref_rejected_logps": 0.0}
        for length in lengths
        for row in pairs(stream, programs, tokenizer.eos_token_id, length, count)
    ]


def _trainer(dpo_loop: Any) -> Any:
    class TimedTrainer(dpo_loop.TokenisedDPOTrainer):
        """Takes the reference's columns as they are."""

        def _precompute_ref_logps(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    return TimedTrainer


def _arguments(bench: Bench, dpo_loop: Any, rows: int) -> Any:
    import torch  # noqa: PLC0415

    wanted: TrainingCost = bench.recipe.training
    tf32 = True if wanted.precision == "tf32" and torch.cuda.is_available() else None
    seed = bench.recipe.seeds[0]
    return dpo_loop.DPOConfig(
        output_dir=str(bench.scratch), max_steps=rows // wanted.batch,
        per_device_train_batch_size=wanted.pairs_per_pass,
        gradient_accumulation_steps=wanted.batch // wanted.pairs_per_pass, learning_rate=1e-6,
        lr_scheduler_type="constant", warmup_steps=0, weight_decay=0.0, max_grad_norm=1.0, optim="adamw_torch",
        bf16=wanted.precision == "bf16", tf32=tf32,
        use_cpu=bench.recipe.device == "cpu", gradient_checkpointing=False, seed=seed, data_seed=seed,
        train_sampling_strategy="sequential", max_length=max(bench.recipe.lengths), padding_free=False,
        torch_empty_cache_steps=None, loss_type=["sigmoid"], beta=0.1, disable_dropout=True,
        precompute_ref_log_probs=True, logging_steps=1, report_to="none", disable_tqdm=True, save_strategy="no",
    )  # fmt: skip


def _clock(bench: Bench, lengths: tuple[int, ...]) -> Any:
    import contextlib  # noqa: PLC0415

    import torch  # noqa: PLC0415
    from transformers import TrainerCallback  # noqa: PLC0415

    per_length, warm = _per_length(bench), bench.recipe.training.warm_steps

    class Clock(TrainerCallback):
        """Seconds of each optimizer step and the allocator's peak by length; the device is waited for at both ends."""

        def __init__(self) -> None:
            self.rows: list[dict[str, Any]] = []
            self._began = 0.0
            self._marked = contextlib.ExitStack()

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """Note the time, and the phase in the timeline."""
            place = state.global_step % per_length
            length = lengths[state.global_step // per_length]
            if place in {0, warm}:
                self._marked.close()
                self._marked.enter_context(bench.timeline.phase(f"{'warm-up' if place == 0 else 'train'} {length}"))
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                    torch.cuda.reset_peak_memory_stats()
            self._began = _now(torch)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """Keep one step."""
            which, place = divmod(state.global_step - 1, per_length)
            self.rows.append({
                "length": lengths[which], "step": place, "warm": place < warm,
                "seconds": _now(torch) - self._began,
                "gpu_allocated": int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else None,
            })  # fmt: skip

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """End the last phase."""
            self._marked.close()

    return Clock()


def _now(torch: Any) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
