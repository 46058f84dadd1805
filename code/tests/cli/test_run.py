"""What ``codelab run`` adds to an experiment: the notes of the person who ran it."""

from pathlib import Path

from codelab.cli.registry import Loaded
from codelab.cli.run import execute
from codelab.records import Recipe, Run, read_record


def test_notes_of_the_operator_are_kept_in_the_record(tmp_path: Path) -> None:
    def experiment(recipe: Recipe, run: Run) -> None:
        run.note("from the experiment")
        run.metric("answer", 42.0)

    recipe = Recipe.model_validate({"kind": "evaluate", "title": "Notes", "hardware": {"device": "any", "minutes": 1}})
    loaded = Loaded(path=tmp_path / "notes.yaml", name="notes", recipe=recipe, execute=experiment)
    folder = execute(loaded, tmp_path / "results", notes=["shared the GPU", "shared the GPU"])
    assert read_record(folder).notes == ["shared the GPU", "from the experiment"]
