"""A month of a busy site, imported every hour: each line's hit arrives once, whatever logrotate and the power do."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import START, line_of

KEPT = 7
RECORDERS, CHUNK = 4, 20
COPYTRUNCATE, REBOOT = (11, 0), (19, 9)
"""Day, and hour of the reboot."""


class Site:
    """A site that is visited, and whose log is rotated."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.dice = random.Random(20260305)
        self.lines = 0
        self.half = b""
        """The rest of a line that is not finished yet."""

    def visits(self, hour: int, busy: int, log: Path | None = None) -> None:
        """Write what is visited within an hour: a few lines are late, and the last may be unfinished."""
        data = self.half
        for _ in range(self.dice.randrange(busy)):
            late = self.dice.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, 4000))
            time = START + timedelta(hours=hour, seconds=self.dice.randrange(3600) - late)
            data += line_of(self.lines, f"198.18.0.{self.dice.randrange(250)}", time).encode()
            self.lines += 1
        whole = len(data) - self.dice.choice((0, 0, 40)) if data and log is None else len(data)
        data, self.half = data[:whole], data[whole:]
        with (log or self.log).open("ab") as file:
            file.write(data)

    def finish(self) -> None:
        """Write the rest of the last line."""
        with self.log.open("ab") as file:
            file.write(self.half)
        self.half = b""

    def rotate(self, by_copy: bool) -> None:
        """Do as logrotate does with `daily`, `compress`, `delaycompress` and perhaps `copytruncate`."""
        for age in range(KEPT, 1, -1):
            with suppress(FileNotFoundError):
                Path(f"{self.log}.{age}.gz").rename(f"{self.log}.{age + 1}.gz")
        Path(f"{self.log}.{KEPT + 1}.gz").unlink(missing_ok=True)
        yesterday = Path(f"{self.log}.1")
        if yesterday.exists():
            status = yesterday.stat()
            packed = Path(f"{self.log}.2.gz")
            packed.write_bytes(gzip.compress(yesterday.read_bytes(), 1))
            os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
            yesterday.unlink()
        if by_copy:
            self.finish()
            shutil.copy2(self.log, yesterday)
            os.truncate(self.log, 0)
        else:
            self.log.rename(yesterday)
            self.visits(0, 5, yesterday)  # until the server has opened its new log
            self.log.touch()


@pytest.fixture
def import_now(run_here, server):
    """Return a function that imports and returns the summary."""

    def run(*arguments):
        outcome = run_here("--summary", "json", "--progress", "none", *arguments, env=server)
        assert outcome.code == 0, outcome.stderr
        return outcome.summary

    return run


@pytest.mark.timeout(300)
@pytest.mark.parametrize("names", ["log", "glob"])
def test_each_line_of_a_month_arrives_once(import_now, start_program, server, tracker, tmp_path, names):
    site = Site(tmp_path / "access.log")
    named = site.log if names == "log" else tmp_path / "access.log*"
    days, rotations, doubtful = (30 if names == "log" else 5), 0, set()
    in_flight: set[str] = set()
    for day in range(days):
        for hour in range(24):
            site.visits(24 * day + hour, 4 if hour < 6 else 30)
            if (day, hour) == REBOOT:
                site.visits(24 * day + hour, 900)
                tracker.pause = lambda: 0.05
                process = start_program(named, "--recorders", RECORDERS, "--chunk-size", CHUNK, env=server)
                tracker.wait_for_bulks(len(tracker.bulks) + 9)
                process.kill()
                process.wait()
                # The last ones that came, or one before whose lane has been slow to see its answer.
                in_flight = {hit["url"] for bulk in tracker.bulks[-8:] for hit in bulk.hits}
                tracker.pause = lambda: 0.0
            said = import_now(named)["notes"]
            rotations += sum("was rotated" in note for note in said)
            doubtful |= {note for note in said if "not known" in note}
        site.visits(24 * day + 23, 20)
        site.rotate(by_copy=day == COPYTRUNCATE[0])
    site.finish()
    import_now(named)
    counts = Counter(hit["url"] for hit in tracker.recorded)
    assert counts.keys() == {f"http://example.org/{number}" for number in range(site.lines)}
    twice = {url for url, count in counts.items() if count > 1}
    assert twice <= in_flight
    assert len(twice) <= RECORDERS * CHUNK
    assert len(doubtful) == (days > REBOOT[0])
    assert names == "glob" or rotations > 0.8 * days  # each began with what was left of the day before, if anything was
    assert import_now(named)["lines"]["read"] == 0
