"""How a search goes, while it goes: what is being tried, and how long is left."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from misstep.chaos.explorer.outcome import Trial
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text


class TimeLeft(ProgressColumn):
    """How long is left: what is still to do at the speed so far, and no longer than the search may take.

    Args:
        seconds: When the search ends at the latest; None is no bound.
    """

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        self._seconds = seconds
        self._began: float | None = None

    def render(self, task: Task) -> Text:
        """Return the time left."""
        now = task.get_time()
        self._began = now if self._began is None else self._began
        left = [task.time_remaining, None if self._seconds is None else self._seconds - (now - self._began)]
        known = [max(0.0, each) for each in left if each is not None]
        return Text(f"{min(known):.0f} s left" if known else "")


class Bar:
    """A progress bar on a terminal, and a line for each part of the search elsewhere; a context manager.

    Args:
        console: Where to draw; standard error, so that standard output holds results alone.
        seconds: When the search ends at the latest; None is no bound.
    """

    def __init__(self, console: Console, seconds: float | None = None) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeLeft(seconds),
            TextColumn("[red]{task.fields[bad]}[/red]{task.fields[now]}", table_column=None),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._part: TaskID | None = None
        self._bad = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, what: str, total: int) -> None:
        """Begin a part of the search."""
        if self._part is not None:
            self._progress.remove_task(self._part)
        self._part = self._progress.add_task(what, total=total, now="", bad="")
        if not self._console.is_terminal and total:
            self._console.print(f"{what}: {total}", markup=False, highlight=False)

    def trying(self, what: str) -> None:
        """Show what is being run."""
        if self._part is not None:
            self._progress.update(self._part, now=what)

    def tried(self, trial: Trial | None) -> None:
        """Count a step, and show how many went wrong so far."""
        if trial is not None and trial.answer != "valid":
            self._bad += 1
        if self._part is not None:
            self._progress.update(self._part, advance=1, bad=f"{self._bad} not valid  " if self._bad else "")
