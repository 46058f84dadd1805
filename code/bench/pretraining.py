"""How many tokens a second does pretraining reach on one device, by the ways in which its step can be computed?

``python code/bench/pretraining.py [recipe]`` prints a table and writes a record below ``results/``. Every variant is
the real trainer with other values in its recipe. The variants are made ready first and then take turns, round after
round, so that a device that grows warm and slow meets all of them. A variant that fails is a row that says so. Not
covered: several devices, and whether a variant learns as well (its loss after the warm-up is recorded).
"""

import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from bench.evaluator import ratio
from bench.pretraining_child import serve
from codelab.errors import Paused, UserError
from codelab.records import DataFacts, Phase, Recipe, Run, Strict, parse_recipe, read_yaml
from codelab.train.pretrain import PretrainRecipe

DEFAULT = "recipes/bench-pretraining.yaml"
# What a trainer does besides training is left out, and its rates follow the steps, alike for every variant.
_SCHEDULE = {"unit": "tokens", "total": 1e9, "warmup": 1e-3}
_NEVER = {"evaluate_every": 10**9, "checkpoint_every": 1e9, "schedule": _SCHEDULE}


class Variant(Strict):
    """Values of the kind ``pretrain`` that differ from the others'."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    changes: dict[str, Any] = Field(default={})


class PretrainingBench(Recipe):
    """What is measured; every ratio is to the first variant."""

    pretrain: str = Field(description="recipe that is varied")
    always: dict[str, Any] = Field(default={}, description="values for every variant")
    variants: tuple[Variant, ...] = Field(min_length=1, max_length=10)
    rounds: int = Field(default=5, ge=2)
    seconds: float = Field(default=2.0, gt=0, description="of a variant's turn in a round")
    build_limit: float = Field(default=90.0, gt=0, description="seconds for compiling a variant, or it has failed")
    build_together: int = Field(default=2, ge=1, description="variants that compile at once, and take memory at once")
    limit: float = Field(default=285.0, gt=0, description="seconds after which nothing new begins")
    tokens: int = Field(default=8_000_000, gt=0, description="made up, as frequent as Zipf's law says")
    vocabulary: int = Field(default=32768, gt=1, le=65536)

    @model_validator(mode="after")
    def _names_differ(self) -> "PretrainingBench":
        if len({one.name for one in self.variants}) < len(self.variants):
            raise ValueError("variants: every one needs a name of its own")
        return self


RECIPE = PretrainingBench


class Child:
    """A variant's process, seen from here.

    Args:
        values: of its recipe.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self._wire: Connection
        self._wire, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, values))
        self._process.start()
        other.close()

    def ask(self, what: str, seconds: float, limit: float) -> dict[str, Any]:
        """Send a request and wait; whatever goes wrong comes back as ``error``, and the process is then ended."""
        try:
            self._wire.send((what, seconds))
            if self._wire.poll(limit):
                answer: dict[str, Any] = self._wire.recv()
            else:
                answer = {"error": f"{what}: no answer in {limit:.0f} seconds"}
        except (EOFError, OSError):
            self._process.join(10)
            answer = {"error": f"{what}: the process ended with status {self._process.exitcode}"}
        if "error" in answer:
            self.end()
        return answer

    def end(self) -> None:
        """End the process; a second call does nothing."""
        self._wire.close()
        self._process.join(2)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()


