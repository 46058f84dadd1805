"""Diagrams of the essays: a registry of functions that each draw one figure, and the writing of their files.

A function in ``codelab/book/diagrams/chNN.py`` returns a matplotlib figure and is registered by name::

    @diagram("q2-memory")
    def memory() -> Figure:
        figure, axes = plt.subplots(figsize=(6.5, 3.0))
        ...
        return figure

:func:`draw_all` writes ``figures/<name>.svg`` (text as paths, no date, fixed ids: the same bytes again and again) and
``figures/<name>.png`` for formats that cannot show SVG (Word). Not covered: plots of measured results, which chapters
draw from records (``codelab.book.figures``).
"""

import io
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from codelab.book.style import styled
from codelab.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[], "Figure"]
_REGISTRY: dict[str, Draw] = {}


def diagram(name: str) -> Callable[[Draw], Draw]:
    """Register a drawing function under the stem of the file it makes.

    Raises:
        ValueError: another function has that name.
    """

    def register(draw: Draw) -> Draw:
        known = _REGISTRY.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (draw.__module__, draw.__qualname__):
            raise ValueError(f"diagram {name!r} is drawn by {known.__module__} and by {draw.__module__}")
        _REGISTRY[name] = draw
        return draw

    return register


def registered() -> dict[str, Draw]:
    """All diagrams by name, after importing every module of this package."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return dict(sorted(_REGISTRY.items()))


def render(name: str) -> dict[str, bytes]:
    """Draw one diagram.

    Returns:
        The bytes of its files by suffix, ``".svg"`` and ``".png"``.

    Raises:
        UserError: no diagram has that name.
    """
    draw = registered().get(name)
    if draw is None:
        raise UserError(f"diagram {name!r}: no function in codelab/book/diagrams draws it")
    with styled():
        import matplotlib.pyplot as plt  # noqa: PLC0415 - after the backend is chosen

        figure = draw()
        files = {
            ".svg": _save(figure, "svg", {"Date": None, "Title": name}),
            ".png": _save(figure, "png", {"Software": None, "Title": name}),
        }
        plt.close(figure)
    return files


def draw_all(folder: Path, names: Iterable[str] | None = None) -> list[Path]:
    """Write the files of all diagrams, or of those named, and leave unchanged files untouched.

    Returns:
        The files that changed.

    Raises:
        UserError: a name is unknown.
    """
    changed = []
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or registered():
        for suffix, content in render(name).items():
            path = folder / f"{name}{suffix}"
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
                changed.append(path)
    return changed


def outdated(folder: Path) -> list[str]:
    """Reasons why the vector files in ``folder`` are not what the code draws.

    A file written by another matplotlib release cannot be compared byte by byte and is passed over.
    """
    import matplotlib as mpl  # noqa: PLC0415

    creator = f"Matplotlib v{mpl.__version__}".encode()
    reasons = []
    for name in registered():
        path = folder / f"{name}.svg"
        if not path.exists():
            reasons.append(f"{path}: missing; run `codelab figures`")
        elif creator in (old := path.read_bytes()) and old != render(name)[".svg"]:
            reasons.append(f"{path}: not what codelab.book.diagrams draws now; run `codelab figures`")
    return reasons


def _save(figure: "Figure", kind: str, metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=metadata)
    content = buffer.getvalue()
    if kind == "svg":  # lines ending in blanks would be noise in every diff
        content = b"\n".join(line.rstrip() for line in content.splitlines()) + b"\n"
    return content
