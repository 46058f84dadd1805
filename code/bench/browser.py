"""Open the finished book in headless Chromium, from its folder and without a network, and look for faults.

    python code/bench/browser.py _book [--shots FOLDER]

Every page at three widths in both colour schemes: nothing is fetched from elsewhere, no script fails, nothing runs out
of the page, wide tables scroll in place, pictures have alternative texts, axe-core finds no serious fault. Then what a
reader does: search, unfold and copy code, move by keyboard, print, download. Needs Chromium, the extra ``browser``
and, for axe-core, npm or ``$CODELAB_AXE``; says what is missing and ends well where they are not there. Not covered:
how it looks (``--shots`` is for people), other browsers.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

AXE = "axe-core@4.14.1"
WIDTHS = (1280, 500, 360)
SCHEMES = ("light", "dark")
_BROWSERS = ("chromium", "google-chrome", "chromium-browser", "chrome")
# One look at a page: what runs out of it, what cannot be read, what has no words.
_LOOK = """() => {
  const faults = [], wide = document.documentElement.scrollWidth - window.innerWidth;
  if (wide > 1) faults.push(`runs ${wide} px out of the page`);
  const scrolls = (element) => {
    for (let at = element.parentElement; at && at !== document.body; at = at.parentElement)
      if (/auto|scroll/.test(getComputedStyle(at).overflowX)) return at.getBoundingClientRect();
    return null;
  };
  const shown = [...document.querySelectorAll("main table, main img, main pre, main math")];
  for (const one of shown.filter((element) => element.checkVisibility())) {
    const box = one.getBoundingClientRect(), holder = scrolls(one);
    if (box.right > window.innerWidth + 1 && !(holder && holder.right <= window.innerWidth + 1))
      faults.push(`${one.tagName.toLowerCase()} ${one.id || one.textContent.trim().slice(0, 30)} is cut off`);
  }
  for (const cell of document.querySelectorAll("main td"))
    if (parseFloat(getComputedStyle(cell).fontSize) < 11) { faults.push("a table is set below 11 px"); break; }
  for (const picture of document.querySelectorAll("main img"))
    if (!picture.alt.trim()) faults.push(`picture ${picture.src.split("/").pop()} has no alternative text`);
  for (const fold of document.querySelectorAll("details.code-fold, details.fold"))
    if (fold.open) faults.push("code is not folded");
  return faults;
}"""
_DARKNESS = """() => {
  const colour = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
  return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255;
}"""
_PRINTED = """() => [...document.querySelectorAll("nav, .sidebar, #quarto-sidebar, footer.footer, button")]
  .filter((element) => element.checkVisibility()).map((element) => element.className || element.tagName)"""
_FOCUS = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const name = at.tagName + " " + (at.textContent.trim() || at.className).slice(0, 30);
  return {main: !!at.closest("main"), marked: ring || style.boxShadow !== "none", name};
}"""
_SERIOUS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter((found) => ["serious", "critical"].includes(found.impact))
  .map((found) => `${found.id} (${found.nodes.length}): ${found.nodes[0].target.join(" ")}`)"""


@dataclass
class Reader:
    """A browser that counts what it asks for, and the faults found so far."""

    folder: Path
    browser: Any
    axe: str | None = None
    shots: Path | None = None
    faults: list[str] = field(default_factory=list)

    def page(self, width: int, scheme: str) -> Any:
        """A new page of a width, in a colour scheme."""
        size, allowed = {"width": width, "height": 800}, ["clipboard-read", "clipboard-write"]
        context = self.browser.new_context(viewport=size, color_scheme=scheme, permissions=allowed)
        page = context.new_page()
        page.on("request", lambda request: self._asked(request.url))
        page.on("pageerror", lambda error: self.faults.append(f"{_name(page.url)}: script fails: {error}"))
        return page

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.faults.append(f"asks the network for {url}")

    def look(self, path: Path, page: Any, width: int, scheme: str) -> None:
        """Open a page and look at it."""
        page.goto(path.as_uri())
        where = f"{path.relative_to(self.folder)} at {width} px, {scheme}"
        self.faults += [f"{where}: {fault}" for fault in page.evaluate(_LOOK)]
        if (page.evaluate(_DARKNESS) > 0.5) != (scheme == "light"):
            self.faults.append(f"{where}: does not follow the system's colour scheme")
        if self.axe and width != 500:
            page.evaluate(self.axe)
            self.faults += [f"{where}: axe: {fault}" for fault in page.evaluate(_SERIOUS)]
        if self.shots:
            page.screenshot(path=self.shots / f"{path.stem}-{width}-{scheme}.png", full_page=width != 1280)


def pages(folder: Path) -> list[Path]:
    """The pages of a book, without what lies in its libraries."""
    return sorted(path for path in folder.rglob("*.html") if "site_libs" not in path.parts)


def use(reader: Reader) -> Iterator[str]:
    """What a reader does, and what does not work."""
    start = next(path for path in pages(reader.folder) if path.name == "index.html")
    page = reader.page(1280, "light")
    page.goto(start.as_uri())
    yield from _searches(page)
    yield from _downloads(reader.folder, page, start)
    folded = [path for path in pages(reader.folder) if re.search('<details class="(code-)?fold"', _text(path))]
    if folded:
        page.goto(folded[0].as_uri())
        yield from _copies(page)
    page.goto(start.as_uri())
    yield from _moves(page)
    page.emulate_media(media="print")
    if left := page.evaluate(_PRINTED):
        yield f"printed: {', '.join(left[:4])} would be on paper"


def _searches(page: Any) -> Iterator[str]:
    page.keyboard.press("/")
    page.wait_for_timeout(300)
    page.keyboard.type("reference", delay=20)
    try:
        page.wait_for_selector("#results a, .aa-Item a", timeout=5000)
    except Exception:
        yield "search: nothing is found for a word that is in the book"
        return
    page.locator("#results a, .aa-Item a").first.click()
    page.wait_for_timeout(500)
    if "reference" not in page.inner_text("main").lower():
        yield f"search: its first result leads to {_name(page.url)}, which does not hold the word"


def _downloads(folder: Path, page: Any, start: Path) -> Iterator[str]:
    page.goto(start.as_uri())
    offered = page.eval_on_selector_all("a[href]", "links => links.map((link) => link.href)")
    files = {link for link in offered if link.endswith((".pdf", ".docx", ".ipynb"))}
    for suffix in (".pdf", ".docx"):
        if not any(link.endswith(suffix) for link in files):
            yield f"downloads: no {suffix} is offered"
    for link in sorted(files):
        if link.startswith("file:") and not Path(link.removeprefix("file://")).is_file():
            yield f"downloads: {_name(link)} is not there"
    if (folder / "downloads").exists() and not any(link.endswith(".ipynb") for link in files):
        yield "downloads: no notebook is offered"


def _copies(page: Any) -> Iterator[str]:
    fold = page.locator("details.code-fold, details.fold").first
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    if not fold.evaluate("(details) => details.open"):
        yield "code: cannot be unfolded by keyboard"
        return
    code = fold.locator("pre").first.inner_text()
    fold.locator("pre").first.hover()
    fold.locator("button.copy, button.code-copy-button").first.click()
    page.wait_for_timeout(200)
    copied = page.evaluate("() => navigator.clipboard.readText()")
    if copied.split() != code.split():
        yield f"code: the button copied {copied[:40]!r}"


def _moves(page: Any) -> Iterator[str]:
    """Every stop of the Tab key shows where it is, and the text is reached."""
    seen = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        at = page.evaluate(_FOCUS)
        if not at["marked"] and not at["name"].startswith("BODY"):
            seen.add(f"keyboard: {at['name']} does not show that it has the focus")
        if at["main"]:
            break
    else:
        seen.add("keyboard: the text is not reached by Tab")
    yield from sorted(seen)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def find_axe() -> str | None:
    """The source of axe-core: ``$CODELAB_AXE``, else fetched by npm for this run; nothing of it is kept."""
    if named := os.environ.get("CODELAB_AXE"):
        return Path(named).read_text(encoding="utf-8")
    npm = shutil.which("npm")
    if npm is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run([npm, "pack", "--silent", AXE], cwd=scratch, capture_output=True, text=True, check=False)
        archives = list(Path(scratch).glob("*.tgz"))
        if done.returncode or not archives:
            return None
        with tarfile.open(archives[0]) as archive:
            member = archive.extractfile("package/axe.min.js")
            return member.read().decode("utf-8") if member else None


def check(folder: Path, axe: str | None, shots: Path | None = None) -> list[str]:
    """All faults of a finished book, each once."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - the extra `browser`

    program = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        reader = Reader(folder.resolve(), browser, axe, shots)
        for scheme in SCHEMES:
            for width in WIDTHS:
                page = reader.page(width, scheme)
                for path in pages(reader.folder):
                    reader.look(path, page, width, scheme)
                page.context.close()
        reader.faults += use(reader)
        browser.close()
    return list(dict.fromkeys(reader.faults))


def find_browser() -> str | None:
    """Chromium or Chrome on PATH."""
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


def main() -> int:
    """Say what is missing, or every fault; 1 where there is one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("book", type=Path, nargs="?", default=Path("_book"), help="the output folder")
    parser.add_argument("--shots", type=Path, help="write pictures of every page into this folder")
    wanted = parser.parse_args()
    if find_browser() is None or find_spec("playwright") is None:
        print("not looked at: needs Chromium on PATH and `pip install playwright`")
        return 0
    axe = find_axe()
    if axe is None:
        print(f"no accessibility rules: {AXE} is not to be had here; CODELAB_AXE may name its file", file=sys.stderr)
    if wanted.shots:
        wanted.shots.mkdir(parents=True, exist_ok=True)
    faults = check(wanted.book, axe, wanted.shots)
    print("\n".join(faults) or f"{len(pages(wanted.book))} pages at {len(WIDTHS)} widths, light and dark: no fault")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
