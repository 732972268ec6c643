"""The key that visitor ids are made with; and that a log is gone on with under the ids under which it was begun.

An interrupted import keeps a place for each slot of visitors (`translate.SLOTS`). Were its visitors known by something
else in the next run, their hits would be in other slots, and some would be sent twice or never. So what decides who
the visitor is is remembered of each log, and may change only where all slots have come to the same place.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from piwik_import.errors import UsageError, printable
from piwik_import.jobs import Job
from piwik_import.report import Report
from piwik_import.shaping import Shaping, notes

if TYPE_CHECKING:
    from piwik_import.journal import Journal


def fitted(shaping: Shaping, jobs: Sequence[Job], journal: Journal | None, report: Report) -> Shaping:
    """Return `shaping` with its key, fit for all of `jobs`.

    Raises FormatError if a format lacks a field that is asked for, UsageError if a log was begun with other visitors,
    JournalError.
    """
    formats = [job.definition for job in jobs if job.definition is not None]
    for definition in formats:
        shaping.wanted(definition)
    for text in notes(shaping):
        report.note(text)
    if not shaping.visitors.key and any(map(shaping.needs_key, formats)):
        shaping = replace(shaping, visitors=replace(shaping.visitors, key=_key(journal, report)))
    if journal is not None:
        from piwik_import.journal import remember_visitors, visitors_decided_by  # sqlite3: not for a dry run

        for job in jobs:
            if job.stored is None or job.nothing_new:
                continue
            now = shaping.decides_visitors(job.definition)
            before = visitors_decided_by(journal, job.stored)
            if now == before:
                continue
            if job.done is not None:
                raise UsageError(
                    f"{printable(job.source.name)}: its import was interrupted, and visitors were then told apart in"
                    " another way (--visitor-id, its key, or a mapping of cid, _id or cip). Finish it as it was begun,"
                    " and change that afterwards; or import it again with --from-start."
                )
            remember_visitors(journal, job.stored, now)
    return shaping


def _key(journal: Journal | None, report: Report) -> bytes:
    if journal is None:
        report.note("visitor ids were made with a key of this run alone; --visitor-id-key gives one that stays")
        return secrets.token_bytes(32)
    from piwik_import.journal import visitor_id_key

    return visitor_id_key(journal)
