"""Logs whose header says what their columns hold: W3C, IIS, CloudFront and their kin."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piwik_import import parsers
from piwik_import.errors import FormatError, UnknownFormat, UsageError
from piwik_import.filters import FilterSettings
from piwik_import.hints import Hints
from piwik_import.hits import HitSettings
from piwik_import.jobs import Job
from piwik_import.parsers import catalogue, headers
from piwik_import.parsers.columns import Columns
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.detection import recognise
from piwik_import.parsers.fields import converter
from piwik_import.parsers.headers import Header
from piwik_import.parsers.record import BadLine
from piwik_import.parsers.w3c import W3C
from piwik_import.source import Source
from piwik_import.tracking import decode
from piwik_import.translate import Batch, Plan, Translator

KNOWN = catalogue.known()
WITH_COLUMNS = [pytest.param(one, id=one.name) for one in KNOWN.values() if one.columns is not None]
W3C_LOG, IIS, CLOUDFRONT = KNOWN["w3c_extended"], KNOWN["iis"], KNOWN["cloudfront"]
ALL = FilterSettings(bots=True, static=True, errors=True, redirects=True)
PARTS = {"method", "path", "query", "problem"}


def record_of(fields, line, form=W3C_LOG, above=()):
    """Return the record, or the fault, of one line under a header."""
    (record,) = form.records([*above, f"#Fields: {fields}", line])
    return record


def fault_of(fields, line, form=W3C_LOG, above=()):
    found = record_of(fields, line, form, above)
    assert isinstance(found, BadLine)
    return str(found)


# ---- lines


@pytest.mark.parametrize(
    ("name", "hour"), [("iis_native", 8), ("shoutcast", 8), ("iis", 9), ("w3c_extended", 9), ("cloudfront", 9)]
)
def test_a_zone_is_that_of_logs_in_local_time_and_of_no_others(name, hour):
    form = catalogue.known()[name].read_as(Hints(timezone="Europe/Berlin"))
    line = "2026-11-21\t09:15:02\t192.0.2.1\t/a"
    above = ["#Fields: date\ttime\tc-ip\tcs-uri-stem"]
    if name == "iis_native":
        above, line = (
            [],
            "192.0.2.5, -, 11/21/26, 9:15:02, W3SVC1, WEB1, 192.0.2.1, 45, 163, 32, 200, 0, GET, /a, -,",
        )
    if name in ("iis", "shoutcast"):
        above, line = [above[0].replace("\t", " ")], line.replace("\t", " ")
    (record,) = form.records([*above, line])
    assert record.time == datetime(2026, 11, 21, hour, 15, 2, tzinfo=UTC)


def test_the_time_of_a_column_for_local_time_is_of_the_zone():
    form = catalogue.known()["iis"].read_as(Hints(timezone="Europe/Berlin"))
    record = record_of("date-local time-local c-ip cs-uri-stem", "2026-11-21 09:15:02 192.0.2.1 /a", form)
    assert record.time == datetime(2026, 11, 21, 8, 15, 2, tzinfo=UTC)


def test_the_user_may_say_which_column_gives_a_field():
    form = W3C_LOG.read_as(Hints(fields={"ip": ["x-real-ip"], "host": ["X-Site"]}, trusted_proxies=["10.0.0.0/8"]))
    fields, line = "date time c-ip x-real-ip x-site cs-uri-stem", "2026-11-21 09:15:02 10.0.0.1 {} example.org /a"
    assert record_of(fields, line.format("192.0.2.9"), form)[:1] == ("192.0.2.9",)
    assert record_of(fields, line.format("-"), form).ip == "10.0.0.1"
    assert record_of(fields, line.format("-"), form).host == "example.org"


PROXIED = """\
#Software: Microsoft Internet Information Services 10.0
#Fields: date time c-ip cs-method cs-uri-stem sc-status x-real-ip
2026-11-21 09:15:02 10.0.0.1 GET /a 200 192.0.2.1
#Fields: date time c-ip cs-method cs-uri-stem sc-status
2026-11-21 09:15:04 10.0.0.3 GET /b 200
#Fields: date time c-ip cs-method cs-uri-stem sc-status x-real-ip
2026-11-21 09:15:05 10.0.0.1 GET /c 200 192.0.2.3
"""


@pytest.mark.parametrize("options", [[], ["--format", "iis"], ["--wrapper", "none"]], ids=" ".join)
@pytest.mark.parametrize("field", ["ip", "time", "path"])
def test_a_field_in_a_column_that_the_log_does_not_have_is_refused_with_those_it_has(
    field, options, run_here, tmp_path
):
    log = tmp_path / "u_ex.log"
    log.write_text(PROXIED)
    outcome = run_here("--dry-run", *options, "--field", f"{field}=x-rael-ip", log)
    assert outcome.code == 2
    assert f"--field {field}: the log has no column x-rael-ip; it has date, time, c-ip, " in outcome.stderr


def test_lines_under_a_header_without_the_column_of_a_field_are_invalid(dry_run, tmp_path):
    log = tmp_path / "u_ex.log"
    log.write_text(PROXIED)
    report, entries = dry_run(log, fields={"ip": ["x-real-ip"]})
    assert [(entry.line, report.bad) for entry in entries] == [(3, 1), (7, 1)]
    fates = [*W3C_LOG.read_as(Hints(fields={"ip": ["X-Real-IP"]})).records(PROXIED.splitlines())]
    assert str(fates[1]) == "there is no column x-real-ip, as --field ip has it"


def test_the_user_may_name_another_column_for_the_headers_that_lack_the_first(dry_run, tmp_path):
    log = tmp_path / "u_ex.log"
    log.write_text(PROXIED)
    _, entries = dry_run(log, fields={"ip": ["x-real-ip", "c-ip"]})
    assert [entry.query.partition("cip=")[2].partition("&")[0] for entry in entries] == [
        "192.0.2.1",
        "10.0.0.3",
        "192.0.2.3",
    ]


def test_a_column_that_a_later_header_has_may_give_a_field(dry_run, tmp_path):
    log = tmp_path / "u_ex.log"
    _, _, rest = PROXIED.partition("#Fields: date time c-ip cs-method cs-uri-stem sc-status\n")
    log.write_text(f"#Fields: date time c-ip cs-method cs-uri-stem sc-status\n{rest}")
    report, entries = dry_run(log, fields={"ip": ["x-real-ip"]})
    assert ([entry.line for entry in entries], report.bad) == ([4], 1)


@pytest.mark.parametrize(
    ("fields", "line", "expected"),
    [
        pytest.param("cs-uri-stem time c-ip date", "/a 08:15:02 192.0.2.1 2026-11-21", {"path": "/a"}, id="any order"),
        pytest.param("DATE Time C-IP CS-URI-STEM", "2026-11-21 08:15:02 192.0.2.1 /a", {"ip": "192.0.2.1"}, id="case"),
        pytest.param("date time cs-uri-stem", "2026-11-21   08:15:02  /a", {"path": "/a"}, id="spaces in a row"),
        pytest.param(
            "date time cs-uri-stem ", "2026-11-21 08:15:02 /a \r", {"path": "/a"}, id="space and CR at the end"
        ),
        pytest.param("date time cs-uri-stem", "2026-11-21\t08:15:02\t/a b", {"path": "/a b"}, id="tabs"),
        pytest.param("date\ttime\tcs-uri-stem", "2026-11-21\t08:15:02\t/a b\r", {"path": "/a b"}, id="tabs in both"),
        pytest.param("date time cs-uri-stem", '"2026-11-21" "08:15:02" "/a b"', {"path": "/a b"}, id="all in quotes"),
        pytest.param("date time cs-uri-stem", '2026-11-21\t"08:15:02"\t"/a\tb"', {"path": "/a\tb"}, id="tab in quotes"),
        pytest.param("date time cs-uri-stem", '2026-11-21 08:15:02 "/a""b"', {"path": '/a"b'}, id="quotes in quotes"),
        pytest.param("date time cs-uri-stem", '2026-11-21 08:15:02 /a"b', {"path": '/a"b'}, id="a quote within"),
        pytest.param(
            "date time cs-uri-stem", '2026-11-21 08:15:02 "/a', {"path": '/"/a'}, id="a quote that opens nothing"
        ),
        pytest.param(
            "date time cs-uri-stem",
            "2026-11-21 08:15:02 /caf\xc3\xa9\xa0\xff",
            {"path": "/café\udca0\udcff"},
            id="bytes",
        ),
        pytest.param("date time cs-uri-stem", r"2026-11-21 08:15:02 /a\x41", {"path": r"/a\x41"}, id="no escapes"),
        pytest.param(
            "date time cs-uri-stem cs-username", r"2026-11-21 08:15:02 /a AD\jane", {"user": r"AD\jane"}, id="user"
        ),
        pytest.param(
            "date time cs-uri", "2026-11-21 08:15:02 /a?b=1", {"path": "/a", "query": "b=1"}, id="path and query"
        ),
        pytest.param("date time cs-uri-stem cs-uri-query", "2026-11-21 08:15:02 /a -", {"query": None}, id="no query"),
        pytest.param("date time cs-uri-stem sc-status", "2026-11-21 08:15:02 /a -", {"status": None}, id="no status"),
        pytest.param(
            "date time cs-method cs-uri-stem", "2026-11-21 08:15:02 - -", {"problem": "empty_request"}, id="none"
        ),
        pytest.param(
            "date time cs-uri-stem cs-host cs(Host)", "2026-11-21 08:15:02 /a b.org -", {"host": "b.org"}, id="one host"
        ),
        pytest.param(
            "date time cs-uri-stem cs-host cs(Host)", "2026-11-21 08:15:02 /a b.org A.org", {"host": "a.org"}, id="two"
        ),
        pytest.param(
            "date time cs-uri-stem cs-host cs(Host)", "2026-11-21 08:15:02 /a - -", {"host": None}, id="no host"
        ),
        pytest.param(
            "date time cs-uri-stem time-taken", "2026-11-21 08:15:02 /a 0.25", {"generation_time": 250}, id="seconds"
        ),
        pytest.param(
            "time cs-uri-stem x-a-\xe2\x80\x8b date", "08:15:02 /a - 2026-11-21", {"path": "/a"}, id="Amazon's blank"
        ),
    ],
)
def test_a_line_is_read_as_its_header_says(fields, line, expected):
    record = record_of(fields, line)
    assert record.time == datetime(2026, 11, 21, 8, 15, 2, tzinfo=UTC)
    assert {name: getattr(record, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("fields", "line", "fault"),
    [
        (
            "date time c-ip cs-uri-stem",
            "2026-11-21 08:15:02 ::1",
            "the line ends where cs-uri-stem should follow: 3 of 4",
        ),
        ("date time cs-uri-stem", "2026-11-21 08:15:02 /a b", "column 24: the line goes on after cs-uri-stem"),
        ("date time cs-uri-stem", "2026-11-21 08:15:61 /a", "time: '2026-11-21 08:15:61' is no time"),
        ("date time cs-uri-stem", "21.11.2026 08:15:02 /a", "is no time"),
        ("date time cs-uri-stem", "- 08:15:02 /a", "the line has no time"),
        ("date time cs-uri-stem sc-status", "2026-11-21 08:15:02 /a OK", "status: 'OK' is no number"),
        ("date cs-uri-stem", "2026-11-21 /a", "#Fields names no column for the time"),
        ("time cs-uri-stem", "08:15:02 /a", "no #Date says the day"),
        ("date time c-ip", "2026-11-21 08:15:02 ::1", "#Fields names no column for the request"),
        ("", "2026-11-21 08:15:02 ::1", "no #Fields line says what its columns are; --w3c-fields"),
    ],
)
def test_a_line_that_is_not_what_its_header_says_tells_why(fields, line, fault):
    assert fault in fault_of(fields, line)


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("plus", "Mozilla/5.0+(X11;+x64)", "Mozilla/5.0 (X11; x64)"),
        ("plus", "Bot/2.1;++http://a.org/b.html)", "Bot/2.1; +http://a.org/b.html)"),
        ("plus", "Agent (C++; X11)", "Agent (C++; X11)"),
        ("percent", "Mozilla/5.0%20(X11;%20x64)", "Mozilla/5.0 (X11; x64)"),
        ("percent", "Mozilla/4.0%2520(X11;%2520%2522x%2522)", 'Mozilla/4.0 (X11; "x")'),
        ("percent", "100%25%20sure", "100% sure"),
        ("percent", "a%2520b%20c", "a%20b c"),
        ("percent", "100%25", "100%"),
        ("percent", "VLC%2F3.0.20", "VLC/3.0.20"),
        ("percent", "caf%C3%A9%FF%zz", "café\udcff%zz"),
        ("percent", "a+b", "a+b"),
    ],
)
def test_an_agent_is_given_back_its_spaces(form, text, expected):
    assert converter("user_agent", form)[text] == expected


@pytest.mark.parametrize(
    ("name", "fields", "values", "host"),
    [
        ("iis", "s-port cs-host", "443 www.example.org", "www.example.org:443"),
        ("iis", "s-port cs-host", "8443 www.example.org:8443", "www.example.org:8443"),
        ("iis", "s-port cs-host", "80 www.example.org", "www.example.org"),  # TLS may have ended before
        ("iis", "s-port", "443", None),
        ("netscaler", "s-port cs(Host)", "443 www.example.org", "www.example.org:443"),
        ("cloudfront", "cs-protocol x-host-header", "https\twww.example.org", "www.example.org:443"),
        ("cloudfront", "cs-protocol cs(Host)", "wss\td1.cloudfront.net", "d1.cloudfront.net:443"),
        ("cloudfront", "cs-protocol x-host-header", "http\twww.example.org", "www.example.org:80"),
        ("cloudfront", "cs-protocol x-host-header", "-\twww.example.org", "www.example.org"),
    ],
)
def test_the_scheme_is_that_of_its_column(name, fields, values, host):
    between = "\t" if name == "cloudfront" else " "
    fields = f"date time c-ip cs-method cs-uri-stem {fields}"
    line = between.join(["2026-11-21", "08:15:02", "192.0.2.8", "GET", "/a", values])
    assert KNOWN[name].under(Header(fields=fields)).compile()(line).host == host


def test_a_list_of_addresses_in_a_custom_column_comes_before_the_proxys():
    fields = "date time cs-uri-stem c-ip X-Forwarded-For sc-substatus"
    for forwarded, ip in [("192.0.2.7,+10.0.0.1", "192.0.2.7"), ("-", "10.9.9.9"), ("2001:db8::1", "2001:db8::1")]:
        assert record_of(fields, f"2026-11-21 08:15:02 /a 10.9.9.9 {forwarded} 0", IIS).ip == ip


# ---- headers


def test_a_header_in_the_middle_governs_what_follows():
    lines = [
        "#Fields: date time c-ip cs-uri-stem sc-status",
        "2026-11-21 08:15:02 192.0.2.1 /a 200",
        "#Software: another",
        "#Fields: cs-uri-stem sc-status date time",
        "/b 404 2026-11-21 08:15:03",
        "2026-11-21 08:15:02 192.0.2.1 /a 200",
        "#Remark: nothing",
        "/c 500 2026-11-21 08:15:04",
    ]
    found = [*W3C_LOG.records(lines)]
    assert [(one.path, one.status) for one in found if not isinstance(one, BadLine)] == [
        ("/a", 200),
        ("/b", 404),
        ("/c", 500),
    ]
    assert isinstance(found[2], BadLine)


DATELESS = ["#Date: 2026-11-21 22:00:00", "#Fields: time c-ip cs-uri-stem"]


def days(times, above=DATELESS):
    """Return the days of lines of which each has but a time, and of the last one's header."""
    return [f"{one.time:%d %H:%M}" for one in W3C_LOG.records([*above, *(f"{time} 192.0.2.1 /a" for time in times)])]


