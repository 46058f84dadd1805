"""How to quantise, every choice explicit because bitsandbytes' own defaults are not the papers'.

Not covered: quantisation that needs calibration data (GPTQ, AWQ) and quantised training.
"""

import importlib.util
import logging
from typing import Any, Literal

from codelab.errors import UserError
from codelab.records import Strict

DType = Literal["float32", "bfloat16", "float16"]


class Quantization(Strict):
    """One way to quantise the linear layers of a model's blocks.

    ``int8`` is LLM.int8: activations are quantised row by row as well, and input features with a magnitude of at least
    ``threshold`` are multiplied in 16 bits (0: none are). ``nf4`` stores weights in 4 bits, in blocks of 64, and
    multiplies in ``compute_dtype``; ``double`` quantises the blocks' scales again.
    """

    method: Literal["int8", "nf4", "fp4"]
    threshold: float = 6.0
    double: bool = False
    compute_dtype: DType = "float16"


def require_bitsandbytes() -> None:
    """Check that it is there and quieten it.

    On a CPU its 8-bit path warns once a layer and token about a cast that is meant.

    Raises:
        UserError: not installed.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("quantisation needs the package bitsandbytes, not installed here; run: make setup-train")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def transformers_config(quantization: Quantization) -> Any:
    """The same choice as transformers takes it."""
    import torch  # noqa: PLC0415
    from transformers import BitsAndBytesConfig  # noqa: PLC0415

    if quantization.method == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=quantization.threshold)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization.method,
        bnb_4bit_use_double_quant=quantization.double,
        bnb_4bit_compute_dtype=getattr(torch, quantization.compute_dtype),
    )