def run(recipe: PretrainingBench, run: Run) -> None:
    """Measure and write the record; see the module.

    Raises:
        UserError: a variant is no recipe of the kind ``pretrain``.
        Paused: the allowed time is over.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="codelab-bench-") as folder:
        values = {one.name: variant_values(recipe, one, Path(folder)) for one in recipe.variants}
        make_tokens(Path(folder), recipe.tokens, recipe.vocabulary, recipe.seeds[0])
        run.data(DataFacts(name="tokens", source=f"made up by Zipf's law, seed {recipe.seeds[0]}", rows=recipe.tokens))
        seen = {(row["variant"], row["round"]) for row in run.steps_so_far()}
        wanted = {name for name in values for number in range(recipe.rounds) if (name, number) not in seen}
        children = {name: Child(values[name]) for name in values if name in wanted}
        try:
            measure(recipe, run, children, began)
        finally:
            for child in children.values():
                child.end()


def measure(recipe: PretrainingBench, run: Run, children: dict[str, Child], began: float) -> None:
    """Build the variants, let them take turns, and keep the tables up to date; failed ones leave ``children``."""
    facts = {row["variant"]: row for row in run.samples_so_far()}

    def fail(name: str, answer: dict[str, Any]) -> None:
        children.pop(name).end()
        facts[name] = facts.get(name, {}) | {"failed": answer["error"]}
        print(f"{name}: failed: {answer['error']}\n{answer.get('trace', '')}", file=sys.stderr, flush=True)

    def left() -> float:
        # Every variant that is ready needs its turns before the time is over.
        return recipe.limit - (time.monotonic() - began) - recipe.rounds * 1.5 * recipe.seconds * len(children)

    for name, answer in build(recipe, children, left):
        if "error" in answer:
            fail(name, answer)
            continue
        facts[name] = {"variant": name, **answer}
        run.sample(**facts[name])
        run.phase(Phase(name="build", variant=name, seconds=float(answer["build_seconds"])))
        print(f"{name}: ready in {answer['build_seconds']:.0f} s, loss {answer['loss']:.4f}", flush=True)
    seen = {(row["variant"], row["round"]) for row in run.steps_so_far()}
    for number in range(recipe.rounds):
        names = list(children)
        shift = number % max(1, len(names))
        for name in names[shift:] + names[:shift]:
            if (name, number) in seen:
                continue
            if run.time_is_up(reserve=3 * recipe.seconds):
                raise Paused
            if time.monotonic() - began > recipe.limit:
                run.note(f"The time was over in round {number + 1} of {recipe.rounds}.")
                break
            answer = children[name].ask("round", recipe.seconds, 60 + 10 * recipe.seconds)
            if "error" in answer:
                fail(name, answer)
                continue
            answer = {key: value for key, value in answer.items() if value is not None}
            run.step(variant=name, round=number, **answer, tokens_per_second=answer["tokens"] / answer["seconds"])
        run.table("variants", summary(recipe, run.steps_so_far(), facts))
    rows = summary(recipe, run.steps_so_far(), facts)
    for row in rows:
        if row.get("rounds"):
            note(run, row)
    if all("failed" in row for row in rows):
        raise RuntimeError(f"every variant failed; the first: {rows[0]['failed']}")


def build(
    recipe: PretrainingBench, children: dict[str, Child], left: Callable[[], float]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Let the variants compile, a few at a time; what each answered, in their order."""

    def one(child: Child) -> dict[str, Any]:
        limit = min(recipe.build_limit, left())
        return child.ask("build", 0, limit) if limit > 0 else {"error": "build: no time was left"}

    with ThreadPoolExecutor(recipe.build_together) as pool:
        yield from zip(list(children), pool.map(one, list(children.values())), strict=True)


def note(run: Run, row: dict[str, Any]) -> None:
    """Metrics of one variant, and its line on the screen."""
    name, count = row["variant"], row["rounds"]
    run.metric(
        f"{name}.tokens_per_second", row["tokens_per_second"], low=row["least"], high=row["most"], n=count,
        unit="tokens/s", method="median, least and most of rounds",
    )  # fmt: skip
    if "times" in row:
        found = {key: row[key] for key in ("low", "high")}
        run.metric(f"{name}.times", row["times"], **found, level=0.95, n=count, method="rounds")
    for key, unit in (("mfu", "share"), ("gpu_allocated", "bytes")):
        if key in row:
            run.metric(f"{name}.{key}", row[key], unit=unit)
    spread = f"({row['least']:,.0f} to {row['most']:,.0f} in {count} rounds)"
    more = f", {row['times']:.3f} times ({row['low']:.3f} to {row['high']:.3f})" if "times" in row else ""
    more += f", {row['mfu']:.1%} MFU" if "mfu" in row else ""
    more += f", {row['gpu_allocated'] / 1e9:.1f} GB" if "gpu_allocated" in row else ""
    print(f"{name:<20}{row['tokens_per_second']:>12,.0f} tokens/s {spread}{more}", flush=True)


