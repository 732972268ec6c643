"""The journal's file: where it is, how it is made, opened, checked and brought up to date."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from piwik_import.errors import UsageError, printable
from piwik_import.journal.rows import seal

MIGRATIONS = (
    """
    CREATE TABLE sources (
        id INTEGER PRIMARY KEY AUTOINCREMENT,       -- never used again: it is what locks are taken on
        destination TEXT NOT NULL,
        name TEXT NOT NULL,                         -- as last named, to show
        path TEXT,                                  -- where it lay last, or of a pipe its --journal-name
        format TEXT,
        length INTEGER NOT NULL, digest BLOB NOT NULL,
        device INTEGER, inode INTEGER, size INTEGER, mtime INTEGER, -- as it lay when it was last read to its end
        ends BLOB NOT NULL, lines BLOB NOT NULL,    -- of each slot: place in bytes, lines before it
        mark INTEGER, mark_length INTEGER, mark_digest BLOB,
        hits INTEGER NOT NULL DEFAULT 0,
        updated REAL NOT NULL,
        seal BLOB NOT NULL                          -- a digest of the row, for SQLite does not notice every damage
    );
    CREATE INDEX by_digest ON sources (destination, digest);
    CREATE TABLE in_doubt (
        source INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE,
        run INTEGER NOT NULL,
        lane INTEGER NOT NULL,
        lanes INTEGER NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, -- lines
        "end" INTEGER NOT NULL,
        hits INTEGER NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (source, run, lane)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE lanes (
        source INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE,
        run INTEGER NOT NULL,
        lane INTEGER NOT NULL,
        lanes INTEGER NOT NULL,
        place INTEGER NOT NULL, line INTEGER NOT NULL, -- up to which its hits have been acknowledged
        tracked INTEGER NOT NULL,                   -- how many that were, beside those that the source's row counts
        first INTEGER, last INTEGER,                -- lines of the chunk in doubt, if there is one
        "end" INTEGER,
        hits INTEGER,
        since REAL,
        seal BLOB NOT NULL,
        PRIMARY KEY (source, run, lane)
    ) WITHOUT ROWID;
    INSERT INTO lanes
        SELECT source, run, lane, lanes, 0, 0, 0, first, last, "end", hits, since,
            seal(source, run, lane, lanes, 0, 0, 0, first, last, "end", hits, since)
        FROM in_doubt;
    DROP TABLE in_doubt;
    """,
    """
    CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE visitors (                         -- what the slots of a log's visitors depend on besides its lines
        source INTEGER PRIMARY KEY REFERENCES sources ON DELETE CASCADE,
        decided_by TEXT NOT NULL
    );
    """,
    """
    ALTER TABLE sources ADD COLUMN mark_lines INTEGER;  -- before the mark
    ALTER TABLE sources ADD COLUMN mark_header BLOB;    -- what governs the lines below it
    UPDATE sources SET seal = seal(destination, name, path, format, length, digest, device, inode, size, mtime,
            ends, lines, mark, mark_length, mark_digest, NULL, NULL, hits, updated)
        WHERE seal = seal(destination, name, path, format, length, digest, device, inode, size, mtime,
            ends, lines, mark, mark_length, mark_digest, hits, updated); -- what was damaged stays so
    """,
    """
    CREATE TABLE identities (
        destination TEXT NOT NULL,
        place INTEGER NOT NULL,
        held TEXT NOT NULL,                         -- what the module segment.identities keeps in it
        seal BLOB NOT NULL,
        PRIMARY KEY (destination, place)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE lanes ADD COLUMN ahead_first INTEGER; -- the chunk that follows the one in doubt, and is not sent yet
    ALTER TABLE lanes ADD COLUMN ahead_last INTEGER;
    ALTER TABLE lanes ADD COLUMN ahead_end INTEGER;
    ALTER TABLE lanes ADD COLUMN ahead_hits INTEGER;
    ALTER TABLE lanes ADD COLUMN ahead_since REAL;
    ALTER TABLE lanes ADD COLUMN boot TEXT;         -- the start of the machine for which that holds
    UPDATE lanes SET seal = seal(source, run, lane, lanes, place, line, tracked, first, last, "end", hits, since,
            NULL, NULL, NULL, NULL, NULL, NULL)
        WHERE seal = seal(source, run, lane, lanes, place, line, tracked, first, last, "end", hits, since);
    """,
)
"""What makes each version of the file out of the one before; the number of versions is its ``user_version``."""

APPLICATION = 0x50494D50  # "PIMP": tells our files from other people's


class JournalError(UsageError):
    """The journal cannot be used."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(
            f"journal {printable(str(path))}: {reason}. Mend it, or move it away to begin a new one (which imports the"
            " logs again from their beginnings), or choose another with --journal."
        )


def default_path() -> Path:
    """Return where the journal is if nobody says otherwise."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "piwik-import" / "journal.db"


def open_file(path: Path) -> sqlite3.Connection:
    """Open the journal at `path`, or make it. Raises JournalError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(Path(os.path.realpath(path)))
        elif path.stat().st_size == 0:
            raise JournalError(path, "the file is empty, so what it held is lost")
        db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            _check(db, path)
        except BaseException:
            db.close()
            raise
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # the last: names in a damaged schema
        raise JournalError(path, error) from None
    return db


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Make sure that the file is ours, whole, writable and of this version; until then nothing in it is changed."""
    if db.execute("PRAGMA application_id").fetchone() != (APPLICATION,):
        raise JournalError(path, "this is no journal of piwik-import")
    _set_up(db)
    (damage,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if damage != "ok":
        raise JournalError(path, f"the file is damaged ({printable(damage)})")
    db.execute("BEGIN IMMEDIATE")
    _migrate(db, path)
    db.execute("COMMIT")


def _create(path: Path) -> None:
    """Make a new journal that is never seen half made, even if we die on the way."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    _remove(draft)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    db = sqlite3.connect(draft, isolation_level=None)
    try:
        _set_up(db)
        db.execute("BEGIN")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        _migrate(db, path)
        db.execute("COMMIT")
        db.close()
        os.link(draft, path)
    except FileExistsError:  # another process was quicker
        pass
    finally:
        db.close()
        _remove(draft)


def _remove(draft: Path) -> None:
    """Remove a database, and what SQLite leaves beside it when the disk is full."""
    for end in ("", "-wal", "-shm"):
        Path(f"{draft}{end}").unlink(missing_ok=True)


def _set_up(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    # The file is whole at any time; who must know that something is on disk says so: `Journal.sync`.
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    # To write where SQLite's log has been written before takes 0.07 ms of CPU a chunk, to make it grow 0.11.
    db.execute("PRAGMA wal_autocheckpoint = 50")


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise JournalError(path, f"a newer piwik-import has written it (version {version} of its form)")
    db.create_function("seal", -1, lambda *row: seal(row))
    for migration in MIGRATIONS[version:]:
        for statement in migration.split(";"):
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
