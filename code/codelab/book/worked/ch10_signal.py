"""Chapter 10 before any training: what groups of recorded completions show.

Shares and intervals are the record's (kind ``signal``); here they are chosen, named and put into per cent. Not covered:
the runs of kind ``grpo`` (:mod:`codelab.book.worked.ch10`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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


def overview(
    run: Facts, sources: Mapping[str, str], sizes: Sequence[int], completions: int = 512
) -> list[dict[str, Any]]:
    """A row a source and group size that it has: shares of its groups, and of the graded reward's squared advantages.

    Args:
        run: of kind ``signal``.
        sources: the record's names, and what the book calls them.
        sizes: of the groups.
        completions: of a step; ``solving_groups`` is how many of its groups hold a pass and a failure, on average.
    """
    known = run.record.recipe.values["sources"]
    rows = []
    for source, name in sources.items():
        for size in sizes:
            key = f"{source}.graded.g{size}"
            if f"{key}.flat" not in run.record.metrics:
                continue
            rows.append(
                {
                    "source": name,
                    "temperature": str(known[source]["setting"]).removeprefix("t"),
                    "pass@1": run.number(f"{source}.pass@1"),
                    "group": size,
                    "flat_pass": run.number(f"{source}.pass-only.g{size}.flat"),
                    "flat_graded": run.number(f"{key}.flat"),
                    "form": run.number(f"{key}.form"),
                    "solving": run.number(f"{key}.solving"),
                    "solving_groups": completions / size * run.number(f"{key}.solving"),
                    "advantage": run.number(f"{key}.advantage.solving"),
                }
            )
    return rows
