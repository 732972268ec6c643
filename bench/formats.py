"""Measure how many lines of each format a CPU second takes, and what it takes to recognise a log.

    python bench/formats.py                     all formats: under a minute
    python bench/formats.py combined json       some
    python bench/formats.py --lines 100000      more lines of each

The lines are the samples of the formats, with addresses, times, paths and sizes that vary as in a log: few of each are
new. All that a dry run does with them is measured, from the parser to the query string, in one process; each is a hit,
so nothing is saved by leaving lines out. Formats of JSON are measured with orjson, if it is installed, and without.

To be recognised a log is shown to every format, some logs within every wrapper, each expression compiled anew.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from time import process_time

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # this checkout, installed or not

from piwik_import.errors import UnknownFormat  # noqa: E402
from piwik_import.filters import FilterSettings  # noqa: E402
from piwik_import.hits import HitSettings  # noqa: E402
from piwik_import.parsers import catalogue, json_lines, wrappers  # noqa: E402
from piwik_import.parsers.definition import Definition  # noqa: E402
from piwik_import.parsers.detection import LINES, lines_of, recognise  # noqa: E402
from piwik_import.parsers.headers import is_header  # noqa: E402
from piwik_import.parsers.record import BadLine, Record  # noqa: E402
from piwik_import.source import BLOCK_SIZE, Block  # noqa: E402
from piwik_import.translate import Plan, Translator  # noqa: E402

RUNS = 2
PROMISED = 0.1
"""CPU seconds to recognise a log."""
WRAPPED = ("combined", "ingress_nginx", "traefik_clf", "vhost_combined", "json", "caddy", "azure_appgw_v1")
"""Formats that are recognised within every wrapper too: those that take the longest are among them."""
EVERYTHING = FilterSettings(bots=True, static=True, errors=True, redirects=True, base_url="https://example.org")

CLOCK = re.compile(r"\d\d:\d\d:\d\d(?!:?\d)")
EPOCH = re.compile(r"\b1[5-7]\d{4}(\d{4})")


# -- lines ----------------------------------------------------------------------------------------------------


def samples(definition: Definition) -> tuple[bytes, list[tuple[str, Record]]]:
    """Return the header of a format's samples, and the lines that become hits, each with its record."""
    header, found = b"", []
    for sample in definition.samples:
        lines = lines_of(sample["line"].encode())
        above = "\n".join(filter(is_header, lines)).encode()
        header = header or above
        if above != header:
            continue
        for line, record in zip([one for one in lines if not is_header(one)], definition.records(lines), strict=True):
            if not isinstance(record, BadLine) and not record.problem:
                found.append((line, record))
    return header, found


def varied(line: str, record: Record, dice: random.Random, second: int) -> str:
    """Return a line with another client, second, page and size."""
    hour, rest = divmod(second % 86400, 3600)
    minute, second_of = divmod(rest, 60)
    line = CLOCK.sub(f"{hour:02}:{minute:02}:{second_of:02}", line, count=1)
    line = EPOCH.sub(lambda found: found[0][: -len(found[1])] + f"{second % 10_000:04}", line, count=1)
    if record.ip and record.ip.count(".") == 3:
        client = int(dice.paretovariate(0.7)) % 5000
        line = line.replace(record.ip, f"198.18.{client // 250}.{client % 250 + 1}", 1)
    if len(record.path) > 1:
        line = line.replace(record.path, f"{record.path.rstrip('/')}-{int(dice.paretovariate(0.7)) % 2000}", 1)
    if record.length and record.length > 99:
        line = line.replace(str(record.length), str(dice.randint(100, 99_999)), 1)
    return line


