"""Show what the journal holds, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from piwik_import.errors import UsageError, printable
from piwik_import.journal import Doubt, Journal, Stored

NAME = 50
"""Characters of a source's name in the table: the last ones, which tell it from others."""


def find(journal: Journal, name: str) -> list[Stored]:
    """Return the rows of a source: by number, by name or path, or by the end of these. Raises UsageError."""
    rows = journal.stored()
    found = [row for row in rows if name == str(row.id)]
    found = found or [row for row in rows if name in (row.name, row.path)]
    found = found or [
        row for row in rows if f"/{row.name}".endswith(f"/{name}") or (row.path or "").endswith(f"/{name}")
    ]
    if found:
        return found
    raise UsageError(f"{printable(name)}: the journal knows no such source; `piwik-import journal` lists them.")


def listing(rows: Sequence[Stored], *, as_json: bool) -> str:
    """Return the table of all sources."""
    if as_json:
        return json.dumps([as_dict(row) for row in rows], indent=2)
    if not rows:
        return "The journal is empty."
    table = [("no.", "source", "lines", "hits", "in doubt", "last run", "destination")]
    for row in rows:
        doubt = sum(doubt.hits for doubt in row.doubts)
        table.append(
            (
                str(row.id),
                printable(row.name if len(row.name) <= NAME else f"…{row.name[1 - NAME :]}"),
                f"{row.place[1]:,}",
                f"{row.hits:,}",
                f"{doubt:,}" if doubt else "",
                _moment(row.updated),
                printable(row.destination, 80),
            )
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    right = (0, 2, 3, 4)
    lines = [
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
    for row in rows:
        lines += [f"in doubt: {printable(row.name)}, {_where(doubt)}" for doubt in row.doubts]
    return "\n".join(lines)


def details(rows: Sequence[Stored], *, as_json: bool) -> str:
    """Return all that is known of some sources."""
    if as_json:
        return json.dumps([as_dict(row) for row in rows], indent=2)
    return "\n\n".join(_details(row) for row in rows)


def _details(row: Stored) -> str:
    end, lines = row.place
    furthest = max(row.ends)
    shown = [
        f"{printable(row.name)} (no. {row.id})",
        f"  destination  {printable(row.destination)}",
        f"  lay at       {printable(row.path or 'unknown')}",
        f"  format       {row.format or 'unknown'}",
        f"  imported     up to line {lines:,} ({end:,} bytes), {row.hits:,} hits",
        f"  last run     {_moment(row.updated)}",
    ]
    if furthest > end:
        shown.append(f"  some lanes are further, up to {furthest:,} bytes: what they have sent is not sent again")
    shown += [f"  in doubt     {_where(doubt)}" for doubt in row.doubts]
    return "\n".join(shown)


def _where(doubt: Doubt) -> str:
    return f"lines {doubt.first} to {doubt.last}: {doubt.hits:,} hits sent at {_moment(doubt.since)}"


def as_dict(row: Stored) -> dict[str, Any]:
    """Return a row for programs."""
    end, lines = row.place
    return {
        "id": row.id,
        "source": row.name,
        "path": row.path,
        "destination": row.destination,
        "format": row.format,
        "bytes": end,
        "lines": lines,
        "hits": row.hits,
        "last_run": _moment(row.updated) or None,
        "in_doubt": [
            {"first_line": doubt.first, "last_line": doubt.last, "hits": doubt.hits, "since": _moment(doubt.since)}
            for doubt in row.doubts
        ],
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if seconds else ""
