"""Bars on a terminal, a line now and then elsewhere, or nothing."""

from __future__ import annotations

import io
import re
import threading
import time

import pytest

from piwik_import import progress
from piwik_import.progress import shown
from piwik_import.report import Report, SourceReport


class Terminal(io.StringIO):
    """What rich and we take for a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    """A terminal of a known kind and size, whatever runs the tests."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(progress, "SELDOM", (0.02, 0.02))


@pytest.fixture
def report():
    """Half of a log is read, and some of that is tracked."""
    report = Report(
        sources=[SourceReport("old.log", size=100, position=100, lines=2), SourceReport("access.log", size=2000)],
        tracked=1234,
        in_flight=200,
    )
    report.sources[1].position = 1000
    report.sources[1].lines = 4_000
    return report


def output(report, mode, stream, seconds=0.1):
    with shown(report, mode, stream):
        time.sleep(seconds)
    return stream.getvalue()


@pytest.mark.usefixtures("often")
def test_a_plain_line_says_where_reading_is_and_what_was_tracked(report):
    first = output(report, "plain", io.StringIO()).splitlines()[0]
    assert re.fullmatch(
        r"piwik-import: access\.log 50 %, 1,234 lines, [\d,]+ lines/s, 1,234 hits tracked, 200 in flight", first
    )


@pytest.mark.usefixtures("often")
def test_a_plain_line_names_retries_and_invalid_lines_if_there_are_any(report):
    report.retried, report.bad = 7, 3
    assert output(report, "plain", io.StringIO()).splitlines()[0].endswith(", 7 retries, 3 invalid")


@pytest.mark.usefixtures("often")
def test_a_pipe_has_no_share_that_is_read_and_a_dry_run_tracks_nothing():
    report = Report(dry_run=True, made=5, sources=[SourceReport("stdin", position=5000, lines=5)])
    first = output(report, "plain", io.StringIO()).splitlines()[0]
    assert re.fullmatch(r"piwik-import: stdin, 5 lines, [\d,]+ lines/s", first)


def test_plain_lines_are_seldom(report):
    assert output(report, "plain", io.StringIO()) == ""


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_none_is_silent(report, stream):
    assert output(report, "none", stream()) == ""


@pytest.mark.usefixtures("often")
def test_without_a_terminal_lines_are_written_and_no_escape(report):
    text = output(report, "auto", io.StringIO())
    assert text.startswith("piwik-import: ")
    assert "\x1b" not in text


@pytest.mark.usefixtures("often")
def test_a_dumb_terminal_gets_lines(report, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert output(report, "auto", Terminal()).startswith("piwik-import: ")


@pytest.mark.parametrize("mode", ["auto", "bar"])
def test_a_terminal_gets_a_bar_for_each_source_and_the_counts(report, mode):
    text = output(report, mode, Terminal())
    for words in ("access.log", "50%", "old.log", "100%", "1,234 lines", "1,234 hits tracked", "200 in flight"):
        assert words in text
    assert "\x1b" in text


def test_the_bars_are_gone_at_the_end(report):
    stream = Terminal()
    with shown(report, "bar", stream):
        time.sleep(0.5)
        before = len(stream.getvalue())
    assert "\x1b[2K" in stream.getvalue()[before:]
    assert "access.log" not in stream.getvalue()[stream.getvalue().rindex("\x1b[2K") :]


def test_the_bars_say_why_delivery_waits(report):
    report.troubles[0] = "the server says 502; next try in 8 s"
    assert "the server says 502" in output(report, "bar", Terminal())


def test_a_source_that_has_not_been_begun_has_no_bar(report):
    report.sources.append(SourceReport("later.log", size=10))
    assert "later.log" not in output(report, "bar", Terminal())


def test_many_sources_do_not_fill_the_terminal(report):
    report.sources = [SourceReport(f"{number}.log", size=10) for number in range(1, 31)]
    stream = Terminal()
    with shown(report, "bar", stream):
        for source in report.sources:
            source.position = 10
            time.sleep(0.02)
        time.sleep(0.6)
        frame = stream.getvalue().split("lines/s")[-2]
    names = re.findall(r"\d+\.log", frame)
    assert names == [f"{number}.log" for number in range(23, 31)]


@pytest.mark.parametrize(("mode", "stream"), [("plain", io.StringIO()), ("bar", Terminal())], ids=["plain", "bar"])
@pytest.mark.usefixtures("often")
def test_a_name_cannot_give_orders_to_the_terminal(report, mode, stream):
    report.sources[1].name = "\x1b]0;owned\x07[red]evil[/red]\r.log"
    text = output(report, mode, stream)
    assert "\x1b]0" not in text
    assert "\x07" not in text
    assert "[red]evil" in text


@pytest.mark.parametrize("mode", ["plain", "bar"])
def test_an_error_within_passes_and_leaves_no_thread(report, mode):
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), shown(report, mode, Terminal()):
        _ = 1 / 0
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)  # rich does not wait for its own
    assert threading.active_count() <= before
