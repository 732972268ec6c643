"""Who is behind the anonymous ids of Segment's calls: kept in the journal beside its progress, for each destination.

It works on the journal's own connection, as the rest of this folder does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from piwik_import.journal.file import JournalError
from piwik_import.journal.rows import seal
from piwik_import.journal.store import Journal
from piwik_import.segment import Fact, after


def known_at(journal: Journal, destination: str, place: int) -> str:
    """Return what a place holds, as `segment.identities` writes it. Raises JournalError if that is damaged."""
    rows = journal._rows("SELECT * FROM identities WHERE destination = ? AND place = ?", destination, place)
    if not rows:
        return ""
    *row, found = rows[0]
    if found != seal(row):
        raise JournalError(journal.path, "what it holds of the users of anonymous ids is damaged")
    return str(row[2])


def learn(journal: Journal, destination: str, facts: Sequence[Fact]) -> None:
    """Write down what was learnt, in its order, within a transaction of the journal.

    What is there is changed, not replaced: another process may be importing another log.
    """
    ordered = sorted(facts, key=lambda fact: fact.place)  # which leaves those of one place in their order
    for place, some in groupby(ordered, key=lambda fact: fact.place):
        row = (destination, place, after(known_at(journal, destination, place), some))
        journal._db.execute("REPLACE INTO identities VALUES (?, ?, ?, ?)", (*row, seal(row)))
