"""Blocks → batches: every line accounted for, with its number and its end."""

from __future__ import annotations

import os
import pickle
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piwik_import.filters import FilterSettings
from piwik_import.hits import HitSettings
from piwik_import.parsers import catalogue
from piwik_import.source import LINE_LIMIT, Block, Source
from piwik_import.tracking import decode, encode
from piwik_import.translate import SLOTS, Batch, Plan, Translator

PLAN = Plan(3, catalogue.named("combined"), FilterSettings(), HitSettings(1, "http://example.org"))
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def page(ip: str = "192.0.2.1", path: str = "/a", status: int = 200, agent: str = AGENT, year: int = 2020) -> bytes:
    request = f"GET {path} HTTP/1.1" if path else "-"
    return f'{ip} - - [10/Oct/{year}:13:55:36 +0000] "{request}" {status} 12 "-" "{agent}"'.encode()


def block(data: bytes, offset: int = 0, line: int = 1) -> Block:
    return Block(data, offset, offset + len(data), line, data.count(b"\n") + (not data.endswith(b"\n")))


def translated(data: bytes, plan: Plan = PLAN) -> Batch:
    return Translator(plan)(block(data))


def places(batch: Batch) -> list[tuple[int, int, str]]:
    """Where the hits' lines are, and their paths."""
    return [(one.line, one.end, decode(one.query)["url"].removeprefix("http://example.org")) for one in batch.entries]


def from_file(tmp_path, data: bytes, **options: int) -> list[Batch]:
    path = tmp_path / "access.log"
    path.write_bytes(data)
    os.utime(path, (0, 0))  # nobody has written to it for long, so its last line is whole
    translate = Translator(PLAN)
    return [translate(one) for one in Source(str(path)).blocks(**options)]


def test_every_line_becomes_a_hit_or_has_its_reason():
    lines = [
        page(path="/a"),
        b"",
        page(path="/style.css"),
        page(path="/gone", status=404),
        page(path="/moved", status=301),
        page(agent="Googlebot/2.1"),
        page(path=""),
        b"no log line",
        page(year=1990),
        b" \t\r",
        page(path="/b")[:-1],
        page(ip="2001:db8::1", path="/c"),
    ]
    batch = translated(b"\n".join([*lines, b""]))
    assert (batch.lines, batch.end) == (12, sum(map(len, lines)) + 12)
    assert places(batch) == [(1, len(lines[0]) + 1, "/a"), (12, batch.end, "/c")]
    assert batch.filtered == {
        "blank": 2,
        "static": 1,
        "error": 1,
        "redirect": 1,
        "bot": 1,
        "empty_request": 1,
    }
    assert [(one.line, one.reason) for one in batch.bad] == [
        (8, "the line ends where ' [' should follow"),
        (9, "cdt: must be a time in UTC as YYYY-MM-DD HH:MM:SS, not in the future and less than 20 years ago"),
        (11, "the line ends where '\"' should follow"),
    ]
    assert [one.text.encode("latin-1") for one in batch.bad] == [lines[7], lines[8], lines[10]]
    assert {one.source for one in batch.entries} == {3}


def test_an_entry_holds_the_hit_as_it_goes_to_the_server():
    plan = Plan(0, PLAN.definition, PLAN.filters, PLAN.hits, keep_hits=True)
    batch = translated(page() + b"\n" + b"bad\n" + page(path="/x.css") + b"\n" + page(path="/b"), plan)
    assert [encode(hit) for hit in batch.hits] == [one.query for one in batch.entries]
    assert [hit["url"] for hit in batch.hits] == ["http://example.org/a", "http://example.org/b"]
    assert translated(page()).hits == []


def test_hits_without_a_bad_parameter_are_counted_by_what_it_breaks_with_the_first_line():
    huge = [line.replace(b" 12 ", b" 99999999999999999999 ") for line in (page(path="/a"), page(path="/b"))]
    plan = Plan(0, PLAN.definition, PLAN.filters, PLAN.hits, keep_hits=True)
    batch = translated(b"\n".join([page(), *huge]), plan)
    assert (len(batch.entries), batch.bad) == (3, [])
    ((key, warned),) = batch.warned.items()
    assert key == ("bw_bytes", "must be a whole number from 0 to 9223372036854775807")
    assert (warned.hits, warned.line, warned.text) == (2, 2, huge[0].decode())
    assert ["bw_bytes" in hit for hit in batch.hits] == [True, False, False]
    assert [encode(hit) for hit in batch.hits] == [one.query for one in batch.entries]


A, B = page(path="/a"), page(path="/b")
N = len(A)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(A + b"\n" + B + b"\n", [(1, N + 1, "/a"), (2, 2 * N + 2, "/b")], id="plain"),
        pytest.param(A + b"\n" + B, [(1, N + 1, "/a"), (2, 2 * N + 1, "/b")], id="no newline at the end"),
        pytest.param(A + b"\r\n" + B + b"\r\n", [(1, N + 2, "/a"), (2, 2 * N + 4, "/b")], id="CRLF"),
        pytest.param(A + b"\r\n" + B + b"\r", [(1, N + 2, "/a"), (2, 2 * N + 3, "/b")], id="CR at the end"),
        pytest.param(b"\n\n" + A + b"\n\n" + B + b"\n\n", [(3, N + 3, "/a"), (5, 2 * N + 5, "/b")], id="blank lines"),
        pytest.param(b"\xef\xbb\xbf" + A + b"\n" + B, [(1, N + 4, "/a"), (2, 2 * N + 4, "/b")], id="BOM"),
        pytest.param(b"\0" * 9 + A + b"\n" + B, [(1, N + 10, "/a"), (2, 2 * N + 10, "/b")], id="NULs at the beginning"),
        pytest.param(A + b"\n\0\0\0" + B + b"\n", [(1, N + 1, "/a"), (2, 2 * N + 5, "/b")], id="NULs between"),
        pytest.param(A + b"\n\0\0\n" + B + b"\n", [(1, N + 1, "/a"), (3, 2 * N + 5, "/b")], id="a line of NULs"),
        pytest.param(A + b"\n" + b"x" * 500 + b"\n" + B, [(1, N + 1, "/a"), (3, 2 * N + 502, "/b")], id="a cut line"),
    ],
)
@pytest.mark.parametrize("size", [1 << 20, 150, 7])
def test_number_and_end_of_a_line_are_those_of_the_file(tmp_path, data, expected, size):
    batches = from_file(tmp_path, data, size=size, limit=300)
    assert [place for batch in batches for place in places(batch)] == expected
    assert batches[-1].end == len(data)


