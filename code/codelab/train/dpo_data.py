"""Pairs of programs as rows of token ids. Needs no torch.

Not covered: which programs are paired (``codelab.train.pairs``).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from codelab.evaluate.engines import Asker
from codelab.tasks import prompts
from codelab.tasks.mbpp import Task
from codelab.train.pairs import Pair

_EMPTY = Task(0, "", "", tests=("assert True",))


def answer(program: str, ask: Asker) -> str:
    """A program as the completion that a model of this prompt style is trained to write."""
    return prompts.target(replace(_EMPTY, code=program), ask.style)


def encode_pairs(
    pairs: Sequence[Pair], prompt: Callable[[int], list[int]], tokenizer: Any, ask: Asker, length: int
) -> list[dict[str, list[int]]]:
    """Token ids of the pairs of which both sides fit, in trl's columns; every completion ends with the end token.

    Args:
        pairs: what is compared.
        prompt: token ids of a task's prompt, by task id.
        tokenizer: of the model.
        ask: the prompt style.
        length: most tokens of prompt and completion together.
    """

    def completion(program: str) -> list[int]:
        return [*tokenizer(answer(program, ask), add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]

    rows = []
    for pair in pairs:
        head = prompt(pair.chosen.task_id)
        chosen, rejected = completion(pair.chosen.program), completion(pair.rejected.program)
        if len(head) + max(len(chosen), len(rejected)) <= length:
            rows.append({"prompt_ids": head, "chosen_ids": chosen, "rejected_ids": rejected})
    return rows
