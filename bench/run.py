"""Measure what an import costs, beside the established importer and GoAccess, on a log made for it.

CPU seconds are compared, not wall seconds: a machine that is busy with other things, a server that answers
slowly or a second core change the latter, and what an import takes away from the web server that it runs on is
the former. Every program has one core to itself; the server that the hits go to has another. See README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path

HERE = Path(__file__).parent
TOKEN = "0123456789abcdef0123456789abcdef"
PAYLOAD = "--recorder-max-payload-size=200"  # Matomo's default; that of the Piwik PRO fork is 95, which costs it more
PROMISED_SPEED = 4
PROMISED_MIB = 100
PROMISED_JOURNAL = 0.05
"""Of the CPU of an import that keeps none."""
PATIENCE = 1800
"""Seconds after which a program is taken for hanging."""

Command = list[str | Path]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a program took."""

    cpu: float
    """Seconds of it and of its children, user and system."""
    wall: float
    mib: float
    """Peak of its resident memory."""
    hits: int
    """That the server received."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: the best of several runs, or why there is none."""

    what: str
    lines: int
    cost: Cost | None
    trouble: str = ""

    @property
    def speed(self) -> float:
        """Lines per CPU second."""
        return self.lines / self.cost.cpu if self.cost else 0.0


class FailedError(Exception):
    """A program ended with an exit code that is not success; the message is its last word."""


# -- measuring ------------------------------------------------------------------------------------------------


def cores() -> list[int | None]:
    """Return the cores that this process may use; None where the system cannot say."""
    return [*sorted(os.sched_getaffinity(0))] if hasattr(os, "sched_getaffinity") else [None]


