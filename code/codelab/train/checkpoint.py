"""Checkpoints of a training run: written under a temporary name and renamed, so that the newest is always whole.

Holds tensors and plain numbers only and is read with ``weights_only=True``. Not covered: finished models, which are
saved as transformers folders.
"""

from pathlib import Path
from typing import Any

from codelab.errors import UserError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint in place of the old one.

    Raises:
        UserError: the disk refuses.
    """
    import torch  # noqa: PLC0415

    temporary = path.with_suffix(".tmp")
    try:
        torch.save(state, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"checkpoint {path}: cannot be written ({error})") from error


def load(path: Path, device: str = "cpu") -> dict[str, Any] | None:
    """Read a checkpoint, or None where there is none yet."""
    import torch  # noqa: PLC0415

    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state
