"""Which start of the machine this is: what a process has written outlasts its end, but not that of the machine."""

from __future__ import annotations

from pathlib import Path


def _boot() -> str:
    """Return a name that no other start of this or another machine has; "" where the system gives none.

    Source: https://www.kernel.org/doc/html/latest/admin-guide/sysctl/kernel.html#random
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


BOOT = _boot()
