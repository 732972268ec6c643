"""nginx's log_format → pieces, or the keys of JSON objects.

Source: https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format and the index of variables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from piwik_import.errors import FormatStringError
from piwik_import.parsers.layout import Piece, check, choose, join, time_is

SOURCE = "https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format"

COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)
"""The format that every nginx has."""

VARIABLES = {
    "proxy_protocol_addr": Piece(0, field="ip"),
    "remote_addr": Piece(0, field="ip", rank=1),
    "http_cf_connecting_ip": Piece(0, field="ip", rank=2),
    "http_true_client_ip": Piece(0, field="ip", rank=2),
    "http_x_real_ip": Piece(0, field="ip", rank=2),
    "http_x_forwarded_for": Piece(0, field="ip", rank=3),
    "proxy_add_x_forwarded_for": Piece(0, field="ip", rank=4),
    "realip_remote_addr": Piece(0, field="ip", rank=5),  # the proxy, where there is one
    "remote_user": Piece(0, field="user"),
    "time_local": Piece(0, field="time", to_end=True),
    "time_iso8601": Piece(0, field="time", form="iso8601", rank=1, to_end=True),
    "msec": Piece(0, field="time", form="epoch", rank=2, to_end=True),
    "request": Piece(0, field="request"),
    "request_method": Piece(0, field="method"),
    "request_uri": Piece(0, field="target"),
    "uri": Piece(0, field="path"),
    "document_uri": Piece(0, field="path", rank=1),
    "args": Piece(0, field="query"),
    "query_string": Piece(0, field="query", rank=1),
    "host": Piece(0, field="host"),
    "http_host": Piece(0, field="host", rank=1),
    "server_name": Piece(0, field="host", rank=2),
    "http_x_forwarded_host": Piece(0, field="host", rank=3),
    "scheme": Piece(0, field="scheme"),
    "http_x_forwarded_proto": Piece(0, field="scheme", rank=1),
    "https": Piece(0, field="scheme", form="tls", rank=2),
    "status": Piece(0, field="status"),
    "body_bytes_sent": Piece(0, field="length"),
    "bytes_sent": Piece(0, field="length", rank=1),
    "http_referer": Piece(0, field="referrer"),
    "http_user_agent": Piece(0, field="user_agent"),
    "request_time": Piece(0, field="generation_time", form="s", to_end=True),
    "upstream_response_time": Piece(0, field="generation_time", form="s", rank=1),
}
"""Variables that give a field. Any other is passed over under its name. Times are those of the line, which is written
when the answer has been sent; and until then goes $request_time."""

NAMES = {"server_protocol": "protocol", "server_port": "port"}
"""Variables that `layout` knows under a name of its own."""

ALWAYS = {"status", "body_bytes_sent", "bytes_sent", "request_time", "request_length", "msec", "connection", "pid"}
ALWAYS |= {"connection_requests", "connection_time", "remote_port", "server_port"}
"""Variables that are numbers in every line, so that JSON stays JSON if they stand in it without quotes."""

URI_AND_ARGS = re.compile(r"\$(?:\{(?:document_)?uri\}|(?:document_)?uri)\$\{?is_args\}?\$\{?(?:args|query_string)\}?")
"""A target in three parts. Without a query the last of them is written as a dash."""

VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def pieces(string: str, escape: str = "") -> Iterator[Piece]:
    """Cut a log_format into pieces. Raises FormatStringError."""
    at = 0
    while at < len(string):
        stop = string.find("$", at)
        if stop != at:
            stop = len(string) if stop < 0 else stop
            yield Piece(at, string[at:stop])
            at = stop
            continue
        if joined := URI_AND_ARGS.match(string, at):
            yield Piece(at, field="target", form="" if escape else "uri_args", name="uri", rank=1)
            at = joined.end()
            continue
        if (found := VARIABLE.match(string, at)) is None:
            raise FormatStringError(string, at, "This $ is the beginning of no variable's name:")
        name = found[1] or found[2]
        yield VARIABLES.get(name, Piece(0))._replace(at=at, name=NAMES.get(name, name))
        at = found.end()


class Objects(NamedTuple):
    """What is to be known of the JSON objects that a log_format writes with escape=json."""

    keys: Mapping[str, str]
    """Field → its key."""
    time_is: str
    """As in `layout.time_is`."""


def objects(string: str) -> Objects | None:
    """Return what `string` writes with escape=json.

    None if it writes no objects, or what is no JSON as soon as a variable is empty. Raises FormatStringError.
    """
    parts = list(pieces(string, "json"))
    text, inside = [], False
    for number, piece in enumerate(parts):
        if piece.text:
            text.append(piece.text)
            inside ^= len(re.sub(r"\\.", "", piece.text).split('"')) % 2 == 0
        elif inside or piece.name in ALWAYS:
            text.append(f"\ue000{number}\ue001" if inside else f'"\ue000{number}\ue001"')
        else:
            return None
    try:
        found = json.loads("".join(text))
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    whole = {key: _only(value, parts) for key, value in _leaves(found)}
    by_key = {key: piece for key, piece in whole.items() if piece is not None}
    joined = join(by_key.values())
    check(string, joined)
    chosen = choose(by_key.values())
    named = {chosen[piece]: (key, piece.form) for key, piece in by_key.items() if piece in chosen}
    keys = {field: f"{key}:{form}" if form else key for field, (key, form) in named.items()}
    return Objects(keys, time_is(by_key.values()))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts in an object, each with its keys joined by dots."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves(one, f"{path}.{key}" if path else key)
    elif isinstance(value, str):
        yield path, value


def _only(value: str, parts: Sequence[Piece]) -> Piece | None:
    """Return the piece that a value consists of, if it is one and nothing else."""
    found = re.fullmatch("\ue000(\\d+)\ue001", value)
    return parts[int(found[1])] if found else None
