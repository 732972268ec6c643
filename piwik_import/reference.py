"""Showing the table of tracking parameters: as text, and as the page of the documentation that is made of it."""

from __future__ import annotations

from collections.abc import Iterator

from piwik_import.parameters import PARAMETERS, TABLE, Parameter
from piwik_import.tracking import NEEDS

HEAD = """\
# The parameters of a hit

All parameters of the [Tracking HTTP API](https://developer.matomo.org/api-reference/tracking-api) that `piwik-import`
can send, and what it checks before it does. Any of them can be given a value from a log: [mapping.md](mapping.md).

The server checks little of this. It answers 200 and records something else, or refuses a whole bulk for one number. So
a value that breaks its rule is never sent. A parameter marked **decides** says what the hit is, whose it is or when it
was: if it breaks its rule, the line is invalid. Any other is left out, the hit is sent without it, and the summary
counts such hits and shows the first. *Token* marks those that the server takes only with a token, which `piwik-import`
always sends. *Since* is the first server that knows the parameter; older ones ignore it.

This page is made by `piwik-import params --markdown`.
"""


def table() -> str:
    """Return the table as text, a row a parameter."""
    rows = [("name", "type", "since", "", "meaning")]
    rows += [
        (row.name, row.kind.name, row.since, "token" * row.needs_token, f"{row.meaning}: {row.rule}")
        for row in PARAMETERS.values()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([f"{text:{width}}" for text, width in zip(row, [*widths, 0], strict=True)]) for row in rows
    )


def describe(row: Parameter) -> str:
    """Return all that is known of one parameter."""
    needs = [f"  needs    {NEEDS[row.name]}"] if row.name in NEEDS else []
    breach = "the line is invalid" if row.decides else "the hit is sent without it"
    return "\n".join(
        [
            f"{row.name}: {row.meaning}",
            f"  must be  {row.rule}; else {breach}",
            f"  type     {row.kind.name}",
            *needs,
            f"  token    {'needed' if row.needs_token else 'not needed'}",
            f"  since    {row.since}",
        ]
    )


def markdown() -> str:
    """Return the page docs/parameters.md."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for title, rows in TABLE.items():
        yield f"## {title}\n"
        yield "| parameter | meaning | type | must be | | since |"
        yield "|---|---|---|---|---|---|"
        for row in rows:
            marks = ["**decides**"] * row.decides + ["token"] * row.needs_token
            marks += [f"needs `{NEEDS[row.name]}`"] if row.name in NEEDS else []
            yield f"| `{row.name}` | {row.meaning} | {row.kind.name} | {row.rule} | {', '.join(marks)} | {row.since} |"
        yield ""
