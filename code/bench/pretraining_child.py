"""One variant of pretraining in a process of its own: made ready once, then timed in rounds, whenever it is told to.

Its own process, because compiled graphs of one process are shared where their guards agree, and the choice of attention
kernel is no guard; and because a fault on the device then ends one variant alone. Not covered: what is measured in what
order (``bench.pretraining``).
"""

import contextlib
import io
import tempfile
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

WARM_STEPS = 3


def serve(wire: Connection, values: dict[str, Any]) -> None:
    """Answer ``("build", 0)`` and ``("round", seconds)`` until the other end hangs up.

    Args:
        wire: to the process that measures; every answer is a mapping, with ``error`` in it where something failed.
        values: of a recipe of the kind ``pretrain``.
    """
    timed: Timed | None = None
    with contextlib.suppress(EOFError, BrokenPipeError), tempfile.TemporaryDirectory(prefix="codelab-bench-") as folder:
        import codelab.train.pretrain_loop  # noqa: F401, PLC0415 - seconds, spent while the other variants start too

        while True:
            what, seconds = wire.recv()
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # the trainer's lines
                    if what == "build":
                        timed = Timed(values, Path(folder))
                        answer = timed.facts
                    else:
                        assert timed is not None
                        answer = timed.round(seconds)
            except Exception as error:
                lines = traceback.format_exc().strip().splitlines()[-12:]
                answer = {"error": f"{type(error).__name__}: {error}"[:500], "trace": "\n".join(lines)}
            wire.send(answer)


class Timed:
    """A trainer that is compiled and warm.

    Args:
        values: of a recipe of the kind ``pretrain``.
        folder: for the trainer's own log.

    Attributes:
        facts: seconds of the building, parameters, FLOPs a token, the device's peak, and the loss of the step after
            the warm-up, by which two variants can be told to compute the same.
    """

    def __init__(self, values: dict[str, Any], folder: Path) -> None:
        from codelab.records import open_run  # noqa: PLC0415
        from codelab.train.pretrain import PretrainRecipe  # noqa: PLC0415
        from codelab.train.pretrain_loop import Trainer  # noqa: PLC0415 - needs torch
        from codelab.train.pretrain_model import flops_per_token, peak_flops  # noqa: PLC0415
        from codelab.train.tokens import open_tokens  # noqa: PLC0415

        began = time.perf_counter()
        recipe = PretrainRecipe.model_validate(values)
        self._run = open_run(recipe, "bench", folder, [])
        self._trainer = Trainer(recipe, self._run, open_tokens(Path(recipe.tokens)))
        self._trainer.restore()
        for _ in range(WARM_STEPS + 1):
            self._trainer.step()
        model = self._trainer.model
        self.facts: dict[str, Any] = {
            "build_seconds": time.perf_counter() - began,
            "compile_seconds": self._trainer.compiled_in,
            "parameters": model.num_parameters(),
            "flops": flops_per_token(recipe.shape, model.config.vocab_size),
            "peak": peak_flops(),
            "loss": float(self._run.steps_so_far()[-1]["loss"]),
        }
        self._release()

    def round(self, seconds: float) -> dict[str, Any]:
        """Whole steps for at least some seconds, after one that is not counted, for memory is asked for in it.

        Returns:
            ``steps``, ``tokens``, ``seconds``, and the allocator's peak, ``gpu_allocated``, in bytes.
        """
        import torch  # noqa: PLC0415

        self._trainer.step()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        first, began = self._trainer.tokens, time.perf_counter()
        steps = 0
        while (spent := time.perf_counter() - began) < seconds or not steps:
            self._trainer.step()  # reads its loss, so that the device is done when it returns
            steps += 1
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
        tokens = self._trainer.tokens - first
        self._release()
        return {"steps": steps, "tokens": tokens, "seconds": spent, "gpu_allocated": peak}

    @staticmethod
    def _release() -> None:
        import torch  # noqa: PLC0415

        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # the next variant's turn needs the memory
