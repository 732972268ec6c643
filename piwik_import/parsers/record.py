"""What one line of a log says, in words that no format owns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple


class Request(NamedTuple):
    """The request that a line tells of.

    Text is as the client sent it: nothing is unquoted or lowered, and bytes that are not UTF-8 are lone
    surrogates (PEP 383).
    """

    method: str = ""
    path: str = ""
    query: str | None = None
    """What follows the first ``?``; None if there is no ``?``."""
    authority: str | None = None
    """``scheme://host:port`` of an absolute target."""
    problem: str | None = None
    """Why this is no request for a page: a reason of `filters`. The other fields are then empty."""


class Record(NamedTuple):
    """One line of a log. A field that the line lacks, or gives as ``-``, is None."""

    ip: str | None
    """The client's address, bare; a host name where the server logged one."""
    time: datetime
    """When the request began, as far as the log tells; in UTC."""
    request: Request
    status: int | None = None
    length: int | None = None
    """Bytes of the answer."""
    referrer: str | None = None
    user_agent: str | None = None
    host: str | None = None
    """The site's host as logged, lower case; ``host:port`` where a port was logged or the scheme tells it, and
    ``scheme://host:port`` where the scheme is known and the port does not tell it."""
    user: str | None = None
    """The user who was logged in."""
    generation_time: int | None = None
    """Milliseconds the server took."""
    duration: int | None = None
    """Milliseconds from the beginning to the end, of a log that has them beside or in place of what the server took."""
    extra: Mapping[str, Any] | None = None
    """Further fields that somebody asked for, as far as the line has them: name → text, or what JSON holds there."""

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def path(self) -> str:
        return self.request.path

    @property
    def query(self) -> str | None:
        return self.request.query

    @property
    def problem(self) -> str | None:
        return self.request.problem


class BadLine(ValueError):
    """A line that is no record; the text says why."""


class Stranger(BadLine):
    """A line that does not even begin as those of its format do: perhaps it is another program's."""


class OtherLine(BadLine):
    """A line of the log, whole and right, that tells of no request: it is left out, and nothing is wrong with it."""


class LeftOut(BadLine):
    """A line, whole and right, that is left out; the text is the reason of `filters.REASONS`."""


def split_port(host: str) -> tuple[str, str]:
    """Cut ``example.org:443`` into host and port; the port is empty where there is none."""
    name, _, port = host.rpartition(":")
    return (name, port) if port.isdecimal() and name else (host, "")


Parser = Callable[[str], Record]
"""One line, without its newline and with each byte as the character of that number (Latin-1), to its record; or the
lines of one record, where the log spreads it over several.

Latin-1 keeps characters and bytes the same, whatever the log holds; a field's text becomes UTF-8 when it is
taken out. Raises BadLine.
"""


class Texts(NamedTuple):
    """A parser in its two steps: a line is cut into the texts of its fields, and each text is read.

    Only lines as most of them are can be cut; what `cut` and `read` give of them is what the parser gives.
    """

    names: Sequence[str]
    """Which fields there are, in the order of the texts."""
    cut: Callable[[str], Sequence[str] | None]
    """The texts of a line; None if it is not like most. A field that the line lacks is ``-``, and so is a length that
    was not logged; any other length is what `str` makes of its number."""
    read: Mapping[str, Callable[[Any], Any]]
    """What makes a value of a field's text. Raises BadLine. There is always a ``request``: where the line gives it in
    parts it is made of a tuple of their texts, in the order of `fields.REQUEST_PARTS`."""
