"""Where records end, in logs that do not give each a line of its own.

Two kinds: objects of JSON that are spread over several lines, or of which several stand in one (an array, pretty
printed or not); and messages of which a wrapper makes several lines. Blocks are cut where a record ends, so that none
lies in two of them, and a run that goes on always begins between two records.

An object, or a message with all that came between its parts, is held in memory until it ends, objects up to `HELD`
bytes. Of these, as of lines, what is longer than `LINE_LIMIT` is invalid.

A hit ends where its object does, before the comma or the line's end behind it: that is the same however the bytes come.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import accumulate

from piwik_import.parsers import messages, wrappers
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.messages import Unwrap
from piwik_import.parsers.wrappers import Wrapper
from piwik_import.source import BLOCK_SIZE, LINE_LIMIT, SHOWN, Block, Source

Text = tuple[str, int, int]
"""Text of one record, number of its last line, and where it ends in the source."""

HELD = 16 * LINE_LIMIT
"""Bytes of an object whose end is waited for; what is longer is cut, and read from there on as it looks."""

BRACES = re.compile(rb'[^{}"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^{}"]*+)*+([{}])', re.DOTALL)
"""All up to the next brace that is not within a text."""

ENVELOPE = re.compile(rb'\{\s*"(?:records|Records|events|logEvents)"\s*:\s*\[')
"""What may stand before the objects of an export, besides the bracket of an array."""

BEGUN = re.compile(rb'\{\s*(?:"[A-Za-z]*(?:"\s*(?::\s*)?)?)?\Z')
"""What may become an envelope when more of it comes."""


def is_spread(head: bytes) -> bool:
    """Tell whether a log that begins so is JSON whose objects are not each on a line of their own."""
    text = head.lstrip(b"\xef\xbb\xbf\0 \t\r\n")
    if text.startswith(b"["):
        return re.match(rb"\[\s*\{", text) is not None
    if not text.startswith(b"{"):
        return False
    first, newline, rest = text.partition(b"\n")
    if ENVELOPE.match(text):
        return True
    return bool(newline) and not _is_whole(first) and rest[:1] not in (b"{", b"") and _is_whole(text)


def is_enough(head: bytes) -> bool:
    """Tell whether the beginning of a pipe is long enough to tell its shape by: a line, and of JSON an object.

    A line that is only the beginning of a message is not enough: to recognise what is within takes all of it.
    """
    text = head.lstrip(b"\xef\xbb\xbf\0 \t\r\n")
    if text.startswith(b"{") or re.match(rb"\[\s*(?:\{|\Z)", text):
        whole = next(_objects(text), None) is not None and (b"\n" in text or is_spread(text))
        return whole and not _only_begins(text)
    return b"\n" in text and not _only_begins(text)


def _only_begins(text: bytes) -> bool:
    """Tell whether a wrapper goes on after each of the whole lines that there are."""
    lines = text.decode("latin-1").split("\n")[:-1]
    parted = [one for one in wrappers.known().values() if lines and one.has_parts and one.may_have_parts(text)]
    found = (messages.gather(lines, map(one.compile(), lines)) for one in parted)
    return any(not any(message.is_whole for message in several) for several in found)


def objects(head: bytes) -> list[str]:
    """Return the whole objects that a log begins with, each without the lines' ends in it."""
    return [text for _, _, text in _objects(head)]


def of(definition: Definition) -> tuple[Callable[[Block], bool], Callable[[Block], Iterator[Text]]]:
    """Return what tells whether a block has records that are no lines, and what takes them out of it."""
    if definition.spread:
        return (lambda _: True), _records_of_json
    wrapper = definition.wrapper
    if wrapper is None or not wrapper.has_parts or definition.columns is not None:
        return (lambda _: False), lambda _: iter(())
    unwrap = wrapper.compile()
    return (lambda block: wrapper.may_have_parts(block.data)), lambda block: _joined(block, unwrap)


def blocks(source: Source, definition: Definition, offset: int, line: int) -> Iterator[Block]:
    """Yield the blocks of a source from `offset` on, each ending where a record ends."""
    if definition.spread:
        return _json_blocks(source, offset, line)
    if definition.wrapper is not None and definition.wrapper.has_parts:
        return _whole_messages(source, source.blocks(offset, line), definition.wrapper)
    return source.blocks(offset, line)


@dataclass(slots=True)
class Place:
    """How far the objects in a text have been looked for: nothing is read twice, however long one takes to end."""

    at: int = 0
    depth: int = 0
    """So many objects have begun and not ended."""
    start: int = 0
    """Where the outermost of them has begun."""


