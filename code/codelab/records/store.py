"""Writing a run so that a kill at any moment leaves no half record, and continuing a killed one.

A run lives in ``results/<recipe>/.<run>.partial`` while it works (git ignores it) and is renamed to
``results/<recipe>/<run>`` at the end, in one step. A partial run of the same recipe, values and code is continued.
Checkpoints are the experiment's own and lie below :attr:`Run.work`. Not covered: two processes working on the same
recipe in the same folder at once (the second is refused) and reading finished runs (``codelab.records.reading``).
"""

import fcntl
import json
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import zstandard
from pydantic import BaseModel

from codelab.errors import UserError
from codelab.records.files import to_csv, write_atomic
from codelab.records.hashing import code_sha256, sha256_file
from codelab.records.recipe import Recipe
from codelab.records.rows import RowLog
from codelab.records.schema import (
    CodeFacts,
    DataFacts,
    Device,
    Environment,
    Metric,
    ModelFacts,
    Phase,
    RecipeFacts,
    Record,
    State,
)

RECORD = "record.json"
STEPS = "steps.csv"
SAMPLES = "samples.jsonl.zst"
_STATE = "state.json"


class Run(RowLog):
    """One run in progress: experiments add facts, phases, metrics, steps and samples to it.

    Everything added is on disk when the call returns, so that a killed run continues where it was. Adding the same
    phase, metric, table, data set or model name again replaces it; steps and samples are appended.

    Args:
        folder: the partial folder; made by :func:`open_run`.
        state: the record so far.
    """

    def __init__(self, folder: Path, state: dict[str, Any]) -> None:
        self.stop_after: float | None = None
        self._state = state
        self._began = time.monotonic()
        self._spent = float(state.get("seconds", 0.0))
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"{folder}: another process is working on this run") from error
        super().__init__(folder)  # after the lock: it cuts off half lines, which another process may be writing

    @property
    def work(self) -> Path:
        """Folder for checkpoints and other scratch; deleted when the run is finished."""
        path = self.folder / "work"
        path.mkdir(exist_ok=True)
        return path

    @property
    def resumed(self) -> int:
        """How often this run was continued."""
        return int(self._state["resumed"])

    def time_is_up(self, reserve: float = 0.0) -> bool:
        """Whether the time this command was allowed ends within ``reserve`` seconds.

        An experiment that sees this saves its state and raises :class:`~codelab.errors.Paused`.
        """
        left = self.seconds_left()
        return left is not None and left < reserve

    def seconds_left(self) -> float | None:
        """Seconds that this command is still allowed, for a part of it that runs in another process; None: no limit."""
        return None if self.stop_after is None else self.stop_after - (time.monotonic() - self._began)

    def phase(self, phase: Phase) -> None:
        """Add one phase, or replace the phase of the same name and variant."""
        self._replace("phases", phase, lambda old: (old["name"], old["variant"]) == (phase.name, phase.variant))

    def metric(self, name: str, value: float, **more: Any) -> None:
        """Add a metric; keywords are the other fields of :class:`~codelab.records.schema.Metric`."""
        self._state["metrics"][name] = Metric(value=value, **more).model_dump()
        self._save()

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Add a small table, one mapping a row, plain JSON values only."""
        self._state["tables"][name] = json.loads(json.dumps(rows, allow_nan=False))
        self._save()

    def data(self, facts: DataFacts) -> None:
        """Say which data set was read."""
        self._replace("data", facts, lambda old: old["name"] == facts.name)

    def model(self, facts: ModelFacts) -> None:
        """Say which model was loaded."""
        self._replace("models", facts, lambda old: old["role"] == facts.role)

    def environment(self, environment: Environment, device: Device | None) -> None:
        """Say where the run ran."""
        self._state["environment"] = environment.model_dump()
        self._state["device"] = device.model_dump() if device else None
        self._save()

    def note(self, text: str) -> None:
        """Add one sentence that a reader of the record needs; repeated notes are kept once."""
        if text not in self._state["notes"]:
            self._state["notes"].append(text)
            self._save()

    def has_results(self) -> bool:
        """Whether anything was measured yet."""
        started = self.rows("steps").exists() or self.rows("samples").exists()
        return started or any(self._state[key] for key in ("phases", "metrics", "tables"))

    def finish(self, state: State = "ok", error: str | None = None) -> Path:
        """Write the record and move the run to its final place.

        A stopped run ended when it last wrote something, not now.

        Returns:
            The folder ``results/<recipe>/<run>``.
        """
        ended = _now()
        if state == "stopped":
            began = datetime.fromisoformat(self._state["started"])
            ended = (began + timedelta(seconds=self._spent)).isoformat(timespec="seconds")
            self._began = time.monotonic()
        self._state |= {"state": state, "error": error, "finished": ended}
        self._save()
        files: dict[str, str] = {}
        if steps := self.steps_so_far():
            write_atomic(self.folder / STEPS, to_csv(steps).encode())
            files[STEPS] = sha256_file(self.folder / STEPS)
        samples = self.rows("samples")
        if samples.exists():
            packed = zstandard.ZstdCompressor(level=19).compress(samples.read_bytes())
            write_atomic(self.folder / SAMPLES, packed)
            files[SAMPLES] = sha256_file(self.folder / SAMPLES)
        record = Record.model_validate({**self._state, "files": files})
        write_atomic(self.folder / RECORD, (record.model_dump_json(indent=1) + "\n").encode())
        for scratch in (self.rows("steps"), samples, self.folder / _STATE, self.folder / "lock"):
            scratch.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        final = self.folder.with_name(self.folder.name.removeprefix(".").removesuffix(".partial"))
        self.folder.rename(final)
        self._lock.close()
        return final

    def discard(self) -> None:
        """Remove the partial run without a trace, for an error that is the user's to mend."""
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _replace(self, key: str, part: BaseModel, same: Any) -> None:
        rows = self._state[key]
        value = part.model_dump()
        self._state[key] = [row for row in rows if not same(row)] + [value]
        self._save()

    def _save(self) -> None:
        self._state["seconds"] = self._spent + time.monotonic() - self._began
        write_atomic(self.folder / _STATE, json.dumps(self._state, allow_nan=False).encode())


