"""What a model can do, measured by likelihood: bits per byte of text, bits per byte of completions, probes.

Every function takes a model that is loaded already and gives one number a row, completion or probe, so that whoever
compares two models can pair them. Not covered: answers that must be run (``codelab.evaluate``).
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codelab.errors import UserError
from codelab.models.generation import Prompt, encode
from codelab.train.adapt_loop import forward, token_losses
from codelab.train.packing import Batch, Ints
from codelab.train.tokens import Shards

FORMS = ("plain", "shots", "chat")


def text_losses(model: Any, rows: Ints, per_pass: int, precision: str) -> list[list[float]]:
    """Mean loss of the first and of the second half of each row, nats a token.

    The second half is predicted with at least ``length / 2`` tokens of the same kind of text before it: what is lost in
    the first half only was suppressed, and comes back when the text shows what is wanted.

    Args:
        model: the model.
        rows: tokens of held-out rows, shape (rows, length + 1).
        per_pass: rows of one forward pass.
        precision: ``bf16`` for autocast.
    """
    device, length = next(model.parameters()).device, rows.shape[1] - 1
    half = length // 2
    found: list[list[float]] = []
    with torch.no_grad():
        for begin in range(0, len(rows), per_pass):
            ids = rows[begin : begin + per_pass]
            ones = np.ones((len(ids), length), np.int64)
            batch = Batch(ids, ones, ones, packed=False)
            losses = token_losses(forward(model, batch, device, precision), batch)
            found += torch.stack([losses[:, :half].mean(1), losses[:, half:].mean(1)], 1).tolist()
    return found


def bits_per_byte(nats: float, shards: Shards) -> float:
    """A mean loss in nats a token as bits a byte of the split's text."""
    return nats / math.log(2) * shards.tokens / shards.text_bytes


def completion_losses(
    model: Any, examples: Sequence[dict[str, list[int]]], per_pass: int, precision: str
) -> list[float]:
    """Loss of each completion, end token included, summed over its tokens, nats.

    Args:
        model: the model.
        examples: rows with ``input_ids`` and ``completion_mask``.
        per_pass: rows of one forward pass.
        precision: ``bf16`` for autocast.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(examples)), key=lambda i: -len(examples[i]["input_ids"]))
    found = [0.0] * len(examples)
    with torch.no_grad():
        for begin in range(0, len(order), per_pass):
            members = order[begin : begin + per_pass]
            width = len(examples[members[0]]["input_ids"])
            ids, segments, counted = (np.zeros((len(members), width), np.int64) for _ in range(3))
            for row, index in enumerate(members):
                own, mask = examples[index]["input_ids"], examples[index]["completion_mask"]
                ids[row, : len(own)], segments[row, : len(own)] = own, 1
                counted[row, : len(own) - 1] = mask[1:]
            # Padding comes last, so that a causal model needs no mask for what stands before it.
            batch = Batch(ids, segments[:, :-1], counted[:, :-1], packed=False)
            losses = token_losses(forward(model, batch, device, precision), batch)
            sums = (losses * torch.from_numpy(batch.counted).to(device)).sum(1)
            for index, value in zip(members, sums.tolist(), strict=True):
                found[index] = value
    return found


def load_probes(folder: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """Probes beside old text, the first ``limit`` of each kind.

    Raises:
        UserError: there are none.
    """
    path = folder / "probes.jsonl"
    try:
        rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read; make it with: codelab corpus general") from error
    kept: dict[str, int] = {}
    chosen = []
    for row in rows:
        kept[row["kind"]] = kept.get(row["kind"], 0) + 1
        if limit is None or kept[row["kind"]] <= limit:
            chosen.append(row)
    return chosen


def score_probes(
    model: Any, tokenizer: Any, probes: Sequence[dict[str, Any]], per_pass: int, precision: str
) -> list[dict[str, Any]]:
    """Whether the right answer is the likeliest, for each probe in each form that it has.

    Forms: ``plain``; ``shots``, after solved examples of the same kind; ``chat``, asked as a message, where the
    tokenizer has a chat template. An answer's score is the sum of its tokens' log-probabilities.

    Returns:
        Rows with ``id``, ``kind``, ``form`` and ``right``.
    """
    asked, sequences = [], []
    for probe in probes:
        for form in FORMS:
            head = _head(tokenizer, probe, form)
            if head:
                asked.append({"id": probe["id"], "kind": probe["kind"], "form": form, "answer": probe["answer"]})
                options = [one.lstrip() if form == "chat" else one for one in probe["options"]]
                sequences += [(head, list(tokenizer(one, add_special_tokens=False)["input_ids"])) for one in options]
    scores = np.array(_likelihoods(model, sequences, per_pass, precision)).reshape(len(asked), -1)
    likeliest = scores.argmax(1).tolist()
    return [
        {key: row[key] for key in ("id", "kind", "form")} | {"right": int(best == row["answer"])}
        for row, best in zip(asked, likeliest, strict=True)
    ]


def _head(tokenizer: Any, probe: dict[str, Any], form: str) -> list[int]:
    if form == "plain":
        return list(tokenizer(probe["prompt"], add_special_tokens=False)["input_ids"])
    if form == "shots":
        text = probe["shots"] and probe["shots"] + probe["prompt"]
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    if not probe["question"] or not getattr(tokenizer, "chat_template", None):
        return []
    return encode(tokenizer, Prompt(probe["id"], messages=({"role": "user", "content": probe["question"]},)))


def _likelihoods(
    model: Any, sequences: list[tuple[list[int], list[int]]], per_pass: int, precision: str
) -> list[float]:
    device = next(model.parameters()).device
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i][0]) - len(sequences[i][1]))
    found = [0.0] * len(sequences)
    with torch.no_grad():
        for begin in range(0, len(order), per_pass):
            members = order[begin : begin + per_pass]
            width = max(len(sequences[i][0]) + len(sequences[i][1]) for i in members)
            last = max(len(sequences[i][1]) for i in members)
            ids = torch.zeros(len(members), width, dtype=torch.long)
            mask, counted = torch.zeros_like(ids), torch.zeros(len(members), last)
            for row, index in enumerate(members):
                head, tail = sequences[index]
                own = head + tail
                ids[row, width - len(own) :], mask[row, width - len(own) :] = torch.tensor(own), 1
                counted[row, last - len(tail) :] = 1
            places = (mask.cumsum(1) - 1).clamp(min=0).to(device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
                logits = model(
                    input_ids=ids.to(device), attention_mask=mask.to(device), position_ids=places, use_cache=False,
                    logits_to_keep=last + 1,
                ).logits  # fmt: skip
            chosen = ids[:, width - last :].to(device)
            each = logits[:, :-1].float().log_softmax(-1).gather(-1, chosen[..., None]).squeeze(-1)
            for index, value in zip(members, (each * counted.to(device)).sum(1).tolist(), strict=True):
                found[index] = value
    return found
