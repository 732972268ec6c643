"""A hit of the Tracking HTTP API: what its parameters need of each other, and how it looks on the wire.

What a single parameter takes is the table in `parameters`. Seen by `encode`, a log is a few texts again and again. So
what a text looks like on the wire is worked out once, and its rule is checked just then: for a text seen before,
checking costs nothing.

Source: https://developer.matomo.org/api-reference/tracking-api

This module knows nothing of logs, files or HTTP.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from operator import getitem
from urllib.parse import quote, unquote

from piwik_import.memo import RECENT, Memo
from piwik_import.parameters import parameter

Value = str | int | float
Hit = dict[str, Value]
"""One tracking request: values by name of parameter, not URL-encoded.

Bytes of a log that are not UTF-8 are lone surrogates, as `surrogateescape` makes them; the wire has the same bytes.
"""


class InvalidHit(ValueError):
    """A hit that breaks a rule of the Tracking API, and would be refused or recorded as something else."""

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(parameter, reason)
        self.parameter = parameter
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.parameter}: {self.reason}"


REQUIRED = ("idsite", "rec")
SUBJECTS = frozenset({"e_c", "c_n", "idgoal", "search", "link", "download", "ping", "ca", "cra"})
"""What a hit can be about other than the page at `url`, which any other hit must have."""

NEEDS = {
    "e_c": "e_a",
    "e_a": "e_c",
    "e_n": "e_c",
    "e_v": "e_c",
    "c_i": "c_n",
    "c_p": "c_n",
    "c_t": "c_n",
    "search_cat": "search",
    "search_count": "search",
    "revenue": "idgoal",
    "ec_id": "revenue",
    "ec_items": "idgoal",
    "ec_st": "idgoal",
    "ec_tx": "idgoal",
    "ec_sh": "idgoal",
    "ec_dt": "idgoal",
    "cra": "ca",
}
"""Parameters that mean nothing, or are refused, without another."""


def encode(hit: Mapping[str, Value]) -> str:
    """Return `hit` as a query string without "?", ASCII and in the order of the dict, fit for a bulk request.

    Raises:
        InvalidHit: a value, or the hit as a whole, breaks a rule.
    """
    wires, is_ecommerce = _shapes[tuple(hit)]
    if is_ecommerce:
        check(hit)
    return "&".join(map(getitem, wires, hit.values()))


def check(hit: Mapping[str, Value]) -> None:
    """Check the rules between parameters: what must be there, and what needs what.

    Raises:
        InvalidHit: naming the parameter that cannot stay as it is.
    """
    _, is_ecommerce = _shapes[tuple(hit)]
    if is_ecommerce and _wires["idgoal"][hit["idgoal"]] != "idgoal=0":
        raise InvalidHit("idgoal", "must be 0 in a hit about an order or a cart")


def encode_rest(hit: Hit, fault: InvalidHit) -> tuple[str, list[InvalidHit]]:
    """Encode `hit`, which has `fault`, without what breaks a rule; return the query, and all that was left out.

    What is left out is taken out of `hit` too.

    Raises:
        InvalidHit: what is wrong decides what the hit is, whose, or when.
    """
    faults = []
    while True:
        row = parameter(fault.parameter)
        if row is None or row.decides or fault.parameter not in hit:
            raise fault
        del hit[fault.parameter]
        faults.append(fault)
        try:
            return encode(hit), faults
        except InvalidHit as another:
            fault = another


def decode(query: str) -> dict[str, str]:
    """Return the parameters of a query string; of a name given twice the last counts, as in PHP."""
    return dict([_fields[field] for field in query.split("&") if field])


def bulk_body(queries: Iterable[str], token: str | None) -> bytes:
    """Return the body of a bulk request for `queries`, each as `encode` returns it.

    What is encoded has no character that JSON would escape, so the body is joined, not dumped.
    """
    requests = ",".join([f'"?{query}"' for query in queries])
    secret = "" if token is None else f',"token_auth":{json.dumps(token)}'
    return f'{{"requests":[{requests}]{secret}}}'.encode("ascii")


RESERVED = str.maketrans(
    {chr(byte): f"%{byte:02X}" for byte in range(128) if not re.match("[A-Za-z0-9_.~/:-]", chr(byte))}
)
HALF_PAIR = re.compile("[\\ud800-\\udc7f\\udd00-\\udfff]")


def _quoted(text: str) -> str:
    if text.isascii():
        return text.translate(RESERVED)  # quote() takes three times as long
    try:
        return quote(text, "/:", errors="surrogateescape")
    except UnicodeEncodeError:  # a JSON log may hold half of a pair, which stands for no byte and no character
        return quote(HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", text), "/:", errors="surrogateescape")


def _field(field: str) -> tuple[str, str]:
    name, _, text = field.replace("+", " ").partition("=")
    return unquote(name, errors="surrogateescape"), unquote(text, errors="surrogateescape")


def _text(value: Value) -> str:
    """Return a number in one form however it is typed: 1, 1.0 and True are one key of a dict, so one text."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) else repr(value)


class _Sizes(dict[Value, str]):
    """As a memo of numbers on the wire, but it keeps none: they seldom come twice, and this is as fast."""

    def __init__(self, name: str, sizes: range, other: Callable[[Value], str]) -> None:
        self._name, self._sizes, self._other = name, sizes, other

    def __missing__(self, value: Value) -> str:
        return f"{self._name}={value}" if type(value) is int and value in self._sizes else self._other(value)


def writer(name: str) -> Callable[[Value], str]:
    """Return the function that writes a value of the parameter `name` as `encode` does: ``name=value``, checked.

    What the table does not know goes out as it is: in a request that is replayed, plugins and later servers know it.

    Raises:
        InvalidHit: from the function: the value breaks the rule of its parameter.
    """
    row = parameter(name)
    if row is None:
        quoted = _quoted(name)
        return lambda value: f"{quoted}={_quoted(_text(value))}"

    def write(value: Value) -> str:
        try:
            text = _text(value)
            accepted = row.kind.accepts(text)
        except (ValueError, OverflowError):  # int() of nan and of inf
            accepted = False
        if not accepted:
            raise InvalidHit(name, f"must be {row.rule}")
        return f"{name}={_quoted(text)}"

    return write


def _wire(name: str) -> dict[Value, str]:
    """Return the dict of what values of the parameter `name` look like on the wire, each checked once."""
    write, row = writer(name), parameter(name)
    if row is None:
        return _Sizes(name, range(0), write)
    if row.kind.sizes is not None:
        return _Sizes(name, row.kind.sizes, write)
    return Memo(write, limit=RECENT) if name == "cdt" else Memo(write)


def _shape(names: tuple[str, ...]) -> tuple[list[dict[Value, str]], bool]:
    """Check which parameters a hit has; return the dict of each, and whether it is about an order or a cart.

    Hits of a log have few shapes, so what depends on names alone is checked once a shape.
    """
    wires = [_wires[name] for name in names]
    for name in names:
        if name in NEEDS and NEEDS[name] not in names:
            raise InvalidHit(name, f"needs {NEEDS[name]}")
    required = REQUIRED if not SUBJECTS.isdisjoint(names) else (*REQUIRED, "url")
    for name in required:
        if name not in names:
            raise InvalidHit(name, "is missing")
    return wires, "idgoal" in names and any(name.startswith("ec_") for name in names)


_wires: Memo[str, dict[Value, str]] = Memo(_wire, limit=500)
_shapes: Memo[tuple[str, ...], tuple[list[dict[Value, str]], bool]] = Memo(_shape)
_fields: Memo[str, tuple[str, str]] = Memo(_field)
