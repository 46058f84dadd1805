"""A licence-checked, deduplicated, decontaminated Python corpus and an instruction set, built from git checkouts.

Two stages, so that a checkout can be deleted once it is read: :mod:`codelab.tasks.corpus.read` turns one source into
one shard of candidate files, :mod:`codelab.tasks.corpus.build` makes the corpus from all shards. Both continue where an
interrupted run stopped. Not covered: notebooks, other languages than Python, and judging whether code is good.
"""
