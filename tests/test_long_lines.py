"""The longest lines, and the oddest: what each costs is in proportion to its length, and little."""

from __future__ import annotations

import gc
import time
from contextlib import suppress

import pytest
from long_lines import FEW, PROMISED, cost, line_of, shapes, translator
from mutations import header_of

from piwik_import.parsers import catalogue, headers, only, regex
from piwik_import.parsers.record import BadLine
from piwik_import.source import LINE_LIMIT

FORMATS = [pytest.param(one, id=name) for name, one in catalogue.known().items() if "time" in one.fields]
SOME = ["combined", "haproxy_host_agent", "s3", "iis", "iis_native", "cloudflare", "json", "caddy"]
MIB = 1 << 20


@pytest.fixture(autouse=True, scope="module")
def small():
    """Have what a test process holds, many times what an import does, not looked at whenever a line has many values."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("log_format", FORMATS)
def test_a_line_as_long_as_a_line_may_be_is_over_at_once(log_format):
    assert LINE_LIMIT == MIB
    translate = translator(log_format)
    cost(translate, log_format, line_of(log_format), enough=1.0)  # compiles what it needs
    for what, line in shapes(log_format, few=True):
        # 50 ms on a machine with nothing else to do; four times as much is for one that is busy.
        assert cost(translate, log_format, line, enough=4 * PROMISED) < 4 * PROMISED, what


@pytest.mark.parametrize("name", SOME)
def test_a_line_of_four_times_the_length_costs_about_four_times_as_much(name):
    log_format = catalogue.named(name)
    parse = log_format.under(headers.read(header_of(log_format))).compile()

    def seconds(line: str) -> float:
        least = float("inf")
        for _ in range(3):
            began = time.process_time()
            with suppress(BadLine):
                parse(line)
            least = min(least, time.process_time() - began)
        return least

    line = line_of(log_format)
    for at in (len(line) // 3, len(line) * 2 // 3):
        for filler in FEW[::2]:
            short, long = (line[:at] + filler * (size // len(filler)) + line[at:] for size in (MIB, 4 * MIB))
            assert seconds(long) < 10 * seconds(short) + 0.05, filler  # sixteen times as much if it is the square


@pytest.mark.parametrize("beginning", ["Server ", "Backup Server ", "192.0.2.1:1 [x] ", "192.0.2.1:1 [x] a "])
def test_a_long_line_of_what_else_a_server_writes_is_told_at_once(beginning):
    others = catalogue.named("haproxy").others
    line = beginning.ljust(regex.LONGEST, "/")
    only.is_other(others, "")  # compiles what it needs
    began = time.process_time()
    assert not only.is_other(others, line)
    assert time.process_time() - began < PROMISED
