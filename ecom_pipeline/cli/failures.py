"""Exit codes, and errors that end a command with one paragraph instead of a traceback."""

import errno
from enum import IntEnum

NO_ROOM = (
    "The disk is full ({what}). Make room and run the command again: nothing is half done, and what analysts read "
    "stays as it was."
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_WORDS = ("No space left on device", "database or disk is full", "Disk quota exceeded")
"""As DuckDB and SQLite say it, in errors without a number."""
_FULL_FOR_SQLITE = "SQLITE_IOERR_SHMSIZE"
"""A write-ahead log whose index finds no room; SQLite says "disk I/O error" and no more."""


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


def full_disk(error: BaseException) -> str | None:
    """What said that the disk is full, in one line, if that is why it failed; else None."""
    cause: BaseException | None = error
    while cause is not None:
        said = str(cause).strip().splitlines() or [""]
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return said[0]
        if getattr(cause, "sqlite_errorname", "") == _FULL_FOR_SQLITE:
            return f"{said[0]}: no room for the index of a write-ahead log"
        if any(words in str(cause) for words in _FULL_WORDS):
            return next(line for line in said if any(words in line for words in _FULL_WORDS))
        cause = cause.__cause__ or cause.__context__
    return None
