"""The journal as the rest of the program uses it: look up, write down, lock."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import struct
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from piwik_import.errors import UnavailableError, printable
from piwik_import.identity import Digest, digest
from piwik_import.journal.file import JournalError, open_file
from piwik_import.journal.rows import (
    COLUMNS,
    LANE_COLUMNS,
    Doubt,
    Lane,
    Stored,
    file_to_db,
    from_row,
    lane_from_row,
    lane_to_row,
    name_to_db,
    to_row,
)
from piwik_import.translate import SLOTS

PLACES = ", ".join("?" * len(COLUMNS.split(",")))
LANE = f"({', '.join('?' * len(LANE_COLUMNS.split(',')))})"
WRITE_LANES = f"REPLACE INTO lanes ({LANE_COLUMNS}) VALUES "
FEW = 50
"""Lanes that one statement takes: SQLite has room for 999 values in each, or for more."""


class JournalBroken(UnavailableError):
    """The journal can no longer be written, in the middle of an import."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(
            f"journal {printable(str(path))}: {reason}. The import was stopped: what could not be written down would"
            " be imported twice. When that is mended, run again."
        )


class LockedError(UnavailableError):
    """Another process is importing the same log to the same destination."""

    def __init__(self, source: Stored, process: int) -> None:
        name, self.source = source.name, source
        who = f"process {process}" if process else "another process"
        super().__init__(f"{printable(name)}: {who} is importing this log already. --wait SECONDS waits for it.")


