"""What GRPO's arms scored and what their rewards were made of, for chapter 10.

Of a stopped run only trainings that reached their end are read. Computed here: means over a training's first and last
steps, and the parts of the mean reward, which follow from the rungs and the recipe's weights. Paired differences are in
the records. Not covered: seconds (:mod:`codelab.book.worked.ch10_costs`), answers to test tasks
(:mod:`codelab.book.worked.ch10_tests`) and what programs look like (:mod:`codelab.book.worked.ch10_programs`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.formats import show
from codelab.book.worked import ch10
from codelab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

FORM = ("rung_nothing", "rung_syntax", "rung_parses", "rung_defines")
"""Rungs below a program that runs to an answer."""
_QUANTITIES = {
    "reward": ("Mean reward", ".3f", ""),
    "rung_passes": ("Completions that pass", ".1f %", "share"),
    "rung_some": ("Pass some tests", ".1f %", "share"),
    "form": ("Do not run to an answer", ".1f %", "share"),
    "hard_coded_some": ("Of those that pass a test, return an expected constant", ".1f %", "share"),
    "hard_coded": ("Of those that pass all, return an expected constant", ".1f %", "share"),
    "distinct": ("Distinct programs", ".1f %", "share"),
    "flat_groups": ("Groups without variance", ".1f %", "share"),
    "kl_token_exact": ("KL of the next token, exact, nats", ".4f", ""),
    "entropy": ("Entropy, nats a token", ".2f", ""),
    "length": ("Tokens a completion", ".0f", ""),
    "truncated": ("Cut by the length limit", ".1f %", "share"),
    "engine_difference": ("Two engines' log-probabilities apart, nats a token", ".4f", ""),
}
"""Columns of ``steps.csv`` and sums of them, what the book calls them, and how it writes them."""
_POINTS, _COLUMNS = ("value", "low", "high"), ("difference", "low", "high")
_SHARES = ("rung_passes", "rung_some", "hard_coded_some", "distinct", "flat_groups")


def trainings(sides: Sequence[tuple[Facts, Mapping[str, str]]], k: int = 1, key: str = "t0.6") -> list[dict[str, Any]]:
    """Paired differences of single trainings in percentage points, for :func:`codelab.book.figures.differences`.

    Args:
        sides: runs with what the book calls their models, held against the run's start, or pairs of a ``compare`` run.
        k: of pass@k.
        key: the sampling setting.

    Raises:
        UserError: a run has no such difference.
    """
    rows = []
    for run, names in sides:
        table, column = ("by_seed", "model") if "by_seed" in run.record.tables else ("comparison", "pair")
        found = {row[column]: row for row in run.record.tables[table] if (row["setting"], row["k"]) == (key, k)}
        for model, name in names.items():
            if model not in found:
                raise UserError(f"{run.folder}: no paired difference of {model!r} at {key}, pass@{k}")
            row = found[model]
            points = {part: 100 * row[where] for part, where in zip(_POINTS, _COLUMNS, strict=True)}
            rows.append({"name": name, "verdict": row["verdict"], **points})
    return rows


class Verdicts:
    """What the paired comparisons of several runs say: ``better``, ``worse`` or ``no difference shown``.

    Args:
        runs: with arms, held against their start (means and single trainings), or of kind ``compare``.
    """

    def __init__(self, *runs: Facts) -> None:
        self._rows = [
            (row.get("pair") or row["model"], row["setting"], row["k"], row["verdict"])
            for run in runs
            for table in ("comparison", "by_seed")
            for row in run.record.tables.get(table, ())
        ]

    def __call__(self, *names: str, k: int = 1, key: str = "t0.6") -> list[str]:
        """Verdicts of the models or pairs whose names match, in the order of the names and then of the records.

        Args:
            names: with ``?`` and ``*`` as in file names.
            k: of pass@k.
            key: the sampling setting.

        Raises:
            UserError: a name matches nothing.
        """
        found: list[str] = []
        for pattern in names:
            mine = [
                verdict
                for name, setting, size, verdict in self._rows
                if fnmatchcase(name, pattern) and (setting, size) == (key, k)
            ]
            if not mine:
                raise UserError(f"no comparison is called {pattern!r} at {key}, pass@{k}")
            found += mine
        return found


def course(run: Facts, names: Mapping[str, str]) -> "pd.DataFrame":
    """Steps of the complete trainings with ``name`` and shares in per cent, for :func:`codelab.book.courses.panels`.

    Looks at the policy are rows of their own, with ``percent`` of answers that pass, where the run has any.

    Args:
        run: a GRPO run.
        names: its arms, and what the book calls them.
    """
    import pandas as pd  # noqa: PLC0415

    frame = ch10.steps(run, list(names), whole=True)
    frame = frame.assign(**{column: 100 * frame[column] for column in _SHARES})
    if "kl" in run.steps():
        looks = ch10.looks(run, list(names), whole=True)
        frame = pd.concat([frame, looks[["arm", "seed", "step", "percent"]]], ignore_index=True)
    return frame.assign(name=frame["arm"].map(names))


def means(run: Facts, arm: str, width: int = 5) -> dict[str, dict[str, float]]:
    """Means of every column over the ``first`` and the ``last`` steps of an arm's complete trainings.

    ``form`` is added: the share of completions that do not run to an answer.

    Args:
        run: a GRPO run.
        arm: of the run.
        width: steps at either end.
    """
    frame = ch10.steps(run, [arm], whole=True)
    frame = frame.assign(form=frame[list(FORM)].sum(axis="columns"))
    last = frame["step"] > frame.groupby("seed")["step"].transform("max") - width
    return {
        end: {str(column): float(value) for column, value in part.mean(numeric_only=True).items()}
        for end, part in (("first", frame[frame["step"] <= width]), ("last", frame[last]))
    }


def ends(run: Facts, names: Mapping[str, str], width: int = 5) -> list[dict[str, str]]:
    """Means over the first and the last steps of an arm's complete trainings, as text: a row a quantity.

    Args:
        run: a GRPO run.
        names: its arms and the columns' prefix; ``<prefix>_first`` and ``<prefix>_last``.
        width: steps at either end.
    """
    found = {prefix: means(run, arm, width) for arm, prefix in names.items()}
    return [
        {
            "quantity": name,
            **{
                f"{prefix}_{end}": str(show(values[column], fmt, unit))
                for prefix, sides in found.items()
                for end, values in sides.items()
            },
        }
        for column, (name, fmt, unit) in _QUANTITIES.items()
    ]


@dataclass(frozen=True)
class Rise:
    """How an arm's mean reward changed from its first to its last steps, and what of the change each part made."""

    first: float
    last: float
    form: float
    tests: float
    passing: float

    def share(self, part: str) -> float:
        """Share of the change that ``form``, ``tests`` or ``passing`` made."""
        return float(getattr(self, part)) / (self.last - self.first)


