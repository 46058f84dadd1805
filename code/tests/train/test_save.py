"""Saved models are whole, small and start with the special tokens of their tokenizer."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from codelab.models.scratch import build  # noqa: E402
from codelab.train.save import save_model  # noqa: E402


def test_tied_weights_are_written_once_and_come_back_tied(tmp_path: Path, tiny_tokenizer: Path) -> None:
    from safetensors import safe_open

    model = build("tiny-gpt2", torch.float32, "cpu")
    folder = save_model(model, tiny_tokenizer, tmp_path / "model")
    with safe_open(folder / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert "transformer.wte.weight" in names
    assert "lm_head.weight" not in names
    again = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert again.lm_head.weight.data_ptr() == again.transformer.wte.weight.data_ptr()
    torch.testing.assert_close(
        again.transformer.wte.weight, model.transformer.wte.weight.to(torch.bfloat16), check_dtype=False
    )
    assert (again.config.eos_token_id, again.config.pad_token_id) == (0, 1)


def test_an_older_model_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path, tiny_tokenizer: Path) -> None:
    output = tmp_path / "model"
    output.mkdir()
    (output / "stale").write_text("old")
    save_model(build("tiny-gpt2", torch.float32, "cpu"), tiny_tokenizer, output)
    assert not (output / "stale").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
