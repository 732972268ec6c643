"""The counters: their sums always add up, and what they show does no harm to a terminal."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piwik_import.filters import REASONS
from piwik_import.report import EXAMPLES, Report, SourceReport
from piwik_import.summary import as_dict, as_text
from piwik_import.translate import BadEntry, Batch, Entry

EVIL = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202e\udcff"

counts = st.integers(0, 20)
blocks = st.tuples(
    st.just("block"),
    st.integers(0, 2),
    counts,
    counts,
    st.dictionaries(st.sampled_from([*REASONS]), counts),
    counts,
    st.integers(1, 3),
)
answers = st.tuples(st.just("answer"), st.integers(1, 30), st.integers(0, 30), st.booleans())
losses = st.tuples(st.just("loss"), st.integers(1, 30))


def batch(source, entries, bad, filtered, already=0, each=1, line=1):
    """Return a block of so many lines that became `each` hits, are broken, were left out, and were imported before."""
    lines = entries + bad + sum(filtered.values()) + already
    return Batch(
        end=100 * (line + lines - 1),
        lines=lines,
        entries=[
            Entry("url=/", 0, source, line + at, 100 * (line + at), is_further=number > 0)
            for at in range(entries)
            for number in range(each)
        ],
        bad=[BadEntry(line + entries + at, 0, "what?", "no request") for at in range(bad)],
        filtered=Counter(filtered),
        already=already,
        further=entries * (each - 1),
    )


def assert_adds_up(report):
    summary = as_dict(report)
    lines, hits = summary["lines"], summary["hits"]
    fates = lines["imported"] + lines["invalid"] + lines["already_imported"] + sum(lines["filtered"].values())
    assert lines["read"] == fates
    assert hits["sent"] == hits["tracked"] + hits["rejected"] + hits["in_doubt"]
    assert sum(source["lines"] for source in summary["sources"]) == lines["read"]
    assert lines["read"] + lines["left"] == report.lines
    assert min(lines["left"], report.in_flight, *hits.values()) >= 0
    assert report.exit_code == (3 if lines["invalid"] or hits["rejected"] else 0)
    json.dumps(summary)


@settings(max_examples=150)
@given(st.lists(blocks | answers | losses, max_size=25))
def test_the_sums_add_up_after_whatever_has_happened(events):
    report = Report(sources=[SourceReport(name) for name in "abc"])
    waiting: list[Entry] = []
    lost, read = [], 0
    for kind, *event in events:
        if kind == "block":
            new = batch(*event, line=read + 1)
            report.add_batch(event[0], new)
            waiting += new.entries
            read += new.lines
        elif waiting:
            chunk, waiting = waiting[: event[0]], waiting[event[0] :]
            report.sending(chunk, retry=False)
            assert_adds_up(report)
            report.answered(chunk)
            if kind == "answer":
                rejected = min(event[1], len(chunk))
                report.settle(chunk, rejected, "it is invalid", range(rejected) if event[2] else ())
            else:
                report.doubt(chunk)
                lost += chunk
        assert_adds_up(report)
    assert report.lines == read
    assert report.left == sum(not hit.is_further for hit in waiting + lost)
    assert report.in_doubt == len(lost)
    assert len(report.examples) <= EXAMPLES
    as_text(report)


@given(st.lists(blocks, max_size=10))
def test_in_a_dry_run_every_hit_counts_as_imported(events):
    report = Report(dry_run=True, sources=[SourceReport(name) for name in "abc"])
    for _, *event in events:
        report.add_batch(event[0], batch(*event))
        assert_adds_up(report)
    assert report.imported == sum(event[2] for event in events)
    assert report.left == report.sent == 0
    assert "hits sent" not in as_text(report)


@pytest.mark.parametrize(
    ("bad", "rejected", "code"), [(0, 0, 0), (1, 0, 3), (0, 1, 3)], ids=["all imported", "a bad line", "a refused hit"]
)
def test_the_exit_code_says_whether_all_was_taken(bad, rejected, code):
    report = Report(sources=[SourceReport("a.log")])
    block = batch(0, 2, bad, {"bot": 3})
    report.add_batch(0, block)
    report.settle(block.entries, rejected, "it is invalid", range(rejected))
    assert report.exit_code == code


def test_the_text_names_every_number_and_every_reason():
    report = Report(sources=[SourceReport("a.log", "combined")])
    block = batch(0, 1_000, 2, {"bot": 30, "static": 4_000})
    report.add_batch(0, block)
    report.sending(block.entries[:900], retry=False)
    report.answered(block.entries[:900])
    report.settle(block.entries[:900], 5, "it calls them invalid")
    report.doubt(block.entries[900:910])
    report.note("The moon is full.")
    report.sources[0].unfinished = 17
    text = as_text(report)
    for words in (
        "a.log: 4,932 lines, format combined",
        "17 bytes",
        "895  imported",
        "4,000  left out: static files",
        "30  left out: requests of bots",
        "2  invalid",
        "5  refused by the server",
        "100  read, but not sent or not answered",
        "a.log:1001: no request",
        "910 hits sent: 895 tracked, 5 rejected, 10 in doubt",
        "requests: 1, repeated: 0",
        "The moon is full.",
    ):
        assert words in text


def test_hits_in_doubt_that_are_not_sent_again_are_said_not_to_be_left_for_another_run():
    report = Report(sources=[SourceReport("a.log")])
    block = batch(0, 10, 0, {})
    report.add_batch(0, block)
    report.settle(block.entries[:7], 0)
    report.doubt(block.entries[7:], skipped=True)
    assert report.exit_code == 3
    assert "3  in doubt: perhaps recorded, and not sent again" in as_text(report)
    assert "another run" not in as_text(report)


def test_only_the_first_lines_that_were_not_imported_are_shown():
    report = Report(sources=[SourceReport("a.log")])
    for at in range(10):
        report.add_batch(0, batch(0, 0, 3, {}, line=1 + 3 * at))
    assert [example.line for example in report.examples] == list(range(1, EXAMPLES + 1))


def test_the_same_remark_is_kept_once():
    report = Report()
    report.note("once")
    report.note("once")
    assert report.notes == ["once"]


def test_a_source_without_a_line_is_shown_as_empty():
    report = Report(sources=[SourceReport("a.log")])
    assert "a.log: 0 lines, format (empty)" in as_text(report)


def test_nothing_in_a_log_can_give_orders_to_a_terminal():
    report = Report(sources=[SourceReport(f"{EVIL}.log", "combined")])
    report.add_batch(0, Batch(100, 1, bad=[BadEntry(1, 0, EVIL, EVIL)]))
    block = batch(0, 1, 0, {}, line=2)
    report.add_batch(0, block)
    report.settle(block.entries, 1, EVIL, [0])
    report.note(EVIL)
    text = as_text(report)
    assert all(line.isprintable() for line in text.split("\n"))
    assert json.dumps(as_dict(report)).isascii()