def test_without_a_date_the_day_is_the_headers_and_the_next_one_after_midnight():
    assert days(["22:00:01", "23:59:59", "00:00:00", "12:00:00"]) == ["21 22:00", "21 23:59", "22 00:00", "22 12:00"]


@pytest.mark.parametrize("line", ["a b\t{}\t/", '"a b" {} /', "a {} /", '"a\tb"\t"{}"\t/'])
def test_the_time_of_day_is_found_behind_other_columns(line):
    lines = [
        "#Date: 2026-11-21",
        "#Fields: x time cs-uri-stem",
        *(line.format(time) for time in ["23:00:00", "00:30:00"]),
    ]
    assert [one.time.day for one in W3C_LOG.records(lines)] == [21, 22]


def test_a_line_that_comes_a_little_late_is_of_the_day_that_it_was():
    times = ["23:10:00", "22:59:00", "00:00:01", "23:59:58", "00:00:02", "23:00:00", "01:30:00", "00:59:00", "00:10:00"]
    assert [day[:2] for day in days(times)] == ["21", "21", "22", "21", "22", "21", "22", "22", "23"]


def test_another_date_line_counts_from_there():
    lines = [*DATELESS, "23:00:00 ::1 /", "#Date: 2026-12-24 00:00:00", "23:00:00 ::1 /", "00:30:00 ::1 /"]
    assert [f"{one.time:%m-%d}" for one in W3C_LOG.records(lines)] == ["11-21", "12-24", "12-25"]


