"""Numbers as text: units, digits and intervals, one way everywhere.

Sizes are decimal (1 GB is 1e9 bytes), as in the records. Not covered: tables (``codelab.book.tables``).
"""

import math
import re

NBSP = "\N{NO-BREAK SPACE}"


class Markdown(str):
    """Text that notebooks and inline code show as Markdown instead of escaping it."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


_SCALE: dict[str, tuple[str, float]] = {
    "TB": ("bytes", 1e-12), "GB": ("bytes", 1e-9), "MB": ("bytes", 1e-6), "kB": ("bytes", 1e-3),
    "h": ("s", 1 / 3600), "min": ("s", 1 / 60), "s": ("s", 1), "ms": ("s", 1e3), "µs": ("s", 1e6),
    "%": ("share", 100), "points": ("share", 100),
    "M": ("", 1e-6), "B": ("", 1e-9), "×": ("", 1), "x": ("", 1),
}  # fmt: skip
_UNITS = {"byte": "bytes", "b": "bytes", "seconds": "s", "sec": "s", "fraction": "share", "ratio": "×", "1": ""}
_MARKS = re.compile(r"([!-/:-@\[-`{}~])")  # every ASCII mark but the bar
_OPENER = re.compile(r"^(?=\d+[.)]|[-+=/:])")
_FORMAT = re.compile(r"(?P<spec>[+ ]?,?(?:\.\d+)?[dfeg]?)\s*(?P<unit>.*)")


def show(value: float, fmt: str = "", unit: str | None = None) -> Markdown:
    """One number with its unit, a no-break space between them.

    Args:
        value: in the unit of the records: bytes, seconds, shares of one.
        fmt: a format specification, a unit to convert to, or both: ``".1f"``, ``"GB"``, ``"+.1f points"``. Without
            one, the unit chooses: the largest prefix below the value, three significant digits.
        unit: what ``value`` is in: ``"bytes"``, ``"s"``, ``"share"``, ``"tokens/s"`` …

    Raises:
        ValueError: ``fmt`` asks for a unit that ``unit`` cannot be converted to.
    """
    if not math.isfinite(value):
        return Markdown("n/a")
    base = _UNITS.get(unit or "", unit or "")
    match = _FORMAT.fullmatch(fmt)
    spec, target = (match["spec"], match["unit"]) if match else ("", fmt)
    target = target or _natural(value, base)
    if target in _SCALE:
        source, factor = _SCALE[target]
        if base and source and source != base:
            raise ValueError(f"cannot show {base} as {target}")
        value *= factor
    text = format(value, spec) if spec else digits(value, 1 if target in ("%", "points") else None)
    text = text.replace("-", "−")
    target = {"x": "×"}.get(target, target)
    return Markdown(f"{text}{'' if target in ('×', '') else NBSP}{target}")


def literal(text: str) -> Markdown:
    """Text that a model wrote, shown as it is: nothing in it is read as Markdown, and no list opens in Typst.

    Line breaks become spaces; tables escape the bar themselves. A word joiner, which does not show, goes before a
    number or dash at the start.
    """
    plain = _OPENER.sub("\N{WORD JOINER}", " ".join(text.split()))
    return Markdown(_MARKS.sub(r"\\\1", plain))


def digits(value: float, decimals: int | None = None) -> str:
    """Three significant digits without an exponent, or a fixed number of decimals; thousands are separated."""
    if decimals is not None:
        return f"{value:,.{decimals}f}"
    if value == 0:
        return "0"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def interval(low: float, high: float, fmt: str = "", unit: str | None = None) -> Markdown:
    """Two ends of an interval with one unit: ``10.1–14.2 %``; ``+2.0 to +5.2 points`` where an end has a sign."""
    left, right = str(show(low, fmt, unit)), show(high, fmt, unit)
    number, _, tail = left.partition(NBSP)
    if tail and right.endswith(NBSP + tail):
        left = number
    return Markdown(f"{left} to {right}" if {"−", "+"} & set(left + right) else f"{left}–{right}")


def _natural(value: float, unit: str) -> str:
    size = abs(value)
    if unit == "bytes":
        return next((name for name, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if size >= least), "bytes")
    if unit == "s":
        return next((name for name, least in (("h", 7200), ("min", 120), ("s", 1)) if size >= least), "ms")
    return "%" if unit == "share" else unit
