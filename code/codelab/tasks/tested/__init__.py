"""Tests for instruction pairs that have too few, made by running the pair's own code on proposed arguments.

``fit`` says which pairs can be tasks at all, ``uses`` and ``kinds`` what their parameters are, ``values`` and ``calls``
propose arguments, ``plain`` writes answers as literals, ``choose`` takes the tests. Everything here is pure and
deterministic; nothing here runs a pair's code (``codelab.evaluate.tested`` does, in the sandbox).
"""
