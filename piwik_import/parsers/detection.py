"""Find the format of a log by trying every format on many of its lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from piwik_import.errors import UnknownFormat
from piwik_import.parsers.client_address import HOST_NAME
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.headers import Header, is_header
from piwik_import.parsers.record import BadLine

LINES = 200
"""How many lines are looked at: one odd line among them decides nothing."""

ENOUGH = 0.25
"""Share of the lines that must fit. A log of little but attacks still has more; an error log has none."""


def lines_of(head: bytes) -> list[str]:
    """Return the first whole lines of a log, without the empty ones; the unfinished one if there is no other.

    Directives are none of the lines that count, but they stay among them; there is nothing if there is nothing else.
    """
    lines = [line.strip("\r\0") for line in head.decode("latin-1").split("\n")]
    whole = lines[:-1] if len(lines) > 1 else lines
    found = [line for line in whole if line.strip()]
    counted = [at for at, line in enumerate(found) if not is_header(line)][:LINES]
    return found[: counted[-1] + 1] if counted else []


def recognise(name: str, lines: Sequence[str], definitions: Iterable[Definition], given: bool = False) -> Definition:
    """Return the format that fits most of `lines`, the most telling one if several do.

    Raises UnknownFormat, which shows the first line, and lists the formats if it was the user who gave them.
    """
    header = Header()
    for line in lines:
        header = header.after(line) if is_header(line) else header
    candidates = [(_fit(lines, one, header), _telling(one, header), one) for one in definitions]
    (fit, _), _, best = max(candidates, key=lambda candidate: (candidate[0][1], candidate[1]))
    if fit < max(1, sum(not is_header(line) for line in lines) * ENOUGH):
        names = [one.name for _, _, one in candidates] if given else []
        raise UnknownFormat(name, lines[0] if lines else "", len(candidates), names)
    return best


def _telling(definition: Definition, header: Header) -> tuple[bool, int, int]:
    """Tell whether a format is made for a certain kind of header, and how much it says of a line."""
    if definition.columns is None:
        return False, *definition.detail
    return bool(definition.columns.known_by), len(definition.columns.words_under(header)), 0


def _fit(lines: Sequence[str], definition: Definition, header: Header) -> tuple[int, int]:
    """Count the lines that parse, and their points: two for a line, two more if its client is an address.

    A pattern takes almost any word for a client's host name, so ``www.example.org 192.0.2.1 - -`` would pass as
    a line without a virtual host. And almost any word would pass as a virtual host, so one that looks like none takes
    a point away, as none does where the format has one: what looks like its place is then something else's.
    A header that names columns as another maker does is not this format's.
    """
    if definition.columns is not None and not definition.columns.claims(header):
        return 0, 0
    with_host = "host" in definition.fields
    fit = points = 0
    for record in definition.records(lines):
        if isinstance(record, BadLine):
            continue
        fit += 1
        points += 2 if record.ip is None or HOST_NAME.fullmatch(record.ip) else 4
        if with_host:
            points += 1 if re.search(r"[.:\]]|^localhost$", record.host or "") else -1
    return fit, points
