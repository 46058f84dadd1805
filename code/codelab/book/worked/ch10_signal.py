"""Chapter 10 before any training: what groups of recorded completions show.

Shares and intervals are the record's (kind ``signal``); here they are chosen, named and put into per cent. Not covered:
the runs of kind ``grpo`` (:mod:`codelab.book.worked.ch10`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from codelab.book.facts import Facts

if TYPE_CHECKING:
    import pandas as pd

REWARDS = {"pass-only": "pass or fail", "graded": "graded"}
"""The record's rewards, and their names in the book."""


def flat(run: Facts, sources: Mapping[str, str]) -> "pd.DataFrame":
    """Groups without variance in per cent: columns ``curve``, ``group``, ``percent``, and ``low`` and ``high``.

    Args:
        run: of kind ``signal``.
        sources: the record's names, and what curves of them are called; empty for the reward's name alone.
    """
    import pandas as pd  # noqa: PLC0415

    frame = run.frame("groups")
    parts = []
    for reward, title in REWARDS.items():
        for source, name in sources.items():
            rows = frame[(frame["source"] == source) & (frame["reward"] == reward)]
            parts.append(
                pd.DataFrame(
                    {
                        "curve": f"{name}, {title}" if name else title,
                        "group": rows["group"],
                        "percent": 100 * rows["flat"],
                        "low": 100 * rows["flat_low"],
                        "high": 100 * rows["flat_high"],
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)
