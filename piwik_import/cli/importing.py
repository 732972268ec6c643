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
from piwik_import.cli.options import Command, option, read_config
from piwik_import.errors import PiwikImportError, UsageError

if TYPE_CHECKING:
    from piwik_import.importer import Settings


@click.command("import", cls=Command)
@click.argument("logs", metavar="LOG...", nargs=-1)
@option(
    "Server", "--url", env="PIWIK_URL", metavar="URL", help="The server: https://stats.example.org, or its piwik.php."
)
@option(
    "Server",
    "--token-auth",
    "--token",
    "token",
    env="PIWIK_TOKEN",
    metavar="TOKEN",
    help="API token of a user with write access; better set as PIWIK_TOKEN.",
)
@option(
    "Server",
    "--idsite",
    "--site",
    "site",
    env="PIWIK_SITE",
    type=click.IntRange(1),
    metavar="ID",
    help="The site that the hits belong to.",
)
@option(
    "Server",
    "--base-url",
    metavar="URL",
    help="Where the pages are of a log that names no host.  [default: the site's URL on the server]",
)
@option(
    "Log",
    "--log-format-name",
    "--format",
    "format",
    metavar="NAME",
    help="The format of the logs, or a file that describes it.  [default: recognised]",
)
@option(
    "Log",
    "--order",
    type=click.Choice(["time", "given"]),
    default="time",
    help="Read several logs in the order of their first records, or as given.",
)
@option("What is imported", "--enable-bots", "--bots", "bots", is_flag=True, help="Bots too.")
@option(
    "What is imported",
    "--enable-static",
    "static",
    is_flag=True,
    help="Static files too (css, js, images …), as downloads.",
)
@option(
    "What is imported",
    "--enable-http-errors",
    "errors",
    is_flag=True,
    help="Errors too (status 4xx and 5xx), under a title that names them.",
)
@option(
    "What is imported", "--enable-http-redirects", "redirects", is_flag=True, help="Redirects too (status 3xx but 304)."
)
@option(
    "What is imported",
    "--download-extensions",
    metavar="EXT,…",
    help="Extensions of downloads in place of the built-in ones.",
)
@option("What is imported", "--add-download-extensions", metavar="EXT,…", help="Further extensions of downloads.")
@option(
    "Sending",
    "--recorders",
    "--concurrency",
    "recorders",
    type=click.IntRange(1, 64),
    default=4,
    help="Requests in flight at once.",
)
@option(
    "Sending",
    "--recorder-max-payload-size",
    "--chunk-size",
    "chunk_size",
    type=click.IntRange(1, 10_000),
    default=200,
    help="Hits in one request.",
)
@option(
    "Sending",
    "--request-timeout",
    type=click.FloatRange(0, min_open=True),
    default=300,
    metavar="SECONDS",
    help="How long to wait for an answer.",
)
@option(
    "Sending",
    "--retry-for",
    type=click.FloatRange(0),
    default=600,
    metavar="SECONDS",
    help="How long to try again while the server is in trouble.",
)
@option(
    "Going on",
    "--journal",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to keep what the server has acknowledged.  [default: ~/.local/state/piwik-import/journal.db]",
)
@option("Going on", "--no-journal", is_flag=True, help="Keep nothing, and begin at the beginning each time.")
@option("Going on", "--from-start", is_flag=True, help="Import from the beginning again what was imported before.")
@option(
    "Going on",
    "--in-doubt",
    type=click.Choice(["resend", "skip"]),
    default="resend",
    help="What to do with hits of which a crash left unknown whether they were recorded.",
)
@option("Going on", "--journal-name", metavar="NAME", help="Name for what comes on standard input, to go on with it.")
@option(
    "Going on",
    "--wait",
    type=click.FloatRange(0),
    default=0,
    metavar="SECONDS",
    help="How long to wait while another import of the same log is running.",
)
@option("Trying out", "--dry-run", is_flag=True, help="Read and count, but send nothing.")
@option(
    "Trying out", "--output", metavar="FILE", help="With --dry-run: write every hit as a line of JSON; - is stdout."
)
@option("Trying out", "--sandbox", is_flag=True, help="Import into an embedded tracker and show what it recorded.")
@option(
    "Trying out",
    "--db",
    metavar="FILE",
    help="With --sandbox: keep its hits in this file, and the progress in FILE.journal.",
)
@option(
    "Messages",
    "--progress",
    type=click.Choice(["auto", "bar", "plain", "none"]),
    default="auto",
    help="Progress on stderr: bars on a terminal, else a line now and then.",
)
@option(
    "Messages",
    "--summary",
    type=click.Choice(["text", "json", "none"]),
    default="text",
    help="The summary on stdout at the end.",
)
@option(
    "Messages",
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    metavar="FILE",
    help="TOML file of options.  [default: ~/.config/piwik-import/config.toml, else /etc/piwik-import.toml]",
)
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
        there = replace(settings, url=tracker.url, token=token, destination=destination)
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
