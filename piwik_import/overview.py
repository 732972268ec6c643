"""Showing which formats and wrappers there are: as a list, and as the page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from piwik_import.parsers import catalogue, forms, wrappers
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.detection import lines_of
from piwik_import.parsers.record import Record
from piwik_import.parsers.registry import Registry, without
from piwik_import.parsers.wrappers import Wrapper

HEAD = """\
# The formats that come along

The format of a log is recognised; `--format NAME` names it, by its name or by another that it is known by: where
several formats are also called so, the one of them that fits the log is meant. Each is one TOML file of
[formats/](../formats), with samples of its lines: `piwik-import formats NAME` shows it. To add one, see
[formats/README.md](../formats/README.md).

All give the client's address (`cip`), the time (`cdt`) and the page (`url`). The columns say what else they give, if
the log has it: the **host** of the page's address, the **status**, the **bytes** sent (`bw_bytes`), the **referrer**
(`urlref`), the user **agent** (`ua`), the **user** (`uid`) and how long the server **took** (`pf_srv`). *Further* are
the fields that `--map` and `[hit]` can give to any parameter besides ([mapping.md](mapping.md)), and the parameters
that the format itself gives.

This page is made by `piwik-import formats --markdown`.
"""

SHOWN = {
    "host": "host",
    "status": "status",
    "length": "bytes",
    "referrer": "referrer",
    "user_agent": "agent",
    "user": "user",
    "generation_time": "took",
}
"""Field → head of its column."""


def listing(registry: Registry) -> str:
    """Return the formats and wrappers that there are for the user, a line each."""
    width = max(map(len, [*registry.formats, *registry.wrappers]))
    sections: list[tuple[str, Mapping[str, Definition | Wrapper]]] = [
        ("", without(catalogue.known(), registry.own)),
        ("Your own formats:", registry.own),
        ("Formats of plug-ins:", registry.plugged),
        (
            "Wrappers, which may stand around the lines of any of these:",
            without(wrappers.known(), registry.own_wrappers),
        ),
        ("Your own wrappers:", registry.own_wrappers),
    ]
    return "\n\n".join(
        part
        for title, rows in sections
        if rows
        for part in (title, "\n".join(_row(one, width) for one in rows.values()))
        if part
    )


def _row(one: Definition | Wrapper, width: int) -> str:
    origin = one.file
    if isinstance(one, Definition) and one.plugin is not None:
        origin = f"{one.plugin.where} of {one.plugin.package}"
    replaces = one.name in (catalogue.known() if isinstance(one, Definition) else wrappers.known()) and origin
    said = f"  ({origin}{', in place of the one that comes along' if replaces else ''})" if origin else ""
    return f"{one.name:{width}}  {one.title}{said}"


def markdown() -> str:
    """Return the page docs/formats.md."""
    return "\n".join([HEAD, *_formats(), "", "## Wrappers", "", *_wrappers(), ""])


def _formats() -> Iterator[str]:
    yield _cells("format", "also called", "what it is", *SHOWN.values(), "further")
    yield _cells(*["---"] * 3, *[":-:"] * len(SHOWN), "---")
    for one in catalogue.known().values():
        text = "\n".join([*(sample["line"] for sample in one.samples), ""])
        records = [*forms.records(one, lines_of(text.encode()))]
        has = {
            name for name in SHOWN if any(isinstance(it, Record) and getattr(it, name) is not None for it in records)
        }
        yield _cells(
            f"[{one.name}](../formats/{one.name}.toml)",
            ", ".join(one.aliases),
            f"[{one.title}]({one.source})",
            *("✓" if name in has else "" for name in SHOWN),
            ", ".join(_further(one)),
        )


def _further(one: Definition) -> Iterator[str]:
    if one.columns is not None:
        yield "each column"
    elif one.json:
        yield "each key"
    yield from (f"`{name}`" for name in one.pieces)
    yield from (f"gives `{name}`" for name in sorted(one.hit.parameters))
    if not one.recognised:
        yield "to be named: not recognised"
    if "time" not in one.fields:
        yield "tried only within a wrapper that has a time, and if nothing else fits"


def _wrappers() -> Iterator[str]:
    yield "What may stand around the lines of any format. It is recognised too; `--wrapper NAME` names it.\n"
    yield _cells("wrapper", "what it is", "time")
    yield _cells("---", "---", ":-:")
    for one in wrappers.known().values():
        yield _cells(
            f"[{one.name}](../formats/wrappers/{one.name}.toml)",
            f"[{one.title}]({one.source})",
            "✓" if one.time_form else "",
        )


def _cells(*cells: str) -> str:
    return f"| {' | '.join(_cell(text) for text in cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
