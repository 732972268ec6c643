"""Run the program, and keep beside its journal what would be left of that if the power failed: for stress.py.

    python tests/power.py BOOT FILE arguments…

BOOT stands for the start of the machine that it runs on. FILE holds what the journal held when the program had last
waited for the disk, and nothing of what was written since: it is what counts if the run is killed.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

from piwik_import.cli import main
from piwik_import.journal import rows

boot, kept, *arguments = sys.argv[1:]
waiting = threading.Lock()
wait_for_disk = os.fdatasync


def keep_and_wait(file: int) -> None:
    """Wait for the disk; what is in the journal before is what is on the disk then."""
    journal = Path(f"/proc/self/fd/{file}").readlink()
    with waiting:
        draft = Path(f"{kept}.new")
        draft.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(f"file:{str(journal).removesuffix('-wal')}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(draft)) as copy,
        ):
            source.backup(copy)
        wait_for_disk(file)
        draft.replace(kept)


rows.BOOT = boot
os.fdatasync = keep_and_wait
main(arguments)
