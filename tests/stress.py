"""Kill the import again and again, at any moment, and count what the server gets: once each, or named as in doubt.

    python tests/stress.py                     200 kills; prints its seed
    python tests/stress.py --seed 7 --kills 20 the same again

A *campaign* is some logs that grow while runs of the program are killed over them, and one last run that is left alone.
The law, which `campaign` asserts:

    hits received over all runs = hits of one run that nobody disturbed
                                + only hits of chunks that were in doubt at a kill -9, each named by the last run

After SIGTERM or Ctrl-C instead of kill -9 nothing is in doubt and nothing comes twice. In half of the campaigns it is
mostly the power that fails: besides the program being killed, the journal loses what it had not waited for the disk
with (`power`), and the machine starts anew.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, field
from datetime import timedelta
from pathlib import Path
from zlib import crc32

from conftest import START, Tracker, line_of, tracking

import piwik_import
from piwik_import.journal.boot import BOOT

SLOTS = 256
KINDS = ("",) * 8 + (".css", "?q=1")
"""What pages end in; a .css is left out."""


@dataclass
class Log:
    """A log that is written bit by bit."""

    path: Path
    lines: list[bytes]
    visitors: list[str]
    packed: bool = False
    written: int = 0
    """Bytes."""

    def grow(self, share: float) -> None:
        """Write on, up to a share of the whole, which may be in the middle of a line."""
        data = b"".join(self.lines)
        if self.packed:
            self.path.write_bytes(gzip.compress(data, 1))
            return
        end = max(self.written, int(len(data) * share))
        with self.path.open("ab") as file:
            file.write(data[self.written : end])
        self.written = end


PROGRAM = ("-m", "piwik_import")

DOUBTS = """
    SELECT name, run, lane, lanes, ifnull(first, ahead_first), iif(boot <> ?, ahead_last, last),
        ifnull(lanes.hits, 0) + iif(boot <> ?, ahead_hits, 0)
    FROM lanes JOIN sources ON id = source
    WHERE first IS NOT NULL OR boot <> ?
