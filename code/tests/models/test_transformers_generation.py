"""Segments, leaving and joining change no completion: each equals plain ``model.generate`` for its row alone."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from codelab.models.generation import Completion, Prompt, Sampling, encode, finish, sample_seed

pytest.importorskip("torch")

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from codelab.models import transformers_generation, transformers_pool
from codelab.models.transformers_generation import TransformersGenerator, draw_in_nucleus

from .tiny import StopAfter, model, tokenizer

NEW = 40
SAMPLINGS = [Sampling(NEW), Sampling(NEW, 0.9), Sampling(NEW, 1.3, 0.95), Sampling(NEW, 1.3, 0.95, ignore_end=True)]


@dataclass(frozen=True)
class StopAt:
    """Ended once the text holds one of some characters."""

    marks: str
    strings: tuple[str, ...] = ()

    def finished(self, completion: str) -> bool:
        return any(mark in completion for mark in self.marks)


PROMPTS = [
    Prompt("never", "def f(x):"),
    Prompt("long", "x" * 120),
    *(Prompt(f"after-{i}", "y = " + "1 + " * i, stop=StopAfter(3 + 7 * i)) for i in range(5)),
    *(Prompt(f"at-{i}", "if é:" * (9 - i), stop=StopAt("eaoi\n")) for i in range(3)),
    Prompt("too-long", "z" * (257 - NEW)),
    Prompt("never-2", "#"),
]


class PlainDraw(LogitsProcessor):
    """The definition of sampling, word for word, for one row."""

    def __init__(self, seed: int, sampling: Sampling, width: int) -> None:
        self.uniform = np.random.Generator(np.random.Philox(seed)).random(sampling.max_new_tokens)
        self.sampling, self.width = sampling, width

    def __call__(self, input_ids, scores):
        chance = torch.softmax(scores.float() / self.sampling.temperature, dim=-1)[0].tolist()
        mass, inside = 0.0, set()
        for token in sorted(range(len(chance)), key=lambda token: (-chance[token], token)):
            if mass >= self.sampling.top_p:
                break
            inside.add(token)
            mass += chance[token]
        weights = [one if token in inside else 0.0 for token, one in enumerate(chance)]
        target, token = self.uniform[input_ids.shape[1] - self.width] * sum(weights), 0
        while weights[token] <= target:
            target -= weights[token]
            token += 1
        return torch.full_like(scores, float("-inf")).index_fill(-1, torch.tensor([token]), 0.0)


def ends(kind: str) -> tuple[int, ...]:
    return tuple(range(60, 66)) if kind == "gpt2" else tuple(range(100, 106))


@cache
def reference(kind: str, sampling: Sampling, seed: int) -> list[list[Completion]]:
    """Each row alone, in one call that generates every token."""
    made, words, rows = model(kind), tokenizer(), []
    made.generation_config.eos_token_id = None
    for prompt in PROMPTS:
        ids, rows = encode(words, prompt), [*rows, []]
        for index in range(2):
            if len(ids) > 256 - NEW:
                rows[-1].append(Completion("", 0, "too_long"))
                continue
            draw = PlainDraw(sample_seed(seed, prompt.key, index), sampling, len(ids))
            out = made.generate(
                torch.tensor([ids]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                logits_processor=LogitsProcessorList([draw] if sampling.temperature else []),
                max_new_tokens=NEW,
                do_sample=False,
            )
            rows[-1].append(
                finish(words, out[0, len(ids) :].tolist(), () if sampling.ignore_end else ends(kind), prompt.stop)
            )
    return rows


def engine(kind: str, **options) -> TransformersGenerator:
    made = TransformersGenerator(model(kind), tokenizer(), **options)
    made.ends = ends(kind)
    return made


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"batch_rows": 100},
        {"batch_rows": 3},
        {"batch_rows": 1, "check_every": 7},
        {"batch_rows": 9, "check_every": 1},
        {"batch_rows": 8, "batch_tokens": 500, "check_every": 5},
        {"batch_rows": 5, "check_every": NEW + 1},
        {"batch_rows": 7, "cache": "static"},
    ],
    ids=str,
)
def test_every_row_is_what_plain_generation_gives(kind, sampling, options):
    wanted = reference(kind, sampling, 4)
    assert engine(kind, **options).generate(PROMPTS, 2, sampling, seed=4) == wanted


def test_the_comparison_covers_every_kind_of_end():
    for kind in ("gpt2", "llama"):
        rows = [one for row in reference(kind, SAMPLINGS[1], 4) for one in row]
        assert {one.finish for one in rows} == {"eos", "stop", "length", "too_long"}
        assert len({one.tokens for one in rows}) > 5
        assert any("\ufffd" in one.text for one in rows)
        past = [one for row in reference(kind, SAMPLINGS[3], 4) for one in row]
        assert {one.finish for one in past} == {"stop", "length", "too_long"}


def test_a_kept_text_of_many_bytes_is_looked_at_as_it_is_decoded():
    seen = []

    @dataclass(frozen=True)
    class Spy:
        strings: tuple[str, ...] = ()

        def finished(self, completion: str) -> bool:
            seen.append(completion)
            return False

    (row,) = engine("llama", check_every=1).generate([Prompt("1", "ab", stop=Spy())], 1, SAMPLINGS[3], seed=1)
    words = tokenizer()
    assert seen == [words.decode(row[0].ids[:length], skip_special_tokens=True) for length in range(1, NEW + 1)]


def widths(generator: TransformersGenerator) -> list[tuple[int, int]]:
    calls, forward = [], generator.model.forward

    def spy(*args, **more):
        calls.append(tuple((args[0] if args else more["input_ids"]).shape))
        return forward(*args, **more)

    generator.model.forward = spy
    return calls


def test_ended_rows_leave_and_waiting_ones_take_their_places():
    prompts = [Prompt(f"{i}", "a" * 9, stop=StopAfter(2 if i % 4 else NEW)) for i in range(32)]
    made = engine("llama", batch_rows=8, check_every=4)
    calls = widths(made)
    made.generate(prompts, 1, replace(SAMPLINGS[3], temperature=1.0), seed=0)
    prefills = [rows for rows, columns in calls if columns > 1]
    assert sum(prefills) == 32
    assert prefills[0] == 8
    assert len(prefills) > 4, "those that end early made room before the others were through"
    assert max(rows for rows, columns in calls) <= 8
    assert calls[-1][0] < 8
    assert len(calls) < 4 * NEW, "as long as four batches one after the other"


def test_rows_stay_where_layers_forget(monkeypatch):
    monkeypatch.setattr(transformers_generation, "movable", lambda config: False)
    made = engine("llama", batch_rows=8)
    calls = widths(made)
    assert made.generate(PROMPTS, 2, SAMPLINGS[1], seed=4) == reference("llama", SAMPLINGS[1], 4)
    assert {rows for rows, _ in calls} == {8, 6}


def test_no_step_copies_the_cache(monkeypatch):
    made, grown = engine("gpt2", batch_rows=100), []
    original = transformers_pool._empty
    monkeypatch.setattr(transformers_pool, "_empty", lambda *args: (grown.append(args), original(*args))[1])
    made.generate(PROMPTS, 1, SAMPLINGS[0], seed=0)
    assert len(grown) == 2 * 2, "keys and values of two layers, once, for the prompts"


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.95, 1.0])
def test_a_nucleus_is_the_same_from_few_candidates_and_from_all(top_p):
    torch.manual_seed(0)
    scores = torch.randn(300, 200) * torch.linspace(0.1, 6, 300)[:, None]
    chance = torch.softmax((scores * 2).round() / 2, dim=-1)  # many tokens are equally likely
    uniform = torch.rand(300, 1, dtype=torch.float64)
    everything = draw_in_nucleus(chance, uniform, top_p, candidates=200)
    for candidates in (1, 8, 64):
        assert torch.equal(draw_in_nucleus(chance, uniform, top_p, candidates), everything)
