"""What visitor ids are made with, and what they depended on in each log: kept in the journal beside its progress.

It works on the journal's own connection, as the rest of this folder does.
"""

from __future__ import annotations

import secrets

from piwik_import.journal.rows import Stored
from piwik_import.journal.store import Journal


def visitor_id_key(journal: Journal) -> bytes:
    """Return the key of visitor ids; made when first asked for, and the same ever after. Raises JournalBroken."""
    with journal._transaction():
        insert = "INSERT OR IGNORE INTO secrets VALUES ('visitor-id-key', ?)"
        journal._db.execute(insert, (secrets.token_bytes(32),))
        ((key,),) = journal._rows("SELECT value FROM secrets WHERE name = 'visitor-id-key'")
    return bytes(key)


def visitors_decided_by(journal: Journal, source: Stored) -> str:
    """Return what `remember_visitors` was told of a log last; empty if nothing."""
    rows = journal._rows("SELECT decided_by FROM visitors WHERE source = ?", source.id)
    return str(rows[0][0]) if rows else ""


def remember_visitors(journal: Journal, source: Stored, decided_by: str) -> None:
    """Write down what the visitors of a log depend on in this run. Raises JournalBroken."""
    with journal._transaction():
        journal._db.execute("INSERT OR REPLACE INTO visitors VALUES (?, ?)", (source.id, decided_by))
