import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from codelab.errors import UserError
from codelab.models.quantization import experiment
from codelab.models.quantization.experiment import RECIPE, run
from codelab.records import Run, open_run, parse_recipe, read_record, read_samples, read_yaml, store

RECIPES = Path(__file__).parents[4] / "recipes"
VARIANTS = [
    {"name": "fp32", "dtype": "float32"},
    {"name": "int8", "dtype": "float16", "quantization": {"method": "int8", "threshold": 6.0}},
]


def _values(model: str, documents: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": "quantize",
        "title": "t",
        "hardware": {"minutes": 1},
        "models": {"tiny": model},
        "device": "cpu",
        "variants": VARIANTS,
        "speed": {"batches": [1, 2], "prompt_tokens": [8], "new_tokens": 4, "repeats": 2},
        "quality": {
            "documents": documents, "most_tokens": 48, "prefix_tokens": 8, "continuation_tokens": 6, "batch": 2,
            "shown_tokens": 4, "prompts": [{"name": "p", "text": "abc"}, {"name": "q", "text": "abc", "chat": True}],
        },
    } | more  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from codelab.models import load_model

    folder = tmp_path_factory.mktemp("tiny")
    load_model("scratch:tiny-llama", "float32", "cpu").model.save_pretrained(folder / "model")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=made, eos_token=letters[0]).save_pretrained(folder / "model")
    texts = [("a", "prose", "one two three four five"), ("b", "code", "def f(x): return x + 1"), ("c", "code", "x = 1")]
    rows = [{"id": i, "domain": d, "text": t} for i, d, t in texts]
    (folder / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"path:{folder / 'model'}", str(folder / "documents.jsonl")


def _open(recipe: Any, results: Path) -> Run:
    from codelab.measure import environment

    opened = open_run(recipe, "q7-test", results, ["codelab"])
    opened.environment(environment.facts(), None)
    return opened


@pytest.mark.slow
def test_killed_run_continues_with_the_variants_not_yet_done(
    tiny: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Work on the package elsewhere must not make the second half of this test a new run.
    monkeypatch.setattr(store, "code_sha256", lambda: "0" * 64)
    recipe = RECIPE.model_validate(_values(*tiny))
    asked: list[str] = []
    real = experiment.run_in_child

    def child(target: str, payload: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
        if len(asked) == 1 and "again" not in asked:
            raise KeyboardInterrupt
        asked.append(payload["key"])
        return real(target, payload, timeout)

    monkeypatch.setattr(experiment, "run_in_child", child)
    opened = _open(recipe, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, opened)
    assert opened.has_results()
    opened._lock.close()
    asked.append("again")
    opened = _open(recipe, tmp_path)
    assert opened.resumed == 1
    run(recipe, opened)
    assert asked == ["fp32", "again", "int8"]

    folder = opened.finish()
    record = read_record(folder)
    metrics = {name: metric.value for name, metric in record.metrics.items()}
    assert metrics["fp32.kl"] < 1e-6
    assert metrics["fp32.exact_match"] == metrics["fp32.agree"] == metrics["fp32.forced"] == 1
    assert metrics["fp32.perplexity_ratio"] == pytest.approx(1)
    assert metrics["int8.kl"] > 0
    assert metrics["int8.quantised_modules"] == 14
    assert metrics["fp32.weights_bytes"] > metrics["int8.weights_bytes"]
    assert metrics["int8.relative.weights_bytes"] == metrics["int8.weights_bytes"] / metrics["fp32.weights_bytes"]
    speeds = {(row["key"], row["batch"]) for row in record.tables["speed"]}
    assert speeds == {(key, batch) for key in ("fp32", "int8") for batch in (1, 2)}
    assert {row["domain"] for row in record.tables["quality"]} == {"all", "prose", "code"}
    assert len(record.tables["completions"]) == 4
    assert len(record.tables["agreement"]) == 2 * 6
    assert {phase.name for phase in record.phases} >= {"start", "load", "first-call", "generate-b2-p8", "quality"}
    samples = read_samples(folder)
    assert sum(sample["kind"] == "document" for sample in samples) == 2 * 3
    # Only documents with at least as many tokens as a prefix are continued.
    assert {sample["id"] for sample in samples if sample["kind"] == "continuation"} == {"a", "b"}


def test_what_is_missing_is_one_line_and_leaves_nothing(tiny: tuple[str, str], tmp_path: Path) -> None:
    for values, match in (
        (_values(f"path:{tmp_path}", tiny[1]), r"config\.json"),
        (_values(tiny[0], str(tmp_path / "none.jsonl")), "no such file"),
        (_values("hub:", tiny[1]), "model source"),
    ):
        recipe = RECIPE.model_validate(values)
        opened = _open(recipe, tmp_path / "results")
        with pytest.raises(UserError, match=match):
            run(recipe, opened)
        assert not opened.has_results()
        opened.discard()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"models": {"m": "scratch:tiny-llama"}}, "random weights"),
        ({"variants": VARIANTS[1:]}, "full model"),
        ({"variants": [VARIANTS[0], VARIANTS[0]]}, "names must differ"),
        ({"speed": None, "quality": None}, "expected speed"),
        ({"models": {}}, "at least 1"),
        ({"batch": 3}, "not permitted"),
    ],
)
def test_impossible_recipes_are_refused(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        RECIPE.model_validate(_values("path:x", "y") | change)


@pytest.mark.parametrize("name", ["q7-quantize-smollm2", "q7-quantize-smollm2-cpu", "q7-quantize-scale"])
def test_shipped_recipes_are_valid_and_set_every_quantisation_choice(name: str) -> None:
    path = RECIPES / f"{name}.yaml"
    values = read_yaml(path)
    recipe = parse_recipe(path, values, RECIPE)
    assert recipe.hardware.device == ("cpu" if name.endswith("cpu") else "gpu")
    for variant in values["variants"]:
        chosen = variant.get("quantization", {})
        wanted = {"int8": {"threshold"}, "nf4": {"double", "compute_dtype"}, None: set()}[chosen.get("method")]
        assert wanted <= set(chosen)
    keys = [key for key, _, _ in recipe.jobs()]
    assert len(keys) == len(set(keys)) == len(recipe.models) * len(recipe.variants)
