"""Draw the picture of the book that README.md shows, from a finished book, in both colour schemes.

    python code/bench/picture.py [_book] [--page chapters/07-quantization.html]

Needs Chromium and the extra ``dev``. Not covered: choosing a page that looks well (a person does).
"""

import argparse
import io
import sys
from pathlib import Path

from PIL import Image

from bench.browser import SCHEMES, find_browser

TARGET = Path(__file__).resolve().parents[2] / "assets" / "readme"
SIZE = {"width": 1280, "height": 800}
COLOURS = 64  # enough for text and bars, and a small file


def draw(page: Path, target: Path) -> list[Path]:
    """Write one PNG a colour scheme."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - the extra `dev`

    target.mkdir(parents=True, exist_ok=True)
    made = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        for scheme in SCHEMES:
            sheet = browser.new_page(viewport=SIZE, color_scheme=scheme)
            sheet.goto(page.resolve().as_uri())
            figure = sheet.locator("main figure img").first
            figure.scroll_into_view_if_needed()
            sheet.mouse.wheel(0, -120)
            sheet.wait_for_timeout(500)
            shot = Image.open(io.BytesIO(sheet.screenshot())).convert("RGB")
            path = target / f"book-{scheme}.png"
            shot.resize((960, 600), Image.Resampling.LANCZOS).quantize(COLOURS).save(path, optimize=True)
            made.append(path)
        browser.close()
    return made


def main() -> int:
    """Draw and name the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("book", type=Path, nargs="?", default=Path("_book"), help="the output folder")
    parser.add_argument("--page", default="chapters/07-quantization.html", help="which page")
    wanted = parser.parse_args()
    if find_browser() is None:
        print("no picture: needs Chromium on PATH", file=sys.stderr)
        return 2
    for path in draw(wanted.book / wanted.page, TARGET):
        print(f"{path} ({path.stat().st_size / 1e3:.0f} kB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
