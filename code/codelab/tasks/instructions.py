"""Instruction and code pairs that are not MBPP's, in the same prompt styles.

A pair is a docstring's first paragraph and the function it belongs to, taken from the corpus by
``codelab corpus build``; self-contained ones use only arguments, locals, builtins and the standard library. Not
covered: making the pairs, and turning their examples into tests (``codelab.tasks.enlarged``).
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import zstandard

from codelab.errors import UserError


@dataclass(frozen=True)
class Instruction:
    """One pair.

    Attributes:
        text: what is asked for.
        code: a function that does it, with the imports it needs.
        entry_point: the function's name.
        source: repository and path it came from.
        examples: ``assert`` lines made of the docstring's own examples; never run.
    """

    text: str
    code: str
    entry_point: str
    source: str
    examples: tuple[str, ...] = ()


_TEXTS = ("text", "code", "entry_point", "source")


def load(path: str | Path, *, limit: int | None = None) -> list[Instruction]:
    """Read pairs from ``jsonl.zst``, in file order.

    Args:
        path: the file; each row has ``text``, ``code``, ``entry_point`` and ``source``, perhaps ``examples``.
        limit: stop after this many.

    Raises:
        UserError: missing or damaged file, or a row without one of the fields.
    """
    path = Path(path)
    pairs: list[Instruction] = []
    try:
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
            for number, line in enumerate(io.TextIOWrapper(stream, encoding="utf-8"), 1):
                if limit is not None and len(pairs) >= limit:
                    break
                row = json.loads(line)
                absent = [name for name in _TEXTS if not isinstance(row.get(name), str)]
                if absent:
                    raise UserError(f"{path}, line {number}: {absent[0]}: expected a string")
                text, code, entry_point, source = (row[name] for name in _TEXTS)
                pairs.append(Instruction(text, code, entry_point, source, tuple(row.get("examples", ()))))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it with: codelab corpus build") from error
    except (zstandard.ZstdError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not a jsonl.zst file ({error})") from error
    return pairs


def prompt(pair: Instruction) -> str:
    """The text that a base model continues: the docstring form of MBPP's prompts, without tests."""
    body = pair.text.strip().replace('"""', "'''")
    return f'"""\n{body}\n"""\n'
