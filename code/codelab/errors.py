"""The one exception type that reaches a user as a single line.

Everything that is the user's to mend (a wrong recipe key, missing weights, a full disk) is raised as
:class:`UserError`; the command line prints it and exits with status 2. Bugs stay ordinary exceptions with tracebacks.
"""


class UserError(Exception):
    """What went wrong, where, and what was expected, in one line.

    Args:
        message: the whole line, without a trailing full stop or newline.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class Paused(Exception):  # noqa: N818 - not an error: the run is whole and continues later
    """A run reached the time it was allowed (``--stop-after``) with its state saved; the same command continues it."""
