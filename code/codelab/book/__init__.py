"""The book: reads run records and draws; never trains, never measures, never imports torch.

A chapter begins with ``import codelab.book as book; book.setup()`` and then calls :mod:`~codelab.book.facts`,
:mod:`~codelab.book.tables` and :mod:`~codelab.book.figures`. The build itself (project, renderer, freshness, lint,
inspect) lies in modules that chapters do not import, so that work on it does not make a frozen chapter stale.
"""

from codelab.book.setup import setup

__all__ = ["setup"]
