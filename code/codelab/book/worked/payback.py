"""When an engine that begins late and writes quickly is done before one that begins at once. Pure.

Both are taken to write at one rate from their start on, so that a result is an estimate and no measurement. Not
covered: rates that depend on how much is asked (``codelab.train.engines.breakeven``), and a start for several jobs.
"""

from collections.abc import Mapping


def head_start(quick: Mapping[str, float], slow: Mapping[str, float]) -> float:
    """Completions that one engine has written when the other one begins: below these no speed of the other pays.

    Args:
        quick: ``start`` in seconds and ``rate`` in completions a second of the engine that begins first.
        slow: the same of the other one; its rate does not matter.
    """
    return max(0.0, slow["start"] - quick["start"]) * quick["rate"]


def paid_from(quick: Mapping[str, float], slow: Mapping[str, float]) -> float | None:
    """Completions from which the engine that begins later is done first; None: never, it does not write faster either.

    Args:
        quick: ``start`` in seconds and ``rate`` in completions a second of the engine that begins first.
        slow: the same of the other one.
    """
    if slow["rate"] <= quick["rate"]:
        return None
    return max(0.0, slow["start"] - quick["start"]) / (1 / quick["rate"] - 1 / slow["rate"])


def pace_needed(quick: Mapping[str, float], slow: Mapping[str, float], count: int) -> float | None:
    """Completions a second from which the later engine would be done with ``count`` first; None: no pace is enough.

    Args:
        quick: ``start`` in seconds and ``rate`` in completions a second of the engine that begins first.
        slow: ``start`` of the other one.
        count: completions that are asked for.
    """
    left = quick["start"] + count / quick["rate"] - slow["start"]
    return count / left if left > 0 else None
