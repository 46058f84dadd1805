"""What runs inside: the fork server, the measures of isolation, and the child that runs a program.

This package is imported by a bare interpreter as ``guest`` (no site packages, none of the rest of ``codelab``), so it
imports the standard library and itself alone. Nothing here ever sees an expected value.
"""
