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

from piwik_import.cli.options import Command, taken
from piwik_import.cli.reading import layout, reading, selection, taken_downloads, taken_hints, users_registry, w3c
from piwik_import.cli.sending import going_on, sending, taken_policy
from piwik_import.cli.server import connecting, connection, pages, server, unconnected
from piwik_import.cli.shaping import mapping, taken_shaping
from piwik_import.cli.trying import messages, trying
from piwik_import.connection import Connection
from piwik_import.errors import UsageError, printable

if TYPE_CHECKING:
    from piwik_import.importer import Settings


@click.command("import", cls=Command)
@click.argument("logs", metavar="LOG...", nargs=-1)
@server
@connecting
@pages
@reading
@layout
@w3c
@selection
@mapping
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
    rejects: Path | None,
    progress: str,
    summary: str,
    site: int | None,
    no_check: bool,
    **options: Any,
) -> None:
    """Import LOGs: files, folders, patterns, or - for standard input."""
    from piwik_import import source
    from piwik_import.importer import Settings
    from piwik_import.parsers.choice import Choice
    from piwik_import.parsers.w3c import W3C

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
    trial = dry_run or sandbox
    way = unconnected(options) if trial else connection(options)
    shaping = taken_shaping(options, site)
    if site is None and not trial and not shaping.trackers.files:
        raise UsageError("Missing --idsite: the number of the site on the server (or PIWIK_SITE).")
    registry = users_registry()
    formats = taken(Choice, options).formats(registry)
    if len(formats) > 1:
        names = ", ".join(printable(one.name) for one in formats)
        click.echo(f"piwik-import: log formats to choose among: {names}", err=True)
    if no_journal or dry_run or (sandbox and db is None):
        journal = None
    else:
        from piwik_import.journal import default_path  # sqlite3: not for a dry run

        journal = journal or (default_path() if db is None else Path(f"{db}.journal"))
        if options["journal_name"] is None:
            for pipe in (log for log in source.find(logs) if log.is_pipe):
                name = printable(pipe.name)
                click.echo(f"piwik-import: {name} is a pipe and cannot be resumed; --journal-name names it", err=True)
    settings = Settings(
        logs=logs,
        formats=formats,
        registry=registry,
        connection=None if dry_run else way,
        check=not no_check,
        policy=taken_policy(options, bulk=way.bulk, in_doubt=in_doubt),
        w3c=taken(W3C, options),
        hints=taken_hints(options),
        site=site if shaping.trackers.files else site or 1,
        dry_run=dry_run,
        downloads=taken_downloads(options),
        shaping=shaping,
        journal=journal,
        skip_doubts=in_doubt == "skip",
        rejects=rejects or (journal.with_suffix(".rejects.ndjson") if journal else None),
        **options,
    )
    with _sandbox(settings, db) if sandbox else _as_is(settings) as (settings, after):
        code = carry_out(settings, output, progress, summary, after)
    sys.exit(code)


@contextmanager
def _as_is(settings: Settings) -> Iterator[tuple[Settings, Callable[[], str]]]:
    yield settings, str


@contextmanager
def _sandbox(settings: Settings, db: str | None) -> Iterator[tuple[Settings, Callable[[], str]]]:
    """Start the embedded tracker and send to it."""
    from piwik_import.sandbox import EverySite, Sandbox

    token = "sandbox"
    sites = {settings.site or 1: settings.base_url or "http://localhost"}
    if settings.site is None:
        sites = EverySite(sites)
    way = settings.connection or Connection(url="")
    with Sandbox(token=token, sites=sites, db=db or ":memory:") as tracker:
        destination = f"sandbox {os.stat(db).st_ino}" if db else None  # another file is another tracker
        # What is said of the way to another server does not count: only how hits are put.
        way = Connection(url=tracker.url, token=token, bulk=way.bulk, suffix=way.suffix, debug=way.debug)
        yield replace(settings, connection=way, destination=destination), lambda: str(tracker.report())


def carry_out(settings: Settings, output: str | None, progress: str, summary: str, after: Callable[[], str]) -> int:
    """Run the import, show what came of it, and return the exit code."""
    from piwik_import import importer
    from piwik_import.cli.output import opened, show_summary
    from piwik_import.progress import shown
    from piwik_import.report import Report

    report = Report(dry_run=settings.dry_run)

    def tell() -> bool:
        stream = sys.stderr if output == "-" else sys.stdout
        return bool(report.sources) and show_summary(report, summary, after(), stream)

    with opened(output) as hits:
        importer.run(settings, report, hits, lambda: shown(report, progress), tell)
    return report.exit_code
