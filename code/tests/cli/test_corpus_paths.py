"""What the recipes read below ``corpus/`` is what the documented commands write, under the same name."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from codelab.cli import verbs  # noqa: F401 - registers the verbs
from codelab.tasks.corpus.build import INSTRUCTIONS
from codelab.tasks.corpus.cli import app as corpus

ROOT = Path(__file__).resolve().parents[3]
COMMANDS: dict[str, Any] = dict(typer.main.get_group(corpus).commands)
COMMAND = re.compile(r"codelab corpus +([a-z0-9-]+)([^#(`\n]*)")
BESIDE = {"build": INSTRUCTIONS}  # put beside the output, as the end-to-end test of the build sees


def commands() -> Iterator[tuple[str, str]]:
    """Verb and options of every corpus command that a recipe's header gives."""
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        header = re.sub(r"\\\n#", "", path.read_text(encoding="utf-8").partition("\nkind:")[0])
        yield from COMMAND.findall(header)


def options(verb: str) -> dict[str, Any]:
    return {name: option for option in COMMANDS[verb].params for name in option.opts}


def written() -> set[str]:
    """Every path that these commands write."""
    found = set()
    for verb, words in commands():
        given = shlex.split(words.rstrip(" .,;"))
        default = options(verb)["--out"].default
        out = Path(given[given.index("--out") + 1] if "--out" in given else default)
        found |= {str(out)} | ({str(out.parent / BESIDE[verb])} if verb in BESIDE else set())
    return found


def read(value: Any) -> set[str]:
    """Every path below ``corpus/`` in a recipe's values."""
    if isinstance(value, dict):
        return set().union(*map(read, value.values()))
    if isinstance(value, list):
        return set().union(*map(read, value))
    return {value} if isinstance(value, str) and value.startswith("corpus/") else set()


def test_every_corpus_path_of_a_recipe_is_written_by_a_command_that_a_recipe_gives() -> None:
    made, needed = written(), set()
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        paths = read(yaml.safe_load(path.read_text(encoding="utf-8")))
        assert paths <= made, f"{path.name}: no command writes {', '.join(sorted(paths - made))}"
        needed |= paths
    assert {"corpus/instructions.jsonl.zst", "corpus/tokens", "corpus/tokenizer", "corpus/out"} <= needed


def test_the_verbs_read_by_default_what_the_others_write() -> None:
    made = written()
    for verb, name in (
        ("tests", "--pairs"),
        ("tokenizer", "--corpus"),
        ("tokenize", "--corpus"),
        ("tokenize", "--tokenizer"),
    ):
        assert str(options(verb)[name].default) in made, f"{verb} {name}"


@pytest.mark.parametrize("folder", ["recipes", "chapters", "."])
def test_every_documented_verb_and_option_exists(folder: str) -> None:
    for path in [*(ROOT / folder).glob("*.yaml"), *(ROOT / folder).glob("*.qmd"), *(ROOT / folder).glob("*.md")]:
        for verb, words in COMMAND.findall(path.read_text(encoding="utf-8")):
            assert verb in COMMANDS, f"{path.name}: codelab corpus {verb}"
            unknown = set(re.findall(r"--[a-z0-9-]+", words)) - options(verb).keys()
            assert not unknown, f"{path.name}: codelab corpus {verb} {unknown}"