def _spans(text: bytes, place: Place) -> Iterator[tuple[int, int]]:
    """Yield where each object begins and ends, from a place on; the place is then where the text has said no more."""
    while True:
        if place.depth == 0:
            start = text.find(b"{", place.at)
            place.start = place.at = len(text) if start < 0 else start
            if start < 0 or BEGUN.match(text, start):
                return
            if envelope := ENVELOPE.match(text, start):
                place.at = envelope.end()
                continue
        found = BRACES.match(text, place.at)
        if found is None:
            return
        place.at = found.end()
        place.depth += 1 if found[1] == b"{" else -1
        if place.depth == 0:
            yield place.start, place.at


def _is_whole(text: bytes) -> bool:
    """Tell whether an object ends in a text."""
    return next(_spans(text, Place()), None) is not None


def _objects(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield the whole objects in `data`: where each begins and ends, and its text."""
    for start, end in _spans(data, Place()):
        yield start, end, data[start:end].decode("latin-1").replace("\n", " ").replace("\r", " ")


def _json_blocks(source: Source, offset: int, line: int) -> Iterator[Block]:
    """Yield blocks of whole objects; what stands between two of them begins the later block."""
    held, start, place = b"", offset, Place()
    with closing(source.pieces(offset, min(BLOCK_SIZE, LINE_LIMIT))) as pieces:
        for _, piece in pieces:
            held += piece
            last = max((end for _, end in _spans(held, place)), default=0)
            if last or len(held) > HELD:
                data, held = (held[:last], held[last:]) if last else (held, b"")
                place = Place(place.at - last, place.depth, place.start - last) if last else Place()
                lines, end = data.count(b"\n"), start + len(data)
                yield (
                    Block(data, start, end, line, lines) if last else Block(data[:SHOWN], start, end, line, lines, True)
                )
                line, start = line + lines, end
            source.unfinished = len(held) if b"{" in held else 0
    if b"{" in held and not source.growing:
        source.unfinished = 0
        yield Block(held, start, start + len(held), line, held.count(b"\n"))


def _records_of_json(block: Block) -> Iterator[Text]:
    """Take the objects out of a block; what is left at the end of the last one is an object that is not whole."""
    end, line = 0, block.line
    for start, stop, text in _objects(block.data):
        line += block.data.count(b"\n", end, stop)
        end = stop
        yield text if end - start <= LINE_LIMIT else text[:SHOWN], line, block.offset + end
    if block.data.find(b"{", end) >= 0:
        rest = block.data[end:].decode("latin-1").strip(" \t\r\n,[]")
        yield rest[:LINE_LIMIT], block.line + block.data.rstrip().count(b"\n"), block.end


def _joined(block: Block, unwrap: Unwrap) -> Iterator[Text]:
    """Put the parts of messages together: the lines of each, as one text, end where its last line does."""
    lines = block.data.decode("latin-1").split("\n")
    if not lines[-1]:
        lines.pop()
    ends = [*accumulate((len(line) + 1 for line in lines), initial=block.offset)]
    for text, at, _ in messages.gather(lines, map(unwrap, lines)):
        yield text, block.line + at, min(ends[at + 1], block.end)


def _whole_messages(source: Source, lines: Iterator[Block], wrapper: Wrapper) -> Iterator[Block]:
    """Move what a block ends with into the next one, as long as the message it belongs to goes on there."""
    unwrap = wrapper.compile()
    held: Block | None = None
    for block in lines:
        if block.cut:
            if held is not None:
                yield held
            held = None
            yield block
            continue
        if held is not None and held.end == block.offset:
            block = replace(held, data=held.data + block.data, end=block.end, lines=held.lines + block.lines)
        elif held is not None:
            yield held
        held = None
        cut = _first_open(block, unwrap) if wrapper.may_have_parts(block.data) else len(block.data)
        if len(block.data) - cut > LINE_LIMIT:
            cut = len(block.data)
        done, rest = block.data[:cut], block.data[cut:]
        count = done.count(b"\n")
        if rest:
            held = Block(rest, block.offset + cut, block.end, block.line + count, block.lines - count)
        if done:
            yield replace(block, data=done, end=block.offset + cut, lines=count) if rest else block
    if held is not None:
        if source.growing:
            source.unfinished += len(held.data)
        else:
            yield held


def _first_open(block: Block, unwrap: Unwrap) -> int:
    """Return where the first message begins whose last line is not in the block; its length if there is none."""
    open_at: dict[str | None, int] = {}
    at = 0
    for line in block.data.decode("latin-1").split("\n"):
        if line and (found := unwrap(line)) is not None:
            if found.goes_on:
                open_at.setdefault(found.stream, at)
            else:
                open_at.pop(found.stream, None)
        at += len(line) + 1
    return min(open_at.values(), default=len(block.data))
