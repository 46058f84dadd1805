"""The registry of diagrams: names, the same bytes twice, twins for Word, staleness."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from codelab.book import diagrams
from codelab.errors import UserError


@pytest.fixture
def one_diagram(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that holds one drawing."""
    monkeypatch.setattr(diagrams, "_REGISTRY", {})
    monkeypatch.setattr(diagrams, "iter_modules", lambda _: [])

    @diagrams.diagram("q0-line")
    def line() -> Figure:
        figure, axes = plt.subplots()
        axes.plot([0, 1], [0, 1], label=r"$\beta$")
        axes.legend()
        return figure


@pytest.mark.usefixtures("one_diagram")
def test_draws_both_files_once_and_the_same_again(tmp_path: Path) -> None:
    first = diagrams.draw_all(tmp_path)
    assert [path.name for path in first] == ["q0-line.svg", "q0-line.png"]
    svg = first[0].read_text()
    assert "<text" not in svg, "letters must be paths, or the figure depends on the reader's fonts"
    assert "<dc:date>" not in svg
    assert diagrams.draw_all(tmp_path) == []
    assert diagrams.outdated(tmp_path) == []


@pytest.mark.usefixtures("one_diagram")
def test_names_what_is_missing_or_differs(tmp_path: Path) -> None:
    assert "missing" in diagrams.outdated(tmp_path)[0]
    svg = diagrams.draw_all(tmp_path)[0]
    svg.write_text(svg.read_text().replace("q0-line", "edited"))
    assert "codelab figures" in diagrams.outdated(tmp_path)[0]
    svg.write_text(svg.read_text().replace("Matplotlib v", "Matplotlib v0."))
    assert diagrams.outdated(tmp_path) == [], "another release's file cannot be compared"


@pytest.mark.usefixtures("one_diagram")
def test_refuses_unknown_and_doubled_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="q0-nothing"):
        diagrams.draw_all(tmp_path, ["q0-nothing"])
    with pytest.raises(ValueError, match="q0-line"):
        diagrams.diagram("q0-line")(Figure)