def test_the_example_of_the_w3c_is_read_with_its_date():
    lines = [
        "#Version: 1.0",
        "#Date: 12-Jan-2026 00:00:00",
        "#Fields: time cs-method cs-uri",
        "00:34:23 GET /foo/bar.html",
    ]
    assert [one.time for one in W3C_LOG.records(lines)] == [datetime(2026, 1, 12, 0, 34, 23, tzinfo=UTC)]


@pytest.mark.parametrize(
    "line",
    [
        "#Date: 24/Dec/2026 08:00:00",
        "#Date: 24-Foo-2026 08:00:00",
        "#Date: x-Dec-2026",
        "#Date: 32-Dec-2026",
        "#Date: soon",
        "#",
        "##",
        "#Fields",
        "#:",
        "# a remark: Fields: x",
        "#Dates: 2026-01-01",
    ],
)
def test_a_line_that_says_nothing_about_columns_changes_nothing(line):
    header = Header("date time", "IIS", "2026-11-21", 5)
    assert header.after(line) == header


HEADERS = st.builds(
    Header,
    st.sampled_from(["", "date time cs-uri-stem", "time [c-ip]"]),
    st.sampled_from(["", "IIS 10"]),
    st.dates().map(str),
    st.integers(0, 1439),
    st.booleans(),
)


