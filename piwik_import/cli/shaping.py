"""Options that say what hits hold besides what every log gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from piwik_import.cli.options import group, option
from piwik_import.errors import UsageError, printable

if TYPE_CHECKING:
    from piwik_import.shaping import Shaping
    from piwik_import.tracker_requests import TrackerSettings

mapping = group(
    "What is sent",
    option(
        "--map",
        multiple=True,
        metavar="PARAM=FIELD",
        help="Give a tracking parameter the value of a field: uid=account, 'e_n={method} {path}', pf_srv=took|ms.",
    ),
    option(
        "--set", multiple=True, metavar="PARAM=VALUE", help="Give a tracking parameter the same value in every hit."
    ),
    option(
        "--dimension", multiple=True, metavar="N=FIELD", help="Give the custom dimension with ID N a field's value."
    ),
    option(
        "--regex-group-to-visit-cvar",
        "visit_variables",
        multiple=True,
        metavar="FIELD=NAME",
        help="Make a field a custom variable of the visit.",
    ),
    option(
        "--regex-group-to-page-cvar",
        "page_variables",
        multiple=True,
        metavar="FIELD=NAME",
        help="Make a field a custom variable of the page.",
    ),
    option("--track-http-method", "method", is_flag=True, help="Make the method a custom variable of the page."),
    option(
        "--piwik-variables",
        "status_and_bots",
        is_flag=True,
        help="Custom variables that Piwik's importer always sets: HTTP-code of the page, Bot or Not-Bot of the visit.",
    ),
    option(
        "--custom-variable-limit",
        "variable_limit",
        type=click.IntRange(1, 99),
        default=5,
        help="Custom variables that the server has room for, in the visit and in the page.",
    ),
    option(
        "--visitor-id",
        default="none",
        metavar="none|ip-ua|user|FIELD",
        help="What makes a visitor: what the server finds out; address and agent; the user; or a field.",
    ),
    option(
        "--visitor-id-key",
        metavar="TEXT",
        help="Secret that visitor ids are made with; better set in the environment.  [default: kept in the journal]",
    ),
    option(
        "--search-parameter",
        "keywords",
        multiple=True,
        metavar="NAME",
        help="Parameter of the site's URLs that holds what was searched for.",
    ),
    option(
        "--search-category-parameter",
        "categories",
        multiple=True,
        metavar="NAME",
        help="Parameter of the site's URLs that holds the category of a search.",
    ),
    option(
        "--goal",
        "goals",
        multiple=True,
        metavar="EVENT=ID",
        help="A goal that an event of Segment's reaches; in the file also a table [segment.goals].",
    ),
)


def taken_shaping(options: dict[str, Any], site: int | None) -> Shaping:
    """Take the options of this group out of `options`, and --replay-tracking, whose hits go to `site` if given.

    Raises UsageError.
    """
    from piwik_import.mapping import HitTable, Rules, checked
    from piwik_import.searches import SearchSettings
    from piwik_import.segment import SegmentSettings
    from piwik_import.shaping import Shaping
    from piwik_import.variables import VariableSettings
    from piwik_import.visitors import VisitorSettings

    mapped = dict(_pairs("--map", options.pop("map"))) | {
        _dimension(number): field for number, field in _pairs("--dimension", options.pop("dimension"))
    }
    try:
        rules = checked(Rules(mapped, dict(_pairs("--set", options.pop("set")))))
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    method = (("method", "HTTP-method"),) if options.pop("method") else ()
    key = options.pop("visitor_id_key")
    return Shaping(
        HitTable(rules),
        VariableSettings(
            tuple(_pairs("--regex-group-to-visit-cvar", options.pop("visit_variables"))),
            method + tuple(_pairs("--regex-group-to-page-cvar", options.pop("page_variables"))),
            options.pop("status_and_bots"),
            options.pop("variable_limit"),
        ),
        SearchSettings(options.pop("keywords"), options.pop("categories")),
        VisitorSettings(options.pop("visitor_id"), (key or "").encode("utf-8", "surrogateescape")),
        SegmentSettings(tuple(map(_goal, options.pop("goals")))),
        _trackers(options, site),
    )


def _dimension(number: str) -> str:
    """Return the parameter of a custom dimension. Raises UsageError."""
    from piwik_import.parameters import parameter

    if parameter(f"dimension{number}") is None:
        raise UsageError(f"--dimension {printable(number)}: the ID of a dimension is a number from 1 to 999.")
    return f"dimension{number}"


def _goal(text: str) -> tuple[str, int]:
    """Split ``EVENT=ID``, where the event may hold an equals sign itself. Raises UsageError."""
    event, _, number = text.rpartition("=")
    if not event.strip() or not number.strip().isdecimal() or not 0 < int(number) < 2**32:
        raise UsageError(f"--goal {printable(text)}: an event, = and the number of a goal were expected.")
    return event.strip(), int(number)


def _trackers(options: dict[str, Any], site: int | None) -> TrackerSettings:
    """Take what is said of the requests to replay. Raises UsageError."""
    from piwik_import.tracker_requests import FILES, TrackerSettings

    replays, files = options.pop("replay_tracking"), options.pop("tracker_files")
    if files and not replays:
        raise UsageError("--replay-tracking-expected-tracker-file is for --replay-tracking; add that, or leave it out.")
    if not replays:
        return TrackerSettings()
    return TrackerSettings(files or FILES, site, bots=options["bots"], redirects=options["redirects"])


def _pairs(name: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Split ``NAME=VALUE``. Raises UsageError."""
    pairs = []
    for text in texts:
        left, equals, right = text.partition("=")
        if not (left.strip() and equals and right):
            raise UsageError(f"{name} {printable(text)}: two parts with = between them were expected.")
        pairs.append((left.strip(), right))
    return pairs
