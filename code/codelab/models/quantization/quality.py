"""How a quantised model's output differs from the full model's, on the same tokens.

Teacher-forced: both models read the same text and their next-token distributions are compared (divergence of the
variant from the full model in nats, surprise of the true token, whether the most likely token is the same).
Teacher-free: both continue the same prompts greedily and the continuations are compared token by token.
Not covered: benchmark scores (``codelab.evaluate``).
"""

from typing import Any

import numpy as np

from codelab.models.quantization.speed import greedy
from codelab.records import Strict


class Prompt(Strict):
    """One prompt whose continuations are shown side by side; ``chat`` wraps it in the model's chat format."""

    name: str
    text: str
    chat: bool = False


class Quality(Strict):
    """What to compare.

    ``documents`` is a JSONL file with ``id``, ``domain`` and ``text``; the first ``prefix_tokens`` of each document are
    the prompt of the teacher-free comparison.
    """

    documents: str
    documents_per_domain: int | None = None
    most_tokens: int = 256
    prefix_tokens: int = 32
    continuation_tokens: int = 64
    batch: int = 16
    prompts: tuple[Prompt, ...] = ()
    shown_tokens: int = 48
    outlier_documents: int = 8


def compare_forced(full: Any, variant: Any, documents: list[Any]) -> tuple[list[dict[str, Any]], list[float]]:
    """Compare next-token distributions, one document at a time.

    Args:
        full: the full model.
        variant: the other model, on the same device.
        documents: token ids of shape (1, tokens), at least two tokens each.

    Returns:
        A row a document with sums over its predicted tokens (``tokens``, ``nll_full``, ``nll``, ``kl``, ``agree``), and
        the divergence of every token.
    """
    import torch  # noqa: PLC0415

    rows, divergences = [], []
    for ids in documents:
        with torch.inference_mode():
            reference = full(ids).logits[0, :-1].float().log_softmax(-1)
            other = reference if variant is full else variant(ids).logits[0, :-1].float().log_softmax(-1)
            target = ids[0, 1:, None]
            kl = (reference.exp() * (reference - other)).sum(-1).clamp(min=0)
            rows.append(
                {
                    "tokens": int(target.shape[0]),
                    "nll_full": -reference.gather(-1, target).sum().item(),
                    "nll": -other.gather(-1, target).sum().item(),
                    "kl": kl.sum().item(),
                    "agree": int((reference.argmax(-1) == other.argmax(-1)).sum()),
                }
            )
            divergences += kl.tolist()
    return rows, divergences


def continuations(model: Any, prefixes: Any, tokens: int, batch: int) -> list[list[int]]:
    """Greedy continuations of prefixes of one length, shape (n, length), in batches that every variant shares."""
    out: list[list[int]] = []
    for start in range(0, len(prefixes), batch):
        out += greedy(model, prefixes[start : start + batch], tokens).tolist()
    return out


def agreement(
    model: Any, prefixes: Any, reference: list[list[int]], own: list[list[int]], batch: int
) -> list[dict[str, Any]]:
    """Agreement with the full model's continuations at each position.

    Args:
        model: the variant.
        prefixes: prompt ids, shape (n, length).
        reference: continuations by the full model.
        own: continuations by the variant.
        batch: prefixes a forward pass.

    Returns:
        A row a position, counted from 1: ``same`` (teacher-free, share of equal tokens), ``prefix`` (share of
        continuations identical up to here) and ``forced`` (share of equal choices after the full model's own tokens).
    """
    import torch  # noqa: PLC0415

    wanted, made = np.asarray(reference), np.asarray(own)
    length = prefixes.shape[1]
    chosen = []
    with torch.inference_mode():
        for start in range(0, len(prefixes), batch):
            given = torch.tensor(reference[start : start + batch], device=prefixes.device)
            ids = torch.cat([prefixes[start : start + batch], given], dim=1)
            chosen.append(model(ids).logits[:, length - 1 : -1].argmax(-1).cpu().numpy())
    same = made == wanted
    prefix = np.cumprod(same, axis=1)
    forced = np.concatenate(chosen) == wanted
    return [
        {"position": i + 1, "same": float(same[:, i].mean()), "prefix": float(prefix[:, i].mean()),
         "forced": float(forced[:, i].mean())}
        for i in range(wanted.shape[1])
    ]  # fmt: skip


def completions(model: Any, tokenizer: Any, prompts: tuple[Prompt, ...], tokens: int) -> list[dict[str, str]]:
    """Greedy continuation of each shown prompt as text, ended by the model's end token."""
    rows = []
    for prompt in prompts:
        text = prompt.text
        if prompt.chat and tokenizer.chat_template:
            turn = [{"role": "user", "content": prompt.text}]
            text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"].to(model.device)
        made = greedy(model, ids, tokens, stop=tokenizer.eos_token_id)[0].tolist()
        rows.append({"prompt": prompt.name, "completion": tokenizer.decode(made, skip_special_tokens=True)})
    return rows
