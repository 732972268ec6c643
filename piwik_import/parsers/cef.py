"""A line in ArcSight's Common Event Format → an object, as one of JSON would be.

    CEF:0|Incapsula|SIEMintegration|1|1|Normal|0|src=192.0.2.1 request=www.example.com/a qstr=b\\=1

Seven fields between bars, called here as ArcSight calls them, and then keys with their values. A value may hold spaces:
it goes on to the next word that an equals sign follows. ``\\|``, ``\\=``, ``\\\\``, ``\\n`` and ``\\r`` are undone.

Source: https://www.microfocus.com/documentation/arcsight/arcsight-smartconnectors-8.3/cef-implementation-standard/
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

from piwik_import.parsers.encoding import utf8
from piwik_import.parsers.record import BadLine, Stranger

BEGINNING = "CEF:"

HEADER = ["version", "deviceVendor", "deviceProduct", "deviceVersion", "deviceEventClassId", "name", "severity"]
"""What stands between the bars. A key of the same name would give way."""

MOST = 1000
"""Keys of an event: those that fit into 1 MiB take a second."""

FIELD = re.compile(r"((?:[^|\\]|\\.)*+)\|", re.DOTALL)
KEY = re.compile(r"\s([\w.\[\]-]++)=")
"""A key and the space before it, with which it begins: what must be there is looked for at a third of the cost."""
ESCAPE = re.compile(r"\\([|=\\nr])")
PLAIN = {"n": "\n", "r": "\r"}

LONGEST = 1 << 16
"""Characters of a value that is made plain: 1 MiB of escapes takes 0.1 s, and a longer one is no part of a hit."""


def load(line: str) -> dict[str, Any]:
    """Read one event from a line whose bytes are its characters (Latin-1). Raises BadLine."""
    text = utf8(line.strip("\r\n\t \0"))
    if not text.startswith(BEGINNING):
        raise Stranger(f"the line does not begin with {BEGINNING}")
    at, header = len(BEGINNING), []
    for name in HEADER:
        found = FIELD.match(text, at)
        if found is None:
            raise BadLine(f"there is no bar behind the {name} of the event")
        header.append(_plain(found[1]))
        at = found.end()
    rest = f" {text[at:].lstrip()}"
    keys = [*islice(KEY.finditer(rest), MOST + 1)]
    if len(keys) > MOST:
        raise BadLine(f"more than {MOST} keys: no event has so many")
    ends = [key.start() for key in keys[1:]] + [len(rest)]
    values = {key[1]: _plain(rest[key.end() : end].rstrip()) for key, end in zip(keys, ends, strict=False)}
    return values | dict(zip(HEADER, header, strict=True))


def _plain(text: str) -> str:
    if "\\" not in text or len(text) > LONGEST:
        return text
    return ESCAPE.sub(lambda found: PLAIN.get(found[1], found[1]), text)