class Journal:
    """One journal file. Safe to use from several threads, and beside other processes.

    Raises JournalError for a file that is damaged, foreign, of a newer version, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._locks: int | None = None
        self._db = open_file(path)
        self._file = os.path.realpath(path)  # whatever it is called, what lies beside it is one and the same
        try:
            self._log: int | None = os.open(f"{self._file}-wal", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            self._db.close()
            raise JournalError(path, error) from None

    def close(self) -> None:
        """Release the file and all locks."""
        self._db.close()
        if self._log is not None:
            os.close(self._log)
            self._log = None
        self.unlock()

    def unlock(self) -> None:
        """Let go of all locks."""
        if self._locks is not None:
            os.close(self._locks)
            self._locks = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sync(self) -> None:
        """Have all that was written outlast a power failure. Raises JournalBroken.

        It is in SQLite's write-ahead log by then, which is a file beside the journal, and SQLite's own way of waiting
        for the disk (``synchronous=FULL``) would make all others who write wait too: https://sqlite.org/wal.html
        """
        assert self._log is not None
        try:
            (os.fdatasync if sys.platform == "linux" else os.fsync)(self._log)
        except OSError as error:
            raise JournalBroken(self.path, error) from None

    @contextmanager
    def _transaction(self, *, lasting: bool = True) -> Iterator[None]:
        """Write all that the block writes or nothing; unless it is `lasting`, `sync` must be called."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise JournalBroken(self.path, error) from None
            finally:
                if self._db.in_transaction:
                    with suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")
        if lasting:
            self.sync()

    # Looking up

    def stored(self) -> list[Stored]:
        """Return all rows, the one that was updated last first."""
        return self._stored("1")

    def lying_as(self, destination: str, file: tuple[int, int, int, int]) -> list[Stored]:
        """Return the logs whose files lie as they did when they were last read to their ends."""
        same = "destination = ? AND device = ? AND inode = ? AND size = ? AND mtime = ?"
        return self._stored(same, destination, *file_to_db(file))

    def at_path(self, destination: str, path: str) -> list[Stored]:
        """Return the logs that lay at `path` last."""
        return self._stored("destination = ? AND path = ?", destination, name_to_db(path))

    def reread(self, source: Stored) -> Stored:
        """Return a row as it is now. Raises JournalBroken if it has gone."""
        for stored in self._stored("id = ?", source.id):
            return stored
        raise JournalBroken(self.path, f"{source.name} was just struck out of it")

    def _stored(self, where: str, *values: object) -> list[Stored]:
        rows = self._rows(f"SELECT id, {COLUMNS} FROM sources WHERE {where} ORDER BY updated DESC, id DESC", *values)
        try:
            found = [from_row(row) for row in rows]
            for one in found:
                for row in self._rows(f"SELECT {LANE_COLUMNS} FROM lanes WHERE source = ?", one.id):
                    lane = lane_from_row(row)
                    one.advance(lane.lane, lane.lanes, lane.place, lane.line)
                    one.hits += lane.tracked
                    one.doubts += [lane.doubt] if lane.doubt else []
                one.doubts.sort(key=lambda doubt: doubt.first)
        except ValueError as error:
            raise JournalError(self.path, error) from None
        return found

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise JournalError(self.path, error) from None

    def beginning_with(self, destination: str, beginning: bytes) -> list[Stored]:
        """Return the logs of `destination` that begin as this one does, the one that was read furthest first."""
        lengths = self._rows("SELECT DISTINCT length FROM sources WHERE destination = ?", destination)
        digests = [digest(beginning[:length]).value for (length,) in lengths if length <= len(beginning)]
        marks = ",".join("?" * len(digests))
        found = self._stored(f"destination = ? AND digest IN ({marks})", destination, *digests)
        return sorted(found, key=lambda one: (one.place, one.beginning.length), reverse=True)

    # Writing

    def add(self, destination: str, name: str, path: str | None, beginning: Digest) -> Stored:
        """Begin a row for a log that is not known yet, or return the one that another process has just begun."""
        nothing = bytes(8 * SLOTS)
        with self._transaction():
            same = "destination = ? AND digest = ? AND path IS ? AND updated = 0"
            if found := self._stored(same, destination, beginning.value, name_to_db(path)):
                return found[0]
            new = Stored(0, destination, name, path, None, beginning, None, array("Q", nothing), array("Q", nothing))
            cursor = self._db.execute(f"INSERT INTO sources ({COLUMNS}) VALUES ({PLACES})", to_row(new))
            (added,) = self._stored("id = ?", cursor.lastrowid)
        return added

    def save(
        self, sources: Iterable[Stored], lanes: Iterable[Lane] = (), besides: Callable[[], None] | None = None
    ) -> None:
        """Write down how far sources have come, and where lanes are; and `besides`, in the same transaction.

        It outlasts a power failure once `sync` has been called.

        Of the sources' own lanes nothing else is kept: what those have done is in the sources' rows by now. Chunks of
        earlier runs stay in doubt as long as `strike_out` is not called.
        """
        now = time.time()
        with self._transaction(lasting=False):
            for one in sources:
                one.updated = now
                self._write(one)
            self._db.executemany(WRITE_LANES + LANE, map(lane_to_row, lanes))
            if besides is not None:
                besides()

    def note(self, lanes: Sequence[Lane]) -> None:
        """Write down where lanes are, and nothing else; it outlasts a power failure once `sync` has been called.

        It is what each chunk waits for, so it is one statement: every call of SQLite's lets go of Python's lock, and to
        get that back from the thread that translates takes milliseconds and two switches.
        """
        if len(lanes) > FEW:
            self.save([], lanes)
            return
        with self._lock:
            try:
                values = [value for lane in lanes for value in lane_to_row(lane)]
                self._db.execute(WRITE_LANES + ", ".join([LANE] * len(lanes)), values)
            except sqlite3.Error as error:
                raise JournalBroken(self.path, error) from None

    def strike_out(self, doubts: Iterable[Doubt]) -> None:
        """Forget chunks that were in doubt, whose hits their source's row has as acknowledged."""
        with self._transaction():
            keys = [(doubt.source, doubt.run, doubt.lane) for doubt in doubts]
            self._db.executemany("DELETE FROM lanes WHERE source = ? AND run = ? AND lane = ?", keys)

    def move(self, source: Stored, name: str, path: str | None) -> None:
        """Note how a log is called now, and nothing else: another process may be importing it."""
        with self._transaction():
            now = self.reread(source)
            now.name, now.path = name, path
            self._write(now)
        source.name, source.path = name, path

    def _write(self, one: Stored) -> None:
        """Write a source's row, with which those of its lanes are void but for what is in doubt."""
        self._db.execute(f"UPDATE sources SET ({COLUMNS}) = ({PLACES}) WHERE id = ?", (*to_row(one), one.id))
        self._db.execute("DELETE FROM lanes WHERE source = ?", (one.id,))
        lanes = [Lane(doubt.source, doubt.run, doubt.lane, doubt.lanes, 0, 0, 0, doubt) for doubt in one.doubts]
        self._db.executemany(WRITE_LANES + LANE, map(lane_to_row, lanes))

    def forget(self, source: Stored) -> None:
        """Strike out a source: it will be imported from its beginning. Raises LockedError while it is imported."""
        self.lock(source, 0)
        with self._transaction():
            self._db.execute("DELETE FROM sources WHERE id = ?", (source.id,))

    # Locks

    def lock(self, source: Stored, patience: float) -> None:
        """Keep other processes from importing `source`, until this one ends. Raises LockedError.

        A lock of the kernel on one byte of a file, which no dead process can hold.
        """
        until = time.monotonic() + patience
        try:
            if self._locks is None:
                self._locks = os.open(f"{self._file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            while not _lock(self._locks, source.id):
                if time.monotonic() >= until:
                    raise LockedError(source, _holder(self._locks, source.id))
                time.sleep(0.1)
        except OSError as error:
            raise JournalError(self.path, f"its locks cannot be had ({error})") from None


def _lock(file: int, byte: int) -> bool:
    """Lock a byte of a file, if no other process has."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        return False
    return True


def _holder(file: int, byte: int) -> int:
    """Return the process that holds the lock on a byte; 0 if it has just let go of it, or the system does not say."""
    if sys.platform != "linux":
        return 0
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    kind, _, _, _, process = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))
    return int(process) if kind != fcntl.F_UNLCK else 0
