"""Whoever watches a run: told of steps as they start, progress and end. The terminal is one such observer."""

from typing import Protocol


class Progress(Protocol):
    """Called by a step with what it is doing, and the share of it that is done (0 to 1) where it knows."""

    def __call__(self, stage: str, share: float | None = None, /) -> None:
        """Tell of progress."""


class RunObserver(Protocol):
    """Told what a run in this process does, while it does it."""

    def waiting(self, seconds: float) -> None:
        """Another process has the warehouse; this run has waited so long."""

    def step_started(self, step: str) -> None:
        """A step began."""

    def step_progress(self, step: str, stage: str, share: float | None) -> None:
        """A step is in `stage` and has done `share` (0 to 1) of it; None: it does not know."""

    def step_finished(self, step: str, *, seconds: float, rows: int | None, succeeded: bool) -> None:
        """A step ended."""


class SilentObserver:
    """The observer of runs that nobody watches from inside: Dagster's own log says enough."""

    def waiting(self, seconds: float) -> None:
        """Nothing."""

    def step_started(self, step: str) -> None:
        """Nothing."""

    def step_progress(self, step: str, stage: str, share: float | None) -> None:
        """Nothing."""

    def step_finished(self, step: str, *, seconds: float, rows: int | None, succeeded: bool) -> None:
        """Nothing."""
