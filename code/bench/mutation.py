"""Change the metrics and the judge a little, many times, and list the changes that no test notices.

    python code/bench/mutation.py [metrics] [judge] [--children 2]

mutmut makes the changes, in a copy: the working tree is never touched. A survivor is a test that is missing, or a
change that changes nothing (``KNOWN`` says which of those were looked at, and why). Not covered: other modules; a run
over everything would take a day.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SETTINGS = """
[tool.mutmut]
source_paths = {sources}
pytest_add_cli_args_test_selection = {tests}
also_copy = ["codelab", "bench", "tests"]
[tool.pytest.ini_options]
addopts = "-q -x --import-mode=importlib -p no:cacheprovider"
pythonpath = ["."]
timeout = 300
markers = ["slow: ", "gpu: ", "quarto: "]
"""


@dataclass(frozen=True)
class Target:
    """Modules to change and the tests that should notice."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]


TARGETS = {
    "metrics": Target(
        ("codelab/evaluate/metrics.py", "codelab/evaluate/paired.py"),
        ("tests/evaluate/test_metrics.py", "tests/evaluate/test_metrics_exact.py", "tests/evaluate/test_paired.py"),
    ),
    "judge": Target(
        ("codelab/sandbox/verdicts.py", "codelab/sandbox/decode.py", "codelab/sandbox/plan.py"),
        ("tests/sandbox/test_decode.py", "tests/sandbox/test_plan.py", "tests/sandbox/test_verdicts.py"),
    ),
}
# Changes that change nothing, by the line that takes their place: looked at once, not to be looked at again.
KNOWN = (
    (r"dtype=None|dtype=np\.float64\), \)|\(c, \)|\(n, \)|\(values, \)|axis=1\), \)", "numpy chooses the same type"),
    (r"jackknife = .*(\* \(size - 1\)|size \+ 1|size - 2)", "the scale of the jackknife cancels"),
    (r"means <= mean\) & ~equal", "equal means are left out in the same expression"),
    (r"min\(2\.0, centre", "the centre and its half never pass 1 but at n of n, which is handled before"),
    (r"integers\(scores\.size, size", "from 0 is what numpy draws"),
    (r"max\(2, _BLOCK", "how many rows are drawn at once changes memory, not numbers"),
    (r"range\(201\)|<= 2 \* share - 1", "the bisection has long converged"),
    (r"share <= 0\.5", "the quantile at one half is 0 from either side"),
    (r"strict=None|strict=False|hashes, \)|\[1::2\], \)", "both were made from one list, so they are as long"),
    (r"most_common\((None|2)\)\[0\]", "the first is the first, however many are asked for"),
    (r"len\(kept\) < _MOST", "as many as the limit cannot pass the limit that follows"),
    (r"\(first, \)|\(second, \)", "the other side is of floats already, and so is the difference"),
    (r"not 0 <= share < 1", "a share of 0 is turned into one of 1, which is refused in the same words"),
    (
        r'ForgedError\((None|"XXa malformed valueXX"|"A MALFORMED VALUE")\) from error',
        "the decoder refuses by itself before Python would",
    ),
    (r"seed: int = 1", "mutmut's trampoline passes the default of the original"),
    (r'method: BootstrapMethod = "', "mutmut's trampoline passes the default of the original"),
)


def copy(target: Target, folder: Path) -> None:
    """A project of the package and its tests, with mutmut's settings."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name, place in (("codelab", "codelab"), ("bench", "bench"), ("tests", "tests")):
        shutil.copytree(ROOT / "code" / name, folder / place, ignore=ignored)
    settings = _SETTINGS.format(sources=list(target.sources), tests=list(target.tests)).replace("'", '"')
    (folder / "pyproject.toml").write_text(settings, encoding="utf-8")


def survivors(folder: Path, mutmut: str) -> list[tuple[str, str]]:
    """Names of the changes that no test noticed, with the lines that they put in."""
    done = subprocess.run([mutmut, "results"], cwd=folder, capture_output=True, text=True, check=True)
    found = []
    for name in re.findall(r"^\s*(\S+): survived", done.stdout, re.MULTILINE):
        module, _, function = name.rpartition(".")
        path = folder / "mutants" / f"{module.replace('.', '/')}.py"
        found.append((name, changed(path.read_text(encoding="utf-8"), function)))
    return found


def changed(text: str, function: str) -> str:
    """The lines of a changed function that its original lacks; mutmut keeps both in one file."""
    original = f"{function.rpartition('_')[0]}_orig"
    bodies = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name in (function, original):
            lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
            bodies[node.name] = [line.strip() for line in lines if not line.strip().startswith("def ")]
    if len(bodies) < 2:
        return "(not found)"
    return " / ".join(line for line in bodies[function] if line not in bodies[original])


def known(line: str) -> str:
    """Why a change changes nothing; empty where nobody has said so."""
    return next((why for pattern, why in KNOWN if re.search(pattern, line)), "")


def main() -> int:
    """Run mutmut on the targets; 1 where a survivor is not known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="what to change; everything by default")
    parser.add_argument("--children", type=int, default=2, help="how many tests run at once")
    wanted = parser.parse_args()
    mutmut = shutil.which("mutmut", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if mutmut is None:
        print("needs mutmut: make setup-dev", file=sys.stderr)
        return 2
    open_ones = 0
    for name in wanted.targets or list(TARGETS):
        with tempfile.TemporaryDirectory(prefix="mutation-") as scratch:
            folder = Path(scratch)
            copy(TARGETS[name], folder)
            run = [mutmut, "run", "--max-children", str(wanted.children)]
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            done = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            counts = re.findall(r"(\d+)/(\d+)", done.stdout)
            if not counts or counts[-1][0] != counts[-1][1]:
                print(f"{name}: mutmut stopped\n{done.stdout[-2000:]}{done.stderr[-2000:]}", file=sys.stderr)
                return 1
            found = survivors(folder, mutmut)
        fresh = [(change, line) for change, line in found if not known(line)]
        print(f"{name}: {counts[-1][1]} changes, {len(found)} survived, {len(fresh)} of them not known to be harmless")
        for change, line in fresh:
            print(f"  {change}: {line}")
        open_ones += len(fresh)
    return bool(open_ones)


if __name__ == "__main__":
    sys.exit(main())
