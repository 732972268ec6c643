"""Parsers that other packages bring, for lines that no format file can describe.

Such a package names its parser among its entry points, and the name that it gives it there is the format's:

    [project.entry-points."piwik_import.parsers"]
    ledger = "example_plugin:Ledger"

What stands there is a module, an object, or a class that is made one: see `LineParser`. It is another's code, so
whatever it raises or returns ends in a message that names it: a line that it fails on is an invalid one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from piwik_import.errors import printable
from piwik_import.memo import Memo
from piwik_import.parsers import client_address
from piwik_import.parsers.encoding import utf8
from piwik_import.parsers.record import BadLine, Parser, Record, Request

GROUP = "piwik_import.parsers"

FIELDS = frozenset(
    "ip time request method path query status length referrer user_agent host user generation_time".split()
)
"""What a record may be said to have."""

PROBLEMS = frozenset({None, "empty_request", "garbage_request", "connect", "asterisk"})
"""Why a request may be none for a page, as `request` says it."""


class LineParser(Protocol):
    """What a package has to bring. It may have besides: ``source`` (the page of the format's maker), ``aliases``, and
    ``recognised = False``, which keeps it from being tried on logs of which nobody has said what they are."""

    title: str
    """What `piwik-import formats` lists."""
    fields: Sequence[str]
    """Those of `FIELDS` that its records have a value for; ``time`` and one of ``request`` and ``path`` among them."""
    samples: Sequence[Mapping[str, Any]]
    """``line``, and what it must become, as the samples of a format file: `piwik-import formats --check NAME`."""

    def parse(self, line: str) -> Record:
        """Return what a line says; `line` is its text, with lone surrogates for bytes that are no UTF-8 (PEP 383).

        Raises BadLine for a line that is none of the format, OtherLine for one that tells of no request.
        """


@dataclass(frozen=True, slots=True)
class Plugin:
    """A parser of another package, as far as it is known without its code. Holds data only."""

    where: str
    """``module:name`` of its entry point."""
    fields: tuple[str, ...]
    package: str
    """Name and version of the package that brings it."""
    trusted: str = ""
    """Networks of proxies whose word on the client's address is believed: a form of ``ip``."""


class Installed(NamedTuple):
    """What a package says of one of its parsers."""

    name: str
    where: str
    package: str
    """Its name and version."""


def found() -> Iterator[Installed]:
    """Yield the entry points of all parsers that are installed."""
    if not any(map(_may_have, sys.path)):
        return
    from importlib.metadata import entry_points

    for one in sorted(entry_points(group=GROUP), key=lambda one: (one.name, one.value)):
        yield Installed(one.name, one.value, f"{one.dist.name} {one.dist.version}" if one.dist else one.module)


def _may_have(folder: str) -> bool:
    """Tell whether a package in a folder of `sys.path` may have such an entry point.

    To look for the name takes 1 ms, where to load importlib.metadata takes 20: a tenth of an import of a few lines.
    """
    try:
        entries = [*os.scandir(folder or ".")]
    except NotADirectoryError:
        return True  # packed, and not ours to unpack
    except OSError:
        return False
    return any(_names_group(entry.path) for entry in entries if entry.name.endswith((".dist-info", ".egg-info")))


def _names_group(path: str) -> bool:
    try:
        with open(os.path.join(path, "entry_points.txt"), "rb") as file:
            return GROUP.encode() in file.read()
    except OSError:
        return False


def load(where: str) -> Any:
    """Return the parser that an entry point names. Raises ValueError, whatever its code does."""
    from importlib.metadata import EntryPoint

    try:
        loaded = EntryPoint("", where, GROUP).load()
        return loaded() if isinstance(loaded, type) else loaded
    except (Exception, SystemExit) as error:
        raise ValueError(f"the plug-in {where} cannot be loaded: {_said(error)}") from None


def checked(parser: Any, where: str) -> tuple[str, ...]:
    """Return the fields of a parser, if it has all that a `LineParser` must have. Raises ValueError."""
    fields: Any = getattr(parser, "fields", None)
    if not isinstance(getattr(parser, "title", None), str) or not callable(getattr(parser, "parse", None)):
        raise ValueError(f"the plug-in {where} needs a text `title` and a function `parse`")
    if not _are(str, fields) or not {*fields} <= FIELDS:
        raise ValueError(f"`fields` of the plug-in {where} must be names of {', '.join(sorted(FIELDS))}")
    if "time" not in fields or not {"request", "path"} & {*fields}:
        raise ValueError(f"`fields` of the plug-in {where} must have time, and request or path")
    samples: Any = getattr(parser, "samples", None)
    if not _are(Mapping, samples) or not all(isinstance(one.get("line"), str) for one in samples):
        raise ValueError(f"`samples` of the plug-in {where} must be mappings with a `line`")
    if not _are(str, getattr(parser, "aliases", ())):
        raise ValueError(f"`aliases` of the plug-in {where} must be texts")
    return tuple(fields)


def _are(kind: type, values: Any) -> bool:
    return isinstance(values, list | tuple | set | frozenset) and all(isinstance(one, kind) for one in values)


def compile_plugin(name: str, plugin: Plugin) -> Parser:
    """Return the parser of the lines that a plug-in reads. Raises ValueError."""
    parse = load(plugin.where).parse
    clients: Memo[str, str | None] = Memo(client_address.reader(plugin.trusted))

    def parse_safely(line: str) -> Record:
        try:
            found = parse(utf8(line))
            if isinstance(found, BadLine):
                raise found
            return _record(found, clients)
        except BadLine:
            raise
        except (Exception, SystemExit) as error:
            raise BadLine(f"plug-in {name}: {_said(error)}") from None

    return parse_safely


KINDS: dict[str, type | tuple[type, ...]] = dict.fromkeys(("ip", "referrer", "user_agent", "host", "user"), str)
KINDS |= {"time": datetime, "request": Request, "extra": Mapping}
KINDS |= dict.fromkeys(("status", "length", "generation_time", "duration"), int)
NEEDED = {"time", "request"}


def _record(found: Any, clients: Memo[str, str | None]) -> Record:
    """Return what a plug-in returned, if it is a record: bare address, time in UTC. Raises TypeError, ValueError."""
    if not isinstance(found, Record):
        raise TypeError(f"parse() returned {_shown(found)}, which is no Record")
    for name, value in zip(Record._fields, found, strict=True):
        if not isinstance(value, KINDS[name]) and (value is not None or name in NEEDED):
            raise TypeError(f"{name} is {_shown(value)}")
    if found.time.tzinfo is None:
        raise ValueError(f"time is {found.time}, without a zone")
    asked = found.request
    texts = (asked.method, asked.path, asked.query or "", asked.authority or "")
    if not all(isinstance(text, str) for text in texts) or asked.problem not in PROBLEMS:
        raise TypeError(f"request is {_shown(asked)}")
    if asked.problem is None and not asked.path.startswith("/"):
        raise ValueError(f"the path {_shown(asked.path)} does not begin with a slash")
    ip = None if found.ip is None else clients[found.ip]
    return found._replace(ip=ip, time=found.time.astimezone(UTC))


def _shown(value: object) -> str:
    return printable(repr(value), 60)


def _said(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}".removesuffix(": "))
