"""The line that says which record a figure or table shows, found so that a format can set it as it should.

Not covered: what the line says (``codelab.book.facts.provenance``). Quarto has the same rule
(``assets/filters/source-line.lua``).
"""

from typing import Any

import panflute as pf


def is_source(block: Any) -> bool:
    """Whether a block is such a line: a paragraph ``Record …, commit …``."""
    if not isinstance(block, pf.Para) or not len(block.content):
        return False
    first = block.content[0]
    return isinstance(first, pf.Str) and first.text in ("Record", "Records") and ", commit " in pf.stringify(block)
