"""Show a report while it grows: bars on a terminal, a line now and then elsewhere. Always on stderr."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from piwik_import.errors import printable
from piwik_import.report import Report, SourceReport

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import TaskID

SELDOM = (10.0, 60.0)
"""Seconds to the first plain line, and between the later ones: cron mails every line it sees."""


@contextmanager
def shown(report: Report, mode: str, stream: IO[str] | None = None) -> Iterator[None]:
    """Show `report` until the end of the block."""
    stream = stream or sys.stderr
    if mode == "auto":
        mode = "bar" if stream.isatty() and os.environ.get("TERM") != "dumb" else "plain"
    show = {"bar": _bars, "plain": _lines, "none": _nothing}[mode]
    with show(report, stream):
        yield


@contextmanager
def _nothing(_report: Report, _stream: IO[str]) -> Iterator[None]:
    yield


@contextmanager
def _lines(report: Report, stream: IO[str]) -> Iterator[None]:
    """Write a plain line after SELDOM seconds, and so on."""
    done = threading.Event()

    def write() -> None:
        pause, later = SELDOM
        while not done.wait(pause):
            trouble = f" ({report.trouble})" if report.trouble else ""
            print(f"piwik-import: {_where(report)}{_counts(report)}{trouble}", file=stream, flush=True)
            pause = later

    thread = threading.Thread(target=write, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _bars(report: Report, stream: IO[str]) -> Iterator[None]:
    """Draw a bar for what is being read, and the counts below it, four times a second."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream)
    bars = _Bars(report, console)
    with Live(get_renderable=bars.render, console=console, refresh_per_second=4, transient=True):
        yield


class _Bars:
    """The picture of a report: a bar for each source that is being read, at most `MOST` of them."""

    MOST = 8

    def __init__(self, report: Report, console: Console) -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._report = report
        self._tasks: dict[int, TaskID] = {}
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console)

    def render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        for number, source in enumerate(list(self._report.sources)):
            if source.position:
                self._update(number, source)
        below = [Text(_counts(self._report))]
        if self._report.trouble:
            below.append(Text(self._report.trouble, style="yellow"))
        return Group(self._progress.get_renderable(), *below)

    def _update(self, number: int, source: SourceReport) -> None:
        """Move the bar of a source; a new one takes the place of the oldest when there are too many."""
        if number not in self._tasks:
            if number < max(self._tasks, default=-1):
                return  # it has had its time
            if len(self._tasks) == self.MOST:
                self._progress.remove_task(self._tasks.pop(min(self._tasks)))
            self._tasks[number] = self._progress.add_task(printable(source.name, 40), total=source.size)
        self._progress.update(self._tasks[number], completed=source.done)


def _where(report: Report) -> str:
    """Say what is being read, and how far."""
    reading = next((source for source in reversed(report.sources) if source.position), None)
    if reading is None:
        return ""
    share = f" {100 * reading.done / reading.size:.0f} %" if reading.size else ""
    return f"{printable(reading.name, 60)}{share}, "


def _counts(report: Report) -> str:
    """Say how much has been done in one line."""
    rate = report.read / max(report.seconds, 0.001)
    parts = [f"{report.read:,} lines", f"{rate:,.0f} lines/s"]
    if not report.dry_run:
        parts += [f"{report.tracked:,} hits tracked", f"{report.in_flight:,} in flight"]
    parts += [f"{report.retried:,} retries"] if report.retried else []
    parts += [f"{report.invalid:,} invalid"] if report.invalid else []
    return ", ".join(parts)
