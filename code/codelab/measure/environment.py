"""Facts about Python, the machine and the packages that change a result.

Not covered: accelerators (``codelab.measure.device``) and the commit of the code (the record has it).
"""

import os
import platform
from importlib import metadata
from pathlib import Path

import psutil

from codelab.records import Environment

PACKAGES = (
    "accelerate", "bitsandbytes", "datasets", "gguf", "numpy", "peft", "ray", "safetensors", "tokenizers", "torch",
    "transformers", "triton", "trl", "unsloth", "unsloth_zoo", "vllm",
)  # fmt: skip


def facts() -> Environment:
    """Read them; a package that is not installed is left out."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        packages=versions(PACKAGES),
    )


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Installed version of each package that is there."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
