"""Which lines of the parts that must be right do tests reach? Fails below the floor, names what is not reached.

    python code/bench/reach.py [--floor 90] [--only sandbox]

Runs the tests of those parts with pytest-cov, and follows the sandbox's guest by ``bench.guest_lines``. Not covered:
whether a test would notice a change (``bench.mutation``), and branches.
"""

import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import coverage

from bench import guest_lines

ROOT = Path(__file__).resolve().parents[2]
# Workers and measured children count too; what they note is put together at the end.
SETTINGS = "[run]\nconcurrency = multiprocessing, thread\npatch = subprocess\nparallel = true\nsigterm = true\n"
PARTS = ("tasks", "sandbox", "evaluate", "records", "book")


def measure(parts: tuple[str, ...], data: Path) -> int:
    """Run the tests of the parts; returns pytest's status."""
    seen = data.with_name("guest")  # coverage deletes whatever begins with its own file's name
    guest_lines.make(seen)
    environment = os.environ | {"CODELAB_GUEST_LINES": str(seen), "COVERAGE_FILE": str(data), "PYTHONPATH": "code"}
    settings = data.with_name("settings.ini")
    settings.write_text(SETTINGS, encoding="utf-8")
    sources = [f"--cov=codelab.{part}" for part in parts]
    tests = [f"code/tests/{part}" for part in (*parts, *(["cli"] if "book" in parts else []))]
    plugins = ["-p", "bench.guest_lines", "-p", "no:cacheprovider", "--timeout=900"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *plugins,
        *sources,
        f"--cov-config={settings}",
        "--cov-report=",
        *tests,
    ]
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    found = coverage.CoverageData(str(data))
    found.read()
    found.add_lines(guest_lines.lines(seen))
    found.write()
    return status


def report(parts: tuple[str, ...], data: Path) -> dict[str, float]:
    """Percent of lines reached by part; prints the files that fall short."""
    shares = {}
    reader = coverage.Coverage(data_file=str(data))
    reader.load()
    for part in parts:
        text = io.StringIO()
        shares[part] = reader.report(include=[f"*/codelab/{part}/*"], file=text, show_missing=True, precision=1)
        print(f"\n{part}: {shares[part]:.1f} %")
        for line in text.getvalue().splitlines():
            share = re.search(r"\s(\d+\.\d)%", line)
            if share and float(share[1]) < 90 and not line.startswith("TOTAL"):
                print(f"  {line}")
    return shares


def main() -> int:
    """Measure, report, and fail where a part is below the floor."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--floor", type=float, default=90, help="percent of the lines of each part")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be given again")
    wanted = parser.parse_args()
    parts = tuple(wanted.only or PARTS)
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "lines"
        status = measure(parts, data)
        shares = report(parts, data)
    low = [f"{part} {share:.1f} %" for part, share in shares.items() if share < wanted.floor]
    if low:
        print(f"below {wanted.floor:g} %: {', '.join(low)}")
    return status or bool(low)


if __name__ == "__main__":
    sys.exit(main())
