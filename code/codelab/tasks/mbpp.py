"""MBPP: the 974 tasks, the paper's splits and the sanitized subset, from a local ``mbpp.jsonl`` or the hub.

Source: Austin et al. 2021 (arXiv 2108.07732), CC-BY-4.0, ``google-research-datasets/mbpp``. Not covered: how a task is
put to a model (``codelab.tasks.prompts``), how an answer is judged (``codelab.sandbox``) and the rewritten tests of the
sanitized release, of which only the task ids are used.
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.records import DataFacts

HUB = "google-research-datasets/mbpp"
SHA256 = "ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f"
ROWS = 974

SPLITS: dict[str, range] = {
    "prompting": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
}
"""The paper's splits as ranges of task ids."""

TWINS_OF_TEST: frozenset[int] = frozenset({602, 704, 872})
"""Tasks outside the test split whose prompt also stands in it (217, 248 and 216): never train on them."""


def _ids(text: str) -> frozenset[int]:
    spans = [part.partition("-") for part in text.split()]
    return frozenset(i for low, _, high in spans for i in range(int(low), int(high or low) + 1))


SANITIZED: frozenset[int] = _ids(
    "2-4 6-9 11-12 14 16-20 56-59 61-72 74-75 77 79-80 82-106 108-109 111 113 115-120 123-133 135 137-143 145 160-168 "
    "170-172 222-224 226-230 232-235 237-240 242 244-253 255-257 259-262 264-274 276-287 290-297 299-301 304-312 "
    "388-401 404-415 417-422 424-448 450-465 468 470-479 554-560 562-569 572-574 576-600 602-608 610-612 614-620 "
    "622-633 635 637-641 643-644 720-726 728 730-760 762-767 769-773 775-788 790-794 796-809"
)
"""Ids of the 427 tasks that the authors checked by hand."""


@dataclass(frozen=True)
class Task:
    """One task: what is asked, a reference solution, and tests of the form ``assert f(…) == value``.

    Attributes:
        task_id: 1 to 974.
        text: the question in English.
        code: the reference solution.
        setup: code that runs after the solution and before the tests; mostly empty.
        tests: the tests that decide.
        challenge_tests: further tests; not used for scores unless asked for.
    """

    task_id: int
    text: str
    code: str
    setup: str = ""
    tests: tuple[str, ...] = ()
    challenge_tests: tuple[str, ...] = ()

    @cached_property
    def entry_point(self) -> str:
        """Name of the function that the first test calls; empty where no test calls one of the solution's."""
        known = defined_names(ast.parse(self.code))
        calls = (node.func for node in ast.walk(ast.parse(self.tests[0])) if isinstance(node, ast.Call))
        return next((func.id for func in calls if isinstance(func, ast.Name) and func.id in known), "")

    @cached_property
    def needed_names(self) -> frozenset[str]:
        """Global names that the tests and their setup take from the program: the function, sometimes a class."""
        tree = ast.parse("\n".join([self.setup, *self.tests, *self.challenge_tests]))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        return frozenset(used & defined_names(ast.parse(self.code)))

    @property
    def split(self) -> str:
        """The split that the task belongs to."""
        return next((name for name, ids in SPLITS.items() if self.task_id in ids), "")