def open_run(
    recipe: Recipe,
    name: str,
    results: Path,
    command: list[str],
    *,
    commit: str | None = None,
    dirty: bool | None = None,
    label: str = "",
    fresh: bool = False,
) -> Run:
    """Start a run, or continue the partial one of the same recipe values and code.

    Args:
        recipe: the validated recipe.
        name: its file stem.
        results: the folder ``results``.
        command: the command line that started it.
        commit: commit of the working tree, where known.
        dirty: whether the tree differs from that commit.
        label: ends the run's name, the device for example.
        fresh: throw a partial run away instead of continuing it.

    Raises:
        UserError: another process holds the run, or the disk refuses.
    """
    code = code_sha256()
    for old in sorted((results / name).glob(".*.partial")):
        state = _read_state(old)
        if fresh or state is None:
            shutil.rmtree(old, ignore_errors=True)
        elif state["recipe"]["sha256"] == recipe.digest() and state["code"]["sha256"] == code:
            state["resumed"] += 1
            return Run(old, state)
    run = "-".join(filter(None, [datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), label]))
    folder = results / name / f".{run}.partial"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from error
    state = {
        "run": run,
        "title": recipe.title,
        "command": command,
        "started": _now(),
        "resumed": 0,
        "seconds": 0.0,
        "recipe": RecipeFacts(
            name=name, kind=recipe.kind, sha256=recipe.digest(), values=recipe.model_dump(mode="json")
        ).model_dump(),
        "code": CodeFacts(sha256=code, commit=commit, dirty=dirty).model_dump(),
        "seeds": list(recipe.seeds),
        "data": [],
        "models": [],
        "phases": [],
        "metrics": {},
        "tables": {},
        "notes": [],
    }
    opened = Run(folder, state)
    opened._save()
    return opened


def reopen(folder: Path) -> Run:
    """A partial run as it was left, whatever its recipe and code were: to close it, not to go on.

    Raises:
        UserError: no partial run lies there, or another process is working on it.
    """
    state = _read_state(folder)
    if state is None or not folder.name.endswith(".partial"):
        raise UserError(f"{folder}: expected the folder of an unfinished run, results/RECIPE/.RUN.partial")
    return Run(folder, state)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read_state(folder: Path) -> dict[str, Any] | None:
    try:
        state = json.loads((folder / _STATE).read_bytes())
    except (OSError, json.JSONDecodeError):
        return None
    return state if isinstance(state, dict) else None
