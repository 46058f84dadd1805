"""Latency and throughput of greedy generation with ``transformers``, as its user calls it.

Every call makes a fixed number of tokens (no end token), after one warm-up call of the same shape and length. The first
call after loading is kept apart. Not covered: compiled models, CUDA graphs and inference servers, which hide the launch
time that this loop shows.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from codelab.measure import Meter
from codelab.records import Strict


class Speed(Strict):
    """What to time: each batch size with each prompt length.

    ``most_prompt_tokens`` leaves out the cells whose prompts have more tokens altogether (for slow machines).
    """

    batches: tuple[int, ...] = (1, 8, 32)
    prompt_tokens: tuple[int, ...] = (32, 512)
    new_tokens: int = 32
    repeats: int = 3
    most_prompt_tokens: int | None = None

    def cells(self) -> list[tuple[int, int]]:
        """Pairs of batch size and prompt length, small ones first."""
        most = self.most_prompt_tokens or float("inf")
        return [(b, p) for p in self.prompt_tokens for b in self.batches if b * p <= most]


def measure(model: Any, prompts: Callable[[int, int], Any], speed: Speed, meter: Meter) -> list[dict[str, Any]]:
    """Time every cell.

    Args:
        model: on its device, in evaluation mode.
        prompts: batch size and length to token ids of that shape on the model's device.
        speed: what to time.
        meter: gets a phase for the first call and one a cell (``generate-b8-p512``, say).

    Returns:
        A row a cell: seconds to the first token, tokens a second over the whole call and seconds a token after the
        first, each as minimum, median and maximum over the repeats.
    """
    with meter.phase("first-call"):
        _generate(model, prompts(1, min(speed.prompt_tokens)), 1)
    rows = []
    for batch, length in speed.cells():
        ids = prompts(batch, length)
        # Every length of the cache is a new shape to the kernels' choosers: a shorter warm-up slows the first repeat.
        _generate(model, ids, speed.new_tokens)
        with meter.phase(f"generate-b{batch}-p{length}") as phase:
            first = [_generate(model, ids, 1) for _ in range(speed.repeats)]
            whole = [_generate(model, ids, speed.new_tokens) for _ in range(speed.repeats)]
        rate = [batch * speed.new_tokens / seconds for seconds in whole]
        after = [(seconds - median(first)) / (speed.new_tokens - 1) for seconds in whole]
        rows.append(
            {"batch": batch, "prompt_tokens": length, "new_tokens": speed.new_tokens, "repeats": speed.repeats}
            | _spread("first_token", first)
            | _spread("tokens_per_second", rate)
            | _spread("next_token", after)
            | {"gpu_allocated": phase.gpu_allocated, "cpu_peak": phase.cpu_peak}
        )
    return rows


def _generate(model: Any, ids: Any, tokens: int) -> float:
    import torch  # noqa: PLC0415

    cuda = ids.device.type == "cuda"
    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    out = greedy(model, ids, tokens)
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    if out.shape[1] != tokens:
        raise RuntimeError(f"asked for {tokens} tokens, got {out.shape[1]}")
    return seconds


def greedy(model: Any, ids: Any, tokens: int, stop: int | None = None) -> Any:
    """The ``tokens`` most likely tokens one after another, shape (batch, tokens); fewer where ``stop`` comes first."""
    import torch  # noqa: PLC0415
    from transformers import GenerationConfig  # noqa: PLC0415

    model.generation_config.eos_token_id = stop
    wanted = GenerationConfig(
        do_sample=False, max_new_tokens=tokens, pad_token_id=stop or 0, eos_token_id=stop, use_cache=True
    )
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=wanted)
    return out[:, ids.shape[1] :]


def _spread(name: str, values: list[float]) -> dict[str, float]:
    return {f"{name}_min": min(values), f"{name}": median(values), f"{name}_max": max(values)}
