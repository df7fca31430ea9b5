"""Exit codes, and errors that end a command with one paragraph instead of a traceback."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the exit status of every command means."""

    DONE = 0
    FAILED = 1
    """A step failed; nothing was published."""
    USAGE = 2
    """The command line is wrong."""
    BLOCKED = 3
    """A blocking check failed; nothing was published, and yesterday's results stand."""
    UNUSABLE = 4
    """The home, its settings, its profile or a file named on the command line cannot be used."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""


class CommandError(Exception):
    """A command cannot do what was asked; the message says what, where and how to mend it."""

    def __init__(self, message: str, code: ExitCode = ExitCode.UNUSABLE) -> None:
        super().__init__(message)
        self.code = code
