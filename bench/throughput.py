"""Measure how well an import keeps a server busy that takes 50 ms for each request, however much it holds.

With N recorders and no time lost, N chunks go out every 50 ms. What is missing from that is what passes between an
answer and the next request of its lane: taking a chunk, writing it down in the journal, sending it. The first second,
in which the import feels its way, and the end, when some lanes are empty before others, do not count.

    python bench/throughput.py              1, 4 and 8 recorders, 50 hits a request
    python bench/throughput.py 1 2 --hits 1000
    python bench/throughput.py 16 --no-journal
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reading_server import Reader

DELAY = 0.05
HITS = 50
SECONDS = 6
"""For which there are lines."""
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


class SlowReader(Reader):
    """Answers later, and notes when bulk requests came."""

    arrived: list[float]
    taken: list[float]
    """Seconds that each answer took: a timer is late, here by some 0.5 ms."""

    def answer(self, request: bytes) -> None:
        """Answer after the delay."""
        now = time.monotonic()
        if b"/index.php" not in request[:100]:
            self.arrived.append(now)
        asyncio.get_running_loop().call_later(DELAY, self.answer_at_last, request, now)

    def answer_at_last(self, request: bytes, arrived: float) -> None:
        """Answer."""
        super().answer(request)
        self.taken.append(time.monotonic() - arrived)


@contextmanager
def slow_server() -> Iterator[tuple[str, list[float], list[float]]]:
    """Serve until the end of the block; yield the address, and when bulk requests came and what they took."""
    arrived: list[float] = []
    taken: list[float] = []
    loop = asyncio.new_event_loop()

    def reader() -> SlowReader:
        one = SlowReader(Counter())
        one.arrived, one.taken = arrived, taken
        return one

    server = loop.run_until_complete(loop.create_server(reader, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", arrived, taken
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()


def make_log(path: Path, lines: int) -> None:
    """Write a log of many visitors, so that all lanes have as much to do."""
    with path.open("w") as file:
        for line in range(lines):
            visitor = f"198.18.{line * 7919 % 251}.{line * 104729 % 241}"
            stamp = f"05/Mar/2026:10:{line // 1200 % 60:02}:{line // 20 % 60:02} +0000"
            file.write(f'{visitor} - - [{stamp}] "GET /page/{line % 997} HTTP/1.1" 200 512 "-" "{BROWSER}"\n')


def share(recorders: int, *options: str, hits: int = HITS, seconds: float = SECONDS) -> float:
    """Import for so many seconds; return how many of the chunks went out that could have gone, once all were going."""
    with tempfile.TemporaryDirectory() as name, slow_server() as (url, arrived, taken):
        log = Path(name) / "access.log"
        make_log(log, int(recorders * hits / DELAY * seconds))
        command = [sys.executable, "-m", "piwik_import", "--url", url, "--token-auth", "bench", "--idsite", "1"]
        command += ["--recorders", str(recorders), "--chunk-size", str(hits), "--progress", "none", *options, str(log)]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "HOME": name,
            "XDG_STATE_HOME": name,
        }
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=60 + 20 * seconds)
        begin, end = arrived[0] + min(1.0, seconds / 3), arrived[int(len(arrived) * 0.85)]
        return sum(begin <= moment < end for moment in arrived) / (
            recorders * (end - begin) / (sum(taken) / len(taken))
        )


def main() -> None:
    """Print the share for each number of recorders."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("recorders", type=int, nargs="*", default=[1, 4, 8])
    options.add_argument("--hits", type=int, default=HITS, help="of a request")
    options.add_argument("--no-journal", action="store_true")
    chosen = options.parse_args()
    more = ["--no-journal"] if chosen.no_journal else []
    print(f"{chosen.hits} hits a request, {DELAY * 1000:.0f} ms each\nrecorders   of the chunks that could have gone")
    for recorders in chosen.recorders:
        print(f"{recorders:9}   {share(recorders, *more, hits=chosen.hits):6.1%}", flush=True)


if __name__ == "__main__":
    main()
