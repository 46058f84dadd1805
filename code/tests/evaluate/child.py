"""Runs one evaluation recipe in a process of its own that a test may kill.

Usage: python child.py RECIPE RESULTS DATA
"""

import sys
import time
from pathlib import Path


def main() -> None:
    from small import FakePool, data

    from codelab.cli.registry import load
    from codelab.cli.run import execute
    from codelab.evaluate import collect, experiment
    from codelab.records import store

    store.code_sha256 = lambda: "0" * 64  # else an edit of the package between two starts would begin a new run
    recipe, results, rows = map(Path, sys.argv[1:])
    data(rows, range(1, 19))
    experiment.Pool = FakePool
    whole = collect._write

    def slowly(*args):
        whole(*args)
        time.sleep(0.05)

    collect._write = slowly
    execute(load(recipe), results)


if __name__ == "__main__":
    main()
