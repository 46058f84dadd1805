"""A corpus's record holds the card's numbers, and a changed or missing file is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from codelab.errors import UserError
from codelab.measure import environment
from codelab.records import Hardware, find_records, open_run
from codelab.tasks.corpus.experiment import CorpusRecipe, run, verify


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "train-00.jsonl.zst").write_bytes(b"text")
    source = {"repo": "a/b", "licence": "MIT", "group": "a", "commit": "c" * 40, "left_out": None, "files": 3,
              "bytes": 40, "pairs": 2, "licences_seen": ["MIT"]}  # fmt: skip
    counts = ("sources_listed", "sources_used", "files_seen", "files", "held_out_files", "instructions", "text_bytes",
              "instructions_before_duplicates", "held_out_text_bytes",
              "described_functions_that_need_their_module")  # fmt: skip
    decontamination: dict[str, Any] = {
        "benchmarks": [{"file": "mbpp.jsonl", "sha256": "0" * 64}],
        "files_hit": 5, "files_dropped": 4, "functions_cut": 3, "bytes_dropped": 2, "mbpp_problems_found": 1,
        "humaneval_problems_found": 0, "found_in_most_files": [],
        "files_hit_by_rule": {"test": 3, "copy": 2}, "files_dropped_by_rule": {"test": 1, "copy": 3},
        "disguised_copies": [{"disguise": "none", "benchmark": "mbpp", "copies": 2, "missed": 2, "miss_share": 1.0,
                              "missed_problems": ["mbpp/1", "mbpp/2"]}],
    }  # fmt: skip
    card = {
        "totals": {name: place for place, name in enumerate(counts)}, "rules": {"copy_share": 0.5},
        "filters": {"size": 7}, "licences": [{"licence": "MIT", "files": 3}], "groups": [], "sources": [source],
        "decontamination": decontamination,
        "outputs": [{"name": "train-00.jsonl.zst", "sha256": hashlib.sha256(b"text").hexdigest()}],
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def _recipe(corpus: Path) -> CorpusRecipe:
    return CorpusRecipe(kind="corpus", title="t", hardware=Hardware(minutes=1), corpus=str(corpus))


def test_the_record_holds_the_cards_numbers(corpus: Path, tmp_path: Path) -> None:
    recipe = _recipe(corpus)
    opened = open_run(recipe, "corpus", tmp_path / "results", ["codelab"])
    opened.environment(environment.facts(), None)
    run(recipe, opened)
    opened.finish()
    ((_, record),) = find_records(tmp_path / "results", "corpus")
    assert record.metrics["files"].value == 3
    assert record.metrics["found.functions_cut"].value == 3
    assert record.tables["contamination"][1] == {"rule": "copy", "files_hit": 2, "files_dropped": 3}
    assert record.tables["disguises"][0]["missed_problems"] == "mbpp/1 mbpp/2"
    assert "licences_seen" not in record.tables["sources"][0]
    assert str(tmp_path) not in json.dumps(record.tables) + json.dumps([facts.model_dump() for facts in record.data])


def test_a_file_that_is_not_the_cards_is_refused(corpus: Path) -> None:
    card = json.loads((corpus / "card.json").read_text())
    (corpus / "train-00.jsonl.zst").write_bytes(b"other")
    with pytest.raises(UserError, match="SHA-256 is"):
        verify(corpus, card)
    (corpus / "train-00.jsonl.zst").unlink()
    with pytest.raises(UserError, match="missing"):
        verify(corpus, card)