def summary(
    recipe: PretrainingBench, rounds: Sequence[dict[str, Any]], facts: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """One row a variant: rates, how many times as fast as the first one, memory, MFU, loss, or why it failed.

    Args:
        recipe: the settings.
        rounds: what the rounds gave, ``variant``, ``round``, ``tokens``, ``seconds`` and more.
        facts: what building gave, by variant.
    """
    cost: dict[str, dict[int, float]] = {one.name: {} for one in recipe.variants}
    for one in rounds:
        cost[one["variant"]][one["round"]] = one["seconds"] / one["tokens"]
    first = cost[recipe.variants[0].name]
    rows = []
    for name, seconds in cost.items():
        known = facts.get(name, {})
        row: dict[str, Any] = {"variant": name, "rounds": len(seconds)}
        row |= {key: known[key] for key in ("failed", "loss", "build_seconds", "parameters") if key in known}
        if seconds:
            rates = [1 / one for one in seconds.values()]
            row |= {"tokens_per_second": statistics.median(rates), "least": min(rates), "most": max(rates)}
            both = sorted(first.keys() & seconds.keys())  # the rounds that both took part in
            if both:
                found = ratio([first[number] for number in both], [seconds[number] for number in both])
                row |= {"times": found["ratio"], "low": found["low"], "high": found["high"]}
            if known.get("peak"):
                row["mfu"] = row["tokens_per_second"] * known["flops"] / known["peak"]
            memory = [each["gpu_allocated"] for each in rounds if each["variant"] == name and "gpu_allocated" in each]
            row |= {"gpu_allocated": max(memory)} if memory else {}
        rows.append(row)
    return rows


def variant_values(recipe: PretrainingBench, variant: Variant, tokens: Path) -> dict[str, Any]:
    """Values of a variant's pretraining recipe, checked.

    Raises:
        UserError: they are none.
    """
    path = Path(recipe.pretrain)
    values = read_yaml(path)
    values |= _NEVER | {"tokens": str(tokens)}
    for changes in (recipe.always, variant.changes):
        values = merged(values, changes)
    made = parse_recipe(Path(f"{path}, variant {variant.name}"), values, PretrainRecipe)
    return made.model_dump(mode="json")


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Values with changes put in, mappings key by key."""
    found = dict(values)
    for key, change in changes.items():
        old = found.get(key)
        found[key] = merged(old, change) if isinstance(old, dict) and isinstance(change, dict) else change
    return found


def make_tokens(folder: Path, count: int, vocabulary: int, seed: int) -> None:
    """Write a token folder of made-up tokens: independent draws, the r-th most frequent in proportion to 1 / r."""
    draw = np.random.default_rng(seed)
    shares = np.cumsum(1 / np.arange(1, vocabulary + 1))
    splits = {}
    for split, tokens in (("train", count), ("heldout", max(2, count // 100))):
        ids = np.searchsorted(shares, draw.random(tokens) * shares[-1])
        draw.permutation(vocabulary)[ids].astype("<u2").tofile(folder / f"{split}.bin")
        splits[split] = {"files": [{"file": f"{split}.bin", "tokens": tokens}], "bytes": 4 * tokens}
    (folder / "meta.json").write_text(json.dumps({"vocab_size": vocabulary, "splits": splits}), encoding="utf-8")


def main() -> None:
    """Run the recipe named on the command line, or the default one, and write its record."""
    from codelab.cli.registry import Loaded  # noqa: PLC0415
    from codelab.cli.run import check_machine, execute  # noqa: PLC0415

    path = Path(sys.argv[1] if len(sys.argv) > 1 else DEFAULT)
    try:
        loaded = Loaded(path.stem, path, parse_recipe(path, read_yaml(path), RECIPE), run)
        check_machine(loaded)
        execute(loaded, Path("results"))
    except UserError as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
