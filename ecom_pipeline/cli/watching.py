"""A run on the terminal: one line for each step that is done, and a live bar for the one that runs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from ecom_pipeline.orchestration.checks import CHECKS_SUFFIX

OUTPUT_DESCRIPTORS = (1, 2)
BESIDE_WORDS_AND_BAR = 35
"""Columns of the live display that the spinner, the count, both times and the gaps take."""


@contextmanager
def console_of_our_own(*, quiet: bool, log: bool) -> Iterator[Console]:
    """A console for the time of a run, in which everybody else's output is kept off the terminal unless `log`.

    What libraries print (TensorFlow's start-up notes, above all) is captured by Dagster into the log of the run, which
    the UI shows; here it would tear the progress apart. They write to the file descriptors, so these are redirected.
    """
    if log or not _is_descriptor(sys.stdout):
        yield Console(quiet=quiet, highlight=False)
        return
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in OUTPUT_DESCRIPTORS]
    with os.fdopen(kept[0], "w", encoding="utf-8", closefd=False) as terminal:
        try:
            with Path(os.devnull).open("wb") as nowhere:
                for descriptor in OUTPUT_DESCRIPTORS:
                    os.dup2(nowhere.fileno(), descriptor)
            yield Console(file=terminal, quiet=quiet, highlight=False)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, original in zip(OUTPUT_DESCRIPTORS, kept, strict=True):
                os.dup2(original, descriptor)
                os.close(original)


def _is_descriptor(stream: TextIO) -> bool:
    try:
        return stream.fileno() == OUTPUT_DESCRIPTORS[0]
    except (OSError, ValueError):  # a test's or a notebook's stand-in
        return False


class TerminalObserver:
    """Draws what a run does."""

    def __init__(self, console: Console, progress: Progress, *, whole: TaskID, current: TaskID) -> None:
        self._console = console
        self._progress = progress
        self._whole = whole
        self._current = current
        self._said_waiting = False

    def waiting(self, seconds: float) -> None:
        """Say once that the run is in the queue, and show for how long."""
        if not self._said_waiting:
            self._console.print("Another run has the warehouse; this one waits its turn.")
            self._said_waiting = True
        self._progress.update(self._current, description="waiting for the warehouse")

    def step_started(self, step: str) -> None:
        """Show the step as the current one."""
        self._progress.reset(self._current, description=_in_words(step), total=None)

    def step_progress(self, step: str, stage: str, share: float | None) -> None:
        """Move the current step's bar."""
        if share is None:
            self._progress.update(self._current, description=f"{_in_words(step)}: {stage}", total=None)
        else:
            self._progress.update(
                self._current, description=f"{_in_words(step)}: {stage}", total=1.0, completed=min(max(share, 0.0), 1.0)
            )

    def step_finished(self, step: str, *, seconds: float, rows: int | None, succeeded: bool) -> None:
        """Print the step's line; checks that passed have none of their own."""
        self._progress.advance(self._whole)
        if succeeded and step.endswith(CHECKS_SUFFIX):
            return
        mark = "[green]done  [/green]" if succeeded else "[red]FAILED[/red]"
        counted = f"{rows:>12,} rows" if rows is not None else " " * 17
        self._console.print(f"  {mark} {_in_words(step):<34}{counted} {seconds:>8.1f} s")


class DoneColumn(ProgressColumn):
    """How much is done: steps of the whole run, a share of its current step, nothing where nobody knows."""

    def render(self, task: Task) -> Text:
        """The cell of one bar."""
        if task.total is None:
            return Text()
        return Text(f"{task.completed:.0f} of {task.total:.0f}" if task.total > 1 else f"{task.percentage:.0f} %")


class TimeLeftColumn(TimeRemainingColumn):
    """The time that is left, said to be that: the time passed stands beside it."""

    def render(self, task: Task) -> Text:
        """The cell of one bar."""
        left = super().render(task)
        return left if not left.plain.strip() or left.plain.startswith("-") else left.append(" left")


@contextmanager
def watched(console: Console, *, steps: int, title: str) -> Iterator[TerminalObserver]:
    """A live display for a run of so many steps, for as long as the block lasts."""
    bar = min(24, console.width // 6)
    words = max(console.width - bar - BESIDE_WORDS_AND_BAR, 16)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=words)),
        BarColumn(bar_width=bar, table_column=Column(no_wrap=True, min_width=bar)),
        DoneColumn(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
        TimeLeftColumn(table_column=Column(no_wrap=True, min_width=12)),
        console=console,
        transient=True,
    ) as progress:
        whole = progress.add_task(title, total=steps)
        current = progress.add_task("starting", total=None)
        yield TerminalObserver(console, progress, whole=whole, current=current)


def _in_words(step: str) -> str:
    return f"checks of {step.removesuffix(CHECKS_SUFFIX)}" if step.endswith(CHECKS_SUFFIX) else step
