"""Import for two minutes into a server that is never well, and count what it got: each hit once, or named.

    python tests/soak.py          two minutes; prints its seed
    python tests/soak.py 10 7     ten seconds, with seed 7

Of the requests 5 % are broken off when they have been read, recorded or not, 5 % are answered by 503, and 1 % lose a
hit without a word; of the hits 2 % are such that the tracker fails on them. Answers take now longer, now shorter. Logs
are imported one after another by the real program with several recorders; some runs are stopped, and run again. The
law, which `imported` asserts of each log:

    a hit is received once,
        or not at all, and is in the rejects file: as rejected if the tracker fails on it, as unknown if it was lost,
        or twice, and a note of a run names its line,
    each visitor's hits are received in the order of the log,
    lines and hits of all summaries add up to those of the log, and the exit codes say so.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from conftest import START, Bulk, Reply, Tracker, line_of, tracking

import piwik_import

BROKEN_OFF, AWAY, SHORT, POISON = 0.05, 0.05, 0.01, 0.02


@dataclass
class Trouble:
    """What makes a tracker fail, and what came of it. Pages end in their line: /a/7."""

    dice: random.Random
    usual: Any
    lost: set[int] = field(default_factory=set)
    """Lines of hits that the tracker counted neither as tracked nor as invalid."""
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, bulk: Bulk) -> Reply | None:
        """Return the answer to a bulk that goes wrong; None if it does not."""
        with self.lock:
            if (reply := self.usual(bulk)) is not None:
                self.counts["poisoned"] += 1
                return reply
            chance = self.dice.random()
            if chance < BROKEN_OFF:
                bulk.recorded = self.dice.random() < 0.5
                self.counts["broken off"] += 1
                return Reply(hang_up=True)
            if chance < BROKEN_OFF + AWAY:
                self.counts["away"] += 1
                return Reply(503, b"<h1>Away</h1>")
            if chance < BROKEN_OFF + AWAY + SHORT and len(bulk.hits) > 1:
                bulk.recorded = True
                self.lost.add(line_of_hit(bulk.hits.pop(self.dice.randrange(len(bulk.hits)))))
                self.counts["short"] += 1
                return Reply(200, {"status": "success", "tracked": len(bulk.hits), "invalid": 0})
            return None


def line_of_hit(hit: dict[str, str]) -> int:
    return int(hit["url"].rpartition("/")[2])


def imported(seed: int, lines: int) -> Counter[str]:
    """Import one log of so many lines; assert the law, and return how much went wrong.

    Raises AssertionError.
    """
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as name, tracking() as tracker:
        folder, trouble = Path(name), Trouble(random.Random(seed), tracker._trouble_with)
        poison = {line for line in range(1, lines + 1) if dice.random() < POISON}
        visitors = [f"198.18.0.{dice.randrange(200)}" for _ in range(lines)]
        log = folder / "access.log"
        moments = [START + timedelta(seconds=30 * line) for line in range(lines)]
        log.write_text("".join(line_of(line, *one) for line, one in enumerate(zip(visitors, moments, strict=True), 1)))
        tracker.poison = lambda hit: line_of_hit(hit) in poison
        tracker._trouble_with = trouble
        tracker.pause = lambda: dice.choice((0.0, 0.002, 0.01, 0.05)) * dice.random()
        options = ["--recorders", dice.choice((2, 4, 8)), "--chunk-size", dice.choice((5, 20, 50)), log]
        runs = []
        while not runs or runs[-1][0] == 130:
            runs.append(run(folder, tracker, options, stops=len(runs) < 2 and dice.random() < 0.3, dice=dice))
        tracker._trouble_with = trouble.usual
        assert run(folder, tracker, options)[1]["requests"]["bulk"] == 0
        check(lines, runs, tracker, poison, trouble.lost, visitors, folder)
        return trouble.counts + Counter(logs=1, runs=len(runs), hits=lines, requests=len(tracker.bulks))


def run(
    folder: Path, tracker: Tracker, options: list[Any], *, stops: bool = False, dice: random.Random | None = None
) -> tuple[int, dict[str, Any]]:
    """Run the program, perhaps not to its end; return its exit code and its summary."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(piwik_import.__file__).parent.parent),
        "HOME": str(folder),
        "PIWIK_URL": tracker.url,
        "PIWIK_TOKEN": tracker.token,
        "PIWIK_SITE": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "piwik_import", "--summary", "json", *map(str, options)],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if stops:
        assert dice is not None
        wanted, end = len(tracker.bulks) + dice.randrange(1, 40), time.monotonic() + 20
        while process.poll() is None and len(tracker.bulks) < wanted and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode in (0, 3, 130), (process.returncode, stderr.decode())
    assert b"Traceback" not in stderr, stderr.decode()
    return process.returncode, json.loads(stdout)


def check(
    lines: int,
    runs: list[tuple[int, dict[str, Any]]],
    tracker: Tracker,
    poison: set[int],
    lost: set[int],
    visitors: list[str],
    folder: Path,
) -> None:
    """Assert the law."""
    received = [line_of_hit(hit) for hit in tracker.recorded]
    counts, fates = Counter(received), Counter[str]()
    rejects: dict[str, set[int]] = {"rejected": set(), "unknown": set()}
    named: set[int] = set()
    for code, summary in runs:
        fates.update(summary["hits"] | {"invalid": summary["lines"]["invalid"]})
        hits, read = summary["hits"], summary["lines"]
        assert hits["sent"] == hits["tracked"] + hits["rejected"] + hits["in_doubt"]
        assert read["read"] == read["imported"] + read["invalid"] + read["already_imported"]
        assert code in (130, 3 if hits["rejected"] else 0)
        for first, last in re.findall(r"lines (\d+) to (\d+)", " ".join(summary["notes"])):
            named |= set(range(int(first), int(last) + 1))
    for path in folder.rglob("*.ndjson"):
        for row in map(json.loads, path.read_text().splitlines()[1:]):
            rejects[row["fate"]].add(row["line"])
    missing = set(range(1, lines + 1)) - counts.keys()
    assert rejects["rejected"] == poison, rejects["rejected"] ^ poison
    assert missing == poison | (lost - counts.keys()), sorted(missing ^ poison ^ lost)[:5]
    assert lost <= rejects["unknown"]
    twice = {line for line, count in counts.items() if count > 1}
    assert twice <= named, f"received twice and not named: {sorted(twice - named)[:5]}"
    assert fates["rejected"] == fates["invalid"] == len(poison) + len(lost)
    assert lines <= fates["tracked"] + fates["rejected"] <= lines + len(twice)
    last: dict[str, int] = {}
    for line in dict.fromkeys(received):
        assert line > last.get(visitors[line - 1], 0), f"line {line} came after a later one of its visitor"
        last[visitors[line - 1]] = line


def main() -> None:
    """Import logs until the time is over."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}", flush=True)
    end, total = time.monotonic() + seconds, Counter[str]()
    while time.monotonic() < end:
        try:
            total += imported(seed, 1000 if seconds > 30 else 300)
        except AssertionError as error:
            sys.exit(f"seed {seed}: {error}")
        seed += 1
    print(", ".join(f"{name} {count:,}" for name, count in total.items()) + ": nothing lost, nothing twice unnamed")


if __name__ == "__main__":
    main()
