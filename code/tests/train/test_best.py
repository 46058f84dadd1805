"""The weights of the best look: which are kept, which go, and what a continued run finds."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from codelab.train.best import BestLook, Kept


def model(value: float) -> Any:
    made = torch.nn.Linear(1, 1, bias=False)
    made.weight.data.fill_(value)
    return made


@pytest.fixture
def look(tmp_path: Path) -> BestLook:
    (tmp_path / "checkpoints").mkdir()
    return BestLook(tmp_path / "best", tmp_path / "checkpoints")


def offer(look: BestLook, *scores: float) -> None:
    """Looks at steps 5, 10, ...; the weights are the step."""
    for step, score in enumerate(scores):
        look.offer(5 * (step + 1), model(5.0 * (step + 1)), score)


def best(look: BestLook) -> tuple[Kept, float]:
    kept, path = look.best()
    return kept, float(load_file(path)["weight"])


def test_the_first_of_the_best_looks_is_kept_and_the_start_is_no_candidate(look: BestLook) -> None:
    look.offer(0, model(0.0), 0.9)
    with pytest.raises(RuntimeError, match="no look"):
        look.best()
    offer(look, 0.1, 0.3, 0.3, 0.2)
    assert best(look) == (Kept(10, 0.3), 10.0)


def test_a_run_continued_from_an_older_checkpoint_finds_the_best_look_up_to_there(
    look: BestLook, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints" / "checkpoint-12").mkdir()
    offer(look, 0.1, 0.2, 0.3, 0.4)
    names = {path.name for path in (tmp_path / "best").glob("*.safetensors")}
    assert names == {f"step-{step}.safetensors" for step in (10, 15, 20)}, "step 5 cannot be needed again"
    assert not look.lost(12, 5)
    look.begin(12)
    assert best(look) == (Kept(10, 0.2), 10.0)
    look.offer(15, model(15.0), 0.15)
    assert best(look) == (Kept(10, 0.2), 10.0), "what step 15 reached before the kill does not count"


def test_training_begun_again_forgets_all_and_lost_weights_are_noticed(look: BestLook) -> None:
    offer(look, 0.1, 0.2)
    look.begin(0)
    with pytest.raises(RuntimeError, match="no look"):
        look.best()
    assert look.lost(12, 5)
    assert not look.lost(4, 5), "no look was due yet"
