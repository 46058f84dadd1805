"""``codelab run``: check the recipe and the machine, run the experiment, keep its record.

Not covered: what an experiment does (its own module) and how a record is written (``codelab.records``).
"""

import errno
import importlib.util
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from codelab.cli import complete
from codelab.cli.app import app
from codelab.cli.registry import Loaded, load
from codelab.errors import Paused, UserError
from codelab.records import Run, open_run

_EXTRA_MODULES = {
    "train": ("torch", "transformers", "trl", "peft", "datasets", "accelerate"),
    "gpu": ("vllm", "unsloth"),
}


Notes = Annotated[
    list[str] | None,
    typer.Option(help="What a reader of the record must know, such as: shared the GPU with another run."),
]


@app.command("run")
def run(
    recipe: Annotated[
        Path,
        typer.Argument(
            help="A recipe, for example recipes/q7-quantize-smollm2-cpu.yaml.", autocompletion=complete.recipes
        ),
    ],
    results: Annotated[Path, typer.Option(help="Where records go.")] = Path("results"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of continuing a killed run.")] = False,
    stop_after: Annotated[
        float | None, typer.Option(help="Seconds after which a training run pauses; the same command continues it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check recipe and machine, then stop.")] = False,
    *,
    note: Notes = None,
) -> None:
    """Run a recipe once and write its record below results/.

    A run that was killed continues where it was when the same command is given again.

    Example: codelab run recipes/q7-quantize-smollm2-cpu.yaml
    """
    loaded = load(recipe)
    check_machine(loaded)
    if dry_run:
        typer.echo(f"{recipe}: fine; about {loaded.recipe.hardware.minutes:g} min on the hardware it names")
        return
    execute(loaded, results, fresh=fresh, stop_after=stop_after, notes=note or ())


def check_machine(loaded: Loaded) -> None:
    """Refuse early when the machine lacks what the recipe needs.

    Raises:
        UserError: says what is missing and, where one exists, which recipe fits this machine.
    """
    hardware = loaded.recipe.hardware
    for extra in hardware.extras:
        absent = [name for name in _EXTRA_MODULES.get(extra, ()) if importlib.util.find_spec(name) is None]
        if absent:
            raise UserError(
                f"recipe {loaded.path}: needs {', '.join(absent)}, not installed here; run: make setup-{extra}"
            )
    if hardware.device != "gpu":
        return
    from codelab.measure import device  # noqa: PLC0415 - needs torch or NVML only for recipes that ask for a GPU

    facts = device.facts()
    needs = f"needs an NVIDIA GPU with {hardware.gpu_memory_gb:g} GB and about {hardware.minutes:g} minutes"
    offer = f"; on this machine run: codelab run {hardware.cpu_recipe}" if hardware.cpu_recipe else ""
    if facts is None:
        raise UserError(f"recipe {loaded.path}: {needs}, and no GPU was found{offer}")
    if facts.memory_bytes < hardware.gpu_memory_gb * 1e9:
        raise UserError(f"recipe {loaded.path}: {needs}; {facts.name} has {facts.memory_bytes / 1e9:.0f} GB{offer}")


def execute(
    loaded: Loaded, results: Path, *, fresh: bool = False, stop_after: float | None = None, notes: Sequence[str] = ()
) -> Path:
    """Run an experiment to its end and return the folder of its record; ``notes`` are kept in it.

    Raises:
        UserError: something the user can mend; a run that had done nothing yet leaves nothing behind.
    """
    from codelab.measure import device, environment  # noqa: PLC0415

    facts = device.facts()
    commit, dirty = _git_state()
    worker = int(os.environ.get("RANK", "0")) > 0
    if worker:  # a further process of `accelerate launch`: the first one keeps the record
        results = Path(tempfile.mkdtemp(prefix="codelab-worker-"))
    opened = open_run(
        loaded.recipe, loaded.name, results, ["codelab", *sys.argv[1:]], commit=commit, dirty=dirty,
        label=_label(facts.name if facts else "cpu"), fresh=fresh,
    )  # fmt: skip
    opened.stop_after = stop_after
    opened.environment(environment.facts(), facts)
    for note in notes:
        opened.note(note)
    if opened.resumed and not worker:
        typer.echo(f"continuing {opened.folder}", err=True)
    try:
        loaded.execute(loaded.recipe, opened)
    except UserError:
        if not opened.has_results():
            opened.discard()
        raise
    except Paused:
        typer.echo(f"paused; the same command continues {opened.folder}", err=True)
        raise typer.Exit(75) from None
    except KeyboardInterrupt:
        again = shlex.join(["codelab", *sys.argv[1:]])
        typer.echo(f"\ninterrupted; to continue: {again}", err=True)
        raise typer.Exit(130) from None
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise UserError(f"{error.filename or opened.folder}: the disk is full; free space and run again") from error
        _fail(opened, error)
        raise
    except Exception as error:
        _fail(opened, error)
        raise
    if worker:
        opened.discard()
        return results
    final = opened.finish()
    typer.echo(str(final))
    return final


def _fail(opened: Run, error: Exception) -> None:
    final = opened.finish("failed", f"{type(error).__name__}: {error}"[:2000])
    typer.echo(f"failed; recorded in {final}", err=True)


def _label(name: str) -> str:
    words = [word for word in name.lower().replace("_", " ").split() if word not in {"nvidia", "geforce", "tesla"}]
    return "-".join(words[:1]) or "device"


def _git_state() -> tuple[str | None, bool | None]:
    if commit := os.environ.get("CODELAB_COMMIT"):
        return commit, False
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run(
            ["git", "status", "--porcelain", "--", "code", "recipes"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return head.stdout.strip(), bool(status.stdout.strip())