def blocks_of(definition: Definition, lines: int) -> list[Block]:
    """Return a log of so many lines in blocks, without the lines that variation has spoilt."""
    dice, (header, found) = random.Random(1), samples(definition)
    made = [varied(*dice.choice(found), dice, number // 20) for number in range(lines)] if found else []
    blocks, text = [], b""
    for line in made:
        text += line.encode("latin-1", "replace") + b"\n"
        if len(text) >= BLOCK_SIZE:
            blocks.append(Block(text, 0, len(text), 1, text.count(b"\n"), header=header))
            text = b""
    return [*blocks, Block(text, 0, len(text), 1, text.count(b"\n"), header=header)] if text else blocks


# -- speed ----------------------------------------------------------------------------------------------------


def speed(definition: Definition, blocks: Sequence[Block]) -> tuple[float, float]:
    """Return lines per CPU second, the best of some runs, and the share of them that became hits."""
    best = share = 0.0
    for _ in range(RUNS):
        translate = Translator(Plan(0, definition, EVERYTHING, HitSettings(1, "https://example.org")))
        began = process_time()
        batches = [translate(block) for block in blocks]
        seconds = process_time() - began
        lines = sum(batch.lines for batch in batches)
        best, share = max(best, lines / seconds), sum(len(batch.entries) for batch in batches) / lines
    return best, share


def without_orjson(definition: Definition, blocks: Sequence[Block]) -> float:
    """Return the speed as it is where the extra `fast` is not installed."""
    fast = json_lines.fast_loads
    json_lines.fast_loads = json.loads
    try:
        return speed(definition, blocks)[0]
    finally:
        json_lines.fast_loads = fast


def speeds(names: Sequence[str], lines: int) -> Iterator[str]:
    """Yield the table of speeds, a line a format."""
    yield f"{'format':22}{'lines/CPU s':>13}{'without orjson':>17}{'bytes/line':>13}{'hits':>7}"
    for name in names:
        definition = catalogue.named(name)
        blocks = blocks_of(definition, lines)
        length = sum(len(block.data) for block in blocks) / lines
        with_it, share = speed(definition, blocks)
        slow = without_orjson(definition, blocks) if definition.json and json_lines.fast_loads is not json.loads else 0
        yield f"{name:22}{with_it:13,.0f}{f'{slow:,.0f}' if slow else '':>17}{length:13.0f}{share:7.0%}"


# -- recognition ----------------------------------------------------------------------------------------------


def around(line: str, name: str) -> str:
    """Return a line within a wrapper, as its first sample shows it."""
    sample = wrappers.known()[name].samples[0]
    message = str(sample["message"])
    if message in sample["line"]:
        return str(sample["line"].replace(message, line))
    written, within = (json.dumps(text)[1:-1] for text in (message, line))
    return str(sample["line"].replace(written, within))


def recognition(names: Sequence[str]) -> Iterator[tuple[float, str]]:
    """Yield the CPU seconds that it takes to recognise a log of each format within each wrapper, and what it was."""
    formats, wrapped = catalogue.recognisable(), [None, *wrappers.known().values()]
    for name in names:
        definition = catalogue.named(name)
        lines = [line for sample in definition.samples for line in lines_of(sample["line"].encode())]
        above, body = ([line for line in lines if is_header(line) == wanted] for wanted in (True, False))
        if not definition.recognised or not body:
            continue
        for wrapper in wrapped if name in WRAPPED else [None]:
            log = [*above[:3], *(body * LINES)[:LINES]]
            log = log if wrapper is None else [around(line, wrapper.name) for line in log if not is_header(line)]
            least = float("inf")
            for _ in range(RUNS):
                re.purge()
                began = process_time()
                with suppress(UnknownFormat):
                    recognise("log", log, formats, wrapped)
                least = min(least, process_time() - began)
                if least < PROMISED / 2:
                    break
            yield least, name if wrapper is None else f"{name} in {wrapper.name}"


def main() -> None:
    """Print both tables."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    timed = [name for name, one in catalogue.known().items() if "time" in one.fields]  # the others are read in wrappers
    options.add_argument("formats", nargs="*", default=timed)
    options.add_argument("--lines", type=int, default=10_000)
    chosen = options.parse_args()
    print(f"{date.today()}, {chosen.lines:,} lines of each format, Python {platform.python_version()}, best of {RUNS}")
    for row in speeds(chosen.formats, chosen.lines):
        print(row, flush=True)
    costs = sorted(recognition(chosen.formats), reverse=True)
    if costs:
        (most, what), median = costs[0], costs[len(costs) // 2][0]
        print(
            f"\nrecognition of {LINES} lines, {len(costs)} logs: {median * 1000:.0f} ms in the middle, "
            f"{most * 1000:.0f} ms at most ({what});"
            f" promised under {PROMISED * 1000:.0f} ms: {'kept' if most < PROMISED else 'BROKEN'}"
        )


if __name__ == "__main__":
    main()
