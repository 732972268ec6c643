"""The record on disk of what servers have acknowledged: an SQLite file that outlives crashes and power cuts.

    sources     one row for each log and destination: what it is known by, and how far each of 256 slots has come
    lanes       where each lane of a run has come since that was written, and the chunk of it whose fate is not known:
                written down before a request goes out, settled by what comes after its answer; and what follows it
    secrets     the key of visitor ids
    visitors    what the visitors of a source depend on, besides its lines
    identities  who is behind an anonymous id of Segment's, at the place that all slots have passed

A hit belongs to the slot of its visitor and has been acknowledged if its line ends at or before the slot's place. A
lane serves the slots that leave its number when divided by the number of lanes, so another number of lanes can go on.
Whoever reads a row of `sources` adds what `lanes` has of it, so a run that is killed leaves nothing to be mended.

What is written outlasts the end of the process at once, and that of the machine when it is on disk: `Journal.sync`,
which all calls see to themselves but `save` and `note`. This module knows nothing of lanes.
"""

from piwik_import.journal.file import JournalError, default_path
from piwik_import.journal.keys import remember_visitors, visitor_id_key, visitors_decided_by
from piwik_import.journal.people import known_at, learn
from piwik_import.journal.rows import Doubt, Lane, Stored
from piwik_import.journal.store import Journal, JournalBroken, LockedError

__all__ = [
    "Doubt",
    "Journal",
    "JournalBroken",
    "JournalError",
    "Lane",
    "LockedError",
    "Stored",
    "default_path",
    "known_at",
    "learn",
    "remember_visitors",
    "visitor_id_key",
    "visitors_decided_by",
]
