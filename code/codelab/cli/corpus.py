"""Mount ``codelab corpus …``; the verbs themselves stand in :mod:`codelab.tasks.corpus.cli`."""

from codelab.cli.app import app
from codelab.tasks.corpus.cli import app as corpus

app.add_typer(corpus)
