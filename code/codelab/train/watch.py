"""What the policy writes while it trains: its divergence from the reference on its own samples, and pass@1.

trl's DPO logs neither. For completions y drawn from the policy at temperature 1, cut at a fixed number of tokens, with
l = log policy(y_t) - log reference(y_t) summed over tokens: ``kl_k1`` is the mean of l, ``kl_k3`` the mean of
exp(-l) - 1 + l a token (Schulman 2020: unbiased too, never negative), ``kl`` the mean over sampled prefixes of the
exact divergence of the next token's distribution, the least noisy of the three. All are nats a completion. The
reference is loaded for each look and dropped again, so that training itself holds one model, unless training holds it
anyway. Where the trainer samples with an engine, the engine writes the answers, of the policy as its number type rounds
it; the divergences on them are always computed by the models themselves. Before the first step every arm is the start,
so that one look serves all. ``seconds`` is what training took until the look, looks themselves left out; ``pass@1_low``
and ``pass@1_high`` bound the 95 % interval over tasks. Not covered: several devices.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from codelab.evaluate.report import score
from codelab.models.generation import Generator, NeverStop, Sampling, encode
from codelab.models.load import load_model
from codelab.models.transformers_generation import TransformersGenerator
from codelab.records import Phase
from codelab.sandbox import Sample
from codelab.tasks import mbpp
from codelab.tasks.mbpp import Task
from codelab.train.arms import Lab
from codelab.train.best import BestLook

_ROWS = 8  # float32 logits of a pass: rows x tokens x vocabulary x 4 bytes


class WatchPolicy(TrainerCallback):
    """Looks at the policy before the first step, every few steps and after the last.

    Args:
        lab: the recipe says how often and how much; the run is given one row a look in ``steps.csv``.
        arm: names the rows.
        tokenizer: the policy's.
        spent: seconds of training so far, where the trainer keeps its own account.
        over: whether training ends here, for trainers that do not end at the last of their steps.
        best: takes the weights of the looks with the highest pass@1.
        engine: puts the policy into an engine, or returns None; without one transformers generates.
        reference: where it is loaded already, on the policy's device.

    Attributes:
        seconds: spent on looks so far.
        peak: of torch's CUDA allocator during looks, bytes; 0 without a GPU.
        training_peak: the same between looks; what follows the last look is not in it.
    """

    def __init__(
        self,
        lab: Lab[Any],
        arm: str,
        tokenizer: Any,
        *,
        spent: Callable[[], float] | None = None,
        over: Callable[[], bool] | None = None,
        best: BestLook | None = None,
        engine: Callable[[], Generator | None] | None = None,
        reference: Any = None,
    ) -> None:
        self.seconds, self.peak, self.training_peak = 0.0, 0, 0
        self._spent, self._over = spent or self._elapsed, over or (lambda: False)
        self._engine, self._reference = engine or (lambda: None), reference
        self._began, self._before = time.perf_counter(), 0.0
        self._recipe, self._run, self._judge, self._ask = lab.recipe, lab.run, lab.judge, lab.ask
        self._arm, self._tokenizer, self._best = arm, tokenizer, best
        recipe, watch, everything = lab.recipe, lab.recipe.watch, list(lab.tasks.values())
        asked = mbpp.select(everything, recipe.questions.split, sanitized=recipe.questions.sanitized)
        # Without a stop rule: the divergence is of what the model writes, not of what is kept of it.
        self._prompts = [replace(lab.ask(task), stop=NeverStop()) for task in _spread(asked, watch.kl_prompts)]
        self._tasks = _spread(mbpp.select(everything, watch.pass_split), watch.pass_tasks)

    def split(self, whole: Phase) -> None:
        """Record training and the looks as two phases, so that training's cost is what it would be without them.

        Args:
            whole: the phase in which the two alternated.
        """
        train: dict[str, Any] = {"seconds": max(0.0, whole.seconds - self.seconds)}
        look: dict[str, Any] = {"name": "watch", "seconds": self.seconds}
        if whole.gpu_allocated is not None:
            train["gpu_allocated"] = max(whole.gpu_allocated, self.training_peak)
            look["gpu_allocated"] = self.peak
        for part in (train, look):
            self._run.phase(whole.model_copy(update=part))
        self._run.note(
            "Phases train and watch alternate: seconds and gpu_allocated are apart, gpu_device and cpu_peak together."
        )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """The start, where the divergence is zero: looked at once a run, since all arms begin there."""
        seen = [row for row in self._run.steps_so_far() if "kl" in row]
        looks = [row for row in seen if row.get("arm") == self._arm]
        self._began, self._before = time.perf_counter(), max((row.get("seconds", 0.0) for row in looks), default=0.0)
        if self._best:
            self._best.begin(state.global_step)
        if state.global_step == 0 and not looks:
            if start := next((row for row in seen if row["step"] == 0), None):
                self._run.step(**start | {"arm": self._arm, "seconds": round(self._spent(), 3)})
            else:
                self._look(0, more["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """One look in so many steps."""
        last = state.global_step == state.max_steps or self._over()
        if last or state.global_step % self._recipe.watch.every == 0:
            self._look(state.global_step, more["model"])

    def _elapsed(self) -> float:
        """Seconds between looks, of a continued run from the last look before the kill."""
        return self._before + time.perf_counter() - self._began - self.seconds

    def _look(self, step: int, model: Any) -> None:
        self.training_peak = max(self.training_peak, _peak())
        spent = self._spent()
        began = time.perf_counter()
        training = model.training
        model.eval()
        options = self._recipe.transformers.model_dump()
        with torch.random.fork_rng():  # training must not depend on how often it is looked at
            generator = self._engine() or TransformersGenerator(model, self._tokenizer, **options)
            row = self._divergence(generator, model)
            if self._tasks:
                row |= self._passing(generator)
            if self._best:
                self._best.offer(step, model, row["pass@1"])
        model.train(training)
        self.peak = max(self.peak, _peak())
        self.seconds += time.perf_counter() - began
        self._run.step(arm=self._arm, step=step, seconds=round(spent, 3), **row)
        print(f"{self._arm} step={step} " + " ".join(f"{key}={value:.4g}" for key, value in row.items()), flush=True)

    def _divergence(self, generator: Generator, model: Any) -> dict[str, float]:
        watch = self._recipe.watch
        answers = generator.generate(
            self._prompts, watch.kl_samples, Sampling(watch.kl_tokens, temperature=1.0), self._recipe.seeds[0]
        )
        rows = []
        for prompt, completions in zip(self._prompts, answers, strict=True):
            head = encode(self._tokenizer, prompt)
            for one in completions:
                ended = [self._tokenizer.eos_token_id] if one.finish == "eos" else []
                if one.finish != "too_long" and (one.ids or ended):
                    rows.append((head, [*one.ids, *ended]))
        reference = self._reference
        if reference is None:
            reference = load_model(self._recipe.model, dtype="float32", device=str(model.device)).model
        bf16 = self._recipe.training.precision == "bf16"
        sums = []
        with torch.no_grad(), torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=bf16):
            for start in range(0, len(rows), _ROWS):
                sums += divergences(model, reference, rows[start : start + _ROWS])
        del reference
        n = max(1, len(sums))
        k1, k3, full = (sum(one[i] for one in sums) / n for i in range(3))
        spread = sum((one[2] - full) ** 2 for one in sums) / max(1, n - 1)
        tokens = sum(len(tail) for _, tail in rows) / n
        return {
            "kl": full, "kl_error": math.sqrt(spread / n), "kl_k1": k1, "kl_k3": k3, "kl_tokens": tokens,
            "kl_samples": float(len(sums)),
        }  # fmt: skip

    def _passing(self, generator: Generator) -> dict[str, float]:
        recipe = self._recipe
        sampling = Sampling(recipe.max_new_tokens, recipe.temperatures[0], recipe.top_p)
        prompts = [self._ask(task) for task in self._tasks]
        answers = generator.generate(prompts, recipe.watch.pass_samples, sampling, recipe.seeds[0])
        samples = [
            Sample(task, index, self._ask.program(task, one.text))
            for task, completions in zip(self._tasks, answers, strict=True)
            for index, one in enumerate(completions)
            if one.finish != "too_long"
        ]
        verdicts = list(self._judge(samples))
        total = len(self._tasks) * recipe.watch.pass_samples  # a prompt that does not fit counts as not passed
        passes = {(one.task_id, one.index) for one in verdicts if one.passed}
        estimate = score(
            [
                {"task_id": task.task_id, "passed": (task.task_id, index) in passes}
                for task in self._tasks
                for index in range(recipe.watch.pass_samples)
            ],
            1,
        )
        tokens = sum(one.tokens for completions in answers for one in completions)
        kinds = ("wrong_value", "exception", "missing_name", "syntax")
        shares = {f"share_{kind}": sum(one.failure == kind for one in verdicts) / total for kind in kinds}
        passed = {"pass@1": estimate.value, "pass@1_low": estimate.low, "pass@1_high": estimate.high}
        return passed | shares | {"answer_tokens": tokens / total}


def divergences(
    policy: Any, reference: Any, rows: list[tuple[list[int], list[int]]]
) -> list[tuple[float, float, float]]:
    """k1, k3 and the exact next-token divergence of each row, summed over its completion's tokens.

    Args:
        policy: the model that drew the completions.
        reference: the model that it is compared with, on the same device.
        rows: token ids of prompt and completion.
    """
    device, width = policy.device, max(len(head) + len(tail) for head, tail in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    attention, answer = torch.zeros_like(ids), torch.zeros(len(rows), width, dtype=torch.float32)
    for i, (head, tail) in enumerate(rows):
        ids[i, : len(head) + len(tail)] = torch.tensor([*head, *tail])
        attention[i, : len(head) + len(tail)] = 1
        answer[i, len(head) : len(head) + len(tail)] = 1
    ids, attention, mask = ids.to(device), attention.to(device), answer.to(device)[:, 1:]
    p, q = (
        model(input_ids=ids, attention_mask=attention).logits[:, :-1].float().log_softmax(-1)
        for model in (policy, reference)
    )
    chosen = ids[:, 1:, None]
    ratio = (p.gather(-1, chosen) - q.gather(-1, chosen)).squeeze(-1)
    k1 = (ratio * mask).sum(-1)
    k3 = (((-ratio).exp() - 1 + ratio) * mask).sum(-1)
    full = ((p.exp() * (p - q)).sum(-1) * mask).sum(-1)
    return list(zip(k1.tolist(), k3.tolist(), full.tolist(), strict=True))


def _peak() -> int:
    """Peak of torch's CUDA allocator since the last call, bytes."""
    if not torch.cuda.is_available():
        return 0
    torch.cuda.synchronize()
    peak = int(torch.cuda.max_memory_allocated())
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return peak


def _spread(tasks: list[Task], count: int) -> list[Task]:
    if count >= len(tasks):
        return tasks
    return [tasks[i * len(tasks) // count] for i in range(count)]
