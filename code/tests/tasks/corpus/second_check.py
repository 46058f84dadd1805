"""A second, simple contamination check, used only to check the first one: nothing is shared with it but the two data
files.

It uses the standard library's lexer and plain string search, so it is slow and easy to follow. It applies the four
rules that the corpus promises (a test, a prompt, 10-token windows covering half a solution, a namesake with 60 % of its
tokens).

Run over a finished corpus: ``python second_check.py corpus/out mbpp.jsonl HumanEval.jsonl.gz [share]``.
"""

import ast
import gzip
import io
import json
import re
import sys
import tokenize
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

SKIPPED = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}
BEFORE_STATEMENT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT}


def code_tokens(text: str) -> list[str]:
    """Tokens without comments, layout and strings that stand alone on a line."""
    result: list[str] = []
    before = tokenize.NEWLINE
    lexed = list(tokenize.generate_tokens(io.StringIO(text).readline))
    for one, following in zip(lexed, [*lexed[1:], lexed[-1]], strict=True):
        alone = one.type == tokenize.STRING and before in BEFORE_STATEMENT and following.type == tokenize.NEWLINE
        if one.type not in SKIPPED and not alone:
            result.append(one.string.replace('"', "'"))
        before = one.type
    return result


def flat(text: str) -> str:
    return re.sub(r"[\s\\]+", "", text).replace('"', "'")


def spoken(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


class SecondCheck:
    def __init__(self, mbpp: Path, humaneval: Path) -> None:
        self.tests: list[tuple[str, str, str]] = []
        self.prompts: list[tuple[str, str]] = []
        self.windows: dict[str, set[tuple[str, ...]]] = {}
        self.where: dict[tuple[str, ...], list[str]] = {}
        self.namesakes: dict[str, list[tuple[str, Counter[str]]]] = {}
        for line in mbpp.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            tests = [
                test.strip().removeprefix("assert").strip() for test in row["test_list"] + row["challenge_test_list"]
            ]
            names = [name for name in re.findall(r"def\s+(\w+)", row["code"]) if any(name in test for test in tests)]
            self.add(f"mbpp/{row['task_id']}", row["text"], row["code"].replace("\r", ""), names, tests)
        with gzip.open(humaneval, "rt", encoding="utf-8") as stream:
            for line in stream:
                row = json.loads(line)
                entry = row["entry_point"]
                tests = [
                    test.strip().removeprefix("assert").strip().replace("candidate", entry)
                    for test in row["test"].splitlines()
                    if test.strip().startswith("assert candidate(") and "==" in test
                ]
                documented = [part for part in re.split(r'"""|\'\'\'', row["prompt"]) if part.strip()]
                prompt = re.split(r">>>|[Ee]xamples?|e\.g\.", documented[-1])[0]
                self.add(row["task_id"].lower(), prompt, row["prompt"] + row["canonical_solution"], [entry], tests)

    def add(self, key: str, prompt: str, code: str, names: list[str], tests: list[str]) -> None:
        for test in tests:
            call = next((name for name in names if name in test), None)
            # A test with little in it ("f(1)==1") proves nothing under a name as common as "add".
            if call is not None and len(flat(test)) >= 12:
                self.tests.append((key, call, flat(test.split(', "')[0])))
        words = re.sub(r"^.*?\bwrite (a |an )?(python )?function( to| that| which| for)? ", "", spoken(prompt)).split()
        if len(words) >= 6:
            self.prompts.append((key, " ".join(words[:20])))
        tokens = code_tokens(code + "\n")
        self.windows[key] = {tuple(tokens[i : i + 10]) for i in range(len(tokens) - 9)}
        for window in self.windows[key]:
            self.where.setdefault(window, []).append(key)
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.FunctionDef) and node.name in names and not node.name.startswith("__"):
                part = "\n".join(code.split("\n")[node.lineno - 1 : node.end_lineno]) + "\n"
                self.namesakes.setdefault(node.name, []).append((key, Counter(code_tokens(_dedented(part)))))

    def find(self, text: str) -> set[tuple[str, str]]:
        """Rule and problem of everything found."""
        found: set[tuple[str, str]] = set()
        squeezed = flat(text)
        found |= {("test", key) for key, name, test in self.tests if name in text and test in squeezed}
        said = spoken(text)
        found |= {("prompt", key) for key, prompt in self.prompts if prompt in said}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        lines = text.split("\n")
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            try:
                tokens = code_tokens(_dedented("\n".join(lines[node.lineno - 1 : node.end_lineno]) + "\n"))
            except (tokenize.TokenError, IndentationError, SyntaxError):
                continue
            seen = {tuple(tokens[i : i + 10]) for i in range(len(tokens) - 9)}
            shared = Counter(key for window in seen for key in self.where.get(window, ()))
            # In a function much longer than the solution, windows from everywhere may add up by accident.
            found |= {
                ("copy", key)
                for key, count in shared.items()
                if count >= 0.5 * len(self.windows[key]) and len(tokens) <= 3 * (len(self.windows[key]) + 9)
            }
            for key, wanted in self.namesakes.get(node.name, ()):
                have = Counter(tokens)
                if sum((wanted & have).values()) >= 0.6 * max(sum(wanted.values()), sum(have.values())):
                    found.add(("name", key))
        return found


def _dedented(part: str) -> str:
    indent = len(part) - len(part.lstrip())
    return part if indent == 0 else "if 1:\n" + part


def main(folder: Path, mbpp: Path, humaneval: Path, share: float) -> dict[str, Any]:
    import zstandard

    check = SecondCheck(mbpp, humaneval)
    files = 0
    found: list[list[str]] = []
    for path in sorted(folder.glob("*.jsonl.zst")):
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as plain:
            for number, line in enumerate(io.TextIOWrapper(plain, encoding="utf-8", newline="\n")):
                if number % 1000 >= share * 1000:
                    continue
                row = json.loads(line)
                text = row["text"] if "path" in row else f'"""{row["text"]}"""\n{row["code"]}'
                files += 1
                found += [[row["source"], row.get("path", ""), rule, key] for rule, key in sorted(check.find(text))]
    return {"texts": files, "found": found, "by_rule": dict(Counter(rule for _, _, rule, _ in found))}


if __name__ == "__main__":
    corpus, first, second, *rest = sys.argv[1:]
    json.dump(main(Path(corpus), Path(first), Path(second), float(rest[0]) if rest else 1.0), sys.stdout, indent=1)
