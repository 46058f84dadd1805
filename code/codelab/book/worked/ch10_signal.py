"""Chapter 10 before any training: what groups of recorded completions show, and what a step would take.

Shares and intervals are the record's (kind ``signal``); here they are chosen, named and put into per cent. A step's
seconds are an estimate: rates of other runs, scaled to its completions. Not covered: the runs of kind ``grpo``
(:mod:`codelab.book.worked.ch10`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Step:
    """Seconds of one step, estimated; ``slow`` are the less favourable ones."""

    sampling: float
    sampling_slow: float
    judging: float
    judging_slow: float
    training: float

    @property
    def share(self) -> float:
        """The judge's share at the rates as recorded."""
        return self.judging / (self.sampling + self.judging + self.training)

    @property
    def share_slow(self) -> float:
        """The judge's share with the slower judge and the faster sampler."""
        return self.judging_slow / (self.sampling + self.judging_slow + self.training)

    @property
    def share_most(self) -> float:
        """The judge's share with the slower judge and a sampler that takes no time."""
        return self.judging_slow / (self.judging_slow + self.training)


def step(dpo: Facts, asked: Facts, completions: int, workers: int) -> Step:
    """What a step of so many completions would take, from runs that took no such step.

    Sampling: the rate at which question 8 drew for pairs, and (slow) that of a batch of prompts. Judging: question 8's
    rate on all cores of its machine, and (slow) with as many workers as the recipe says, if speed goes with workers.
    Training: DPO's seconds a step, per text of its pairs; GRPO's pass over the reference is not in it.

    Args:
        dpo: a run that drew completions and trained on pairs.
        asked: a run with ``gpt2.transformers.asked.completions_per_second``.
        completions: of the step.
        workers: of the judge.
    """
    drawn = float(dpo.frame("drawn")["samples"].sum())
    training = dpo.record.recipe.values["training"]
    units = [phase for phase in dpo.record.phases if phase.name == "train"]
    seconds = sum(phase.seconds for phase in units) / len(units)
    judging = completions * dpo.phase("execute", "pairs").seconds / drawn
    return Step(
        sampling=completions * dpo.phase("generate", "pairs").seconds / drawn,
        sampling_slow=completions / asked.number("gpt2.transformers.asked.completions_per_second"),
        judging=judging,
        judging_slow=judging * max(1.0, dpo.record.environment.cores / workers),
        training=completions * seconds / (training["steps"] * training["batch"] * 2),
    )


def judged(bench: Facts, completions: int, workers: int) -> float:
    """Seconds that judging so many programs takes by a benchmark's CPU time a wrong program, if workers do not wait.

    Args:
        bench: a run of the evaluator's benchmark.
        completions: programs.
        workers: of the judge.
    """
    return completions * bench.number("mutants_codelab_w1_cpu_seconds_per_sample") / workers
