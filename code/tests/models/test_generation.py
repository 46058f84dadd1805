"""Batched generation equals one-by-one, on tiny random models."""

from dataclasses import dataclass, replace

import pytest

from codelab.errors import UserError
from codelab.models.generation import Completion, NeverStop, Prompt, Sampling, encode, finish, sample_seed

pytest.importorskip("torch")

from codelab.models.transformers_generation import TransformersGenerator

from .tiny import StopAfter, model, tokenizer

PROMPTS = [Prompt(f"task-{i}", "def f(x):" + "\n    pass" * (i * 3 % 7)) for i in range(6)]


@dataclass(frozen=True)
class StopAt:
    """Ended once the text holds a mark."""

    mark: str

    @property
    def strings(self) -> tuple[str, ...]:
        return (self.mark,)

    def finished(self, completion: str) -> bool:
        return self.mark in completion


def stopping(prompts, rule):
    return [replace(prompt, stop=rule) for prompt in prompts]


def generator(kind: str = "llama", **options) -> TransformersGenerator:
    return TransformersGenerator(model(kind), tokenizer(), **options)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("sampling", [Sampling(16), Sampling(16, 0.9), Sampling(16, 0.7, 0.9)], ids=str)
def test_batched_equals_one_by_one(kind, sampling):
    one = generator(kind, batch_rows=1).generate(PROMPTS, 2, sampling, seed=5)
    many = generator(kind, batch_rows=8).generate(PROMPTS, 2, sampling, seed=5)
    assert one == many
    assert len({completion.text for row in many for completion in row}) > (5 if sampling.temperature else 1)


def test_greedy_equals_the_library_without_our_rules():
    import torch

    engine = generator(batch_rows=4)
    ids = encode(engine.tokenizer, PROMPTS[2])
    plain = engine.model.generate(torch.tensor([ids]), max_new_tokens=16, do_sample=False)[0, len(ids) :].tolist()
    ours = engine.generate(PROMPTS, 1, Sampling(16), seed=0)[2][0]
    assert list(ours.ids) == plain[: len(ours.ids)]
    assert len(ours.ids) == 16 or plain[len(ours.ids)] == 1


def test_order_and_company_of_prompts_do_not_matter():
    engine = generator(batch_rows=5)
    sampling = Sampling(16, 1.0)
    forward = engine.generate(PROMPTS, 2, sampling, seed=1)
    assert engine.generate(PROMPTS[::-1], 2, sampling, seed=1)[::-1] == forward
    assert engine.generate(PROMPTS[4:6], 2, sampling, seed=1) == forward[4:6]
    assert [row[:1] for row in forward] == engine.generate(PROMPTS, 1, sampling, seed=1)
    assert engine.generate(PROMPTS, 2, sampling, seed=2) != forward


@pytest.mark.parametrize("check_every", [1, 3, 16])
def test_stop_rule_ends_rows_at_the_first_token_however_often_it_looks(check_every):
    free = generator().generate(PROMPTS, 2, Sampling(24, 1.0), seed=3)
    mark = next(char for char in free[0][0].text[5:] if char.isascii())
    engine = generator(check_every=check_every)
    stopped = engine.generate(stopping(PROMPTS, StopAt(mark)), 2, Sampling(24, 1.0), seed=3)
    for row, unbounded in zip(stopped, free, strict=True):
        for here, there in zip(row, unbounded, strict=True):
            head, found, _ = there.text.partition(mark)
            assert here.text == head + found
            assert (here.finish == "stop") == bool(found)
            assert here.tokens == len(here.ids)
            assert here.ids == there.ids[: here.tokens]


def test_each_row_has_its_own_rule():
    prompts = [replace(prompt, stop=StopAfter(i)) for i, prompt in enumerate(PROMPTS, start=1)]
    rows = generator(batch_rows=4).generate(prompts, 1, Sampling(30), seed=0)
    assert [row[0].finish for row in rows] == ["stop"] * len(rows)
    assert all(len(row[0].text) >= i > len(row[0].text) - 3 for i, row in enumerate(rows, start=1))


