"""English prose out of Debian packages: the "old text" whose loss says what further training forgot.

A list of packages with version, hash and licence (``recipes/general-sources.tsv``) becomes deduplicated documents,
split into a training part (for replay) and a held-out part that shares no sentence with it, probes of a general
skill, and token files. Not covered: other languages, and judging whether what a text says is true.
"""