@given(HEADERS)
def test_a_header_crosses_as_lines_and_comes_back(header):
    assert headers.read(header.encode()) == header


def test_a_definition_under_its_header_crosses_to_another_process():
    form = IIS.under(Header("time cs-uri-stem", date="2026-11-21"))
    assert pickle.loads(pickle.dumps(form)) == form
    assert pickle.loads(pickle.dumps(form)).compile()("08:15:02 /a").path == "/a"


# ---- blocks


LINES = st.sampled_from(
    [
        *["#Fields: date time c-ip cs-uri-stem", "#Fields: cs-uri-stem time c-ip", "#Fields: time cs-uri-stem"],
        *[
            "#Date: 2020-11-21 22:00:00",
            "#Software: Microsoft Internet Information Services 10.0",
            "#Remark",
            "\0#Fields: time",
        ],
        *["2020-11-21 08:15:02 192.0.2.1 /a", "2020-11-21 23:59:59 192.0.2.1 /b", "/c 08:15:02 192.0.2.1"],
        *["/d 23:59:58 192.0.2.2", "/e 00:00:01 192.0.2.2", "23:30:00 /f", "00:10:00 /g", "01:00:00 /h", "13:00:00 /i"],
        *["", "nothing", "\0\0" + "13:00:00 /j", "x" * 120],
    ]
)
LOGS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\n", "\r\n"])), min_size=1, max_size=40)


