"""What GRPO's arms scored and what their rewards were made of, for chapter 10.

Of a stopped run only trainings that reached their end are read. Computed here: means over a training's first and last
steps, the parts of the mean reward, which follow from the rungs and the recipe's weights, and ends of intervals set
against each other. Paired differences are in records of kind ``compare``. Not covered: seconds
(:mod:`codelab.book.worked.ch10_costs`) and what programs look like (:mod:`codelab.book.worked.ch10_programs`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.formats import interval, show
from codelab.book.worked import ch10
from codelab.book.worked.ch10_costs import QUANTITIES
from codelab.errors import UserError
from codelab.records import Metric

if TYPE_CHECKING:
    import pandas as pd

FORM = ("rung_nothing", "rung_syntax", "rung_parses", "rung_defines")
"""Rungs below a program that runs to an answer."""
_MORE = {
    "rung_some": ("Pass some tests", ".1f %", "share"),
    "form": ("Do not run to an answer", ".1f %", "share"),
    "hard_coded_some": ("Of those that pass a test, return an expected constant", ".1f %", "share"),
    "hard_coded": ("Of those that pass all, return an expected constant", ".1f %", "share"),
    "distinct": ("Distinct programs", ".1f %", "share"),
}
_SHOWN = (
    "reward", "rung_passes", "rung_some", "form", "hard_coded_some", "hard_coded", "distinct", "flat_groups",
    "kl_token_exact", "entropy", "length", "truncated", "engine_difference",
)  # fmt: skip
_SHARES = ("rung_passes", "rung_some", "hard_coded_some", "distinct", "flat_groups")


@dataclass(frozen=True)
class Apart:
    """A difference of two scores and its ends if both intervals hold; shares of one."""

    value: float
    low: float
    high: float

    @property
    def points(self) -> str:
        """In percentage points, ``+2.1 points (+0.1 to +4.4 points)``."""
        return f"{show(self.value, '+.1f points', 'share')} ({interval(self.low, self.high, '+.1f points', 'share')})"

    def row(self, name: str) -> dict[str, Any]:
        """In percentage points, for :func:`codelab.book.figures.differences`."""
        return {"name": name, "value": 100 * self.value, "low": 100 * self.low, "high": 100 * self.high}


def apart(before: Metric, after: Metric) -> Apart:
    """The second score minus the first, and the least and most that it is while both lie in their intervals.

    Two 95 % intervals hold together with at least 90 %, however the scores depend on each other (Bonferroni); where
    answers can be paired, the interval of the paired difference is narrower.

    Raises:
        UserError: a metric has no interval.
    """
    if before.low is None or before.high is None or after.low is None or after.high is None:
        raise UserError("a score without an interval cannot be set against another")
    return Apart(after.value - before.value, after.low - before.high, after.high - before.low)


def scores(sides: Sequence[tuple[Facts, Mapping[str, str]]], quantity: str) -> "pd.DataFrame":
    """One score of many models in per cent: columns ``name``, ``percent``, ``low`` and ``high``, in the order given.

    Args:
        sides: runs, each with its models' names in the record and in the book.
        quantity: ``t0.6.pass@1``, say.
    """
    import pandas as pd  # noqa: PLC0415

    rows = []
    for run, names in sides:
        for model, name in names.items():
            metric = run.metric(f"{model}.{quantity}")
            low, high = (100 * end if end is not None else None for end in (metric.low, metric.high))
            rows.append({"name": name, "percent": 100 * metric.value, "low": low, "high": high})
    return pd.DataFrame(rows)


def paired(run: Facts, names: Mapping[str, str], key: str = "t0.6") -> list[dict[str, Any]]:
    """Sampled differences of a ``compare`` record in percentage points, for :func:`codelab.book.figures.differences`.

    Args:
        run: of kind ``compare``.
        names: its pairs, and what the book calls them.
        key: the sampling setting.
    """
    frame = run.frame("comparison")
    rows = []
    for pair, name in names.items():
        for row in frame[(frame["pair"] == pair) & (frame["setting"] == key)].to_dict("records"):
            points = {
                part: 100 * row[column] for part, column in (("value", "difference"), ("low", "low"), ("high", "high"))
            }
            rows.append({"name": f"{name}: pass@{row['k']}", "verdict": row["verdict"], **points})
    return rows


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
    known = QUANTITIES | _MORE
    found = {prefix: means(run, arm, width) for arm, prefix in names.items()}
    return [
        {
            "quantity": known[column][0],
            **{
                f"{prefix}_{end}": str(show(values[column], known[column][1], known[column][2]))
                for prefix, sides in found.items()
                for end, values in sides.items()
            },
        }
        for column in _SHOWN
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


def partial(run: Facts, model: str, key: str = "t0.6") -> float:
    """Share of a model's answers for which some tests hold and not all.

    Args:
        run: a run with arms.
        model: of the record.
        key: the sampling setting.
    """
    frame = run.frame(f"{model}.tests_passed")
    mine = frame[frame["setting"] == key]
    return float(mine[(mine["held"] > 0) & (mine["held"] < mine["of"])]["share"].sum())


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
