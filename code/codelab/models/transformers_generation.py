"""Batched generation with transformers: left-padded rows and a key-value cache, run by ``model.generate`` in segments.

Between two segments the rows that have ended leave the batch and waiting ones take their places. Sampling is by inverse
distribution with numbers drawn for each row beforehand, so that a row's completion does not depend on its neighbours
beyond rounding. Not covered: several GPUs, and paged memory, which is what vLLM adds.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from codelab.models.attention import any_length
from codelab.models.generation import Completion, Prompt, Sampling, encode, end_tokens, finish, sample_seed
from codelab.models.transformers_pool import Pool, Row, RunningText, movable, pack, roomy_cache

Progress = Callable[[int], None]

_CANDIDATES = 1024
"""Most likely tokens among which a nucleus is looked for first; beyond, the whole vocabulary is sorted."""


class TransformersGenerator:
    """A loaded causal language model and its tokenizer as a :class:`~codelab.models.generation.Generator`.

    Args:
        model: a transformers causal language model, on its device, in evaluation mode.
        tokenizer: its tokenizer; a missing pad token is stood in for by an end token, which attention never sees.
        batch_rows: completions generated at once, at most.
        batch_tokens: rows times their longest prompt and answer, at most; bounds memory where a prompt is very long.
        check_every: tokens between two looks at the stop rule, after which ended rows leave; changes speed, never a
            result, as far as rules keep to :class:`~codelab.models.generation.StopRule`.
        cache: ``dynamic``, or ``static`` for a cache of fixed shape, which transformers compiles on a GPU. Rows leave
            a dynamic cache alone; with a static one, or where the model's layers forget tokens (sliding windows), a
            batch takes as long as its longest row.
        cudnn_attention: let PyTorch choose cuDNN's attention, which plans anew at every step of a growing batch.
        on_rows: called with the number of completions that ended, after each look at which any did.
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
        cudnn_attention: bool = False,
        on_rows: Progress | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.batch_rows = batch_rows
        self.batch_tokens = batch_tokens
        self.check_every = check_every
        self.cache = cache
        self.cudnn_attention = cudnn_attention
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
        # Longest first: rows of like length run together, and running out of memory shows at once.
        order = sorted((i for i, ids in enumerate(encoded) if len(ids) <= room), key=lambda i: (-len(encoded[i]), i))
        waiting = [(i, index) for i in reversed(order) for index in reversed(range(n))]
        config = self.model.config.get_text_config(decoder=True)
        moves = self.cache == "dynamic" and movable(config)
        running: Pool | None = None
        steps = min(self.check_every, sampling.max_new_tokens)
        with torch.inference_mode(), any_length(cudnn=self.cudnn_attention):
            while waiting or running:
                if running:
                    # The ended leave before others come: never two batches' keys and values at once.
                    running = pack([running], steps) if moves else _unfinished(running)
                places = self._admit(waiting, encoded, running, sampling) if moves or not running else []
                alone = running is None
                if places:
                    rows = [self._row(prompts[i], encoded[i], (i, index), sampling, seed) for i, index in places]
                    # Beside others, no more than the prompts: then all go on together.
                    first = steps if alone else 1
                    cache = roomy_cache(config, first - 1) if moves else None
                    fresh = Pool.begin(rows, self.pad, self.model.device, cache)
                    self._advance(fresh, first, sampling, results)
                    running = pack([running, fresh], steps) if running else fresh
                if running and not alone:
                    self._advance(running, steps, sampling, results)
        return results

    def close(self) -> None:
        """Drop the model and give the device's cached memory back."""
        self.model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _admit(
        self, waiting: list[tuple[int, int]], encoded: list[list[int]], running: Pool | None, sampling: Sampling
    ) -> list[tuple[int, int]]:
        """Take from the end of the waiting what may join, longest first; nothing where that is hardly worth a step."""
        if not waiting:
            return []
        rows = [row for row in running.rows if not row.done] if running else []
        width = max([len(row.prompt) for row in rows] + [len(encoded[waiting[-1][0]])]) + sampling.max_new_tokens
        size = max(1, min(self.batch_rows, self.batch_tokens // width))
        free = min(size - len(rows), len(waiting))
        if free < 1 or (rows and free < min(size // 8, len(waiting))):
            return []
        places = waiting[: -free - 1 : -1]
        del waiting[-free:]
        return places

    def _row(self, prompt: Prompt, ids: list[int], place: tuple[int, int], sampling: Sampling, seed: int) -> Row:
        numbers = np.random.Generator(np.random.Philox(sample_seed(seed, prompt.key, place[1])))
        uniform = numbers.random(sampling.max_new_tokens if sampling.temperature > 0 else 0)
        return Row(place, ids, prompt.stop, uniform, RunningText(self.tokenizer))

    def _advance(self, pool: Pool, steps: int, sampling: Sampling, results: list[list[Completion]]) -> None:
        """Draw up to so many tokens for every row, then put down the completions of the rows that ended."""
        limit = sampling.max_new_tokens
        steps = min(steps, *(limit - len(row.answer) for row in pool.rows))
        seen = pool.tokens.shape[1]
        draw = LogitsProcessorList()
        if sampling.temperature > 0:
            numbers = np.stack([row.uniform[len(row.answer) : len(row.answer) + steps] for row in pool.rows])
            draw.append(_DrawFromRows(torch.from_numpy(numbers).to(pool.tokens.device), sampling, seen))
        made = self.model.generate(
            pool.tokens,
            attention_mask=pool.mask,
            generation_config=self._config(sampling, steps, None if pool.cache is not None else seen + limit),
            logits_processor=draw,
            **({"past_key_values": pool.cache} if pool.cache is not None else {}),
        )
        new = made.sequences[:, seen:]
        pool.append(new, made.past_key_values)
        ends = () if sampling.ignore_end else self.ends
        before = sum(row.done for row in pool.rows)
        for row, ids in zip(pool.rows, new.tolist(), strict=True):
            row.answer += ids
            if not row.done and (completion := self._look(row, ids, ends, limit)):
                row.done = True
                results[row.place[0]][row.place[1]] = completion
        ended = sum(row.done for row in pool.rows) - before
        if self.on_rows and ended:
            self.on_rows(ended)

    def _look(self, row: Row, new: list[int], ends: Sequence[int], limit: int) -> Completion | None:
        """The completion of a row that has ended."""
        whole = len(row.answer) >= limit or not set(ends).isdisjoint(new)
        if not whole and not (row.reads and row.stop.finished(row.text.add(new))):
            return None
        completion = finish(self.tokenizer, row.answer, ends, row.stop)
        return completion if whole or completion.finish == "stop" else None

    def _config(self, sampling: Sampling, steps: int, longest: int | None) -> GenerationConfig:
        """Every field that could change a token is set: transformers fills the others from the model's own file."""
        own = longest is not None  # the model makes a cache, of this length if it is static
        return GenerationConfig(
            max_new_tokens=steps,
            max_length=None,
            min_new_tokens=0,
            do_sample=False,
            num_beams=1,
            num_return_sequences=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            pad_token_id=self.pad,
            # None would bring back the model's own: an id that no token has takes its place.
            eos_token_id=int(self.model.config.vocab_size) if sampling.ignore_end else list(self.ends) or None,
            use_cache=True,
            return_dict_in_generate=True,
            cache_implementation=self.cache if own and self.cache != "dynamic" else None,
            max_cache_len=longest if own and self.cache != "dynamic" else None,
        )


def _unfinished(pool: Pool) -> Pool | None:
    return None if all(row.done for row in pool.rows) else pool


class _DrawFromRows(LogitsProcessor):
    """Samples by itself and leaves one finite score a row, so that greedy decoding picks the sample.

    Temperature first, then the nucleus: the smallest set of most likely tokens whose mass reaches ``top_p``, as in
    vLLM.

    Args:
        uniform: a number between 0 and 1 for each row and token to draw, shape (rows, steps).
        sampling: temperature and nucleus.
        width: length of the input before the first draw.
    """

    def __init__(self, uniform: torch.Tensor, sampling: Sampling, width: int) -> None:
        self.uniform, self.sampling, self.width = uniform, sampling, width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores, shape (rows, vocabulary), with all but the drawn token at minus infinity."""
        chance = torch.softmax(scores.float() / self.sampling.temperature, dim=-1)
        step = input_ids.shape[1] - self.width
        drawn = draw_in_nucleus(chance, self.uniform[:, step : step + 1], self.sampling.top_p)
        return torch.full_like(scores, float("-inf")).scatter(-1, drawn, 0.0)


def draw_in_nucleus(
    chance: torch.Tensor, uniform: torch.Tensor, top_p: float, candidates: int = _CANDIDATES
) -> torch.Tensor:
    """One token a row by inverse distribution, in order of token id, from the smallest set with mass ``top_p``.

    Of equally likely tokens at the edge of the set, those with lower ids are in it.

    Args:
        chance: probabilities, shape (rows, vocabulary).
        uniform: numbers between 0 and 1, shape (rows, 1).
        top_p: mass, above 0; at 1 every token is in.
        candidates: tokens sorted at first; rows whose set may be larger are done again with all tokens, which changes
            time alone.

    Returns:
        Token ids, shape (rows, 1).
    """
    if top_p >= 1:
        return _invert(chance, uniform)
    few = candidates < chance.shape[-1]
    if few:
        places = chance.topk(candidates, dim=-1, sorted=False).indices.sort(dim=-1).values
        values = chance.gather(-1, places)
    else:
        values = chance
    ranked, order = values.sort(dim=-1, descending=True, stable=True)
    inside = ranked.cumsum(dim=-1) - ranked < top_p
    drawn = _invert(torch.zeros_like(values).scatter(-1, order, ranked.masked_fill(~inside, 0.0)), uniform)
    if few:
        drawn = places.gather(-1, drawn)
        # Tokens as likely as the least candidate may have been left out.
        larger = (inside & (ranked <= ranked[:, -1:])).any(dim=-1)
        if bool(larger.any()):
            drawn[larger] = draw_in_nucleus(chance[larger], uniform[larger], top_p, chance.shape[-1])
    return drawn


def _invert(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    # float64: the sum over 50,000 tokens must not round a whole token away.
    cumulative = weights.double().cumsum(dim=-1)
    target = uniform * cumulative[:, -1:]
    return torch.searchsorted(cumulative, target, right=True).clamp_(max=weights.shape[-1] - 1)
