"""The files that a log is rotated into: found beside it, by what they hold and by how they are called.

Nothing is known of the rotation but what every kind of it has in common: the old log lies in the same folder, and its
name begins as that of the log does. access.log becomes access.log.1, access.log.2.gz, access.log-20261121 or
access-20261121.log.xz; or it is a link to today's file, access-20261122.log, and yesterday's lies beside that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress

from piwik_import.errors import SourceError
from piwik_import.source import Source

DATE = r"[-._]\d{4}[-_]?\d\d[-\d_]*"
NUMBER = r"[-._]\d[-\d_]*"
PACKED = r"\.(?:gz|bz2|xz|zst)"


def place(name: str) -> str:
    """Return the path of a file for good; if it is a link, that of the link."""
    return os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))


def find(source: Source, file: tuple[int, int, int, int] | None, is_it: Callable[[Source], bool]) -> Source | None:
    """Return the file beside `source` that `is_it`; that with the inode of `file` is tried first, then the latest."""
    inode = file[:2] if file else None
    for one in sorted(_beside(source), key=lambda one: (one.inode != inode, -one.file[3])):
        with suppress(SourceError):
            if is_it(one):
                return one
    return None


def later(source: Source, before: Source) -> list[Source]:
    """Return the files that `source` was rotated into after `before`, the oldest first, by name and time of change."""
    stem, dot, rest = os.path.basename(source.name).partition(".")
    name = re.compile(f"{re.escape(stem)}(?:{DATE})?{re.escape(dot + rest)}(?:{NUMBER})?(?:{PACKED})?")
    found = [
        one
        for one in _beside(source)
        if name.fullmatch(os.path.basename(one.name)) and one.file[3] > before.file[3] and one.inode != before.inode
    ]
    return sorted(found, key=lambda one: one.file[3])


def _beside(source: Source) -> list[Source]:
    """Return the other files that lie where `source` lies and begin as it does up to a number or dot."""
    real = os.path.realpath(source.name)
    stem = re.split(r"[-._]?\d|\.", os.path.basename(real))[0]
    shown = os.path.dirname(real if os.path.islink(source.name) else source.name)
    found = {}
    for entry in os.scandir(shown or "."):
        if entry.name.startswith(stem):
            with suppress(SourceError):  # gone already, or nothing that can be read
                one = Source(os.path.join(shown, entry.name))
                if not one.is_pipe and os.path.isfile(one.name):
                    found[one.inode] = one
    found.pop(source.inode, None)
    return list(found.values())
