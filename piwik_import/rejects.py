"""The file of what was not imported: lines that are no hit, and hits that the server did not record.

One JSON object a line, appended as it happens, so that `piwik-import replay` can send it again:

    source   name of the log            line, offset   where the line stands in it, offset in decompressed bytes
    text     the line itself            hit            the parameters of its hit; null if it became none
             (its beginning, if the line has become a hit before this one)
    fate     see `FATES`                reason         why
    answer   what the server said; null if it was not asked

The first line gives the file a name of its own, by which a replay that was broken off knows it again.

Bytes of a line that are not UTF-8 are lone surrogates, escaped. Tokens are no part of a hit and never in it.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from piwik_import.errors import PiwikImportError, UnavailableError, UsageError, printable
from piwik_import.parsers.encoding import utf8
from piwik_import.tracking import decode
from piwik_import.translate import BadEntry, Entry

FATES = {
    "invalid": "the line is no hit",
    "rejected": "the server did not record the hit",
    "unknown": "one of several hits of which the server did not record all, and did not say which",
    "in doubt": "the server may have recorded the hit: its answer was lost",
}


REPLAYED = ".replaying"
"""What is added to the name of a file while it is replayed."""

NAME = '{"rejects": "'
"""What the first line begins with."""

Row = dict[str, Any]


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
        fate: Row = {"hit": None, "fate": "invalid"}
        self._write([self._row(source, one, fate | {"reason": one.reason, "answer": None}) for one in bad])

    def add(self, source: str, entries: Sequence[Entry], fate: str, reason: str, answer: str) -> None:
        """Keep hits that were sent. It is on disk on return. Raises PiwikImportError if the disk does not take them."""
        why: Row = {"fate": fate, "reason": reason, "answer": answer}
        rows = [self._row(source, entry, {"hit": decode(entry.query)} | why) for entry in entries]
        self._write(rows, to_disk=True)

    def close(self) -> None:
        """Close the file, with all that was added on disk."""
        with self._lock:
            if self._file is not None:
                with self._file as file:
                    os.fsync(file.fileno())
                self._file = None

    def _row(self, source: str, one: Entry | BadEntry, fate: Row) -> Row:
        """Return what is written of a line: where it stands, and what became of it."""
        return {"source": source, "line": one.line, "offset": one.begin, "text": utf8(one.text)} | fate

    def _write(self, rows: Sequence[Row], to_disk: bool = False) -> None:
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


class Again(Rejects):
    """The rejects of a replay: the rows of the file that is replayed, as they were but for why they failed again."""

    def _row(self, source: str, one: Entry | BadEntry, fate: Row) -> Row:
        row = read(one.text)
        if row is None:
            return super()._row(source, one, fate)
        return row if fate["hit"] is None else row | fate | {"hit": row["hit"]}


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of `data`, of which a disk that is nearly full takes a part without a word."""
    written = file.write(data)
    while written < len(data):
        written += file.write(data[written:])


def read(line: str) -> Row | None:
    """Return the row on a line of a rejects file; None if it is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and {"hit", "fate", "reason"} <= row.keys() else None


def opened(path: Path) -> BinaryIO:
    """Open a rejects file to append whole lines to it, as others may; one that is replayed meanwhile is another file.

    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "ab", 0)
        fcntl.flock(file, fcntl.LOCK_SH)
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()  # it was just taken away to be replayed
    try:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            _write_all(file, f'{NAME}{secrets.token_hex(8)}"}}\n'.encode("ascii"))
        elif os.pread(file.fileno(), 1, size - 1) != b"\n":
            _write_all(file, b"\n")  # after a line that a full disk has cut off
    except OSError:
        file.close()
        raise
    return file


@contextmanager
def taken_away(path: Path) -> Iterator[Path]:
    """Give a rejects file another name while it is replayed, so that what fails now begins a new one.

    What a replay left that was broken off comes first. Without an exception the file is removed.

    Raises UnavailableError, UsageError.
    """
    away = path.with_name(path.name + REPLAYED)
    try:
        with open(away if away.exists() else path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UnavailableError(
                    f"{printable(str(path))}: an import or a replay is using it; run again"
                ) from None
            if not file.readline(100).startswith(NAME.encode("ascii")):
                raise UsageError(f"{printable(str(path))}: this is no rejects file.")
            if not away.exists():
                path.rename(away)
            fcntl.flock(file, fcntl.LOCK_SH)
            yield away
            away.unlink()
    except OSError as error:
        raise UsageError(f"{printable(str(path))}: {error.strerror}") from None


def check(path: Path) -> None:
    """Make sure that a rejects file can be written, before anything is sent. Raises UsageError."""
    is_new = not path.exists()
    try:
        opened(path).close()
        if is_new:
            path.unlink()  # one that is empty would only make people look into it
    except OSError as error:
        raise UsageError(f"--rejects {printable(str(path))}: {error.strerror}") from None