def rise(run: Facts, arm: str, width: int = 5) -> Rise:
    """Take an arm's mean reward apart at both ends of its training.

    A reward is a sum: for parsing, defining and running (form), for some tests, and for passing, all tests included.
    The rungs' shares and the recipe's weights give the first and the last part, the mean reward the remainder.

    Args:
        run: a GRPO run without sandbox faults.
        arm: of the run, its complete trainings pooled.
        width: steps at either end.

    Raises:
        UserError: there were faults, which have a rung and no reward.
    """
    weights = run.record.recipe.values["rewards"][run.record.recipe.values["arms"][arm]["reward"]]
    first, last = (_parts(values, weights) for values in means(run, arm, width).values())
    if max(first["fault"], last["fault"]) > 0:
        raise UserError(f"{run.folder}: sandbox faults in {arm}: the mean reward is not that of all rungs")
    form, tests, passing = (last[part] - first[part] for part in ("form", "tests", "passing"))
    return Rise(first["reward"], last["reward"], form, tests, passing)


def pool_passes(run: Facts) -> float:
    """Share of the start's own completions that would pass if prompts were drawn from the pool as it is, repeats too.

    Only solvable tasks pass in part; tasks that pass always are counted as if repeated, and this pool has none.

    Args:
        run: a GRPO run with a pool.
    """
    whole = run.frame("pool").set_index("source").loc["all"]
    repeats = run.record.recipe.values["prompts"]["filter"]["repeats"]
    return float(whole["pass@1"] * whole["tasks"] * repeats / whole["prompts"])


def foretold(signal: Facts, sides: Mapping[str, tuple[Facts, str]], source: str, size: int) -> list[dict[str, Any]]:
    """What was counted before training beside what the reward rose by: a row each for form, some tests, passing.

    Args:
        signal: of kind ``signal``.
        sides: a column each: a GRPO run and its arm.
        source: of the signal's completions.
        size: of its groups.

    Returns:
        ``part``; ``variance`` and ``advantage`` (shares, counted); a share of the rise for every column.
    """
    rises = {name: rise(run, arm) for name, (run, arm) in sides.items()}
    titles = {"form": "Form alone", "tests": "Some tests", "passing": "Passing"}
    counted = {"form": "form", "tests": "tests", "passing": "solving"}
    return [
        {
            "part": title,
            "variance": signal.number(f"{source}.graded.g{size}.variance.{counted[part]}"),
            "advantage": signal.number(f"{source}.graded.g{size}.advantage.{counted[part]}"),
            **{name: found.share(part) for name, found in rises.items()},
        }
        for part, title in titles.items()
    ]


def _parts(at: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    parsed = 1 - at["rung_fault"] - at["rung_nothing"] - at["rung_syntax"]
    defined = parsed - at["rung_parses"]
    ran = defined - at["rung_defines"]
    form = weights["parses"] * parsed + weights["defines"] * defined + weights["runs"] * ran
    passing = (weights["tests"] + weights["passes"]) * at["rung_passes"]
    return {
        "reward": at["reward"], "form": form, "passing": passing, "tests": at["reward"] - form - passing,
        "fault": at["rung_fault"],
    }  # fmt: skip
