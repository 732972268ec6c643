"""Find the format of a log by trying every format on many of its lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from piwik_import.errors import UnknownFormat
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.fields import HOST_NAME
from piwik_import.parsers.record import BadLine, Parser

LINES = 200
"""How many lines are looked at: one odd line among them decides nothing."""

ENOUGH = 0.25
"""Share of the lines that must fit. A log of little but attacks still has more; an error log has none."""


def lines_of(head: bytes) -> list[str]:
    """Return the first whole lines of a log, without the empty ones; the unfinished one if there is no other."""
    lines = [line.strip("\r\0") for line in head.decode("latin-1").split("\n")]
    whole = lines[:-1] if len(lines) > 1 else lines
    return [line for line in whole if line.strip()][:LINES]


def recognise(name: str, lines: Sequence[str], definitions: Iterable[Definition], given: bool = False) -> Definition:
    """Return the format that fits most of `lines`, the most telling one if several do.

    Raises UnknownFormat, which shows the first line, and lists the formats if it was the user who gave them.
    """
    candidates = [(_fit(lines, one.compile(), "host" in one.fields), one.detail, one) for one in definitions]
    (fit, _), _, best = max(candidates, key=lambda candidate: (candidate[0][1], candidate[1]))
    if fit < max(1, len(lines) * ENOUGH):
        names = [one.name for _, _, one in candidates] if given else []
        raise UnknownFormat(name, lines[0] if lines else "", len(candidates), names)
    return best


def _fit(lines: Sequence[str], parse: Parser, with_host: bool) -> tuple[int, int]:
    """Count the lines that parse, and their points: two for a line, two more if its client is an address.

    A pattern takes almost any word for a client's host name, so ``www.example.org 192.0.2.1 - -`` would pass as
    a line without a virtual host. And almost any word would pass as a virtual host, so one that looks like none takes
    a point away, as none does where the format has one: what looks like its place is then something else's.
    """
    fit = points = 0
    for line in lines:
        try:
            record = parse(line)
        except BadLine:
            continue
        fit += 1
        points += 2 if record.ip is None or HOST_NAME.fullmatch(record.ip) else 4
        if with_host:
            points += 1 if re.search(r"[.:\]]|^localhost$", record.host or "") else -1
    return fit, points
