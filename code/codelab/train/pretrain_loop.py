"""The training loop behind ``codelab.train.pretrain``: one optimizer step at a time, its whole state in a checkpoint.

A step takes the next ``rows_per_step`` rows of the seeded order, so that the position in the data is the step's number
and an unbroken and a continued run see the same batches. Time that drives the schedule is training time alone.
"""

import gc
import math
import time
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from codelab.errors import UserError
from codelab.measure import Meter
from codelab.records import ModelFacts, Phase, Run
from codelab.train import checkpoint
from codelab.train.optimizers import build
from codelab.train.pretrain import CHECKPOINT, PretrainRecipe
from codelab.train.pretrain_model import RowLoss, compile_loss, flops_per_token, make_model, peak_flops
from codelab.train.save import save_model
from codelab.train.tokens import RowOrder, TokenFolder

_BACKENDS = {
    "auto": [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
    "flash": [SDPBackend.FLASH_ATTENTION],
    "cudnn": [SDPBackend.CUDNN_ATTENTION],
}


class Trainer:
    """State of one pretraining run.

    Args:
        recipe: the settings.
        run: where steps and metrics go.
        folder: the tokens.

    Raises:
        UserError: sizes that do not divide.
    """

    def __init__(self, recipe: PretrainRecipe, run: Run, folder: TokenFolder) -> None:
        self.accelerator = Accelerator(mixed_precision="bf16" if recipe.precision == "bf16" else "no")
        self.recipe, self.run, self.folder = recipe, run, folder
        per_pass = recipe.rows_per_pass * self.accelerator.num_processes
        if recipe.rows_per_step % per_pass:
            raise UserError(
                f"recipe: rows_per_step: expected a multiple of {per_pass} "
                f"(rows_per_pass times {self.accelerator.num_processes} processes), got {recipe.rows_per_step}"
            )
        self.passes = recipe.rows_per_step // per_pass
        if self.accelerator.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        self.model = make_model(recipe.shape, folder.vocabulary, recipe.seeds[0], mask=recipe.mask, gelu=recipe.gelu)
        run.model(ModelFacts(role="policy", source="scratch:gpt2", parameters=self.model.num_parameters()))
        loss = RowLoss(self.model).to(self.accelerator.device)
        self.optimizers = build(self.model, recipe.optimizer)
        compile_loss(loss, recipe)
        self.loss = self.accelerator.prepare_model(loss)
        self.order = RowOrder(folder.train, recipe.shape.positions, recipe.seeds[0])
        self.steps, self.seconds, self.compiled_in = 0, 0.0, 0.0
        self.saved_at = time.monotonic()
        self.meter = Meter()
        self._ahead: tuple[int, torch.Tensor] | None = None

    @property
    def tokens(self) -> int:
        """Tokens trained on so far, repeats counted."""
        return self.steps * self.recipe.rows_per_step * self.recipe.shape.positions

    @property
    def done(self) -> float:
        """Share of the schedule that is behind."""
        schedule = self.recipe.schedule
        return (self.tokens if schedule.unit == "tokens" else self.seconds) / schedule.total

    @property
    def finished(self) -> bool:
        """Whether the schedule has run out."""
        return self.done >= 1.0

    def restore(self) -> None:
        """Continue from the newest checkpoint, then warm up the compiler outside the training time."""
        found = [checkpoint.load(self.run.work / CHECKPOINT) if self.accelerator.is_main_process else None]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(found)
        if state := found[0]:
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.steps, self.seconds, self.compiled_in = state["steps"], state["seconds"], state["compiled_in"]
            self.run.truncate("steps", state["rows_logged"])
        began = time.monotonic()
        with self.meter.phase("compile"):
            self._backward(self._rows(0, 0)).item()
            self._zero()
        self.compiled_in += time.monotonic() - began

    def step(self) -> None:
        """One optimizer step; logs one line, and evaluates and saves when due."""
        began = time.monotonic()
        factor = self.recipe.schedule.factor(self.done)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = group["peak"] * factor
        total = torch.zeros((), device=self.accelerator.device)
        for index in range(self.passes):
            rows = self._rows(self.steps, index)
            last = index + 1 == self.passes
            with nullcontext() if last else self.accelerator.no_sync(self.loss):
                total += self._backward(rows)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.optimizer.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self._zero()
        # Read while the device is busy: behind the next line, it has nothing to do until it gets rows.
        self._ahead = self.steps + 1, self._rows(self.steps + 1, 0)
        value = float(self.accelerator.reduce(total, "mean")) / self.passes
        spent = time.monotonic() - began
        if self.accelerator.num_processes > 1:
            spent = float(self.accelerator.reduce(torch.tensor(spent, device=self.accelerator.device), "mean"))
        self.seconds += spent
        self.steps += 1
        row: dict[str, float] = {
            "step": self.steps, "tokens": self.tokens, "seconds": round(self.seconds, 3), "loss": value,
            "gradient_norm": float(norm), "rate_factor": factor,
            "tokens_per_second": self.recipe.rows_per_step * self.recipe.shape.positions / spent,
        }  # fmt: skip
        if not math.isfinite(value):
            raise RuntimeError(f"loss is {value} at step {self.steps}")
        if self.steps % self.recipe.evaluate_every == 0 or self.finished:
            row["heldout_bits_per_byte"] = self.evaluate()
        if self.accelerator.is_main_process:
            self.run.step(**row)
            if self.steps % 10 == 0 or "heldout_bits_per_byte" in row:
                print(" ".join(f"{key}={value:.6g}" for key, value in row.items()), flush=True)
        if time.monotonic() - self.saved_at > self.recipe.checkpoint_every:
            self.save()

    def time_is_up(self, reserve: float) -> bool:
        """Whether the command's time is over, as the first process sees it."""
        up = torch.tensor(float(self.run.time_is_up(reserve)), device=self.accelerator.device)
        return bool(self.accelerator.reduce(up * self.accelerator.is_main_process, "sum"))

    def evaluate(self) -> float:
        """Held-out loss in bits per byte of text, over the first rows of the held-out split, every one of them."""
        length, per_pass = self.recipe.shape.positions, self.recipe.rows_per_pass
        starts = self.folder.heldout.row_starts(length)[: self.recipe.evaluate_rows]
        if len(starts) == 0:
            raise UserError(f"held-out tokens: fewer than one row of {length} + 1")
        mine = starts[self.accelerator.process_index :: self.accelerator.num_processes]
        # Every process takes part in the same number of full passes; what is left over is too few rows for the graph
        # that was compiled, and goes through the plain model.
        full = len(starts) // (per_pass * self.accelerator.num_processes) * per_pass
        parts = [mine[begin : begin + per_pass] for begin in range(0, full, per_pass)]
        plain = RowLoss(self.model)
        rest = [mine[begin : begin + per_pass] for begin in range(full, len(mine), per_pass)]
        total = torch.zeros(2, device=self.accelerator.device, dtype=torch.float64)
        with torch.no_grad():
            for part, module in [*((part, self.loss) for part in parts), *((part, plain) for part in rest)]:
                rows = torch.from_numpy(self.folder.heldout.rows(part, length)).to(self.accelerator.device)
                total[0] += self._mean_loss(rows, module) * len(part)
                total[1] += len(part)
        total = self.accelerator.reduce(total, "sum")
        nats = float(total[0] / total[1])
        return nats / math.log(2) * self.folder.heldout.tokens / self.folder.heldout.text_bytes

    def save(self) -> None:
        """Write a checkpoint with everything that the next step depends on."""
        self.saved_at = time.monotonic()
        if self.accelerator.is_main_process:
            state = {
                "model": self.model.state_dict(), "optimizers": [each.state_dict() for each in self.optimizers],
                "steps": self.steps, "seconds": self.seconds, "compiled_in": self.compiled_in,
                "rows_logged": len(self.run.steps_so_far()),
            }  # fmt: skip
            checkpoint.save(self.run.work / CHECKPOINT, state)

    def close(self) -> None:
        """Leave the process group, if there is one, once every process has come this far."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            self.accelerator.wait_for_everyone()
            # The wrapped model holds on to the group and must go first, or its end waits for the group forever.
            self.loss = nn.Module()
            gc.collect()
            torch.distributed.destroy_process_group()

    def finish(self) -> None:
        """Write the model and the metrics that sum the run up."""
        bits = self.evaluate()
        if not self.accelerator.is_main_process:
            return
        save_model(self.model, self.recipe.tokenizer, self.recipe.output)
        rate = self.tokens / self.seconds
        rows = len(self.folder.heldout.row_starts(self.recipe.shape.positions))
        scored = min(rows, self.recipe.evaluate_rows)
        self.run.metric(
            "heldout_bits_per_byte", bits, n=round(self.folder.heldout.text_bytes * scored / rows), unit="bits/byte",
            method=f"the first {scored} of {rows} rows, at the bytes a token of all",
        )  # fmt: skip
        self.run.metric("tokens", self.tokens, unit="tokens")
        seen = self.tokens * self.folder.train.text_bytes / self.folder.train.tokens
        self.run.metric("text_bytes", seen, unit="bytes", method="tokens times the training text's bytes a token")
        self.run.metric("epochs", self.tokens / self.folder.train.tokens)
        self.run.metric("tokens_per_second", rate, unit="tokens/s")
        self.run.metric("devices", self.accelerator.num_processes)
        if peak := peak_flops():
            flops = flops_per_token(self.recipe.shape, self.model.config.vocab_size)
            share = rate * flops / (peak * self.accelerator.num_processes)
            self.run.metric("mfu", share, unit="share", method=f"{flops:.4g} FLOP a token, dense bf16 peak {peak:.4g}")
        gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
        for name, seconds in (("compile", self.compiled_in), ("train", self.seconds)):
            self.run.phase(Phase(name=name, seconds=seconds, gpu_allocated=gpu, cpu_peak=self.meter.phases[0].cpu_peak))

    def _rows(self, step: int, index: int) -> torch.Tensor:
        if index == 0 and self._ahead is not None and self._ahead[0] == step:
            return self._ahead[1]
        per_pass = self.recipe.rows_per_pass
        offset = (index * self.accelerator.num_processes + self.accelerator.process_index) * per_pass
        rows = torch.from_numpy(self.order.batch(step * self.recipe.rows_per_step + offset, per_pass))
        if self.accelerator.device.type == "cuda":
            return rows.pin_memory().to(self.accelerator.device, non_blocking=True)
        return rows

    def _backward(self, rows: torch.Tensor) -> torch.Tensor:
        loss = self._mean_loss(rows, self.loss)
        (loss / self.passes).backward()
        detached: torch.Tensor = loss.detach()
        return detached

    def _mean_loss(self, rows: torch.Tensor, module: nn.Module) -> torch.Tensor:
        # The choice of attention kernel is baked in when the graph is compiled, so it must be the same in every call.
        with self.accelerator.autocast(), sdpa_kernel(_BACKENDS[self.recipe.attention], set_priority=True):
            loss: torch.Tensor = module(rows)
        return loss

    def _zero(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
