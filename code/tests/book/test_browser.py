"""The book in headless Chromium, where there is one: it is without fault, and each fault is found."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.browser import check, find_axe, find_browser, pages
from codelab.book.build import build_pandoc
from codelab.book.project import Book, read_book

pytestmark = pytest.mark.skipif(
    find_browser() is None or find_spec("playwright") is None, reason="needs Chromium and playwright"
)
FAULTS = {
    '<p style="width: 3000px; background: red">wide</p>': "px out of the page",
    '<img src="https://example.invalid/a.png" alt="far">': "asks the network for https://example.invalid/a.png",
    '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">': "has no alternative text",
    '<script>throw new Error("broken script")</script>': "script fails: broken script",
    '<table><tr><td style="font-size: 8px">small</td></tr></table>': "below 11 px",
    '<details class="fold" open><summary>Code</summary></details>': "code is not folded",
    "<style>body { background: #fff !important }</style>": "does not follow the system's colour scheme",
    '<nav class="kept" style="display: block !important">here</nav>': "kept would be on paper",
    "<style>a, button, input { outline: none !important; box-shadow: none !important }</style>": "has the focus",
    '<a href="gone.pdf">gone</a>': "downloads: gone.pdf is not there",
}


@pytest.fixture(scope="module")
def output(fixture_book: Book, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixture book in HTML."""
    root = tmp_path_factory.mktemp("browser") / "book"
    shutil.copytree(fixture_book.root, root)
    return build_pandoc(read_book(root))


def test_the_book_is_without_fault_but_for_rules_that_were_made_up(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "axe.js"
    found = '{id: "made-up", impact: "serious", nodes: [{target: ["#here"]}]}, {id: "mild", impact: "minor", nodes: []}'
    rules.write_text(f"window.axe = {{run: async () => ({{violations: [{found}]}})}};")
    monkeypatch.setenv("CODELAB_AXE", str(rules))
    faults = check(output, find_axe())
    assert all(fault.endswith("axe: made-up (1): #here") for fault in faults), faults
    assert len(faults) == 5 * 2 * 2, "pages, widths, schemes"


def test_each_fault_is_found(output: Path, tmp_path: Path) -> None:
    spoiled = tmp_path / "book"
    shutil.copytree(output, spoiled)
    for path in pages(spoiled):
        if path.name != "index.html":
            path.unlink()
    index = spoiled / "index.html"
    index.write_text(
        index.read_text(encoding="utf-8").replace("</main>", "".join(FAULTS) + "</main>"), encoding="utf-8"
    )
    (spoiled / "assets/search.js").write_text("window.bookIndex = [];")
    (spoiled / "downloads").mkdir()
    found = check(spoiled, None)
    for fault in [*FAULTS.values(), "search: nothing is found", "downloads: no notebook is offered"]:
        assert any(fault in line for line in found), (fault, found)
