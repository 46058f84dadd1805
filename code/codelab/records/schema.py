"""The run record: one typed JSON document that says what ran, on what, and what came out.

The book reads nothing else (with ``steps.csv`` and ``samples.jsonl.zst`` beside it). Sizes are bytes and times are
seconds everywhere; shares are between 0 and 1. Not covered: large artefacts such as weights, which stay outside the
repository.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from codelab.errors import UserError
from codelab.records.hashing import sha256_file

SCHEMA_VERSION: Literal[1] = 1
State = Literal["ok", "failed", "stopped"]
"""How a run ended: at its end, in an error, or cut off by something outside it."""


class Part(BaseModel):
    """Base of the record's sections: unknown keys are errors, so that a damaged record is noticed."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class RecipeFacts(Part):
    """Which recipe ran, with every value it had, defaults included."""

    name: str
    kind: str
    sha256: str
    values: dict[str, Any]


class CodeFacts(Part):
    """Which code ran: ``sha256`` covers the package without book and command line; ``commit`` may be unknown."""

    sha256: str
    commit: str | None = None
    dirty: bool | None = None


class Environment(Part):
    """Python, platform, processor and the versions of the packages that matter."""

    python: str
    platform: str
    cpu: str
    cores: int
    memory_bytes: int
    packages: dict[str, str]


class Device(Part):
    """The accelerator, as its driver names it."""

    name: str
    memory_bytes: int
    count: int = 1
    driver: str | None = None
    cuda: str | None = None


class DataFacts(Part):
    """One data set that was read; ``source`` never says where on a machine a file lay."""

    name: str
    source: str
    sha256: str | None = None
    revision: str | None = None
    rows: int | None = None

    @classmethod
    def of_file(cls, name: str, path: Path, rows: int | None = None, *, folders: int = 0) -> "DataFacts":
        """Facts of a local file: its name, without the way to it, and its SHA-256.

        Args:
            name: of the data set.
            path: the file.
            rows: how many rows it has.
            folders: how many of its folders are named too, where the file's own name says little.

        Raises:
            UserError: the file cannot be read.
        """
        try:
            digest = sha256_file(path)
        except OSError as error:
            raise UserError(f"{name} {path}: cannot be read ({error.strerror})") from error
        return cls(name=name, source=f"file:{'/'.join(path.resolve().parts[-1 - folders :])}", sha256=digest, rows=rows)


class ModelFacts(Part):
    """One model that was loaded: its role in the run and where its weights came from."""

    role: str
    source: str
    parameters: int | None = None
    sha256: str | None = None
    note: str | None = None


class Phase(Part):
    """Time and memory of one phase.

    ``cpu_peak`` is the peak resident set of the process tree, ``gpu_allocated`` the framework allocator's peak,
    ``gpu_device`` the peak of the whole device as the driver counts it, ``gpu_reserved`` what an inference server set
    aside for its cache; all in bytes.
    """

    name: str
    seconds: float = Field(ge=0)
    cpu_peak: int | None = None
    gpu_allocated: int | None = None
    gpu_device: int | None = None
    gpu_reserved: int | None = None
    variant: str | None = None


class Metric(Part):
    """One measured number, with its interval where one makes sense."""

    value: float
    low: float | None = None
    high: float | None = None
    level: float | None = None
    n: int | None = None
    unit: str | None = None
    method: str | None = None


class Record(Part):
    """Everything about one run."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run: str
    title: str
    state: State
    error: str | None = None
    command: list[str]
    started: str
    finished: str
    seconds: float
    resumed: int = Field(default=0, description="how often the run was interrupted and continued")
    recipe: RecipeFacts
    code: CodeFacts
    seeds: list[int]
    environment: Environment
    device: Device | None = None
    data: list[DataFacts] = []
    models: list[ModelFacts] = []
    phases: list[Phase] = []
    metrics: dict[str, Metric] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    notes: list[str] = []
    files: dict[str, str] = Field(default={}, description="name of each file beside the record, and its SHA-256")
