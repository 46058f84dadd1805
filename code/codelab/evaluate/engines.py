"""Generators and prompts as a recipe asks for them.

Not covered: what the generators do (``codelab.models``) and how tasks are put (``codelab.tasks.prompts``).
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from codelab.errors import UserError
from codelab.evaluate.recipe import Backend, Model, Questions, TransformersOptions, VllmOptions
from codelab.models.generation import Generator, Prompt
from codelab.records import ModelFacts
from codelab.tasks import mbpp, prompts
from codelab.tasks.mbpp import Task


def require(backend: Backend) -> None:
    """Check, before any work, that the packages of an engine are there.

    Raises:
        UserError: one is missing; says how to install it.
    """
    needed = {"transformers": ("torch", "transformers", "accelerate"), "vllm": ("vllm",)}[backend]
    if absent := [name for name in needed if importlib.util.find_spec(name) is None]:
        extra = "gpu" if backend == "vllm" else "train"
        raise UserError(f"backend {backend}: needs {', '.join(absent)}, not installed here; run: make setup-{extra}")


def build(
    answers: Model, backend: Backend, options: TransformersOptions, vllm: VllmOptions
) -> tuple[Generator, ModelFacts]:
    """Load a model into the engine that the recipe names.

    Raises:
        UserError: weights, packages or device are missing.
    """
    if backend == "vllm":
        from codelab.models.vllm_generation import VllmGenerator  # noqa: PLC0415

        folder, facts = local_folder(answers)
        return VllmGenerator(folder, dtype=answers.dtype, **vllm.model_dump()), facts
    from codelab.models.load import load_model  # noqa: PLC0415
    from codelab.models.transformers_generation import TransformersGenerator  # noqa: PLC0415

    loaded = load_model(answers.model, answers.dtype, answers.device, answers.quantization)
    facts = loaded.facts
    if answers.quantization:
        note = f"linear layers quantised: {answers.quantization.model_dump_json()}"
        facts = facts.model_copy(update={"note": "; ".join(filter(None, [facts.note, note]))})
    return TransformersGenerator(loaded.model, loaded.tokenizer, **options.model_dump()), facts


def local_folder(answers: Model) -> tuple[Path | str, ModelFacts]:
    """Folder (or hub id) of a model for engines that read files, and the facts for the record.

    Raises:
        UserError: the weights cannot be had.
    """
    from codelab.models import smollm2  # noqa: PLC0415
    from codelab.models.source import ModelSource  # noqa: PLC0415

    source = ModelSource.parse(answers.model)
    if source.kind == "hub":
        return source.name, ModelFacts(role="model", source=str(source))
    if source.kind == "pypi":
        folder = smollm2.prepare()
        sha256, note = smollm2.GGUF_SHA256, smollm2.NOTE
    else:
        folder, sha256, note = Path(source.name), None, None
        if not (folder / "config.json").exists():
            raise UserError(f"model {source}: expected a folder with config.json, weights and tokenizer")
    facts = ModelFacts(
        role="model", source=str(source), parameters=_stored_parameters(folder), sha256=sha256, note=note
    )
    return folder, facts


def _stored_parameters(folder: Path) -> int | None:
    """Numbers in the folder's weight files, read from their headers; shared weights are stored once."""
    from safetensors import safe_open  # noqa: PLC0415

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as weights:
            for name in weights.keys():  # noqa: SIM118 - not a mapping
                size = 1
                for length in weights.get_slice(name).get_shape():
                    size *= length
                total += size
    return total or None


def questions_asked(questions: Questions, split: str | None = None, limit: int | None = None) -> list[Task]:
    """Tasks of the recipe's split, or of another one.

    Raises:
        UserError: no data, or no task left.
    """
    chosen = mbpp.select(mbpp.load(questions.source), split or questions.split, sanitized=questions.sanitized)
    chosen = chosen[: limit if split else questions.limit]
    if not chosen:
        raise UserError(
            f"questions: no task in split {split or questions.split!r} with sanitized={questions.sanitized}"
        )
    return chosen


class Asker:
    """Puts tasks in one style.

    Args:
        style: its name.
        everything: all tasks, from which solved examples are taken where the style shows some.
    """

    def __init__(self, style: str, everything: Sequence[Task]) -> None:
        self.style = prompts.style_named(style)
        known = {task.task_id: task for task in everything}
        self.shots = [known[i] for i in prompts.SHOTS if i in known] if self.style.form == "shots" else []

    def __call__(self, task: Task) -> Prompt:
        """The prompt of a task, with its stop rule."""
        stop = prompts.stop_rule(task, self.style)
        if self.style.form == "chat":
            return Prompt(str(task.task_id), messages=tuple(prompts.messages(task, self.style)), stop=stop)
        return Prompt(str(task.task_id), prompts.prompt(task, self.style, self.shots), stop=stop)

    def program(self, task: Task, completion: str) -> str:
        """The program in a completion."""
        return prompts.extract(completion, task, self.style)