def plan(form=W3C_LOG):
    return Plan(0, form, ALL, HitSettings(1, "http://example.org"))


def imported(path, offset=0, line=1, size=1 << 20, form=W3C_LOG):
    """Translate what a log holds from an offset on, as an import does; return all of it as one batch."""
    job = Job(Source(str(path)), [form], definition=form, offset=offset, line=line)
    job.source.blocks = lambda *where, blocks=job.source.blocks: blocks(*where, size=size, limit=100)
    translate, whole = Translator(plan(form)), Batch(0, 0)
    for block in job.blocks():
        part = translate(pickle.loads(pickle.dumps(block)))
        whole.end, whole.lines = part.end, whole.lines + part.lines
        whole.entries += part.entries
        whole.bad += [bad._replace(text=bad.text.lstrip("\0")) for bad in part.bad]  # some lie between blocks
        whole.filtered.update(part.filtered)
    return whole


@given(LOGS, st.integers(1, 200))
def test_any_split_into_blocks_gives_the_same(tmp_path_factory, log, size):
    path = tmp_path_factory.mktemp("split") / "w3c.log"
    path.write_bytes("".join(line + end for line, end in log).encode("latin-1"))
    os.utime(path, (0, 0))
    assert without_nuls(imported(path, size=size)) == without_nuls(imported(path))
    assert imported(path).lines == len(log)


def without_nuls(batch):
    """Leave out where lines begin: NULs before a line may end up in the block before it."""
    entries = [entry._replace(begin=0, text=entry.text.lstrip("\0")) for entry in batch.entries]
    return replace(batch, entries=entries, bad=[bad._replace(begin=0, text=bad.text.lstrip("\0")) for bad in batch.bad])


