"""What the parts of a server's format string mean → the pattern of its lines.

A server's own module (`apache`, `nginx`, …) cuts its string into pieces. What they have in common is here: of
several pieces that say the same the best is read, times in several pieces are put together, and all that nobody
reads is passed over under its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from piwik_import.errors import FormatStringError
from piwik_import.parsers import timeform
from piwik_import.parsers.fields import REQUESTS
from piwik_import.parsers.shapes import closed


class Piece(NamedTuple):
    """A part of a format string."""

    at: int
    """Where in the string it begins."""
    text: str = ""
    """The text that it stands for; empty if it is something of the request."""
    field: str = ""
    """The field that it gives; empty if there is no word for it."""
    form: str = ""
    name: str = ""
    """What it is called where nobody reads it."""
    rank: int = 0
    """Of several pieces for one field the one with the lowest rank is read."""
    raw: str = ""
    """Part of a pattern, to be taken as it is."""
    to_end: bool = False
    """Of a time, whether it is that of the request's end; of what a request took, whether that lasts until then."""


def template(string: str, pieces: Iterable[Piece]) -> str:
    """Return the pattern of the lines that a server writes for `string`. Raises FormatStringError."""
    joined = join(pieces)
    check(string, joined)
    chosen = choose(joined)
    written, names = [], {""}
    last: Piece | None = None  # what has been written, if no text stands behind it
    for piece in joined:
        field = chosen.get(piece)
        if piece.text or piece.raw:
            written.append(piece.raw or piece.text.replace("{", "{{").replace("}", "}}"))
            last = None
            continue
        if last is not None:
            if field is None and last not in chosen:
                continue  # two that nobody reads are one
            if not _can_follow(last, chosen.get(last), field):
                raise FormatStringError(
                    string,
                    piece.at,
                    "Nothing stands between this and what precedes it, so it cannot be told where the one ends and the"
                    " other begins; describe the lines by --log-format-regex instead:",
                )
        if field is None:
            written.append(f"{{*{_unique(piece.name, names) if piece.name else ''}}}")
        else:
            written.append(f"{{{field}:{piece.form}}}" if piece.form else f"{{{field}}}")
        last = piece
    return "".join(written)


def join(pieces: Iterable[Piece]) -> list[Piece]:
    """Put together the pieces that are one thing in several parts: texts, times, requests, a host with its port."""
    joined: list[Piece] = []
    for piece in pieces:
        if piece.text and joined and joined[-1].text:
            piece = Piece(joined[-1].at, joined[-1].text + piece.text)
            joined.pop()
        joined.append(piece)
    return _host_and_port(_request_line(_times(joined)))


def choose(pieces: Iterable[Piece]) -> dict[Piece, str]:
    """Return the pieces that are read, each with the field that it gives."""
    best: dict[str, Piece] = {}
    times = []
    for piece in pieces:
        if piece.field == "time":
            times.append(piece)
        elif piece.field and (piece.field not in best or piece.rank < best[piece.field].rank):
            best[piece.field] = piece
    if "request" in best:
        covered = {"method", "target", "path", "query"}
    else:
        covered = {"path", "query"} if "target" in best else set()
    chosen = {piece: field for field, piece in best.items() if field not in covered}
    return chosen | _chosen_times(times)


def time_is(pieces: Iterable[Piece]) -> str:
    """Tell which time of a request the pieces say: ``end`` if it is to be told from that when the request began."""
    chosen = choose(join(pieces))
    decisive = [piece for piece, field in chosen.items() if field in ("date", "time", "generation_time")]
    return "end" if "generation_time" in chosen.values() and all(piece.to_end for piece in decisive) else "begin"


