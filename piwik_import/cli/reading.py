"""Options that say how the logs are read, and what of them counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from piwik_import.cli.options import group, option
from piwik_import.errors import UsageError, printable
from piwik_import.reading import Reading

reading = group(
    "Log",
    option(
        "--log-format-name",
        "--format",
        "format",
        metavar="NAME",
        help="The format of the logs, or a file that describes it.  [default: recognised]",
    ),
    option(
        "--order",
        type=click.Choice(["time", "given"]),
        default="time",
        help="Read several logs in the order of their first records, or as given.",
    ),
    option(
        "--wrapper",
        metavar="NAME",
        help="What stands around the lines (syslog_3164, docker_json, cri …), or none.  [default: recognised]",
    ),
    option(
        "--field",
        "fields",
        multiple=True,
        metavar="NAME=PATH",
        help="Where a field lies: time=@timestamp, ip=request.client[0]; several paths are tried in turn.",
    ),
    option(
        "--timezone",
        metavar="ZONE",
        help="The zone of times that name none: Europe/Berlin, or +01:00.  [default: UTC]",
    ),
    option(
        "--trusted-proxy",
        "trusted_proxies",
        multiple=True,
        metavar="CIDR",
        help="A network whose word on the client's address is believed, in lists of addresses.  [default: inner ones]",
    ),
)


def taken_reading(options: dict[str, Any]) -> Reading:
    """Take out of `options` how the logs are to be read. Raises UsageError."""
    return Reading(
        wrapper=options.pop("wrapper"),
        timezone=options.pop("timezone"),
        trusted_proxies=_parts(options.pop("trusted_proxies")),
        fields=_fields(options.pop("fields")),
    )


def _parts(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def _fields(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the paths of each field."""
    fields: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, is_one, path = text.partition("=")
        if not (name and is_one and path):
            raise UsageError(f"--field {printable(text)}: write it as NAME=PATH, such as time=@timestamp.")
        fields[name.strip()] = (*fields.get(name.strip(), ()), path.strip())
    return fields


selection = group(
    "What is imported",
    option("--enable-bots", "--bots", "bots", is_flag=True, help="Bots too."),
    option(
        "--enable-static",
        "static",
        is_flag=True,
        help="Static files too (css, js, images …), as downloads.",
    ),
    option(
        "--enable-http-errors",
        "errors",
        is_flag=True,
        help="Errors too (status 4xx and 5xx), under a title that names them.",
    ),
    option("--enable-http-redirects", "redirects", is_flag=True, help="Redirects too (status 3xx but 304)."),
    option(
        "--download-extensions",
        metavar="EXT,…",
        help="Extensions of downloads in place of the built-in ones.",
    ),
    option("--add-download-extensions", metavar="EXT,…", help="Further extensions of downloads."),
)
