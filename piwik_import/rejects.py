"""The file of what was not imported: lines that are no hit, and hits that the server did not record.

One JSON object a line, appended as it happens, so that `piwik-import replay` can send it again:

    source   name of the log            line, offset   where the line stands in it, offset in decompressed bytes
    text     the line itself            hit            the parameters of its hit; null if it became none
    fate     see `FATES`                reason         why, with what the server answered if it was asked

Bytes of a line that are not UTF-8 are lone surrogates, escaped. Tokens are no part of a hit and never in it.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from piwik_import.errors import PiwikImportError, UnavailableError, UsageError, printable
from piwik_import.tracking import decode
from piwik_import.translate import BadEntry, Entry

FATES = {
    "invalid": "the line is no hit",
    "rejected": "the server did not record the hit",
    "unknown": "one of several hits of which the server did not record all, and did not say which",
    "in doubt": "the server may have recorded the hit: its answer was lost",
}


class Rejects:
    """A rejects file, opened when there is something to write. Safe to use from several threads.

    With `path` None nothing is kept. `count` is how many lines were written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.count = 0
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()

    def add_bad(self, source: str, bad: Sequence[BadEntry]) -> None:
        """Keep lines that are no hit. Raises PiwikImportError if the disk does not take them."""
        self._write([_row(source, one.line, one.begin, one.text, None, "invalid", one.reason) for one in bad])

    def add(self, source: str, entries: Sequence[Entry], fate: str, reason: str) -> None:
        """Keep hits that were sent. It is on disk on return. Raises PiwikImportError if the disk does not take them."""
        rows = [_row(source, one.line, one.begin, one.text, decode(one.query), fate, reason) for one in entries]
        self._write(rows, to_disk=True)

    def close(self) -> None:
        """Close the file, with all that was added on disk."""
        with self._lock:
            if self._file is not None:
                with self._file as file:
                    os.fsync(file.fileno())
                self._file = None

    def _write(self, rows: Sequence[dict[str, Any]], to_disk: bool = False) -> None:
        if self.path is None or not rows:
            return
        with self._lock:
            try:
                self._file = self._file or opened(self.path)
                _write_all(self._file, "".join([json.dumps(row) + "\n" for row in rows]).encode("ascii"))
                if to_disk:
                    os.fsync(self._file.fileno())
            except OSError as error:
                raise PiwikImportError(f"--rejects {printable(str(self.path))}: {error.strerror}") from None
            self.count += len(rows)


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of `data`, of which a disk that is nearly full takes a part without a word."""
    written = file.write(data)
    while written < len(data):
        written += file.write(data[written:])


def opened(path: Path) -> BinaryIO:
    """Open a rejects file to append whole lines to it, as others may. Nobody replays it meanwhile.

    Raises OSError, UnavailableError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "ab", 0)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UnavailableError(f"--rejects {printable(str(path))}: it is being replayed; run again later") from None
    size = os.fstat(file.fileno()).st_size
    if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
        file.write(b"\n")  # after a line that a full disk has cut off
    return file


def check(path: Path) -> None:
    """Make sure that a rejects file can be written, before anything is sent. Raises UsageError, UnavailableError."""
    is_new = not path.exists()
    try:
        opened(path).close()
        if is_new:
            path.unlink()  # one that is empty would only make people look into it
    except OSError as error:
        raise UsageError(f"--rejects {printable(str(path))}: {error.strerror}") from None


def _row(
    source: str, line: int, offset: int, text: str, hit: dict[str, str] | None, fate: str, reason: str
) -> dict[str, Any]:
    plain = text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")
    return {
        "source": source,
        "line": line,
        "offset": offset,
        "text": plain,
        "hit": hit,
        "fate": fate,
        "reason": reason,
    }
