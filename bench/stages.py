"""Time each stage of a line's way alone, and all of them together, to see where an import spends its time.

    python bench/stages.py [LINES]

Every stage gets all that the stage before gave, so what it costs is per line read, not per line that reaches it.
"""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from time import process_time
from typing import TypeVar

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # this checkout, installed or not

from piwik_import.filters import Filters, FilterSettings  # noqa: E402
from piwik_import.hits import HitMaker, HitSettings, visitor_key  # noqa: E402
from piwik_import.parsers.catalogue import named  # noqa: E402
from piwik_import.parsers.definition import Definition  # noqa: E402
from piwik_import.parsers.record import BadLine, Record  # noqa: E402
from piwik_import.source import Source  # noqa: E402
from piwik_import.tracking import Hit, bulk_body, encode  # noqa: E402
from piwik_import.translate import Plan, Translator  # noqa: E402

RUNS = 3
CHUNK = 200
BASE_URL = "http://www.example.org"
T = TypeVar("T")


def timed(stage: Callable[[], T]) -> tuple[float, T]:
    """Run a stage several times; return its least CPU seconds, and what it gave."""
    least = float("inf")
    for _ in range(RUNS):
        gc.collect()
        began = process_time()
        result = stage()
        least = min(least, process_time() - began)
    return least, result


def cut(log: Path) -> list[str]:
    """Source → lines."""
    lines: list[str] = []
    for block in Source(str(log)).blocks():
        lines += block.data.decode("latin-1").split("\n")[:-1]
    return lines


def parse(definition: Definition, lines: list[str]) -> list[Record]:
    """Lines → records."""
    parser, records = definition.compile(), []
    for line in lines:
        try:
            records.append(parser(line))
        except BadLine:
            continue
    return records


def keep(records: list[Record]) -> list[Record]:
    """Records → those that count."""
    left_out = Filters(FilterSettings(base_url=BASE_URL))
    return [record for record in records if left_out(record) is None]


def make_hits(records: list[Record]) -> list[Hit]:
    """Records → hits."""
    return list(map(HitMaker(HitSettings(1, BASE_URL)), records))


def write(hits: list[Hit]) -> list[str]:
    """Hits → query strings and the keys of their lanes."""
    return [(encode(hit), visitor_key(hit))[0] for hit in hits]


def bodies(queries: list[str]) -> int:
    """Query strings → bodies; return their bytes."""
    return sum(len(bulk_body(queries[first : first + CHUNK], "token")) for first in range(0, len(queries), CHUNK))


def together(definition: Definition, log: Path) -> int:
    """Source → bodies, as the program does it."""
    plan = Plan(0, definition, FilterSettings(base_url=BASE_URL), HitSettings(1, BASE_URL))
    translate = Translator(plan)
    batches = map(translate, Source(str(log)).blocks())
    return sum(bodies([entry.query for entry in batch.entries]) for batch in batches)


def stages(log: Path) -> Iterator[tuple[str, float]]:
    """Yield each stage with its CPU seconds; the last is all of them."""
    combined = named("combined")
    seconds, lines = timed(lambda: cut(log))
    yield "cut lines", seconds
    seconds, records = timed(lambda: parse(combined, lines))
    yield "parse", seconds
    seconds, kept = timed(lambda: keep(records))
    yield "filter", seconds
    seconds, hits = timed(lambda: make_hits(kept))
    yield "hit", seconds
    seconds, queries = timed(lambda: write(hits))
    yield "encode", seconds
    seconds, _ = timed(lambda: bodies(queries))
    yield f"bulk body ({CHUNK} hits)", seconds
    yield "all, as the program does it", timed(lambda: together(combined, log))[0]


def main() -> None:
    """Make a log and print the table."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "access.log"
        subprocess.run([sys.executable, HERE / "make_log.py", str(lines), log], check=True)
        rows = list(stages(log))
    whole = sum(seconds for _, seconds in rows[:-1])
    print(f"{date.today()}, {lines:,} combined lines, Python {platform.python_version()}, one process, best of {RUNS}")
    print(f"{'stage':28}{'us/line':>9}{'share':>8}{'lines/s':>13}")
    for name, seconds in rows:
        print(f"{name:28}{seconds / lines * 1e6:9.2f}{seconds / whole:8.0%}{lines / seconds:13,.0f}")


if __name__ == "__main__":
    main()