def pin(core: int | None) -> None:
    """Keep this process, and what it starts from now on, on one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def reading_server(core: int | None, others: int | None) -> Iterator[str]:
    """Run the server on a core, everything that follows on another; yield the server's address."""
    pin(core)
    command: Command = [sys.executable, HERE / "reading_server.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        pin(others)
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def received(server: str) -> int:
    """Return how many hits the server was sent since it was last asked."""
    with urllib.request.urlopen(f"{server}/count") as answer:
        return int(json.load(answer).get("hits", 0))


def measure(command: Command, server: str, folder: Path) -> Cost:
    """Run a program to its end and return what it cost.

    `os.wait4` gives the use of this one child and of the children that it waited for, such as parsing workers.
    The memory is that of the largest of them. Their environment holds no settings of the user.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PIWIK_")}
    environment = clean | {"XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
    with (folder / "output").open("w+", encoding="utf-8", errors="replace") as output:
        began = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=HERE.parent, env=environment
        )
        alarm = threading.Timer(PATIENCE, child.kill)
        alarm.start()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        alarm.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in (0, 3):  # 3: a few lines of the log are broken on purpose
            output.seek(0)
            raise FailedError(f"exit {child.returncode}: {' '.join(output.read().split()[-20:])[-120:]}")
    kib = used.ru_maxrss / 1024 if sys.platform == "darwin" else used.ru_maxrss
    return Cost(used.ru_utime + used.ru_stime, wall, kib / 1024, received(server))


class Bench:
    """The log, its beginnings, the server, and the rows measured so far."""

    def __init__(self, server: str, folder: Path, log: Path) -> None:
        self.server = server
        self.folder = folder
        self.log = log
        self.rows: list[Row] = []

    def first(self, lines: int) -> Path:
        """Return a log of the first lines of the log."""
        beginning = self.folder / f"first-{lines}.log"
        if not beginning.exists():
            with self.log.open("rb") as whole, beginning.open("wb") as part:
                part.writelines(islice(whole, lines))
        return beginning

    def row(self, what: str, lines: int, command: Command, runs: int = 1) -> Row:
        """Run a program on that many lines, several times, and keep the run that took least CPU."""
        print(f"measuring {what}, {lines:,} lines ...", file=sys.stderr)
        try:
            costs = [measure([*command, self.first(lines)], self.server, self.folder) for _ in range(runs)]
            row = Row(what, lines, min(costs, key=lambda cost: cost.cpu))
        except (FailedError, OSError) as error:
            row = Row(what, lines, None, str(error))
        self.rows.append(row)
        return row


# -- the programs ---------------------------------------------------------------------------------------------


def options_of(command: Command) -> str:
    """Return the help of a program, which names the options that it knows."""
    return subprocess.run([*command, "--help"], capture_output=True, text=True, cwd=HERE.parent, check=False).stdout


ALL = ["--enable-bots", "--enable-static", "--enable-http-errors", "--enable-http-redirects"]
"""Makes every line a hit, so that nothing is saved by leaving lines out."""


def ours(bench: Bench, lines: int, runs: int) -> tuple[Row, Row, Row, Row, Row]:
    """Measure this checkout: a dry run, a full import, the same with a journal, every line, a tenth for the memory."""
    program: Command = [sys.executable, "-m", "piwik_import"]
    common = ["--idsite=1", "--base-url=http://www.example.org", "--summary=json", "--progress=none"]
    noting: Command = [*program, f"--url={bench.server}/", f"--token-auth={TOKEN}", *common, "--from-start"]
    full: Command = [*noting, "--no-journal"]
    bench.row("piwik-import, 200 a request", lines, [*full, PAYLOAD], runs)
    return (
        bench.row("piwik-import --dry-run", lines, [*program, "--dry-run", *common], runs),
        bench.row("piwik-import", lines, full, runs),
        bench.row("piwik-import, journal", lines, noting, runs),
        bench.row("piwik-import, every line", lines, [*full, *ALL], runs),
        bench.row("piwik-import", lines // 10, full, runs),
    )


def peer() -> Command:
    """Return the command that runs the peer; nothing if it is not installed."""
    if script := os.environ.get("PEER"):
        return [os.environ.get("PEER_PYTHON", sys.executable), Path(script).resolve()]
    if venv := os.environ.get("PEER_VENV"):
        return [Path(venv).resolve() / "bin" / "piwik_pro_log_analytics"]
    return []


def theirs(bench: Bench, lines: int) -> tuple[Row, Row]:
    """Measure the peer: a dry run, which reads and filters but builds no hits, a full import, one of every line."""
    program = peer()
    if not program:
        bench.rows.append(Row("peer", lines, None, "not installed: see bench/README.md"))
        return bench.rows[-1], bench.rows[-1]
    oauth = "--client-id" in options_of(program)  # the fork of Piwik PRO; Matomo's own has a token
    key = ["--client-id=bench", "--client-secret=bench"] if oauth else [f"--token-auth={TOKEN}"]
    command: Command = [*program, f"--url={bench.server}", *key, "--idsite=1", "--recorders=4", PAYLOAD]
    bench.row("peer --dry-run", lines, [*command, "--dry-run"])
    return bench.row("peer", lines, command), bench.row("peer, every line", lines, [*command, *ALL])


def goaccess(bench: Bench, lines: int, runs: int) -> None:
    """Measure GoAccess, a log analyser in C: it parses and counts, and sends nothing."""
    if not (program := shutil.which("goaccess")):
        bench.rows.append(Row("goaccess", lines, None, "not installed"))
        return
    report = bench.folder / "report.html"
    command: Command = [program, "--log-format=COMBINED", "--no-progress", "--no-global-config", "-o", report, "-f"]
    bench.row("goaccess", lines, command, runs)


# -- the table ------------------------------------------------------------------------------------------------


def conditions(pinned: bool, runs: int) -> str:
    """Return the line on top of the table: without it the figures mean nothing."""
    place = "one core each" if pinned else "not pinned to a core"
    return (
        f"{date.today()}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, {processor()}, "
        f"{os.cpu_count()} cores, {place}, best of {runs} (peer: once)"
    )


def processor() -> str:
    """Return the name of the processor, as far as the system tells it."""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as info:
        for line in info:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def table(rows: Sequence[Row], base: Row) -> Iterator[str]:
    """Yield the table, line by line; the last column compares with the peer's full import."""
    head = ("", "lines", "hits", "CPU s", "lines/CPU s", "wall s", "peak MiB", "x peer")
    lines = [head, *(cells(row, base) for row in rows)]
    complete = [line for line in lines if len(line) == len(head)]
    widths = [max(len(line[column]) for line in complete) for column in range(1, len(head))]
    name = max(len(row.what) for row in rows)
    for line in lines:
        figures = [f"{cell:>{width}}" for cell, width in zip(line[1:], widths, strict=False)]
        yield "  ".join([f"{line[0]:{name}}", *figures])


def cells(row: Row, base: Row) -> tuple[str, ...]:
    """Return a row of the table: its figures, or why there are none."""
    if not (cost := row.cost):
        return row.what, f"{row.lines:,}", row.trouble
    hits = f"{cost.hits:,}" if cost.hits else "-"
    ratio = f"{row.speed / base.speed:.1f}" if base.cost else "-"
    figures = (f"{cost.cpu:.2f}", f"{row.speed:,.0f}", f"{cost.wall:.1f}", f"{cost.mib:.1f}")
    return row.what, f"{row.lines:,}", hits, *figures, ratio


def compared(mine: Row, base: Row) -> Iterator[str]:
    """Yield how an import compares with the same one of the peer, and whether it was the same."""
    if mine.cost and base.cost:
        ratio = mine.speed / base.speed
        yield f"{mine.what}, promised at least {PROMISED_SPEED} x peer: {ratio:.1f} x, {kept(ratio >= PROMISED_SPEED)}"
        hits = mine.cost.hits / mine.lines, base.cost.hits / base.lines
        alike = "alike" if abs(hits[0] - hits[1]) < 0.02 else "NOT THE SAME WORK"
        yield f"    hits sent per line, ours {hits[0]:.3f}, peer {hits[1]:.3f}: {alike}"


def journal(noting: Row, full: Row) -> Iterator[str]:
    """Yield whether the journal costs as little as is promised."""
    if noting.cost and full.cost:
        share = noting.cost.cpu / full.cost.cpu - 1
        yield (
            f"journal, promised under {PROMISED_JOURNAL:.0%} of the CPU, at a server that only reads: {share:.1%}, "
            f"{kept(share < PROMISED_JOURNAL)}"
        )


def memory(full: Row, tenth: Row) -> Iterator[str]:
    """Yield whether memory stays where it is promised to stay."""
    if full.cost and tenth.cost:
        flat = full.cost.mib < PROMISED_MIB and full.cost.mib < tenth.cost.mib * 1.1
        yield (
            f"memory, promised under {PROMISED_MIB} MiB and flat: {tenth.cost.mib:.1f} MiB at {tenth.lines:,} lines, "
            f"{full.cost.mib:.1f} at {full.lines:,}, {kept(flat)}"
        )


def kept(promise: bool) -> str:
    """Return the word for it."""
    return "kept" if promise else "NOT KEPT"


def main() -> None:
    """Make the log, measure everything, print the table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("--lines", type=int, default=int(os.environ.get("BENCH_LINES", 1_000_000)))
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    available = cores()
    with tempfile.TemporaryDirectory() as name, reading_server(available[-1], available[0]) as server:
        log = Path(name) / f"first-{chosen.lines}.log"
        subprocess.run([sys.executable, HERE / "make_log.py", str(chosen.lines), log], check=True)
        bench = Bench(server, Path(name), log)
        _, full, noting, every, tenth = ours(bench, chosen.lines, chosen.runs)
        base, base_every = theirs(bench, chosen.lines)
        goaccess(bench, chosen.lines, chosen.runs)
    print(conditions(available != [None], chosen.runs))
    promises = [*compared(full, base), *compared(every, base_every), *journal(noting, full), *memory(full, tenth)]
    print(*table(bench.rows, base), "", *promises, sep="\n")


if __name__ == "__main__":
    main()
