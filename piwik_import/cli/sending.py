"""Options that say how hits are sent, and how an import goes on after another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from piwik_import.cli.options import group, option, taken
from piwik_import.policy import Policy

sending = group(
    "Sending",
    option(
        "--recorders",
        "--concurrency",
        "recorders",
        type=click.IntRange(1, 64),
        default=4,
        help="Requests in flight at once, at most: fewer while the server is slow.",
    ),
    option(
        "--recorder-max-payload-size",
        "--chunk-size",
        "chunk_size",
        type=click.IntRange(1, 10_000),
        default=1000,
        help="Hits in one request, at most: 200 at first, more while the server is quick.",
    ),
    option(
        "--max-request-bytes",
        type=click.IntRange(1000),
        default=1_000_000,
        metavar="BYTES",
        help="Bytes in one request, at most.",
    ),
    option(
        "--max-rate",
        type=click.FloatRange(0, min_open=True),
        metavar="HITS",
        help="Hits a second, at most, for a server that has other work to do.",
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
    option(
        "--retry-max-attempts",
        type=click.IntRange(1),
        metavar="N",
        help="How often to try while the server is in trouble.  [default: as often as there is time]",
    ),
)

journal = option(
    "--journal",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to keep what the server has acknowledged.  [default: ~/.local/state/piwik-import/journal.db]",
)

in_doubt = option(
    "--in-doubt",
    type=click.Choice(["resend", "skip"]),
    default="resend",
    help="What to do with hits of which a crash or a lost answer left unknown whether they were recorded.",
)

going_on = group(
    "Going on",
    journal,
    option("--no-journal", is_flag=True, help="Keep nothing, and begin at the beginning each time."),
    option("--from-start", is_flag=True, help="Import from the beginning again what was imported before."),
    in_doubt,
    option(
        "--rejects",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Where to keep lines and hits that were not imported, for `piwik-import replay`."
        "  [default: beside the journal]",
    ),
    option(
        "--journal-name",
        metavar="NAME",
        help="Name for what comes through a pipe, to go on with it.",
    ),
    option(
        "--wait",
        type=click.FloatRange(0),
        default=0,
        metavar="SECONDS",
        help="How long to wait while another import of the same log is running.",
    ),
)


def taken_policy(options: dict[str, Any], *, bulk: bool, in_doubt: str) -> Policy:
    """Take out of `options` how hits are sent."""
    policy = replace(taken(Policy, options), resend=in_doubt == "resend")
    # Without bulk requests every single hit is acknowledged before the next is sent.
    return policy if bulk else replace(policy, chunk_size=1)
