"""The command line: ``codelab …``. Verbs live in the modules of this package; the Makefile calls the same verbs."""

from codelab.cli.app import main

__all__ = ["main"]
