"""Options that say how hits are sent, and how an import goes on after another."""

from __future__ import annotations

from pathlib import Path

import click

from piwik_import.cli.options import group, option

sending = group(
    "Sending",
    option(
        "--recorders",
        "--concurrency",
        "recorders",
        type=click.IntRange(1, 64),
        default=4,
        help="Requests in flight at once.",
    ),
    option(
        "--recorder-max-payload-size",
        "--chunk-size",
        "chunk_size",
        type=click.IntRange(1, 10_000),
        default=200,
        help="Hits in one request.",
    ),
    option(
        "--request-timeout",
        type=click.FloatRange(0, min_open=True),
        default=300,
        metavar="SECONDS",
        help="How long to wait for an answer.",
    ),
    option(
        "--retry-for",
        type=click.FloatRange(0),
        default=600,
        metavar="SECONDS",
        help="How long to try again while the server is in trouble.",
    ),
)

going_on = group(
    "Going on",
    option(
        "--journal",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Where to keep what the server has acknowledged.  [default: ~/.local/state/piwik-import/journal.db]",
    ),
    option("--no-journal", is_flag=True, help="Keep nothing, and begin at the beginning each time."),
    option("--from-start", is_flag=True, help="Import from the beginning again what was imported before."),
    option(
        "--in-doubt",
        type=click.Choice(["resend", "skip"]),
        default="resend",
        help="What to do with hits of which a crash left unknown whether they were recorded.",
    ),
    option("--journal-name", metavar="NAME", help="Name for what comes on standard input, to go on with it."),
    option(
        "--wait",
        type=click.FloatRange(0),
        default=0,
        metavar="SECONDS",
        help="How long to wait while another import of the same log is running.",
    ),
)
