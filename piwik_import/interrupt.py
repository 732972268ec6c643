"""Ctrl-C and SIGTERM: noted where work must be finished, obeyed at once where it may wait for ever."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from piwik_import.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Whether the user has asked to stop, and asked again."""

    def __init__(self) -> None:
        self.asked = False
        self.insisted = False
        self._breaks = False

    def handle(self, _signal: int, _frame: FrameType | None) -> None:
        """Answer a signal."""
        self.insisted = self.asked
        self.asked = True
        if not self.insisted:
            with suppress(OSError):  # a closed stderr must not keep us from stopping
                os.write(2, b"piwik-import: finishing what is in flight; once more to leave it\n")
        if self._breaks:
            self._breaks = False
            raise Interrupted("Interrupted.")

    @contextmanager
    def breaks(self) -> Iterator[None]:
        """Within this, the signal raises Interrupted at once; so does one that came before."""
        self._breaks = True
        try:
            if self.asked:
                raise Interrupted("Interrupted.")
            yield
        finally:
            self._breaks = False

    def check(self) -> None:
        """Raise Interrupted if the user has asked to stop."""
        if self.asked:
            raise Interrupted("Interrupted: what was in flight was finished, nothing more was sent.")


@contextmanager
def handled() -> Iterator[Interrupt]:
    """Answer the signals by an `Interrupt` until the end of the block."""
    interrupt = Interrupt()
    before = {number: signal.signal(number, interrupt.handle) for number in SIGNALS}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
