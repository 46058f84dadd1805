"""One interface to generators: prompts in, completions out, whatever engine runs underneath.

Both engines (``transformers_generation``, ``vllm_generation``) get the same token ids, derive one seed a sample from
the task and not from the batch, and end completions by the same rule, applied again to the finished text. Not covered:
what to ask and when a program has ended (``codelab.tasks``) and whether it is right (``codelab.sandbox``). Nothing
here imports torch.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from codelab.errors import UserError

Finish = Literal["eos", "stop", "length", "too_long"]


class StopRule(Protocol):
    """When a completion has ended before the model says so."""

    @property
    def strings(self) -> tuple[str, ...]:
        """Texts that only stand after the end, for engines that stop on strings alone; may be empty."""

    def finished(self, completion: str) -> bool:
        """Whether nothing that follows matters; once true, it stays true for every longer text."""


@dataclass(frozen=True)
class NeverStop:
    """Only the model's end token or the token limit ends a completion."""

    strings: tuple[str, ...] = ()

    def finished(self, completion: str) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class Prompt:
    """What one task asks: ``key`` names it in seeds, ``text`` goes to the model as it is, ``stop`` ends its answers.

    ``messages`` replaces ``text`` for models with a chat template, which is applied by :func:`encode`; ``ids`` replaces
    both by token ids as they are, where a length matters and no meaning does.
    """

    key: str
    text: str = ""
    messages: tuple[Mapping[str, str], ...] = ()
    stop: StopRule = field(default_factory=NeverStop)
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; temperature 0 is greedy, where ``top_p`` has no effect.

    ``ignore_end`` generates on past end tokens, so that engines that are timed make the same number of tokens.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    ignore_end: bool = False

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError("sampling needs max_new_tokens >= 1, temperature >= 0 and 0 < top_p <= 1")


@dataclass(frozen=True)
class Completion:
    """One completion.

    Attributes:
        text: without special tokens, up to the first token at which the stop rule saw the end.
        tokens: generated tokens of ``text``, the end token not counted.
        finish: ``eos`` the model ended it, ``stop`` the rule did, ``length`` the limit did, ``too_long`` the prompt
            did not fit and nothing was generated.
        ids: those tokens.
        logprob: sum of the chosen tokens' log-probabilities, where the engine gives it.
    """

    text: str
    tokens: int
    finish: Finish
    ids: tuple[int, ...] = ()
    logprob: float | None = None


class Generator(Protocol):
    """An engine with a model in it."""

    @property
    def context(self) -> int:
        """Tokens that prompt and completion may have together."""

    def generate(self, prompts: Sequence[Prompt], n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """``n`` completions a prompt, in the order of the prompts.

        A prompt that leaves no room for ``max_new_tokens`` is not cut: its completions have finish ``too_long``.
        """

    def close(self) -> None:
        """Give the memory back."""


def sample_seed(seed: int, key: str, index: int) -> int:
    """Seed of one sample, between 0 and 2^63 - 1.

    It depends on the run's seed, the task and the sample's index alone, so that neither batch order nor a resumed run
    changes a sample; two models, or two temperatures, draw the same numbers for the same task.
    """
    digest = hashlib.sha256(f"{seed}\0{key}\0{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def encode(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Token ids of a prompt, through the chat template where it has messages.

    Raises:
        UserError: messages for a tokenizer without a chat template.
    """
    if prompt.ids:
        return list(prompt.ids)
    if not prompt.messages:
        return list(tokenizer(prompt.text)["input_ids"])
    if not getattr(tokenizer, "chat_template", None):
        raise UserError("this model's tokenizer has no chat template; choose a prompt style that is plain text")
    text = tokenizer.apply_chat_template(
        [dict(message) for message in prompt.messages], tokenize=False, add_generation_prompt=True
    )
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def end_tokens(tokenizer: Any, generation_config: Any) -> tuple[int, ...]:
    """Ids that end a completion: the model's and the tokenizer's."""
    configured = getattr(generation_config, "eos_token_id", None)
    ids: Iterable[int] = [configured] if isinstance(configured, int) else (configured or [])
    own = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return tuple(sorted({*ids, *own}))


def finish(tokenizer: Any, ids: Sequence[int], ends: Iterable[int], stop: StopRule) -> Completion:
    """Turn generated ids into a completion: the end token goes, and every token after the stop rule saw the end.

    Engines notice an end late, each in its own time; here the earliest moment is found again, so that a completion
    does not tell which engine wrote it.
    """
    final = set(ends)
    first_end = next((i for i, token in enumerate(ids) if token in final), None)
    kept = list(ids if first_end is None else ids[:first_end])
    text = _decode(tokenizer, kept)
    if not stop.finished(text):
        return Completion(text, len(kept), "length" if first_end is None else "eos", tuple(kept))
    low, high = 0, len(kept)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if stop.finished(_decode(tokenizer, kept[:middle])) else (middle + 1, high)
    return Completion(_decode(tokenizer, kept[:low]), low, "stop", tuple(kept[:low]))


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True))