@given(LOGS, st.integers(1, 200), st.data())
def test_from_any_line_on_a_log_is_read_as_from_its_beginning(tmp_path_factory, log, size, data):
    path = tmp_path_factory.mktemp("resumed") / "w3c.log"
    raw = [(line + end).encode("latin-1") for line, end in log]
    path.write_bytes(b"".join(raw))
    os.utime(path, (0, 0))
    first = data.draw(st.integers(0, len(raw) - 1))
    offset = sum(map(len, raw[:first]))
    whole, rest = without_nuls(imported(path)), without_nuls(imported(path, offset, first + 1, size))
    assert rest.entries == [entry for entry in whole.entries if entry.line > first]
    assert [bad.line for bad in rest.bad] == [bad.line for bad in whole.bad if bad.line > first]


def test_a_midnight_is_remembered_while_the_lines_name_their_day_themselves():
    log = [
        "#Fields: time cs-uri-stem",
        "#Date: 2020-11-21 22:00:00",
        "01:00:00 /h",
        "#Fields: date time cs-uri-stem",
        "",
    ]
    below = W3C_LOG.header_after(Header(), "\n".join(log).encode())
    assert (below.date, below.minute) == ("2020-11-22", 60)


def test_every_line_of_a_header_is_counted_as_what_it_is(tmp_path):
    path = tmp_path / "iis.log"
    lines = [
        "#Software: x",
        "#Fields: date time cs-uri-stem",
        "2020-11-21 08:15:02 /a",
        "#Remark",
        "",
        "bad",
        "#Fields: x",
        "y",
    ]
    path.write_text("\n".join([*lines, ""]))
    batch = imported(path)
    assert (batch.lines, len(batch.entries), len(batch.bad), batch.filtered) == (8, 1, 2, {"header": 4, "blank": 1})
    assert [(one.line, one.end) for one in batch.entries] == [(3, len("\n".join(lines[:3])) + 1)]


def test_a_block_is_translated_in_another_process_as_in_this_one(tmp_path):
    path = tmp_path / "iis.log"
    lines = ["#Date: 2020-11-21 22:00:00", "#Fields: time c-ip cs-uri-stem"]
    path.write_text("\n".join([*lines, *(f"{hour:02}:00:00 192.0.2.1 /{hour}" for hour in [22, 23, 0, 1])]) + "\n")
    offset = path.stat().st_size - len("01:00:00 192.0.2.1 /1\n")
    (last,) = Job(Source(str(path)), W3C_LOG, [W3C_LOG], offset=offset, line=6).blocks()
    program = (
        "import pickle, sys\nfrom piwik_import.translate import Translator\n"
        "plan, block = pickle.load(sys.stdin.buffer)\npickle.dump(Translator(plan)(block), sys.stdout.buffer)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(parsers.__file__).parent.parent.parent)},
        input=pickle.dumps((plan(), last)),
        capture_output=True,
        check=True,
        timeout=60,
    )
    batch = pickle.loads(run.stdout)
    assert batch == Translator(plan())(last)
    assert [decode(one.query)["cdt"] for one in batch.entries] == ["2020-11-22 01:00:00"]


# ---- recognition


@pytest.mark.parametrize(
    ("above", "fields", "line", "name"),
    [
        (
            ["#Software: Microsoft Internet Information Services 7.5"],
            "date time cs-uri-stem c-ip",
            "2026-11-21 08:15:02 /a ::1",
            "iis",
        ),
        ([], "date time cs-uri-stem c-ip sc-win32-status", "2026-11-21 08:15:02 /a ::1 0", "iis"),
        ([], "date time cs-uri-stem c-ip", "2026-11-21 08:15:02 /a ::1", "w3c_extended"),
        (
            ["#Software: Example Server"],
            "date time cs-uri-stem c-ip time-taken",
            "2026-11-21 08:15:02 /a ::1 1",
            "w3c_extended",
        ),
        (
            ["#Software: Netscaler Web Logging(NSWL)"],
            "date time cs-uri-stem c-ip",
            "2026-11-21 08:15:02 /a ::1",
            "netscaler",
        ),
    ],
)
def test_whose_log_it_is_says_the_header(above, fields, line, name):
    assert recognise("log", [*above, f"#Fields: {fields}", *[line] * 3], KNOWN.values()).name == name


