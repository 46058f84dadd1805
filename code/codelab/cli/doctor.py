"""``codelab doctor``: what this machine can run, and what to install for the rest.

Looks, and changes nothing. Not covered: whether a recipe fits (``codelab run --dry-run`` says).
"""

import importlib.util
import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from codelab.cli.app import app

_EXTRAS = {
    "book": ("pandas", "seaborn", "pypandoc", "typst", "nbclient"),
    "train": ("torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "gguf"),
    "gpu": ("vllm", "unsloth"),
}


def rows() -> list[tuple[str, bool, str]]:
    """What was looked for, whether it is there, and a remark that says what to do where it is not."""
    found = [_python()]
    for extra, modules in _EXTRAS.items():
        absent = [name for name in modules if importlib.util.find_spec(name) is None]
        remark = f"missing: {', '.join(absent)}; run: make setup-{extra}" if absent else _versions(modules)
        found.append((f"extra {extra}", not absent, remark))
    found.append(_gpu())
    quarto = shutil.which("quarto")
    remark = quarto or "not on PATH: Pandoc and Typst write the book from frozen chapters, and stale ones are refused"
    found.append(("quarto", quarto is not None, remark))
    found.append(_mbpp())
    found.append(_recipes())
    free = shutil.disk_usage(Path.cwd()).free
    found.append(("disk", free > 5e9, f"{free / 1e9:.0f} GB free here"))
    return found


@app.command("doctor")
def doctor() -> None:
    """Say what this machine can run, and what to install for the rest.

    Example: codelab doctor
    """
    for name, good, remark in rows():
        typer.echo(f"{'ok' if good else '--'}  {name:<12} {remark}")


def _python() -> tuple[str, bool, str]:
    here = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] < (3, 13)
    return "python", good, here if good else f"{here}; expected 3.11 or 3.12"


def _versions(modules: tuple[str, ...]) -> str:
    known = []
    for name in modules:
        try:
            known.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            known.append(name)
    return ", ".join(known)


def _gpu() -> tuple[str, bool, str]:
    from codelab.measure import device  # noqa: PLC0415

    facts = device.facts()
    if facts is None:
        return "gpu", False, "none found: recipes sized for a CPU run here; the book needs no GPU"
    return "gpu", True, f"{facts.count} x {facts.name}, {facts.memory_bytes / 1e9:.0f} GB, driver {facts.driver}"


def _recipes() -> tuple[str, bool, str]:
    """How many recipes below the current folder this machine can run, by the hardware that each names."""
    from codelab.measure import device  # noqa: PLC0415
    from codelab.records import read_yaml  # noqa: PLC0415

    facts = device.facts()
    memory = facts.memory_bytes / 1e9 if facts else 0
    every = sorted(Path("recipes").glob("*.yaml"))
    if not every:
        return "recipes", False, "none below this folder; run this in the repository"
    fitting = []
    for path in every:
        hardware = read_yaml(path).get("hardware") or {}
        absent = [name for extra in hardware.get("extras", ()) for name in _EXTRAS.get(extra, ()) if not _there(name)]
        suits = hardware.get("device") != "gpu" or (facts is not None and memory >= hardware.get("gpu_memory_gb", 0))
        if suits and not absent:
            fitting.append(path.stem)
    named = f": {', '.join(fitting[:4])}{' …' if len(fitting) > 4 else ''}" if fitting else ""
    return "recipes", bool(fitting), f"{len(fitting)} of {len(every)} can run here{named}"


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _mbpp() -> tuple[str, bool, str]:
    from codelab.tasks import mbpp  # noqa: PLC0415

    path = mbpp.find()
    if path:
        return "mbpp", True, str(path)
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    remark = "set CODELAB_MBPP to mbpp.jsonl" if offline else "no local file; will be fetched from the hub"
    return "mbpp", not offline, remark