def test_long_prompts_make_batches_smaller_and_change_nothing():
    sizes = []
    engine = generator(batch_tokens=100, on_rows=sizes.append)
    rows = engine.generate(PROMPTS, 2, Sampling(16, 1.0), seed=0)
    assert rows == generator().generate(PROMPTS, 2, Sampling(16, 1.0), seed=0)
    assert sum(sizes) == 12
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-2]


def test_rows_that_stop_cost_no_further_tokens():
    calls = []
    engine = generator(check_every=2)
    original = engine.model.forward
    engine.model.forward = lambda *args, **kwargs: (calls.append(1), original(*args, **kwargs))[1]
    engine.generate(stopping(PROMPTS, StopAfter(3)), 1, Sampling(40), seed=0)
    assert len(calls) <= 8


def test_prompt_that_does_not_fit_is_counted_not_cut():
    engine = generator()
    long = Prompt("long", "x" * 250)
    rows = engine.generate([long, PROMPTS[0]], 2, Sampling(16), seed=0)
    assert [completion.finish for completion in rows[0]] == ["too_long", "too_long"]
    assert rows[0][0] == Completion("", 0, "too_long")
    assert rows[1] == engine.generate([PROMPTS[0]], 2, Sampling(16), seed=0)[0]
    assert engine.generate([Prompt("fits", "x" * 240)], 1, Sampling(16), seed=0)[0][0].finish != "too_long"


def test_end_token_ends_a_completion_and_nothing_after_it_is_kept():
    made = tokenizer()
    ids = [*made("ab")["input_ids"], 1, *made("cd")["input_ids"]]
    assert finish(made, ids, [1], NeverStop()) == Completion("ab", 2, "eos", tuple(ids[:2]))
    assert finish(made, ids[:2], [1], NeverStop()).finish == "length"
    assert finish(made, ids[:2], [1], StopAt("a")) == Completion("a", 1, "stop", tuple(ids[:1]))


def test_sampling_follows_the_distribution_and_the_nucleus():
    import torch

    from codelab.models.transformers_generation import _DrawFromRows

    scores = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(8000, 1)
    uniform = torch.rand(8000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    draw = _DrawFromRows(uniform, Sampling(1, 1.0), width=0)(torch.zeros(8000, 0), scores).argmax(-1)
    shares = torch.bincount(draw, minlength=4) / 8000
    assert torch.allclose(shares, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.02)
    narrow = _DrawFromRows(uniform, Sampling(1, 1.0, 0.6), width=0)(torch.zeros(8000, 0), scores).argmax(-1)
    shares = torch.bincount(narrow, minlength=4) / 8000
    assert torch.allclose(shares, torch.tensor([0.625, 0.375, 0, 0]), atol=0.02)


def test_seeds_depend_on_run_task_and_index_alone():
    seeds = {sample_seed(run, key, i) for run in (0, 1) for key in ("1", "11") for i in range(50)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert sample_seed(0, "1", 1) != sample_seed(0, "11", 0)


def test_chat_prompts_go_through_the_template_or_are_refused():
    messages = ({"role": "user", "content": "hi"},)
    ids = encode(tokenizer(chat=True), Prompt("1", messages=messages))
    assert tokenizer().decode(ids) == "<user>hi<assistant>"
    with pytest.raises(UserError, match="no chat template"):
        encode(tokenizer(), Prompt("1", messages=messages))


@pytest.mark.parametrize(
    "values", [{"max_new_tokens": 0}, {"max_new_tokens": 1, "temperature": -1.0}, {"max_new_tokens": 1, "top_p": 0.0}]
)
def test_impossible_sampling_is_refused(values):
    with pytest.raises(ValueError, match="sampling needs"):
        Sampling(**values)
