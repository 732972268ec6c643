"""What is within a wrapped line; and messages of which a wrapper has made several lines, put together again.

Parts of one message come from the same stream; between them may stand lines of others. The lines of a message are one
text here, with line ends between them: so it is handed on, and whoever takes the layers off joins what is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple


class Unwrapped(NamedTuple):
    """One line of a wrapped log, or all lines of a message."""

    message: str
    time: str | None = None
    """As it is written there."""
    stream: str | None = None
    """What the line came from; parts of one message come from the same."""
    goes_on: bool = False
    """Whether the next line of the stream goes on with the message."""


Unwrap = Callable[[str], Unwrapped | None]
"""One line → what is in it; None if it is not wrapped."""


def next_layer(unwrap: Unwrap, around: Unwrapped) -> Unwrapped | None:
    """Take a message out of what the layer around it has left, or of that and the time that it took."""
    return unwrap(around.message) or (unwrap(f"{around.time} {around.message}") if around.time else None)


def unwrapper(layers: Sequence[tuple[Unwrap, bool]]) -> Unwrap:
    """Return what takes layers off the lines of a message, the outermost first, as far as all its parts have them.

    Of each layer it is said whether its time counts. A message may have been cut by any of them, so parts are joined
    between one layer and the next.
    """

    def unwrap(text: str) -> Unwrapped | None:
        held: list[Unwrapped] = []
        time, goes_on = None, False
        for take_off, tells in layers:
            parts = [next_layer(take_off, one) for one in held] or [take_off(line) for line in text.split("\n")]
            found = [part for part in parts if part is not None]
            if len(found) < len(parts):
                break
            held = _joined(found)
            time = (held[-1].time if tells else None) or time
            goes_on = goes_on or held[-1].goes_on
        return Unwrapped("\n".join([one.message for one in held]), time, held[-1].stream, goes_on) if held else None

    return unwrap


def _joined(parts: Sequence[Unwrapped]) -> list[Unwrapped]:
    """Put the parts of messages together; of several messages each is a part of what is within the next layer."""
    messages, begun = [], ""
    for part in parts:
        if not part.goes_on or part is parts[-1]:
            messages.append(part._replace(message=begun + part.message))
        begun = begun + part.message if part.goes_on else ""
    return messages


class Gathered(NamedTuple):
    """The lines of one message."""

    text: str
    last: int
    """The index of the last of them; if its end never came, that of the last line of all."""
    is_whole: bool


def gather(lines: Sequence[str], found: Iterable[Unwrapped | None]) -> Iterator[Gathered]:
    """Yield the lines of each message where its last one stands, and at the end those of messages without an end.

    `found` is what is in each line. One that is not wrapped stands for itself.
    """
    begun: dict[str | None, list[str]] = {}
    for at, (line, one) in enumerate(zip(lines, found, strict=True)):
        if one is not None and one.goes_on:
            begun.setdefault(one.stream, []).append(line)
        else:
            before = begun.pop(one.stream, []) if one is not None else []
            yield Gathered("\n".join([*before, line]), at, True)
    for parts in begun.values():
        yield Gathered("\n".join(parts), len(lines) - 1, False)


def whole(lines: Sequence[str], found: Sequence[Unwrapped | None]) -> Sequence[str]:
    """Return the lines of each message, as an import has them; `lines` itself if none is in parts."""
    if not any(one is not None and one.goes_on for one in found):
        return lines
    return [one.text for one in gather(lines, found)]


def opened(lines: Sequence[str], unwrap: Unwrap) -> tuple[Sequence[str], Sequence[Unwrapped | None]]:
    """Return lines as `whole` does, and what is in each of these."""
    found = [unwrap(line) for line in lines]
    texts = whole(lines, found)
    return texts, found if texts is lines else [unwrap(text) for text in texts]
