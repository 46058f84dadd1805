"""Tables as Markdown, the same in every format.

A cell shows one with ``tables.show(...)`` as its last line, under ``#| label: tbl-…`` and ``#| tbl-cap: …``. Not
covered: captions and ids (cell options) and tables wider than a page (split them).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from codelab.book import formats as as_text
from codelab.book.formats import Markdown

if TYPE_CHECKING:
    import pandas as pd

Rows = Sequence[Mapping[str, Any]]


def show(
    rows: "Rows | pd.DataFrame",
    columns: Mapping[str, str] | None = None,
    formats: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    note: str = "",
) -> Markdown:
    """A pipe table.

    Args:
        rows: one mapping a row, or a data frame (its index is not shown).
        columns: the columns to show, in order, with their headings; all of them by default.
        formats: format by column, as for :func:`codelab.book.formats.show`; a unit that the heading names in
            parentheses, ``"Peak (GB)"``, is left out of the cells.
        units: unit of a column's numbers, where its format converts them.
        note: Markdown shown below the table, usually a run's provenance.

    Raises:
        KeyError: a row lacks a column that was asked for.
    """
    records: Rows = rows if isinstance(rows, Sequence) else rows.to_dict("records")  # type: ignore[assignment]
    names = dict(columns) if columns else {str(key): str(key) for row in records[:1] for key in row}
    formats, units = formats or {}, units or {}
    body = [[_cell(row[key], formats.get(key, ""), units.get(key), names[key]) for key in names] for row in records]
    numeric = [all(isinstance(row[key], int | float) or row[key] is None for row in records) for key in names]
    text = tabulate(
        body,
        headers=[_escape(heading) for heading in names.values()],
        tablefmt="pipe",
        colalign=["right" if right else "left" for right in numeric] if body else None,
        disable_numparse=True,
    )
    return Markdown(f"{text}\n\n{note}\n" if note else f"{text}\n")


def _cell(value: Any, fmt: str, unit: str | None, heading: str) -> str:
    if value is None or value != value:  # noqa: PLR0124 - NaN is the one value unlike itself
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        text = as_text.show(value, fmt, unit) if fmt or unit else as_text.digits(value).replace("-", "−")
        number, _, shown = text.partition(as_text.NBSP)
        return number if heading.endswith(f"({shown})") else text
    return _escape(str(value))


def _escape(text: str) -> str:
    """A bar or a line break would end the cell."""
    return " ".join(text.split()).replace("|", "\\|")
