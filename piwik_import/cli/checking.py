"""The command that tries a server."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from piwik_import.cli.options import Command, group, option
from piwik_import.cli.server import connecting, connection, server
from piwik_import.cli.trying import config
from piwik_import.errors import UsageError

COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}


@click.command(cls=Command, short_help="Try the server; nothing is recorded.")
@server
@connecting
@group(
    "Check",
    option(
        "--request-timeout",
        type=click.FloatRange(0, min_open=True),
        default=30,
        metavar="SECONDS",
        help="How long one step may take.",
    ),
    option("--json", "as_json", is_flag=True, help="As JSON."),
    config,
)
def check(site: int | None, as_json: bool, **options: Any) -> None:
    """Try the server with requests that record nothing, and say what to do."""
    way = connection(options)
    if site is None:
        raise UsageError("Missing --idsite: the number of the site on the server (or PIWIK_SITE).")

    from piwik_import.check import steps  # httpx: not for --help

    done = []
    for step in steps(way, site):
        done.append(step)
        if not as_json:
            state = click.style(f"{step.state:8}", fg=COLOURS[step.state])
            click.echo(f"{state} {step.name:9} {step.said}".rstrip())
    if as_json:
        said = [{"name": step.name, "state": step.state, "said": step.said} for step in done]
        click.echo(json.dumps({"ok": not any(step.exit_code for step in done), "steps": said}))
    sys.exit(next((step.exit_code for step in done if step.exit_code), 0))
