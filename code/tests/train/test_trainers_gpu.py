"""The base of questions 8 to 10, loaded for training by each trainer: on a GPU by both, anywhere by trl.

Not covered: adapters and training; unsloth's settings are seen with a stand-in in ``test_trainers``.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

CODE = Path(__file__).resolve().parents[2]
BASE = CODE.parent / "models" / "gpt2-python-sft"
# A process of its own: unsloth comes before transformers, and changes it.
CHILD = """
import json, sys
from codelab.train import trainers
trainer, folder = sys.argv[1:]
trainers.prepare(trainer)
model, tokenizer, left = trainers.load_policy(trainer, f"path:{folder}", 1024, None, 0)
import torch
ids = torch.tensor([tokenizer("def add(a, b):\\n    return a + b\\n")["input_ids"]], device=model.device)
with torch.no_grad():
    logits = model(input_ids=ids).logits.float()
nats = torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:])
print(json.dumps({
    "rows": model.get_input_embeddings().weight.shape[0], "outputs": model.get_output_embeddings().weight.shape[0],
    "logits": logits.shape[-1], "tokens": len(tokenizer), "pad": tokenizer.pad_token, "end": tokenizer.eos_token,
    "configured": model.config.pad_token_id, "pad_id": tokenizer.pad_token_id, "nats": nats.item(),
    "kinds": sorted({str(p.dtype) for p in model.parameters()}), "left": left is not None,
    "trained": all(p.requires_grad for p in model.parameters()),
    "tied": model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr(),
}))
"""


def loaded(trainer: str, cache: Path) -> dict[str, Any]:
    search = os.pathsep.join(filter(None, [str(CODE), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": search, "HF_HUB_OFFLINE": "1", "CODELAB_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, trainer, str(BASE)],
        env=environment, cwd=cache, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def check(found: dict[str, Any]) -> None:
    assert found["rows"] == found["outputs"] == found["logits"] == -(-found["tokens"] // 64) * 64, "padded, not resized"
    assert (found["pad"], found["end"]) == ("<|pad|>", "<|endoftext|>"), "its own pad token is kept"
    assert found["configured"] == found["pad_id"] < found["tokens"]
    assert found["kinds"] == ["torch.float32"]
    assert found["trained"]
    assert found["tied"]
    assert not found["left"]
    assert 0 < found["nats"] < 5, "a trained model, not random weights"


@pytest.mark.skipif(not BASE.is_dir(), reason="models/gpt2-python-sft is not on this machine")
@pytest.mark.slow
def test_trl_loads_the_base_with_its_pad_token_and_its_rows(tmp_path: Path) -> None:
    check(loaded("trl", tmp_path))
    assert not (tmp_path / "padded").exists(), "no second copy with another pad token"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.skipif(importlib.util.find_spec("unsloth") is None, reason="unsloth is not installed")
@pytest.mark.skipif(not BASE.is_dir(), reason="models/gpt2-python-sft is not on this machine")
def test_unsloth_loads_what_trl_loads(tmp_path: Path) -> None:
    check(found := loaded("unsloth", tmp_path))
    assert not (tmp_path / "padded").exists(), "no second copy with another pad token"
    other = loaded("trl", tmp_path)
    assert found.pop("nats") == pytest.approx(other.pop("nats"), rel=5e-3)
    assert found == other
