"""Options that say how the logs are read, and what of them counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from piwik_import.cli.options import config_folder, group, option
from piwik_import.errors import UsageError, printable
from piwik_import.hints import Hints

if TYPE_CHECKING:
    from piwik_import.parsers.registry import Registry

reading = group(
    "Log",
    option(
        "--log-format-name",
        "--format",
        "format",
        metavar="NAME",
        help="The format of the logs, or a file that describes it (FILE.toml).  [default: recognised]",
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
        help="What stands around the lines (syslog_3164, docker_json, cri, syslog_3164 in docker_json …), or none.  "
        "[default: recognised]",
    ),
    option(
        "--field",
        "fields",
        multiple=True,
        metavar="NAME=PATH",
        help="Where a field lies: time=@timestamp, ip=request.client[0], ip=GROUP; several are tried in turn.",
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

w3c = group(
    "Log with columns (W3C, IIS, CloudFront …)",
    option("--w3c-fields", metavar="'#Fields: …'", help="The columns of a log that has no #Fields line."),
    option(
        "--w3c-map-field",
        multiple=True,
        metavar="CUSTOM=STANDARD",
        help="A column, and the one that it stands for: my-date=date. May be repeated.",
    ),
    option(
        "--w3c-field-regex",
        multiple=True,
        metavar="NAME=REGEX",
        help="A column, and an expression whose named groups are fields: (?P<user>…). May be repeated.",
    ),
    option("--w3c-time-taken-millisecs", is_flag=True, help="time-taken is in milliseconds, whatever the format says."),
    option("--w3c-time-taken-secs", is_flag=True, help="time-taken is in seconds, whatever the format says."),
)

goaccess = (
    option("--date-format", metavar="FORMAT", help="What %d of GoAccess's log-format is.  [default: %d/%b/%Y]"),
    option("--time-format", metavar="FORMAT", help="What %t of GoAccess's log-format is.  [default: %H:%M:%S]"),
    option(
        "--datetime-format", metavar="FORMAT", help="What %x of GoAccess's log-format is.  [default: the two together]"
    ),
)

layout = group(
    "Describing the lines",
    option(
        "--log-format",
        metavar="STRING",
        help="The string by which the server writes them: Apache's LogFormat, nginx's log_format, HAProxy's "
        "log-format, Tomcat's pattern or GoAccess's log-format. Whose it is is recognised, or said: 'tomcat:common'.",
    ),
    option(
        "--log-format-from",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The configuration of nginx or Apache. Of the formats in it the one that fits is taken, or the one that "
        "--format names.",
    ),
    option(
        "--log-format-regex",
        metavar="REGEX",
        help="A regular expression with groups such as (?P<ip>…), (?P<date>…), (?P<path>…). Lines beyond 16 KiB are "
        "not tried.",
    ),
    option(
        "--log-date-format",
        metavar="FORMAT",
        help="How its group date is written, as a pattern of strptime.  "
        "[default: %d/%b/%Y:%H:%M:%S, with a zone or not]",
    ),
    *goaccess,
)


def users_registry() -> Registry:
    """Return all formats that there are for the user: the shipped ones, his own, and those of plug-ins."""
    from piwik_import.parsers.registry import Registry

    def warn(text: str) -> None:
        click.echo(f"piwik-import: {text}", err=True)

    return Registry(config_folder() / "formats", warn, plugins=True)


def taken_hints(options: dict[str, Any]) -> Hints:
    """Take out of `options` what the user knows of the logs. Raises UsageError."""
    return Hints(
        wrapper=options.pop("wrapper"),
        timezone=options.pop("timezone"),
        trusted_proxies=_parts(options.pop("trusted_proxies")),
        fields=_fields(options.pop("fields")),
    )


def taken_downloads(options: dict[str, Any]) -> frozenset[str]:
    """Take out of `options` the extensions of downloads: the built-in ones or those in their place, and more."""
    from piwik_import.hits import DOWNLOADS

    all_of_them, more = options.pop("download_extensions"), options.pop("add_download_extensions")
    return (_extensions(all_of_them) if all_of_them else DOWNLOADS) | _extensions(more or "")


def _extensions(text: str) -> frozenset[str]:
    return frozenset(part.lstrip(".").lower() for part in _parts([text]))


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
    option(
        "--replay-tracking",
        is_flag=True,
        help="Nothing but the requests to piwik.php and matomo.php, as the hits that they were, for the sites that they"
        " name or for --idsite. (Hits that an import had rejected are sent again by `piwik-import replay`.)",
    ),
    option(
        "--replay-tracking-expected-tracker-file",
        "tracker_files",
        multiple=True,
        metavar="NAME",
        help="How the paths of trackers end, for --replay-tracking: stats.php, js/tracker.php, js/."
        "  [default: piwik.php, matomo.php]",
    ),
)
