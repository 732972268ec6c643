"""The command that explains how a log is read."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import click

from piwik_import.cli.options import Command, group, option, taken
from piwik_import.cli.reading import layout, reading, selection, taken_downloads, taken_hints, users_registry, w3c
from piwik_import.cli.server import base
from piwik_import.cli.server import site as site_option
from piwik_import.cli.shaping import mapping, taken_shaping
from piwik_import.cli.trying import config
from piwik_import.errors import UnknownFormat, UsageError, printable


@click.command(cls=Command, short_help="Show how a log is read: its format, and each piece of some lines.")
@click.argument("log")
@group(
    "Explanation",
    option("--line", type=click.IntRange(1), metavar="N", help="Explain this line.  [default: the first ones]"),
    option("--json", "as_json", is_flag=True, help="As JSON."),
    config,
)
@group("Server", site_option, base)
@reading
@layout
@w3c
@selection
@mapping
def explain(log: str, line: int | None, as_json: bool, **options: Any) -> None:
    """Explain how LOG is read, and what becomes of its lines; nothing is sent."""
    from piwik_import import source
    from piwik_import.address import base_url
    from piwik_import.explain import document, explain
    from piwik_import.importer import PLACEHOLDER, Settings
    from piwik_import.jobs import Job
    from piwik_import.parsers.choice import Choice
    from piwik_import.parsers.w3c import W3C

    site = options.pop("site")
    shaping = taken_shaping(options, site)
    registry = users_registry()
    formats = taken(Choice, options).formats(registry)
    settings = Settings(
        logs=[log],
        formats=formats,
        registry=registry,
        w3c=taken(W3C, options),
        hints=taken_hints(options),
        site=site if shaping.trackers.files else site or 1,
        downloads=taken_downloads(options),
        shaping=shaping,
        dry_run=True,
        **options,
    )
    sources = source.find([log])
    if len(sources) > 1:
        names = ", ".join(printable(one.name) for one in sources[:3])
        raise UsageError(f"{printable(log)}: these are {len(sources)} logs: explain one of them, such as {names}.")
    pages = PLACEHOLDER if settings.base_url is None else base_url(settings.base_url)
    plan_of = partial(settings.plan, 0, base_url=pages)
    candidates = settings.w3c.adapted([*formats] or registry.recognisable())
    job = Job(sources[0], candidates, given=bool(formats), hints=settings.hints, registry=registry)
    found = explain(job, plan_of, line)
    if as_json:
        click.echo(json.dumps(document.as_dict(found), indent=2))
    else:
        from piwik_import.explain import text  # rich: not for --json

        unsaid = settings.base_url is None and any(f"{PLACEHOLDER}/" in line.hit.get("url", "") for line in found.lines)
        text.show(found, sys.stdout, [NO_HOST] * unsaid)
    if not found.fits:
        sys.exit(UnknownFormat.exit_code)


NO_HOST = (
    "pages are shown at http://localhost: the log names no host, and no --base-url is given (an import asks the server)"
)