"""
"""What is in doubt: the chunk that is on its way, and what follows it if the machine has been started since."""


@dataclass
class Outcome:
    """What a campaign has shown."""

    kills: int = 0
    hits: int = 0
    twice: int = 0
    doubts: int = 0
    untold: int = 0


@dataclass
class Campaign:
    """The logs, the server and the journal of one campaign."""

    dice: random.Random
    folder: Path
    tracker: Tracker
    power_fails: bool = False
    boots: int = 1
    """How often the machine has been started."""
    logs: list[Log] = field(default_factory=list)
    in_doubt: Counter[str] = field(default_factory=Counter)
    """How often the hit of a page was in doubt at a kill."""
    seen: dict[tuple[int, int, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """Pages of each chunk in doubt, by run, lane and source."""
    untold: int = 0
    """Chunks that a run has struck out of the journal, and died before its summary named them: there must be none."""
    unnamed: dict[tuple[int, int, str], tuple[int, int]] = field(default_factory=dict)
    """First and last lines of chunks in doubt that the next run that comes to its end must name."""

    @property
    def journal(self) -> Path:
        return self.folder / ".local/state/piwik-import/journal.db"

    @property
    def kept(self) -> Path:
        """What a power failure leaves of the journal."""
        return self.folder / "kept.db"

    def start(self, *more: object) -> subprocess.Popen[bytes]:
        """Start the program on all logs, with other settings each time."""
        options = [
            "--recorders",
            self.dice.choice((1, 2, 3, 4, 7)),
            "--chunk-size",
            self.dice.choice((1, 3, 10, 40, 200)),
        ]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(piwik_import.__file__).parent.parent),
            "PYTHONUTF8": "1",
            "HOME": str(self.folder),
            "PIWIK_URL": self.tracker.url,
            "PIWIK_TOKEN": self.tracker.token,
            "PIWIK_SITE": "1",
        }
        names = [log.path for log in self.logs if log.path.exists()]
        program = [Path(__file__).parent / "power.py", self.boots, self.kept] if self.power_fails else PROGRAM
        return subprocess.Popen(
            [sys.executable, *map(str, [*program, "--summary", "json", *options, *more, *names])],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def finish(self, *more: object) -> dict[str, object]:
        """Run the program to its end and return its summary."""
        process = self.start(*more)
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, (process.returncode, stderr.decode())
        summary: dict[str, object] = json.loads(stdout)
        self.hear(stdout)
        return summary

    def hear(self, said: bytes) -> None:
        """Assert that a summary names all that is in doubt."""
        unsaid = {lines for lines in self.unnamed.values() if "lines {} to {}".format(*lines) not in said.decode()}
        assert not unsaid, f"in doubt, and not named: {unsaid} in {said.decode()}"
        self.unnamed.clear()

    def disturb(self, number: int) -> None:
        """Start a run and send it a signal, after some time or after some requests."""
        before = len(self.tracker.bulks)
        process = self.start()
        if self.dice.random() < 0.2:
            wait_until(lambda: process.poll() is not None, self.dice.uniform(0, 0.8))
        else:
            wanted = before + self.dice.choice((1, 2, 3, 5, 10, 30))
            wait_until(lambda: process.poll() is not None or len(self.tracker.bulks) >= wanted, 20)
            time.sleep(self.dice.choice((0, self.dice.uniform(0, 0.02))))
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
        if b"KeyboardInterrupt" in stderr and len(self.tracker.bulks) == before:
            return  # Python was still loading: the program had no say yet
        assert process.returncode in (0, -number, 130), (process.returncode, stderr.decode())
        if process.returncode != -number:  # else the signal came before the program could answer it
            assert b"Traceback" not in stderr, stderr.decode()
        if stdout:
            self.hear(stdout)
        if process.returncode == -signal.SIGKILL:
            loses_power = self.power_fails and self.dice.random() < 0.8
            if loses_power:
                self.lose_power()
            self.note_doubts(loses_power)

    def lose_power(self) -> None:
        """Leave of the journal what was on disk, and start the machine anew."""
        for end in ("", "-wal", "-shm"):
            Path(f"{self.journal}{end}").unlink(missing_ok=True)
        if self.kept.exists():
            shutil.copyfile(self.kept, self.journal)
        self.boots += 1

    def note_doubts(self, may_forget: bool) -> None:
        """Read from the journal what the killed run has left in doubt."""
        if not self.journal.exists():
            return
        with closing(sqlite3.connect(self.journal)) as db:
            rows = db.execute(DOUBTS, [str(self.boots) if self.power_fails else BOOT] * 3).fetchall()
        newest = max((row[1] for row in rows), default=0)
        lanes = Counter((row[0], row[2]) for row in rows if row[1] == newest)
        assert all(count == 1 for count in lanes.values()), "more than one chunk of a lane is in doubt"
        now = {(run, lane, name): (first, last) for name, run, lane, _, first, last, _ in rows}
        # The power may take back that a chunk was sent which was the next: it is in doubt with the one before it then.
        gone = {
            chunk: (first, last)
            for chunk, (first, last) in self.unnamed.items()
            if chunk not in now or not now[chunk][0] <= first <= last <= now[chunk][1]
        }
        if (
            may_forget
        ):  # a chunk that waited for the disk at an earlier kill: so it was not sent, and may not come twice
            for chunk in gone:
                self.in_doubt.subtract(self.seen.pop(chunk))
                del self.unnamed[chunk]
        else:
            self.untold += len(gone)
            assert not gone, f"in doubt, struck out, and named by nobody: {gone}"
        for name, run, lane, count, first, last, hits in rows:
            chunk = (run, lane, name)
            if chunk not in self.seen or chunk in self.unnamed:
                self.unnamed[chunk] = (first, last)
            log = next(log for log in self.logs if str(log.path) == name)
            pages = [
                page_of(log.lines[line - 1].decode())
                for line in range(first, last + 1)
                if crc32(log.visitors[line - 1].encode()) % SLOTS % count == lane
            ]
            found = {page for page in pages if page is not None}
            self.in_doubt.update(found - self.seen[chunk])
            self.seen[chunk] |= found
            assert len(found) >= hits

    def check(self, received: Sequence[Mapping[str, str]], wanted: Sequence[Mapping[str, str]]) -> int:
        """Assert the law; return how many hits came more than once."""
        once = {hit["url"]: hit for hit in wanted}
        assert len(once) == len(wanted)
        assert all(hit == once[hit["url"]] for hit in received), "a hit differs from that of the undisturbed run"
        counts = Counter(hit["url"] for hit in received)
        missing = once.keys() - counts.keys()
        assert not missing, f"{len(missing)} hits never came: {sorted(missing)[:5]}"
        too_many = {url: count for url, count in counts.items() if count > 1 + self.in_doubt[page_of(url) or ""]}
        assert not too_many, f"{len(too_many)} hits came twice without having been in doubt: {sorted(too_many)[:5]}"
        return len(received) - len(once)


def campaign(
    seed: int, kills: int, *, number: int = signal.SIGKILL, lines: int = 800, power_fails: bool = False
) -> Outcome:
    """Disturb that many runs over some logs; assert the law.

    Raises AssertionError.
    """
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as name, tracking() as tracker:
        one = Campaign(dice, Path(name), tracker, power_fails)
        for stem in "abc"[: dice.choice((1, 1, 2, 3))]:
            one.logs.append(make_log(dice, Path(name), stem, dice.randint(lines // 2, lines)))
        delays = dice.choice((0.0, 0.002, 0.02))
        tracker.pause = lambda: delays * dice.random()
        for disturbed in range(kills):
            for log in one.logs:
                log.grow((disturbed + dice.random()) / kills)
            one.disturb(number)
        for log in one.logs:
            log.grow(1.0)
            os.utime(log.path, (0, 0))
        one.finish()
        received = tracker.recorded
        tracker.bulks.clear()
        assert one.finish()["requests"] == {"bulk": 0, "retried": 0}
        one.finish("--no-journal")
        twice = one.check(received, tracker.recorded)
        if number != signal.SIGKILL:
            assert twice == 0
            assert not one.seen
        return Outcome(kills, len(received), twice, len(one.seen), one.untold)


def make_log(dice: random.Random, folder: Path, stem: str, lines: int) -> Log:
    """Make a log of pages with numbers, whose times are not always in order. One in four is packed.

    One in three has columns, which change now and then, and passes midnight; some of these name the day at their heads
    alone.
    """
    packed, columns, dateless = dice.random() < 0.25, dice.random() < 0.34, dice.random() < 0.5
    log = Log(folder / f"{stem}.log{'.gz' if packed else ''}", [], [], packed)
    begin = START + timedelta(hours=13, minutes=58) if columns else START
    order: Sequence[str] = ()
    for line in range(1, lines + 1):
        visitor = f"198.18.{stem.encode()[0]}.{dice.randrange(dice.choice((3, 250)))}"
        moment = begin + timedelta(seconds=line - dice.choice((0, 0, 0, 90)))
        page = f"{stem}/{line}{dice.choice(KINDS)}"
        if columns and (not order or dice.random() < 0.01):
            order = dice.sample(COLUMNS[dateless:], len(COLUMNS) - dateless)
            head = ["#Software: Microsoft Internet Information Services 10.0\n"]
            head += [f"#Date: {moment:%Y-%m-%d %H:%M:%S}\n"] * (dateless and line == 1)
            head += [f"#Fields: {' '.join(order)} sc-win32-status\n"]
            log.lines += [one.encode() for one in head]
            log.visitors += [""] * len(head)
        if columns:
            path, _, query = page.partition("?")
            texts = (f"{moment:%F}", f"{moment:%T}", visitor, "GET", f"/{path}", query or "-", "200")
            values = dict(zip(COLUMNS, texts, strict=True))
            log.lines.append(f"{' '.join(values[name] for name in order)} 0\n".encode())
        else:
            log.lines.append(line_of(page, visitor, moment).encode())
        log.visitors.append(visitor)
    return log


COLUMNS = ("date", "time", "c-ip", "cs-method", "cs-uri-stem", "cs-uri-query", "sc-status")


PAGE = re.compile(r"/([a-c]/\d+)(?!\d|\.css)")


def page_of(text: str) -> str | None:
    """Return the page in a line or a URL; None if that is a header, or a request that is left out."""
    found = PAGE.search(text)
    return found and found[1]


def wait_until(done, timeout: float) -> None:
    """Wait until something is so, or for `timeout` seconds."""
    end = time.monotonic() + timeout
    while not done() and time.monotonic() < end:
        time.sleep(0.001)


def main() -> None:
    """Run campaigns until there were enough kills."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    chosen = options.parse_args()
    total, seed, began = Outcome(), chosen.seed, time.monotonic()
    print(f"seed {seed}", flush=True)
    while total.kills < chosen.kills:
        kills = min(10, chosen.kills - total.kills)
        try:
            shown = campaign(seed, kills, lines=3000, power_fails=seed % 2 == 0)
        except AssertionError as error:
            sys.exit(f"seed {seed}, {kills} kills: {error}")
        total = Outcome(*(one + other for one, other in zip(astuple(total), astuple(shown), strict=True)))
        seed += 1
    print(
        f"{total.kills} kills, {total.hits:,} hits received: none missing, {total.twice:,} twice, all "
        f"of them in {total.doubts} chunks named as in doubt ({total.untold} only by the journal, not by a summary); "
        f"{time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