def check(string: str, pieces: Sequence[Piece]) -> None:
    """Raise FormatStringError for a string that does not say what, or not wholly when."""
    chosen = choose(pieces)
    fields = set(chosen.values())
    end = len(string.rstrip())
    if not fields & {*REQUESTS}:
        raise FormatStringError(string, end, "There is no request in it: neither a request line nor a path:")
    if not fields & {"time", "ip"}:  # what is around the lines may give the time; but this is no access log
        raise FormatStringError(string, end, "There is neither a time nor a client in it:")
    for piece in chosen:
        if piece.field == "time" and "date" not in fields and not timeform.complete(piece.form):
            raise FormatStringError(string, piece.at, "This time does not say day and time of day:")


def _chosen_times(times: Sequence[Piece]) -> dict[Piece, str]:
    """Of the pieces with a time choose one that says all, else one for the day and one for the time of day."""
    whole = sorted((piece for piece in times if timeform.complete(piece.form)), key=lambda piece: piece.rank)
    if whole:
        return {whole[0]: "time"}
    days = [piece for piece in times if timeform.letters(piece.form) & timeform.DATE]
    clocks = [piece for piece in times if timeform.letters(piece.form) & timeform.CLOCK]
    if days and clocks:
        return {days[0]: "date", clocks[0]: "time"}
    return {times[0]: "time"} if times else {}


def _times(pieces: Sequence[Piece]) -> list[Piece]:
    """Make one time of several with nothing but text between them: ``%{%F}t %{%T}t.%{msec_frac}t``."""
    joined: list[Piece] = []
    for piece in pieces:
        joined.append(piece)
        if not _is_part(piece):
            continue
        if [one.form or one.text for one in joined[-3:]] == ["epoch", ".", "%f"]:  # %{sec}t.%{msec_frac}t
            del joined[-2:]
            continue
        for between in (0, 1):
            if len(joined) < 2 + between:
                continue
            first, *texts, last = joined[-2 - between :]
            text = "".join(one.text for one in texts)
            if not _is_part(first) or (between and not text) or {*"{}"} & {*text}:
                continue
            if timeform.letters(first.form) & timeform.letters(last.form):
                continue
            form = first.form + text.replace("%", "%%") + last.form
            joined[-2 - between :] = [first._replace(form=form, to_end=first.to_end and last.to_end)]
            break
    return joined


def _is_part(piece: Piece) -> bool:
    return piece.field == "time" and "%" in piece.form


def _request_line(pieces: Sequence[Piece]) -> list[Piece]:
    """Make a request line of ``method target protocol``: it may hold spaces that the parts would not."""
    joined: list[Piece] = []
    for piece in pieces:
        joined.append(piece)
        if piece.name != "protocol":
            continue
        for length in (5, 6):
            words = [one.field or one.text or one.name for one in joined[-length:]]
            if words in (["method", " ", "target", " ", "protocol"], ["method", " ", "path", " ", "protocol"]) or (
                words == ["method", " ", "path", "query", " ", "protocol"]
            ):
                joined[-length:] = [Piece(joined[-length].at, field="request", form="joined", name="request", rank=1)]
                break
    return joined


def _host_and_port(pieces: Sequence[Piece]) -> list[Piece]:
    """Make one field of a host and its port: ``%v:%p``."""
    joined: list[Piece] = []
    for piece in pieces:
        joined.append(piece)
        if piece.name == "port" and [one.field or one.text for one in joined[-3:-1]] == ["host", ":"]:
            joined[-3:] = [joined[-3]]
    return joined


def _can_follow(first: Piece, field: str | None, second: str | None) -> bool:
    """Tell whether it shows where `first` ends if the field `second` stands directly behind it."""
    if field is None:
        return False
    if (field, second) == ("path", "query") or (field == "host" and second in ("path", "target")):
        return True
    return closed(field, first.form)


def _unique(name: str, names: set[str]) -> str:
    """Return `name`, or one like it, that is not in `names`, without what a pattern would take for its own."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    number, tried = 1, plain
    while tried in names:
        number += 1
        tried = f"{plain}_{number}"
    names.add(tried)
    return tried
