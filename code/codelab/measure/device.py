"""The accelerator, asked through the driver (NVML), without starting CUDA in this process.

Covers NVIDIA devices. ``CUDA_VISIBLE_DEVICES`` is honoured: an empty value means no device. Not covered: devices of
other makers, MIG slices (the whole card is reported), and more than the first visible device's name and memory.
"""

import contextlib
import os
from typing import Any

from codelab.records import Device


def facts() -> Device | None:
    """Name, memory and driver of the first visible device; ``None`` where there is none."""
    with contextlib.suppress(Exception):
        return _facts()
    return None


def _facts() -> Device | None:
    handle = open_handle()
    if handle is None:
        return None
    import pynvml  # noqa: PLC0415

    cuda = pynvml.nvmlSystemGetCudaDriverVersion()
    return Device(
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        count=_visible_count(int(pynvml.nvmlDeviceGetCount())),
        driver=_text(pynvml.nvmlSystemGetDriverVersion()),
        cuda=f"{cuda // 1000}.{cuda % 1000 // 10}",
    )


def open_handle() -> Any | None:
    """NVML's handle of the first visible device, or ``None``; the handle stays valid for the life of the process."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1", "NoDevFiles"}:
        return None
    try:
        import pynvml  # noqa: PLC0415

        pynvml.nvmlInit()
        first = (visible or "0").split(",")[0].strip()
        if first.isdigit():
            return pynvml.nvmlDeviceGetHandleByIndex(int(first))
        return pynvml.nvmlDeviceGetHandleByUUID(first)
    except Exception:  # no library, no driver, no device: each means that there is none
        return None


def used_bytes(handle: Any) -> int:
    """Memory in use on the whole device, by every process."""
    import pynvml  # noqa: PLC0415

    return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)


def _visible_count(count: int) -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return min(count, len(visible.split(","))) if visible else count


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
