"""What others see of our command line: `ps` shows it to every user of the machine, and so a token in it.

On Linux the arguments lie in our own memory, and the kernel says where (proc(5), /proc/pid/stat, fields 48 and 49).
What is overwritten there is what `ps` shows from then on.
"""

from __future__ import annotations

import sys
from pathlib import Path


def hide(secret: str) -> bool:
    """Overwrite `secret` at the end of every argument of this process; False if it can still be seen."""
    text = secret.encode("utf-8", "surrogateescape")
    if not sys.platform.startswith("linux"):
        return False
    try:
        shown = _arguments()
        places = _places(shown, text)
        if places:
            _overwrite(shown, places, len(text))
        return not _places(_arguments(), text)
    except (OSError, ValueError, IndexError, ImportError):  # /proc is not there, or hidden; or there is no ctypes
        return False


def _arguments() -> bytes:
    return Path("/proc/self/cmdline").read_bytes()


def _places(shown: bytes, text: bytes) -> list[int]:
    """Return where `text` ends an argument."""
    places, end = [], 0
    for argument in shown.split(b"\0"):
        end += len(argument) + 1
        if argument.endswith(text):
            places.append(end - 1 - len(text))
    return places


def _overwrite(shown: bytes, places: list[int], length: int) -> None:
    import ctypes

    # The name of the program, in parentheses, may hold spaces; after it comes field 3.
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    if not start or end - start < len(shown) or ctypes.string_at(start, len(shown)) != shown:
        return
    for place in places:
        ctypes.memset(start + place, ord("*"), length)