def test_directives_count_neither_for_nor_against_a_format():
    lines = [*["#Software: x", "#Remark"] * 100, "#Fields: date time c-ip cs-uri-stem", "2026-11-21 08:15:02 ::1 /a"]
    assert recognise("log", lines, KNOWN.values()) is W3C_LOG
    with pytest.raises(UnknownFormat):
        recognise(
            "log",
            ["#Fields: date time c-ip cs-uri-stem", *["nothing"] * 9, "2026-11-21 08:15:02 ::1 /a"],
            KNOWN.values(),
        )


@pytest.mark.parametrize("log_format", WITH_COLUMNS)
def test_a_mebibyte_in_one_line_is_over_in_no_time(log_format):
    samples = "\n".join(sample["line"] for sample in log_format.samples).splitlines()
    lines = [line for line in samples if line and not line.startswith("#")]
    header = next((Header().after(line) for line in samples if line.startswith("#Fields")), Header())
    parse = log_format.under(header._replace(date="2026-11-21")).compile()
    for filler in [
        "a",
        '"',
        '""',
        '" ',
        '"a "',
        " ",
        "\t",
        ", ",
        ",",
        "%25",
        "+",
        "a\t",
        "-\t",
        "\xc3\xa9",
        "\xe9",
        '"\t',
        "\r",
    ]:
        text = filler * ((1 << 20) // len(filler))
        for line in [text, f"{lines[0]} {text}", f"{lines[0][:20]}{text}{lines[0][20:]}", f"{text} {lines[0]}"]:
            best = 1.0  # second; it takes some 20 ms, and what is not linear takes minutes
            for _ in range(3):
                start = time.process_time()
                with suppress(BadLine):
                    parse(line)
                best = min(best, time.process_time() - start)
                if best < 0.15:
                    break
            assert best < 0.15, (filler, best)


@given(
    st.text(st.characters(max_codepoint=255), max_size=200), st.sampled_from([one.values[0] for one in WITH_COLUMNS])
)
def test_any_header_and_any_line_are_a_record_or_have_a_fault(text, log_format):
    for lines in ([f"#Fields: {text}", text], [text, *log_format.samples[0]["line"].splitlines(), text]):
        for record in log_format.records(lines):
            assert isinstance(record, BadLine) or record.time is not None


# ---- what the user knows


def adapted(form=W3C_LOG, **settings):
    (found,) = W3C(**settings).adapted([form])
    return found


def test_a_header_may_be_given_for_a_log_without_one():
    form = adapted(w3c_fields="#Fields: date time cs-uri-stem c-ip")
    (record,) = form.records(["2026-11-21 08:15:02 /a 192.0.2.1"])
    assert (record.path, record.ip) == ("/a", "192.0.2.1")
    (record,) = form.records(["#Fields: cs-uri-stem date time", "/b 2026-11-21 08:15:02"])
    assert record.path == "/b"


def test_a_column_of_another_name_stands_for_a_known_one():
    form = adapted(w3c_map_field=("my-date=date", "Page=cs-uri-stem", "client=c-ip"))
    record = record_of("my-date time page c-ip CLIENT", "2026-11-21 08:15:02 /a 10.0.0.1 192.0.2.1", form)
    assert (record.path, record.ip) == ("/a", "192.0.2.1")


def test_an_expression_takes_a_column_apart():
    form = adapted(w3c_field_regex=(r"who=(?P<userid>\w+)@(?P<host>\S+)", r"cs-uri-stem=/app(?P<path>/\S*)"))
    record = record_of("date time cs-uri-stem who", "2026-11-21 08:15:02 /app/a jane@example.org", form)
    assert (record.path, record.user, record.host) == ("/a", "jane", "example.org")
    when = adapted(w3c_field_regex=(r"when=(?P<date>\S+)T(?P<time>\S+)Z",))
    assert record_of("when cs-uri-stem", "2026-11-21T08:15:02Z /a", when).time == datetime(
        2026, 11, 21, 8, 15, 2, tzinfo=UTC
    )
    assert "is no time" in fault_of("when cs-uri-stem", "2026-11-21 /a", when)
    fields = "date time cs-uri-stem who"
    assert "cs-uri-stem does not match" in fault_of(fields, "2026-11-21 08:15:02 /b jane@example.org", form)


def test_other_columns_and_groups_are_there_for_whoever_asks():
    form = adapted(w3c_field_regex=(r"sc-win32-status=(?P<win32>\d+)",))
    under = form.under(Header("date time cs-uri-stem sc-win32-status X-Edge(Id) cs-host"))
    parse = under.compile(["win32", "X-Edge(Id)", "missing", "cs-host"])
    assert parse("2026-11-21 08:15:02 /a 64 caf\xc3\xa9 b.org").extra == {
        "win32": "64",
        "X-Edge(Id)": "café",
        "cs-host": "b.org",
    }
    assert parse('2026-11-21 08:15:02 /a none "-" -').extra == {}
    assert under.compile()("2026-11-21 08:15:02 /a 64 x -").extra is None


@pytest.mark.parametrize(("unit", "milliseconds"), [("millisecs", 250), ("secs", 250_000)])
def test_the_unit_of_time_taken_may_be_given(unit, milliseconds):
    form = adapted(IIS, **{f"w3c_time_taken_{unit}": True})
    assert (
        record_of("date time cs-uri-stem time-taken", "2026-11-21 08:15:02 /a 250", form).generation_time
        == milliseconds
    )


def test_units_are_right_by_themselves():
    line = "2026-11-21 08:15:02 /a 2"
    assert record_of("date time cs-uri-stem time-taken", line, IIS).generation_time == 2
    for form in (W3C_LOG, KNOWN["netscaler"]):
        assert record_of("date time cs-uri-stem time-taken", line, form).generation_time == 2000
    assert record_of("date time cs-uri-stem time-taken", line.replace(" ", "\t"), CLOUDFRONT).generation_time == 2000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"w3c_map_field": ("my-date",)}, "'my-date' is no such pair"),
        ({"w3c_map_field": ("my-date=when",)}, "no column is called when; try "),
        ({"w3c_field_regex": ("user=(",)}, "missing ), unterminated subpattern"),
        ({"w3c_field_regex": ("user=.*",)}, "it needs a named group"),
        ({"w3c_time_taken_secs": True, "w3c_time_taken_millisecs": True}, "choose one"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(settings, message):
    with pytest.raises(UsageError) as caught:
        adapted(**settings)
    assert message in str(caught.value)


def test_settings_for_columns_are_refused_for_a_format_without():
    with pytest.raises(UsageError, match="combined has none"):
        adapted(KNOWN["combined"], w3c_fields="date")
    assert adapted(KNOWN["combined"]) is KNOWN["combined"]


def test_columns_that_a_line_may_lack_are_absent():
    columns = Columns(
        {"time": ["time:epoch"], "path": ["path"], "a": ["user"], "b": ["host"]}, default="time path [a [b]]"
    )
    parse = Definition("mine", "", "", columns=columns).compile()
    found = [parse(line) for line in ["1 /", "1 / jane", "1 / jane b.org", "1 / - b.org\r"]]
    assert [(one.user, one.host) for one in found] == [(None, None), ("jane", None), ("jane", "b.org"), (None, "b.org")]


def test_a_time_in_two_parts_is_read_in_patterns_and_in_json(tmp_path):
    pattern, json_file = tmp_path / "p.toml", tmp_path / "j.toml"
    pattern.write_text("pattern = '{ip} {date:mdy} {time} \"{request}\" {status}'")
    json_file.write_text("[json]\ndate = 'd:%d.%m.%Y'\ntime = 't:%H.%M.%S %z'\npath = 'p'")
    record = catalogue.read(pattern).compile()('192.0.2.1 11/21/26 8:15:02 "GET / HTTP/1.1" 200')
    assert record.time == datetime(2026, 11, 21, 8, 15, 2, tzinfo=UTC)
    parse = catalogue.read(json_file).compile()
    assert parse('{"d":"21.11.2026","t":"08.15.02 +0100","p":"/"}').time == datetime(2026, 11, 21, 7, 15, 2, tzinfo=UTC)
    for line in ['{"t":"08.15.02 +0100","p":"/"}', '{"d":null,"t":8,"p":"/"}', '{"d":"","t":"-","p":"/"}']:
        with pytest.raises(BadLine):
            parse(line)


def test_a_format_that_makes_no_sense_is_refused_before_any_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[columns]\ntime = 'time'\npath = 'page'")
    with pytest.raises(FormatError, match="no such field: page"):
        Translator(plan(catalogue.read(path)))
