"""A pad token of its own for a model that lacks one, before anything trains it.

A pad token that equals the end token is common (GPT-2 has no other) and harmless where batches are masked by length,
as trl does. unsloth refuses it: it takes another token of the vocabulary, or adds one and resizes the embeddings in
inference mode, after which they cannot be trained. So the token is chosen here, first, and saved with the model. A
token that has to be added gets the mean of all embeddings: by Jensen's inequality its share of the probability is then
below that of an average token. Not covered: encoder-decoders, and models too large for host memory.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.measure import run_in_child
from codelab.models.load import local_folder
from codelab.models.smollm2 import cache_folder
from codelab.models.source import ModelSource

PAD = "<|pad|>"
_MULTIPLE = 64  # rows of a resized embedding: matrix products are fastest in multiples of it
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def own_padding(source: ModelSource | str) -> Path | str:
    """The model's folder (or hub id) if its pad token is its own; else a folder in the cache where it is.

    The weights are the same; rows are added only where the vocabulary has no token to spare.

    Raises:
        UserError: random weights, or the tokenizer cannot be read.
    """
    parsed = ModelSource.parse(source) if isinstance(source, str) else source
    where = parsed.name if parsed.kind == "hub" else str(local_folder(parsed))
    tokenizer, vocabulary = _read(where)
    if is_own(tokenizer, vocabulary):
        return where if parsed.kind == "hub" else Path(where)
    token = spare(tokenizer, vocabulary) or PAD
    files = hashlib.sha256(f"{parsed}\0{token}\0{len(tokenizer)}\0{vocabulary}".encode())
    for name in ("config.json", *_TOKENIZER) if parsed.kind != "hub" else ():
        path = Path(where) / name
        files.update(path.read_bytes() if path.exists() else b"")
    final = cache_folder() / "padded" / files.hexdigest()[:16]
    if not (final / "config.json").exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        run_in_child("codelab.models.padding:write", {"where": where, "folder": str(final), "token": token})
    return final


def is_own(tokenizer: Any, vocabulary: int) -> bool:
    """Whether the pad token exists, differs from the end token, and has a row in the embedding."""
    pad = tokenizer.pad_token_id
    return pad is not None and pad != tokenizer.eos_token_id and pad < vocabulary


def spare(tokenizer: Any, vocabulary: int) -> str | None:
    """A special token of the vocabulary that can pad: one named so, else the end of a text where a turn ends otherwise.

    Args:
        tokenizer: of the model.
        vocabulary: rows of the embedding.
    """
    special = {str(token): i for i, token in tokenizer.added_tokens_decoder.items() if i < vocabulary}
    free = [token for token, i in special.items() if i != tokenizer.eos_token_id]
    return next(
        (token for token in free if "pad" in token.lower()), "<|endoftext|>" if "<|endoftext|>" in free else None
    )


def write(payload: dict[str, Any]) -> dict[str, Any]:
    """Write the model ``where`` with pad token ``token`` to ``folder``; run in a child, which keeps the memory."""
    where, final, token = payload["where"], Path(payload["folder"]), payload["token"]
    tokenizer, vocabulary = _read(where)
    known = token in tokenizer.get_vocab()
    tokenizer.add_special_tokens({"pad_token": token})
    temporary = final.with_name(f".{final.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    if Path(where).is_dir() and (known or tokenizer.pad_token_id < vocabulary):
        for path in Path(where).iterdir():
            if path.name not in _TOKENIZER and path.is_file():
                _place(path, temporary)
    else:
        _resized(where, len(tokenizer) if tokenizer.pad_token_id >= vocabulary else vocabulary).save_pretrained(
            temporary
        )
    tokenizer.save_pretrained(temporary)
    for name in ("config.json", "generation_config.json"):
        path = temporary / name
        if path.exists():
            values = json.loads(path.read_bytes()) | {"pad_token_id": tokenizer.pad_token_id}
            path.write_text(json.dumps(values, indent=1), encoding="utf-8")
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    return {}


def _place(path: Path, folder: Path) -> None:
    if path.suffix == ".json":
        shutil.copy(path, folder / path.name)
    else:
        (folder / path.name).symlink_to(path.resolve())


def _resized(where: str, tokens: int) -> Any:
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    model = AutoModelForCausalLM.from_pretrained(where, dtype="auto")
    before = model.get_input_embeddings().weight.shape[0]
    if tokens > before:
        tables = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]
        means = [table.detach().float().mean(0) for table in tables]
        model.resize_token_embeddings(tokens, pad_to_multiple_of=_MULTIPLE, mean_resizing=False)
        with torch.no_grad():
            for table, mean in zip(
                [model.get_input_embeddings().weight, model.get_output_embeddings().weight], means, strict=True
            ):
                table[before:] = mean.to(table.dtype)
    return model


def _read(where: str) -> tuple[Any, int]:
    from transformers import AutoConfig, AutoTokenizer  # noqa: PLC0415

    try:
        return AutoTokenizer.from_pretrained(where), int(AutoConfig.from_pretrained(where).vocab_size)
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"model {where}: tokenizer or config cannot be read ({reason[:300]})") from error
