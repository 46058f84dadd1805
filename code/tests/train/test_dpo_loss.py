"""trl's loss, as it is called here, against values computed by hand from a tiny model's logits."""

from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from trl import DPOConfig

from codelab.train.dpo_loop import TokenisedDPOTrainer
from codelab.train.watch import divergences

from ..models.tiny import model, tokenizer

ROWS = [
    {"prompt_ids": [5, 6, 7], "chosen_ids": [8, 9, 1], "rejected_ids": [10, 11, 12, 1]},
    {"prompt_ids": [20], "chosen_ids": [21, 22, 23, 24, 1], "rejected_ids": [25, 1]},
]


def log_prob(policy: Any, head: list[int], tail: list[int]) -> float:
    """Sum of log-probabilities of ``tail`` after ``head``, in float64."""
    with torch.no_grad():
        logits = policy(input_ids=torch.tensor([head + tail])).logits[0].double().numpy()
    total = 0.0
    for place, token in enumerate(tail, start=len(head)):
        row = logits[place - 1]
        total += row[token] - (row.max() + np.log(np.exp(row - row.max()).sum()))
    return total


@pytest.mark.parametrize(
    ("loss", "weights", "beta"),
    [
        (["sigmoid"], None, 0.1),
        (["sigmoid"], None, 1.0),
        (["ipo"], None, 0.5),
        (["sigmoid", "sft"], [1.0, 0.3], 0.1),
        (["sft"], None, 0.1),
    ],
)
def test_the_loss_is_the_one_of_the_equation(
    loss: list[str], weights: list[float] | None, beta: float, tmp_path
) -> None:
    start, policy = model("gpt2", seed=1), model("gpt2", seed=2)
    arguments = DPOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=2, loss_type=loss, loss_weights=weights, beta=beta,
        bf16=False, report_to="none", precompute_ref_log_probs=True, gradient_checkpointing=False, use_cpu=True,
        max_length=64, max_steps=1,
    )  # fmt: skip
    trainer = TokenisedDPOTrainer(
        model=start, args=arguments, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer()
    )
    batch = trainer.data_collator(list(trainer.train_dataset))
    stored = {key: batch[key].tolist() for key in ("ref_chosen_logps", "ref_rejected_logps")}
    got = float(trainer.compute_loss(policy, batch).detach())

    wanted, nll, tokens = [], 0.0, 0
    for i, row in enumerate(ROWS):
        head, chosen, rejected = row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]
        reference = [log_prob(start, head, tail) for tail in (chosen, rejected)]
        assert stored["ref_chosen_logps"][i] == pytest.approx(reference[0], abs=1e-3)
        assert stored["ref_rejected_logps"][i] == pytest.approx(reference[1], abs=1e-3)
        now = [log_prob(policy, head, tail) for tail in (chosen, rejected)]
        ratios = [now[0] - reference[0], now[1] - reference[1]]
        if loss == ["ipo"]:
            margin = ratios[0] / len(chosen) - ratios[1] / len(rejected)
            wanted.append((margin - 1 / (2 * beta)) ** 2)
        elif "sigmoid" in loss:
            wanted.append(np.log1p(np.exp(-beta * (ratios[0] - ratios[1]))))
        nll, tokens = nll - now[0], tokens + len(chosen)
    share = (weights or [1.0])[-1] if "sft" in loss else 0.0
    expected = float(np.mean(wanted or [0.0])) + share * nll / tokens
    assert got == pytest.approx(expected, rel=1e-4)


def test_divergences_against_sums_over_the_vocabulary() -> None:
    policy, reference = model("gpt2", seed=1), model("gpt2", seed=2)
    rows = [([5, 6, 7], [8, 9, 1]), ([20], [21, 22, 23, 24])]
    for (head, tail), (k1, k3, full) in zip(rows, divergences(policy, reference, rows), strict=True):
        assert k1 == pytest.approx(log_prob(policy, head, tail) - log_prob(reference, head, tail), rel=1e-4)
        by_token, exact = 0.0, 0.0
        for place in range(len(tail)):
            seen, token = head + tail[:place], tail[place]
            ratio = log_prob(policy, seen, [token]) - log_prob(reference, seen, [token])
            by_token += np.exp(-ratio) - 1 + ratio
            with torch.no_grad():
                p, q = (
                    one(input_ids=torch.tensor([seen])).logits[0, -1].double().log_softmax(-1)
                    for one in (policy, reference)
                )
            exact += float((p.exp() * (p - q)).sum())
        assert k3 == pytest.approx(by_token, rel=1e-3)
        assert full == pytest.approx(exact, rel=1e-3)
    assert divergences(policy, policy, rows) == [(0.0, 0.0, 0.0)] * 2
