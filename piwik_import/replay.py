"""A block of a rejects file → a batch of its hits, to be sent again."""

from __future__ import annotations

from piwik_import import rejects
from piwik_import.hits import visitor_key
from piwik_import.parsers.definition import Definition
from piwik_import.source import Block
from piwik_import.tracking import Hit, encode
from piwik_import.translate import BadEntry, Batch, Entry, slot_of, without_format

REJECTS = Definition(name="rejects", title="Lines and hits that an import has kept", source="")
"""What a rejects file is called where logs have a format."""

CERTAIN = frozenset({"rejected"})
"""Fates of hits that the server has certainly not recorded."""


class Replayer:
    """Translates the blocks of a rejects file as `Translator` does those of a log.

    Hits that the server may have recorded stay where they are, unless `uncertain` ones are wanted too.
    """

    def __init__(self, source: int, uncertain: bool) -> None:
        self._source = source
        self._fates = frozenset(rejects.FATES) if uncertain else CERTAIN

    def __call__(self, block: Block) -> Batch:
        """Translate one block. A row that is not sent is a bad line, with the reason that keeps it."""
        if block.cut:
            return without_format(block)
        batch, end = Batch(block.end, block.lines), block.offset
        lines = block.data.decode("latin-1").split("\n")
        for number, line in enumerate(lines[:-1] if not lines[-1] else lines, block.line):
            begin, end = end, end + len(line) + 1
            if not line.strip() or line.startswith(rejects.NAME):
                batch.filtered["blank"] += 1
                continue
            try:
                query, slot = self._hit(line)
            except ValueError as error:  # InvalidHit is one
                batch.bad.append(BadEntry(number, begin, line, str(error)))
            else:
                batch.entries.append(Entry(query, slot, self._source, number, min(end, block.end), begin, line))
        return batch

    def _hit(self, line: str) -> tuple[str, int]:
        """Return the query string and the slot of the hit on a line. Raises ValueError if it is not to be sent."""
        row = rejects.read(line)
        if row is None:
            raise ValueError("this is no line of a rejects file")
        if not isinstance(row["hit"], dict):
            raise ValueError(f"it is no hit: {row['reason']}")
        if row["fate"] not in self._fates:
            raise ValueError(f"{rejects.FATES.get(row['fate'], row['fate'])}; --uncertain sends it again")
        hit: Hit = row["hit"]
        return encode(hit), slot_of(visitor_key(hit))
