"""Batched generation with transformers: length-sorted, left-padded, key-value cache, rows end by the task's own rule.

``model.generate`` runs the loop. Sampling is by inverse distribution with numbers drawn for each row beforehand, so
that a row's completion does not depend on its neighbours beyond rounding. Not covered: several GPUs, and continuous
batching, which is what vLLM adds: a batch takes as long as its longest row.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from codelab.models.generation import Completion, Prompt, Sampling, StopRule, encode, end_tokens, finish, sample_seed

Progress = Callable[[int], None]


class TransformersGenerator:
    """A loaded causal language model and its tokenizer as a :class:`~codelab.models.generation.Generator`.

    Args:
        model: a transformers causal language model, on its device, in evaluation mode.
        tokenizer: its tokenizer; a missing pad token is stood in for by an end token, which attention never sees.
        batch_rows: completions generated at once, at most.
        batch_tokens: rows times their longest prompt and answer, at most; bounds memory where a prompt is very long.
        check_every: tokens between two looks at the stop rule; changes speed, never a result.
        cache: ``dynamic``, or ``static`` for a cache of fixed shape, which transformers compiles on a GPU.
        on_rows: called with the number of completions after each batch.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_rows: int = 256,
        batch_tokens: int = 262_144,
        check_every: int = 16,
        cache: Literal["dynamic", "static"] = "dynamic",
        on_rows: Progress | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.batch_rows = batch_rows
        self.batch_tokens = batch_tokens
        self.check_every = check_every
        self.cache = cache
        self.on_rows = on_rows
        self.ends = end_tokens(tokenizer, model.generation_config)
        pad = tokenizer.pad_token_id
        self.pad = pad if pad is not None else (self.ends[0] if self.ends else 0)

    @property
    def context(self) -> int:
        """Positions that the model was built for."""
        return int(self.model.config.max_position_embeddings)

    def generate(self, prompts: Sequence[Prompt], n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """See :class:`~codelab.models.generation.Generator`."""
        encoded = [encode(self.tokenizer, prompt) for prompt in prompts]
        room = self.context - sampling.max_new_tokens
        results: list[list[Completion]] = [[Completion("", 0, "too_long")] * n for _ in prompts]
        # Longest first: a batch holds rows of like length, and running out of memory shows at once.
        order = sorted((i for i, ids in enumerate(encoded) if len(ids) <= room), key=lambda i: (-len(encoded[i]), i))
        rows = [(i, index) for i in order for index in range(n)]
        while rows:
            # The first row is the longest.
            width = len(encoded[rows[0][0]]) + sampling.max_new_tokens
            size = max(1, min(self.batch_rows, self.batch_tokens // width))
            batch, rows = rows[:size], rows[size:]
            seeds = [sample_seed(seed, prompts[i].key, index) for i, index in batch]
            done = self._batch([encoded[i] for i, _ in batch], [prompts[i].stop for i, _ in batch], seeds, sampling)
            for (i, index), completion in zip(batch, done, strict=True):
                results[i][index] = completion
            if self.on_rows:
                self.on_rows(len(batch))
        return results

    def close(self) -> None:
        """Drop the model and give the device's cached memory back."""
        self.model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _batch(
        self, encoded: list[list[int]], stops: list[StopRule], seeds: list[int], sampling: Sampling
    ) -> list[Completion]:
        width = max(len(ids) for ids in encoded)
        tokens = torch.full((len(encoded), width), self.pad, dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, ids in enumerate(encoded):
            tokens[row, width - len(ids) :] = torch.tensor(ids)
            mask[row, width - len(ids) :] = 1
        device = self.model.device
        ends = () if sampling.ignore_end else self.ends
        stopper = _RowStop(self.tokenizer, stops, width, self.check_every, ends)
        draw = [_DrawFromRows(seeds, sampling, width)] if sampling.temperature > 0 else []
        with torch.inference_mode():
            out = self.model.generate(
                tokens.to(device),
                attention_mask=mask.to(device),
                generation_config=self._config(sampling),
                stopping_criteria=StoppingCriteriaList([stopper]),
                logits_processor=LogitsProcessorList(draw),
            )
        answers = out[:, width:].tolist()
        return [
            finish(self.tokenizer, answer[: stopper.stopped_at.get(row)], ends, stops[row])
            for row, answer in enumerate(answers)
        ]

    def _config(self, sampling: Sampling) -> GenerationConfig:
        """Every field that could change a token is set: transformers fills the others from the model's own file."""
        return GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            max_length=None,
            min_new_tokens=0,
            do_sample=False,
            num_beams=1,
            num_return_sequences=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            pad_token_id=self.pad,
            eos_token_id=None if sampling.ignore_end else list(self.ends) or None,
            use_cache=True,
            cache_implementation=None if self.cache == "dynamic" else self.cache,
        )


class _DrawFromRows(LogitsProcessor):
    """Samples by itself and leaves one finite score a row, so that greedy decoding picks the sample.

    Temperature first, then the nucleus: the smallest set of most likely tokens whose mass reaches ``top_p``, as in
    vLLM. Row ``r`` uses its own stream of uniform numbers, one a token.
    """

    def __init__(self, seeds: Sequence[int], sampling: Sampling, width: int) -> None:
        draws = [np.random.Generator(np.random.Philox(seed)).random(sampling.max_new_tokens) for seed in seeds]
        self.uniform = torch.from_numpy(np.stack(draws))
        self.sampling = sampling
        self.width = width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores, shape (rows, vocabulary), with all but the drawn token at minus infinity."""
        self.uniform = self.uniform.to(scores.device)
        chance = torch.softmax(scores.float() / self.sampling.temperature, dim=-1)
        if self.sampling.top_p < 1:
            ordered, places = chance.sort(dim=-1, descending=True, stable=True)
            outside = ordered.cumsum(dim=-1) - ordered >= self.sampling.top_p
            chance = torch.zeros_like(chance).scatter(-1, places, ordered.masked_fill(outside, 0.0))
        # float64: the sum over 50,000 tokens must not round a whole token away.
        cumulative = chance.double().cumsum(dim=-1)
        target = self.uniform[:, input_ids.shape[1] - self.width, None] * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, target, right=True).clamp_(max=scores.shape[-1] - 1)
        return torch.full_like(scores, float("-inf")).scatter(-1, drawn, 0.0)


class _RowStop(StoppingCriteria):
    """Ends each row by the stop rule, looking every few tokens; remembers at which length it ended a row."""

    def __init__(self, tokenizer: Any, stops: list[StopRule], width: int, every: int, ends: Sequence[int]) -> None:
        self.tokenizer, self.stops, self.width, self.every = tokenizer, stops, width, every
        self.ends = set(ends)
        self.stopped_at: dict[int, int] = {}
        self.open = set(range(len(stops)))
        self.done: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """Whether each row has ended, shape (rows,)."""
        if self.done is None:
            self.done = torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
        length = input_ids.shape[1] - self.width
        if length % self.every == 0:
            self._look(input_ids, length)
        return self.done

    def _look(self, input_ids: torch.Tensor, length: int) -> None:
        rows = sorted(self.open)
        answers = input_ids[rows, self.width :].tolist()
        ended = [row for row, answer in zip(rows, answers, strict=True) if not self.ends.isdisjoint(answer)]
        self.open.difference_update(ended)
        waiting = [(row, answer) for row, answer in zip(rows, answers, strict=True) if row in self.open]
        texts = self.tokenizer.batch_decode([answer for _, answer in waiting], skip_special_tokens=True)
        for (row, _), text in zip(waiting, texts, strict=True):
            if self.stops[row].finished(text):
                self.stopped_at[row] = length
                self.open.discard(row)
        if self.done is not None and self.stopped_at:
            self.done[list(self.stopped_at)] = True