def test_a_line_that_was_cut_off_is_bad_and_says_how_long_a_line_may_be(tmp_path):
    first, cut, last = from_file(tmp_path, A + b"\n" + b"x" * (LINE_LIMIT + 1) + b"\n" + B)
    assert (len(first.entries), len(last.entries)) == (1, 1)
    assert (cut.lines, cut.end, cut.entries, cut.filtered) == (1, N + 1 + LINE_LIMIT + 2, [], {})
    (bad,) = cut.bad
    assert (bad.line, bad.reason) == (2, "longer than 1 MiB")
    assert {*bad.text} == {"x"}
    assert len(bad.text) < 10_000


ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"])
LINES = st.sampled_from(
    [
        *(A, A, B, page(ip="2001:db8::7"), page(ip="client.example.com"), page(path="/caf\xe9")),
        *(page(path="/x.css"), page(status=404), page(path=""), page(year=1990)),
        *(b"", b"\0", b"\r", b" ", b"\0\0" + A, A[:50], A + b"\0", b"\xef\xbb\xbf"),
    ]
)
LOGS = st.lists(st.tuples(LINES | st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")), ENDS), max_size=12)


@given(LOGS, LINES)
def test_every_line_of_any_bytes_is_in_exactly_one_place(log, last):
    raw = [line + end for line, end in log] + [last] * bool(last)
    data = b"".join(raw)
    if not data:
        return
    batch = translated(data)
    assert batch.lines == len(raw) == len(batch.entries) + len(batch.bad) + sum(batch.filtered.values())
    numbers = [one.line for one in batch.entries] + [one.line for one in batch.bad]
    assert len({*numbers}) == len(numbers)
    ends = [0, *accumulate(map(len, raw))]
    assert [one.end for one in batch.entries] == [ends[one.line] for one in batch.entries]
    assert [one.line for one in batch.entries] == sorted(one.line for one in batch.entries)
    for bad in batch.bad:
        assert bad.text.encode("latin-1") in raw[bad.line - 1]


@given(LOGS.filter(bool), st.data())
def test_one_block_or_many_give_the_same(log, data):
    raw = [line + end for line, end in log]
    cuts = sorted({0, len(raw), *data.draw(st.lists(st.integers(0, len(raw)), max_size=4))})
    translate, parts, offset = Translator(PLAN), Batch(0, 0), 1000
    for first, last in pairwise(cuts):
        text = b"".join(raw[first:last])
        part = translate(block(text, offset, first + 1))
        offset = part.end
        parts = Batch(
            part.end,
            parts.lines + part.lines,
            parts.entries + part.entries,
            parts.bad + part.bad,
            parts.filtered + part.filtered,
            nameless=parts.nameless + part.nameless,
        )
    assert parts == Translator(PLAN)(block(b"".join(raw), 1000))


@pytest.mark.parametrize(
    ("ip", "slot"),
    [("192.0.2.1", 55), ("192.0.2.2", 141), ("2001:db8::1", 14), ("-", 241), ("client.example.com", 195)],
)
def test_a_visitor_has_one_slot_for_ever(ip, slot):
    data = b"\n".join([page(ip), page(ip, "/b"), page(ip, "/guide.pdf")])
    assert {one.slot for one in translated(data).entries} == {slot}
    assert {one.slot for one in Translator(PLAN)(block(page(ip), 99, 7)).entries} == {slot}


def test_an_address_has_one_slot_however_it_was_written():
    data = b"\n".join(map(page, ("2001:db8::1", "2001:0DB8:0::1", "[2001:db8::1]:443", "2001:db8::1%eth0")))
    assert [one.slot for one in translated(data).entries] == [14] * 4


def test_visitors_are_spread_over_all_slots():
    data = b"\n".join(page(f"198.51.{a}.{b}") for a in range(8) for b in range(256))
    slots = [one.slot for one in translated(data).entries]
    assert {*slots} == {*range(SLOTS)}
    assert max(map(slots.count, range(SLOTS))) < 24  # 8 in the mean


def test_plan_and_batch_cross_to_another_process():
    plan = pickle.loads(pickle.dumps(PLAN))
    assert plan == PLAN
    data = b"\n".join([page(), b"bad", page(path="/x.css"), page(ip="client.example.com", path="/caf\xe9")])
    batch = translated(data, plan)
    assert (len(batch.entries), len(batch.bad), batch.filtered.total()) == (2, 1, 1)
    assert pickle.loads(pickle.dumps(batch)) == batch == translated(data)
    assert pickle.loads(pickle.dumps(block(data))) == block(data)
