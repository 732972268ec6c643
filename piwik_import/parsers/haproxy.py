"""HAProxy's log-format → pieces.

Source: https://docs.haproxy.org/2.8/configuration.html#8.2.4, and #8.2.3 and #8.2.5 for what httplog and httpslog are.
Times of day come without a zone, except those that say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from piwik_import.errors import FormatStringError
from piwik_import.parsers.layout import Piece

SOURCE = "https://docs.haproxy.org/2.8/configuration.html#8.2.4"

HTTPLOG = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"
NAMED = {
    "httplog": HTTPLOG,
    "httpslog": f"{HTTPLOG} %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed]"
    " %[ssl_fc_sni]/%sslv/%sslc",
    "clf": '%{+Q}o %{-Q}ci - - [%T] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq'
    " %bq %CC %CS %hrl %hsl",
}
"""What the options of these names write; `clf` is ``option httplog clf``."""

LOCAL = "%d/%b/%Y:%H:%M:%S.%f"

VARIABLES = {
    "ci": Piece(0, field="ip"),
    "t": Piece(0, field="time", form=LOCAL, rank=2),
    "tr": Piece(0, field="time", form=LOCAL, rank=1),
    "T": Piece(0, field="time"),
    "Tl": Piece(0, field="time"),
    "trg": Piece(0, field="time"),
    "trl": Piece(0, field="time"),
    "Ts": Piece(0, field="time", form="epoch", rank=3),
    "r": Piece(0, field="request", form="absolute_h2"),
    "HM": Piece(0, field="method"),
    "HU": Piece(0, field="target"),
    "HP": Piece(0, field="path"),
    "HPO": Piece(0, field="path"),
    "HQ": Piece(0, field="query"),
    "ST": Piece(0, field="status"),
    "B": Piece(0, field="length"),
    "Ta": Piece(0, field="generation_time", form="ms"),
    "Tt": Piece(0, field="generation_time", form="ms", rank=1),
    "Tr": Piece(0, field="generation_time", form="ms", rank=2),
}

OTHERS = """ac b bc bi bp bq CC cp CS f fc fi fp ft Fi H HV ID lc ms Mp pid rc rt s sc si sp sq sslc sslv Tc Td Th Ti
 Tid Tq TR Tsc ts tsc Tu Tw U hr hrl hs hsl""".split()

STRINGS = {"b", "CC", "ci", "CS", "f", "fi", "ft", "H", "HM", "HP", "HPO", "HQ", "HU", "HV", "hr", "hrl", "hs", "hsl"}
STRINGS |= {"ID", "r", "s", "si", "sslc", "sslv"}
"""Variables that the flag Q puts into quotes."""

SAMPLES = {
    r"^(?:src|fc_src)\b": Piece(0, field="ip"),
    r"hdr(?:_ip)?\(x-forwarded-for\b": Piece(0, field="ip", rank=3),
    r"hdr\(host\b": Piece(0, field="host"),
    r"^(?:ssl_fc_sni|req\.ssl_sni)\b": Piece(0, field="host", rank=2),
    r"hdr\(user-agent\b": Piece(0, field="user_agent"),
    r"hdr\(referer\b": Piece(0, field="referrer"),
    r"^(?:capture\.req\.)?method\b": Piece(0, field="method"),
    r"^(?:capture\.req\.uri|pathq|url)\b": Piece(0, field="target", rank=1),
    r"^path\b": Piece(0, field="path", rank=1),
    r"^query\b": Piece(0, field="query", rank=1),
    r"^(?:txn\.)?status\b": Piece(0, field="status", rank=1),
}
"""What a sample expression, ``%[…]``, gives."""

TOKEN = re.compile(
    r"%(?:(?P<percent>%)|\((?P<label>[^)]*)\)|\{(?P<flags>[^}]*)\})?(?:\[(?P<sample>(?:[^\[\]]|\[[^\]]*\])*)\]|(?P<name>[A-Za-z]+))?"
)


def pieces(string: str) -> Iterator[Piece]:
    """Cut a log-format, or the name of an option that stands for one, into pieces. Raises FormatStringError."""
    string = NAMED.get(string, string)
    if string == "tcplog":
        raise FormatStringError(string, 0, "option tcplog writes connections, not requests:")
    always, at = "", 0
    parts: list[Piece] = []
    while at < len(string):
        if string[at] == "%":
            found = TOKEN.match(string, at)
            assert found is not None
            if found["name"] == "o":
                always = found["flags"] or ""
                _flags(string, found)
                at = found.end()
                if not parts:  # HAProxy writes no space at the beginning
                    at += len(string[at:]) - len(string[at:].lstrip())
                continue
            made, end = _variable(string, found, always)
            parts += made
            at = end
        else:
            step = 2 if string[at] == "\\" and at + 1 < len(string) else 1
            parts.append(Piece(at, string[at + step - 1]))
            at += step
    return iter(_without_gaps(parts))


def _variable(string: str, found: re.Match[str], always: str) -> tuple[list[Piece], int]:
    """Return what a token means, and where it ends: the name of a variable is the longest one that there is."""
    at = found.start()
    if found["percent"]:
        return [Piece(at, "%")], at + 2
    flags = _flags(string, found)
    if found["sample"] is not None:
        text = found["sample"]
        known = [piece for shape, piece in SAMPLES.items() if re.search(shape, text, re.IGNORECASE)]
        piece = (known or [Piece(0)])[0]._replace(at=at, name=text)
        return _in_quotes(piece, _is_on(flags, always)), found.end()
    letters = found["name"] or ""
    for length in range(len(letters), 0, -1):
        name = letters[:length]
        if name in VARIABLES or name in OTHERS:
            piece = VARIABLES.get(name, Piece(0))._replace(at=at, name="protocol" if name == "HV" else name)
            return _in_quotes(piece, name in STRINGS and _is_on(flags, always)), found.start("name") + length
    raise FormatStringError(string, at, f"%{letters} is no variable of HAProxy's log-format:")


def _flags(string: str, found: re.Match[str]) -> str:
    flags = found["flags"] or ""
    if "json" in flags or "cbor" in flags:
        reason = "Logs that HAProxy encodes as JSON or CBOR have no line to describe; use a format of JSON instead:"
        raise FormatStringError(string, found.start("flags"), reason)
    return flags


def _is_on(flags: str, always: str) -> bool:
    return "+Q" in flags or ("+Q" in always and "-Q" not in flags)


def _in_quotes(piece: Piece, quoted: bool) -> list[Piece]:
    if not quoted:
        return [piece]
    return [Piece(piece.at, '"'), piece, Piece(piece.at, '"')]


def _without_gaps(parts: list[Piece]) -> Iterator[Piece]:
    """Say of captured headers that they may be absent, with the space before them: HAProxy writes no two spaces."""
    skip = False
    for number, piece in enumerate(parts):
        if skip:
            skip = False
            continue
        behind = parts[number + 1] if number + 1 < len(parts) else Piece(0)
        if piece.name in ("hr", "hs") and behind.text == " " and number and parts[number - 1].text == " ":
            yield Piece(piece.at, raw=f"{{(}}{{{{{{*{piece.name}}}}}}} {{)}}", name=piece.name)
            skip = True
        else:
            yield piece
