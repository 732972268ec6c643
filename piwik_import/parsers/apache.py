"""Apache's LogFormat → pieces. lighttpd and Varnish took over its language.

Source: https://httpd.apache.org/docs/2.4/mod/mod_log_config.html#formats, and mod_logio's page for ``%I %O %S %^FB``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from piwik_import.errors import FormatStringError
from piwik_import.parsers.layout import Piece
from piwik_import.parsers.timeform import Unreadable, from_strftime

SOURCE = "https://httpd.apache.org/docs/2.4/mod/mod_log_config.html"

DIRECTIVE = re.compile(r"%(?P<modifiers>[<>!,\d]*)(?:\{(?P<argument>[^}]*)\})?(?P<more>[<>!,\d]*)(?P<letter>\^..|.)?")

PLAIN = {
    "a": Piece(0, field="ip", name="a"),
    "A": Piece(0, name="local_ip"),
    "B": Piece(0, field="length", name="bytes"),
    "b": Piece(0, field="length", name="bytes"),
    "D": Piece(0, field="generation_time", form="us", name="microseconds", to_end=True),
    "f": Piece(0, name="filename"),
    "h": Piece(0, field="ip", name="remote_host", rank=1),
    "H": Piece(0, name="protocol"),
    "I": Piece(0, name="bytes_received"),
    "k": Piece(0, name="keepalive_requests"),
    "l": Piece(0, name="logname"),
    "L": Piece(0, name="log_id"),
    "m": Piece(0, field="method", name="method"),
    "O": Piece(0, field="length", name="bytes_sent", rank=1),
    "p": Piece(0, name="port"),
    "P": Piece(0, name="pid"),
    "q": Piece(0, field="query", name="query"),
    "r": Piece(0, field="request", name="request"),
    "R": Piece(0, name="handler"),
    "s": Piece(0, field="status", name="status", rank=1),
    "S": Piece(0, name="bytes_transferred"),
    "T": Piece(0, field="generation_time", form="s", name="seconds", rank=2, to_end=True),
    "u": Piece(0, field="user", name="user"),
    "U": Piece(0, field="path", name="path"),
    "v": Piece(0, field="host", name="server_name", rank=1),
    "V": Piece(0, field="host", name="host"),
    "X": Piece(0, name="connection_status"),
    "^FB": Piece(0, name="first_byte"),
}
"""Directives without an argument. Of the time that a request took the finest is read, of the hosts the one that
the server chose before what the client claims."""

HEADERS = {
    "referer": Piece(0, field="referrer"),
    "user-agent": Piece(0, field="user_agent"),
    "host": Piece(0, field="host", rank=2),
    "x-forwarded-host": Piece(0, field="host", rank=3),
    "x-forwarded-proto": Piece(0, field="scheme"),
    "cf-connecting-ip": Piece(0, field="ip", rank=2),
    "true-client-ip": Piece(0, field="ip", rank=2),
    "x-real-ip": Piece(0, field="ip", rank=2),
    "x-client-ip": Piece(0, field="ip", rank=2),
    "x-forwarded-for": Piece(0, field="ip", rank=3),
}
"""Request headers that give a field; in lower case."""

UNITS = {"s": ("s", 2), "ms": ("ms", 1), "us": ("us", 0)}
"""Units of ``%{UNIT}T``: form and rank."""

WITH_NAME = {"i", "o", "e", "n", "C", "x", "^ti", "^to"}
"""Directives whose argument is the name of something: a header, a cookie, a note …"""

WITH_KIND = {
    ("p", "canonical"): "port",
    ("p", "local"): "local_port",
    ("p", "remote"): "remote_port",
    ("P", "pid"): "pid",
    ("P", "tid"): "tid",
    ("P", "hextid"): "hextid",
    ("h", "c"): "peer_host",
}

PARTS_OF_TIME = {
    "": "clf",
    "sec": "epoch",
    "msec": "epoch_ms",
    "usec": "epoch_us",
    "msec_frac": "%f",
    "usec_frac": "%f",
}
"""Arguments of ``%t`` that are no patterns of strftime."""


def pieces(string: str, *, at_end: bool = False) -> Iterator[Piece]:
    """Cut a LogFormat into pieces; ``\\"`` is taken for a quote, as in a configuration file.

    `at_end` tells whether a time is that of the request's end where it does not say itself which it is.

    Raises FormatStringError.
    """
    at = 0
    while at < len(string):
        if string[at] == "%":
            found = DIRECTIVE.match(string, at)
            assert found is not None
            yield from pieces_of(string, found, at_end=at_end)
            at = found.end()
        elif string[at] == "\\" and at + 1 < len(string):
            yield Piece(at, {"n": "\n", "t": "\t", "r": "\r"}.get(string[at + 1], string[at + 1]))
            at += 2
        else:
            end = re.compile(r"[%\\]").search(string, at + 1)
            stop = end.start() if end else len(string)
            yield Piece(at, string[at:stop])
            at = stop


def pieces_of(string: str, found: re.Match[str], *, at_end: bool = False) -> Iterator[Piece]:
    """Yield what one directive writes; `at_end` as in `pieces`. Raises FormatStringError."""
    at, argument, letter = found.start(), found["argument"], found["letter"]
    if letter is None or (argument is None and letter == "{"):
        brace = string.find("{", at)
        reason = "This % is the beginning of nothing; %% is a percent sign:"
        raise FormatStringError(string, at if brace < 0 else brace, reason if brace < 0 else "This { is not closed:")
    if letter == "%":
        yield Piece(at, "%")
    elif letter == "t":
        yield from _time(string, found, at_end=at_end)
    elif letter in WITH_NAME:
        if argument is None:
            raise FormatStringError(string, at, f"%{letter} needs a name, as in %{{Name}}{letter}:")
        known = HEADERS.get(argument.lower(), Piece(0)) if letter == "i" else Piece(0)
        yield known._replace(at=at, name=argument)
    elif letter not in PLAIN:
        reason = f"%{letter} is no directive of Apache's LogFormat; is it another server's string? Say whose, as in"
        raise FormatStringError(string, at, f"{reason} `haproxy:…`, `tomcat:…`, `goaccess:…`:")
    else:
        yield _plain(string, found)


def _plain(string: str, found: re.Match[str]) -> Piece:
    """Read a directive that has no argument, or one that chooses among a few kinds."""
    at, argument, letter = found.start(), found["argument"], found["letter"]
    piece = PLAIN[letter]._replace(at=at)
    if letter == "s" and ">" in found["modifiers"] + found["more"]:
        return piece._replace(rank=0)
    if argument is None:
        return piece
    if letter == "T" and argument in UNITS:
        form, rank = UNITS[argument]
        return piece._replace(form=form, rank=rank)
    if letter == "a" and argument == "c":
        return piece._replace(name="peer_ip", rank=4)  # behind a proxy this is the proxy
    if (letter, argument) in WITH_KIND:
        return Piece(at, name=WITH_KIND[letter, argument])
    raise FormatStringError(string, string.index("{", at) + 1, f"%{letter} knows no {{{argument}}}:")


def _time(string: str, found: re.Match[str], *, at_end: bool) -> Iterator[Piece]:
    """Read ``%t``, which comes in brackets, or ``%{FORMAT}t``, which does not."""
    at, argument = found.start(), found["argument"] or ""
    prefix = re.match("(?:begin|end)(?::|$)", argument)
    form = argument[prefix.end() :] if prefix else argument
    at_end = prefix[0].startswith("end") if prefix else at_end
    if form in PARTS_OF_TIME:
        read = PARTS_OF_TIME[form]
        if read == "clf":  # as %t
            yield Piece(at, "[")
            yield Piece(at, field="time", name="time", rank=int(at_end), to_end=at_end)
            yield Piece(at, "]")
            return
    else:
        try:
            read = from_strftime(form)
        except Unreadable as error:
            start = string.index("{", at) + 1 + len(argument) - len(form)
            raise FormatStringError(string, start + error.at, f"{error}:") from None
        if "%" not in read and read != "epoch":
            yield Piece(at, read)  # a constant text
            return
    yield Piece(at, field="time", form=read, name="time", rank=int(at_end), to_end=at_end)
