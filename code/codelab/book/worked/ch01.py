"""Numbers worked in chapter 1: what continued pretraining and supervised fine-tuning cost on the same model.

Compute is the usual count of 6 floating-point operations a parameter and token (2 forward, 4 backward; Kaplan et al.
2020, arXiv:2001.08361, section 2.1). Not covered: the attention term, which grows with the sequence length, and
padding; both would add the same few percent to either side of the comparison.
"""

from dataclasses import dataclass

from codelab.measure.estimate import SHAPES

OPERATIONS_PER_PARAMETER_AND_TOKEN = 6
SUSTAINED = 400e12  # operations a second; an assumption, about 40 % of what one H100 could do in bf16
PYTHON_TOKENS = 20_000_000_000  # Starcoder-Python as sampled by Biderman et al. 2024
INSTRUCTION_TOKENS = 72_970_000  # one epoch of Magicoder-Evol-Instruct-110K, same paper
INSTRUCTION_EPOCHS = 8  # where its full fine-tuning scored best on HumanEval


@dataclass(frozen=True)
class Cost:
    """Tokens processed, operations, and hours on one accelerator at an assumed speed."""

    tokens: float
    operations: float
    hours: float


def cost(parameters: float, tokens: float, sustained: float = SUSTAINED) -> Cost:
    """Cost of training all parameters on a number of tokens.

    Args:
        parameters: trained parameters.
        tokens: tokens processed, repetitions counted.
        sustained: operations a second that the accelerator really does.

    Raises:
        ValueError: an argument is not positive.
    """
    if min(parameters, tokens, sustained) <= 0:
        raise ValueError(f"parameters {parameters}, tokens {tokens}, sustained {sustained}: expected positive numbers")
    operations = OPERATIONS_PER_PARAMETER_AND_TOKEN * parameters * tokens
    return Cost(tokens=tokens, operations=operations, hours=operations / sustained / 3600)


def continued_pretraining() -> Cost:
    """Llama-2-7B on 20 billion tokens of Python."""
    return cost(SHAPES["llama-2-7b"].parameters, PYTHON_TOKENS)


def fine_tuning(epochs: int = INSTRUCTION_EPOCHS) -> Cost:
    """Llama-2-7B on the instruction set, ``epochs`` times."""
    return cost(SHAPES["llama-2-7b"].parameters, INSTRUCTION_TOKENS * epochs)


def new_tokens(budget: float, replay: float) -> float:
    """Tokens of the new domain left in a fixed budget when a share of each batch replays old data.

    Raises:
        ValueError: a share outside 0..1.
    """
    if not 0 <= replay <= 1:
        raise ValueError(f"replay {replay}: expected a share between 0 and 1")
    return budget * (1 - replay)
