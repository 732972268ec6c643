"""The numbers of a line: status, bytes, how long the server took."""

from __future__ import annotations

import re
from collections.abc import Callable

from piwik_import.errors import printable
from piwik_import.parsers.record import BadLine


def number(text: str) -> int:
    """Read a number that is not negative. Raises ValueError."""
    digits = text.removeprefix("+")  # HAProxy's sign for a request that was logged before its end
    if not digits.isdecimal() or len(digits) > 18:  # 64 bits are what a server stores
        raise ValueError(f"'{printable(text, 60)}' is no number")
    return int(digits)


def status(text: str) -> int | None:
    """Read a status code. Raises ValueError."""
    return None if text == "-1" else number(text)  # HAProxy's word for none


def milliseconds(unit: str) -> Callable[[str], int | None]:
    """Return the function that reads a time given in `unit`. Raises KeyError for an unknown one."""
    factor = {"s": 1000.0, "s.mmm": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000001}[unit]

    def convert(text: str) -> int | None:
        if text == "-1":  # a load balancer's word for none
            return None
        try:
            return round(_total(text.removesuffix(unit)) * factor)
        except (ValueError, OverflowError):  # the latter: inf
            raise ValueError(f"'{printable(text, 60)}' is no number of {unit}") from None

    return convert


def _total(text: str) -> float:
    """Read a number, or add up ``0.010, 0.020 : -``: the times that nginx's upstreams took one after another."""
    try:
        return float(text)
    except ValueError:
        parts = re.split(" ?[,:] ?", text[:LONGEST])
        if len(parts) == 1 or len(text) > LONGEST:
            raise
        return sum([float(part) for part in parts if part != "-"])


LONGEST = 1024
"""Characters of a list of times: those of 1 MiB take 0.1 s."""

NO_SIZE = re.compile(r"-[0-9]+|[0-9]{19,}|[0-9.]+e\+[0-9]+")
"""A number that no server stores as a size; the last as Python writes it. The line is good, its size is not."""


class Numbers(dict[str | None, int | None]):
    """Text → number, as a memo that keeps nothing: sizes seldom come twice, and int() is as fast as a look-up."""

    def __init__(self, name: str) -> None:
        super().__init__({None: None, "-": None, "": None})
        self._name = name

    def __missing__(self, text: str | None) -> int:
        if NO_SIZE.fullmatch(text or ""):
            return -1
        try:
            return number(text or "")
        except ValueError as error:
            raise BadLine(f"{self._name}: {error}") from None


USUAL_LENGTH = "(?:0|[1-9][0-9]{0,17}+)(?![0-9])|-"
"""A length as it is nearly always logged: as it will be sent, and as a server can store it."""
