"""What a run writes besides its progress: the hits of a dry run, and the summary."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import click

from piwik_import.errors import UsageError, printable
from piwik_import.report import Report
from piwik_import.summary import WHOLE, as_dict, as_text


def keep_apart(output: str, logs: Sequence[str]) -> None:
    """Raise UsageError if the file of --output is one of the logs: to open it would empty it."""
    from piwik_import import source

    if os.path.exists(output):
        status = os.stat(output)
        if (status.st_dev, status.st_ino) in [log.inode for log in source.find(logs)]:
            raise UsageError(f"--output {printable(output)}: this is one of the logs, and no log is ever written to.")


@contextmanager
def opened(name: str | None) -> Iterator[IO[str] | None]:
    """Open the file of --output."""
    if name is None:
        yield None
    elif name == "-":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends us as it ends any filter
        yield sys.stdout
    else:
        try:
            with open(name, "w", encoding="utf-8") as file:
                yield file
        except OSError as error:
            if error.filename not in (None, name):  # some other file's fault
                raise
            raise UsageError(f"--output {printable(name)}: {error.strerror}") from None


def show_summary(report: Report, summary: str, more: str, stream: IO[str]) -> bool:
    """Write the summary, as ``text`` with `more` below it, and tell whether that went well.

    The import is done, whatever becomes of this. Where no summary is wanted, only trouble is written, to stderr.
    """
    try:
        if summary == "json":
            click.echo(json.dumps(as_dict(report)), file=stream)
        elif summary == "text":
            click.echo(f"{as_text(report)}\n\n{more}" if more else as_text(report), file=stream)
        else:
            for note in report.doubts:
                click.echo(f"piwik-import: {printable(note, WHOLE)}", err=True)
            if report.invalid:
                click.echo(f"piwik-import: {report.invalid:,} lines were invalid, or refused by the server", err=True)
        stream.flush()
        return True
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            click.echo(f"piwik-import: the summary could not be written: {error.strerror}", err=True)
        with open(os.devnull, "w") as nothing:  # or Python would try once more at its end, and fail again
            os.dup2(nothing.fileno(), stream.fileno())
        return False
