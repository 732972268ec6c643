"""The command that imports."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from piwik_import.address import tracker_url
from piwik_import.cli.options import Command, taken
from piwik_import.cli.reading import reading, selection, taken_reading
from piwik_import.cli.sending import going_on, sending
from piwik_import.cli.server import server
from piwik_import.cli.trying import messages, trying
from piwik_import.connection import Connection
from piwik_import.errors import PiwikImportError, UsageError
from piwik_import.policy import Policy

if TYPE_CHECKING:
    from piwik_import.importer import Settings


@click.command("import", cls=Command)
@click.argument("logs", metavar="LOG...", nargs=-1)
@server
@reading
@selection
@sending
@going_on
@trying
@messages
def import_(
    logs: tuple[str, ...],
    dry_run: bool,
    output: str | None,
    sandbox: bool,
    db: str | None,
    journal: Path | None,
    no_journal: bool,
    in_doubt: str,
    progress: str,
    summary: str,
    site: int | None,
    download_extensions: str | None,
    add_download_extensions: str | None,
    **options: Any,
) -> None:
    """Import LOGs: files, folders, patterns, or - for standard input."""
    from piwik_import.hits import DOWNLOADS
    from piwik_import.importer import Settings

    if not logs:
        raise UsageError("Missing LOG: name a log file, a folder, a pattern, or - for standard input.")
    if output is not None and not dry_run:
        raise UsageError("--output writes the hits of a --dry-run; add --dry-run, or leave it out.")
    if output not in (None, "-"):
        from piwik_import.cli.output import keep_apart

        keep_apart(output, logs)
    if db is not None and not sandbox:
        raise UsageError("--db is the file of the --sandbox; add --sandbox, or leave it out.")
    if dry_run and sandbox:
        raise UsageError("--dry-run sends nothing and --sandbox is there to receive: choose one.")
    if not (dry_run or sandbox):
        _require(url=options["url"], token=options["token"], idsite=site)
        tracker_url(options["url"])
    connection = taken(Connection, options)
    downloads = _extensions(download_extensions) if download_extensions else DOWNLOADS
    downloads |= _extensions(add_download_extensions or "")
    if no_journal or dry_run or (sandbox and db is None):
        journal = None
    else:
        from piwik_import.journal import default_path  # sqlite3: not for a dry run

        journal = journal or (default_path() if db is None else Path(f"{db}.journal"))
        if "-" in logs and options["journal_name"] is None:
            click.echo(
                "piwik-import: stdin has no name, so it cannot be resumed; --journal-name gives it one", err=True
            )
    settings = Settings(
        logs=logs,
        connection=connection if connection.url else None,
        policy=taken(Policy, options),
        reading=taken_reading(options),
        site=site or 1,
        dry_run=dry_run,
        downloads=downloads,
        journal=journal,
        skip_doubts=in_doubt == "skip",
        **options,
    )
    with _sandbox(settings, db) if sandbox else _as_is(settings) as (settings, after):
        code = _run(settings, output, progress, summary, after)
    sys.exit(code)


def _require(**settings: object) -> None:
    """Raise UsageError for the first setting that is missing."""
    hints = {
        "url": "Missing --url: the address of the server (or PIWIK_URL). To try without one: --sandbox or --dry-run.",
        "token": "Missing the API token: set PIWIK_TOKEN, or give --token-auth.",
        "idsite": "Missing --idsite: the number of the site on the server (or PIWIK_SITE).",
    }
    for name, value in settings.items():
        if value is None:
            raise UsageError(hints[name])


def _extensions(text: str) -> frozenset[str]:
    return frozenset(part.strip().lstrip(".").lower() for part in text.split(",") if part.strip())


@contextmanager
def _as_is(settings: Settings) -> Iterator[tuple[Settings, Callable[[], str]]]:
    yield settings, str


@contextmanager
def _sandbox(settings: Settings, db: str | None) -> Iterator[tuple[Settings, Callable[[], str]]]:
    """Start the embedded tracker and send to it."""
    from piwik_import.sandbox import Sandbox

    token = "sandbox"
    sites = {settings.site: settings.base_url or "http://localhost"}
    with Sandbox(token=token, sites=sites, db=db or ":memory:") as tracker:
        destination = f"sandbox {os.stat(db).st_ino}" if db else None  # another file is another tracker
        there = replace(settings, connection=Connection(url=tracker.url, token=token), destination=destination)
        yield there, lambda: str(tracker.report())


def _run(settings: Settings, output: str | None, progress: str, summary: str, after: Callable[[], str]) -> int:
    """Run the import, show what came of it, and return the exit code."""
    from piwik_import import importer
    from piwik_import.cli.output import opened, show_summary
    from piwik_import.progress import shown
    from piwik_import.report import Report

    report, error = Report(dry_run=settings.dry_run), None
    with opened(output) as hits:
        try:
            importer.run(settings, report, hits, lambda: shown(report, progress))
        except PiwikImportError as caught:
            error = caught
    if report.sources:
        show_summary(report, summary, after(), sys.stderr if output == "-" else sys.stdout)
    if error is not None:
        raise error
    return report.exit_code