def defined_names(tree: ast.Module) -> set[str]:
    """Names that the top level of a program defines: functions, classes, assigned variables."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def load(source: str | Path | None = None, *, verify: bool = True) -> list[Task]:
    """Load MBPP, ordered by task id.

    Args:
        source: a ``mbpp.jsonl``; ``"hub"`` for the hub; None to take what :func:`find` finds and else the hub.
        verify: hold a file against the published SHA-256. Switch off only for a file of your own.

    Raises:
        UserError: no such file, another SHA-256, a malformed row (with line number and field), or no hub.
    """
    path = find() if source is None else None if source == "hub" else Path(source)
    if path is None:
        return tasks_of_rows(_hub_rows(), HUB)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"MBPP {path}: cannot be read ({error.strerror})") from error
    if verify and (digest := hashlib.sha256(content).hexdigest()) != SHA256:
        raise UserError(f"MBPP {path}: SHA-256 is {digest}, expected {SHA256}")
    return tasks_of_rows(_json_rows(content, path), str(path))


def find() -> Path | None:
    """The local ``mbpp.jsonl``: ``$CODELAB_MBPP``, else ``$CODELAB_CACHE/mbpp.jsonl``; None where neither is there."""
    if named := os.environ.get("CODELAB_MBPP"):
        return Path(named)
    cache = Path(os.environ.get("CODELAB_CACHE") or Path.home() / ".cache" / "codelab")
    return path if (path := cache / "mbpp.jsonl").is_file() else None


def select(tasks: Iterable[Task], split: str, *, sanitized: bool = False) -> list[Task]:
    """Tasks of one split (or ``"all"``), optionally only those of the sanitized subset.

    Raises:
        UserError: unknown split.
    """
    if split != "all" and split not in SPLITS:
        raise UserError(f"split {split!r}: expected all, {', '.join(SPLITS)}")
    ids = range(1, ROWS + 1) if split == "all" else SPLITS[split]
    return [task for task in tasks if task.task_id in ids and (not sanitized or task.task_id in SANITIZED)]


def facts(source: str | Path | None = None) -> DataFacts:
    """What a record says about the data that :func:`load` would read.

    Raises:
        UserError: the file cannot be read.
    """
    path = find() if source is None else None if source == "hub" else Path(source)
    if path is None:
        return DataFacts(name="mbpp", source=f"hub:{HUB}", rows=ROWS)
    return DataFacts.of_file("mbpp", path, ROWS)


def tasks_of_rows(rows: Iterable[tuple[int, Mapping[str, Any]]], where: str) -> list[Task]:
    """Check rows and turn them into tasks.

    Args:
        rows: pairs of line number and row with the fields of the published data.
        where: file or hub name for error messages.

    Raises:
        UserError: a field is missing, has the wrong type or does not parse; an id stands twice; no rows.
    """
    tasks: dict[int, Task] = {}
    for line, row in rows:
        task = _task(row, f"MBPP {where}, line {line}")
        if task.task_id in tasks:
            raise UserError(f"MBPP {where}, line {line}: task_id: {task.task_id} stands twice")
        tasks[task.task_id] = task
    if not tasks:
        raise UserError(f"MBPP {where}: no rows")
    return [tasks[key] for key in sorted(tasks)]


def _task(row: Mapping[str, Any], where: str) -> Task:
    fields: dict[str, type] = {
        "task_id": int,
        "text": str,
        "code": str,
        "test_setup_code": str,
        "test_list": list,
        "challenge_test_list": list,
    }
    for name, kind in fields.items():
        if name not in row:
            raise UserError(f"{where}: {name}: missing")
        if not isinstance(row[name], kind) or isinstance(row[name], bool):
            raise UserError(f"{where}: {name}: expected {kind.__name__}, got {type(row[name]).__name__}")
    for name in ("test_list", "challenge_test_list"):
        for index, test in enumerate(row[name]):
            if not isinstance(test, str):
                raise UserError(f"{where}: {name}[{index}]: expected str, got {type(test).__name__}")
            _parse(test, f"{where}: {name}[{index}]")
    if not row["text"].strip() or not row["test_list"]:
        raise UserError(f"{where}: {'test_list' if row['text'].strip() else 'text'}: empty")
    setup = row["test_setup_code"].replace("\r\n", "\n")
    code = row["code"].replace("\r\n", "\n")
    _parse(setup, f"{where}: test_setup_code")
    _parse(code, f"{where}: code")
    tests, challenge = tuple(row["test_list"]), tuple(row["challenge_test_list"])
    return Task(row["task_id"], row["text"].strip(), code, setup, tests, challenge)


def _parse(source: str, where: str) -> None:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{where}: not valid Python ({error})") from error


def _json_rows(content: bytes, path: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"MBPP {path}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise UserError(f"MBPP {path}, line {number}: expected an object, got {type(row).__name__}")
        yield number, row


def _hub_rows() -> Iterable[tuple[int, Mapping[str, Any]]]:
    try:
        from datasets import load_dataset  # noqa: PLC0415 - heavy, and only a hub user needs it

        splits = load_dataset(HUB, "full")
    except ImportError as error:
        raise UserError(f"MBPP: the hub needs the extra 'train' ({error}); or name a file in CODELAB_MBPP") from error
    except Exception as error:  # the library raises many unrelated types when the hub is out of reach
        raise UserError(f"MBPP: hub {HUB}: {error}; name a local mbpp.jsonl in CODELAB_MBPP") from error
    rows = [row for split in splits.values() for row in split]
    if len(rows) != ROWS:
        raise UserError(f"MBPP: hub {HUB} has {len(rows)} rows, expected {ROWS}")
    return enumerate(rows, start=1)
