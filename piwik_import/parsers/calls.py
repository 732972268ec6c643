"""Calls: objects that tell of no request, but of what a person did.

A format whose file says ``calls = "segment"`` has such lines. What a call says is no word of `FIELDS`; the keys of it
that matter go into ``extra``, and `segment` makes hits of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from piwik_import.parsers.record import Record

WORDS: Mapping[str, Sequence[str]] = {
    "segment": (
        *("type", "event", "name", "properties", "context", "integrations", "anonymousId", "userId", "previousId"),
        *("timestamp", "originalTimestamp", "sentAt", "receivedAt"),
    )
}
"""Whose words there are, and the keys that are read."""

WHO = ("anonymousId", "userId", "previousId")


def is_one(record: Record) -> bool:
    """Tell whether a record is certainly a call, and not an object that happens to have a type: it says of whom."""
    extra = record.extra or {}
    return any(name in extra for name in WHO)
