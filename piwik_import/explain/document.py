"""What was found out about a log, for programs."""

from __future__ import annotations

from typing import Any

from piwik_import.explain.facts import Explanation
from piwik_import.explain.line import Line, Piece
from piwik_import.parsers.encoding import utf8, whole
from piwik_import.parsers.ranking import Contender


def as_dict(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON can hold it. Bytes that are not UTF-8 are escaped (``\\\\xff``)."""
    known, share = found.definition, found.share
    return {
        "source": plain(found.source),
        "fits": found.fits,
        "format": known.name if known and found.fits else None,
        "also": known.also.name if known and known.also else None,
        "nearest": known.name if known and not found.fits else None,
        "wrapper": known.wrapper.label if known and known.wrapper else None,
        "instead": found.instead or None,
        "zone": found.zone or None,
        "time_is": known.time_is if known and found.fits else None,
        "sample": {"lines": share.lines, "fit": share.fit, "other": share.other, "invalid": share.invalid},
        "others": [_other(one) for one in found.others],
        "lines": [_line(one) for one in found.lines],
    }


def _other(one: Contender) -> dict[str, Any]:
    wrapper = one.definition.wrapper
    return {"format": one.definition.name, "wrapper": wrapper.label if wrapper else None, "fit": one.share.fit}


def _line(line: Line) -> dict[str, Any]:
    return {
        "line": line.number,
        "text": plain(utf8(line.text)),
        "within": None if line.within is None else plain(utf8(line.within)),
        "pieces": [_piece(one) for one in line.pieces],
        "fate": line.fate,
        "reason": plain(line.reason) or None,
        "column": line.column,
        "expected": plain(line.anatomy.expected) or None,
        "hit": {name: plain(value) for name, value in line.hit.items()} or None,
        "further": [{name: plain(value) for name, value in hit.items()} for hit in line.further],
        "left_out": dict(line.left_out),
        "query": line.query or None,
    }


def _piece(piece: Piece) -> dict[str, Any]:
    part = piece.part
    return {
        "text": plain(utf8(part.text)),
        "name": plain(part.name) or None,
        "fields": list(part.fields),
        "parameters": {name: plain(value) for name, value in piece.parameters.items()},
    }


def plain(text: str) -> str:
    """Return a text without lone surrogates, which are no text that every reader of JSON takes."""
    return whole(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
