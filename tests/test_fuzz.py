"""A few seconds of `make fuzz`, and what it has found so far."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import replace

import pytest
from fuzz import DATA, Row, Trial, files, formats, strings, trackers, within
from hypothesis import given
from hypothesis import strategies as st
from mutations import Mutator, lines_in, made

from piwik_import import clock, framing
from piwik_import.errors import FormatError, FormatStringError
from piwik_import.hits import HitMaker, HitSettings
from piwik_import.parsers import catalogue, headers, logformat, serverconf, wrappers
from piwik_import.parsers.choice import from_regex
from piwik_import.parsers.detection import recognise
from piwik_import.parsers.fields import host
from piwik_import.parsers.headers import Header
from piwik_import.parsers.record import BadLine, OtherLine
from piwik_import.source import Block, Source
from piwik_import.tracking import InvalidHit, encode, encode_rest

ODD = made(60, 1)
COMBINED = '192.0.2.1 - - [21/Nov/2026:09:15:02 +0100] "GET /a HTTP/1.1" 200 5 "-" "Firefox"'


@pytest.mark.parametrize("seed", [1, 2])
def test_broken_lines_of_every_format_are_accounted_for_in_no_time(seed):
    dice = random.Random(seed)
    rows = [*formats(dice, Mutator(dice, ODD), 2000, [(DATA / "sample.log").read_text("latin-1").splitlines()])]
    assert [row.what for row in rows] == [name for name, one in catalogue.known().items() if "time" in one.fields]
    assert sum(row.hits for row in rows) > 200
    assert sum(row.bad for row in rows) > 200


def test_broken_lines_within_every_wrapper_are_accounted_for():
    dice = random.Random(3)
    rows = [*within(dice, Mutator(dice, ODD), 1000)]
    assert len(rows) == len(wrappers.known())
    assert sum(row.hits for row in rows) > 100


def test_broken_requests_to_a_tracker_are_replayed_or_refused():
    rows = [*trackers(Mutator(random.Random(6), ODD), 1000)]
    assert all(row.hits and row.bad for row in rows)


def test_broken_files_are_read_to_their_end_or_refused():
    dice = random.Random(4)
    rows = [*files(dice, Mutator(dice, ODD), 600, [])]
    assert all(row.lines >= 200 for row in rows)
    assert sum(row.hits for row in rows) > 100


def test_broken_descriptions_of_lines_are_read_or_refused():
    dice = random.Random(5)
    rows = {row.what: row for row in strings(dice, Mutator(dice, ODD), 300)}
    assert all(row.hits and row.bad for row in rows.values())


@given(st.data())
def test_lines_that_hypothesis_puts_together_are_accounted_for(data):
    known = [one for one in catalogue.known().values() if "time" in one.fields]
    definition = data.draw(st.sampled_from(known))
    lines = lines_in(definition)
    texts = st.sampled_from(lines).map(lambda line: line[:40]) | st.text(st.characters(max_codepoint=255), max_size=20)
    Trial(definition)(Row(definition.name), "".join(data.draw(st.lists(texts, max_size=4))), shaped=True)


# -- what it found --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "text"), [("2026-11-21", f"{10**20}:00"), ("2026-11-21", f"10:{10**20}"), (f"11/21/{10**20}", "10:00")]
)
def test_a_number_of_twenty_digits_is_no_time_of_day_and_no_year(day, text):
    read = clock.two_part_reader("mdy" if "/" in day else "iso", "")
    with pytest.raises(ValueError, match="0000"):
        read(day, text)


@pytest.mark.parametrize("form", ["%m %m", "%Y-%m-%d %Y"])
def test_a_part_that_stands_twice_in_the_form_of_a_time_is_refused(form):
    with pytest.raises(ValueError, match="no form of a time: redefinition"):
        clock.reader(form)
    with pytest.raises(FormatStringError):
        logformat.read("tomcat:%{yyyy-MM-dd MM}t %U")


@pytest.mark.parametrize(
    "line", ["<165>1 2026-11-21T08:15:02Z web1 nginx 311 - -", "<40>1 2026-11-21T08:15:02Z h a - - -"]
)
def test_syslog_without_a_message_is_no_line_of_the_log(line):
    parse = catalogue.named("combined").within(wrappers.known()["syslog_5424"]).compile()
    with pytest.raises(OtherLine):
        parse(line)


def test_a_line_that_begins_as_a_comment_does_not_keep_a_wrapped_log_from_being_recognised():
    lines = [*[f"web-1  | {COMBINED}"] * 3, "# Attaching", "#Fields: date time"]
    found = recognise("log", lines, catalogue.recognisable(), [None, wrappers.known()["compose"]])
    assert found.label == "combined in compose"


def test_a_format_string_of_some_hundred_directives_says_what_is_wrong_with_a_line():
    parse = logformat.read("apache:%t %U " + '"%{a}i" ' * 400).compile()
    with pytest.raises(BadLine, match="the line ends where"):
        parse(f"[21/Nov/2026:09:15:02 +0100] /a 1 {'- ' * 30}")


@pytest.mark.parametrize("columns", ["a " * 300, "a " * 500_000, "[ a " * 100, "[" * 20_000])
def test_a_header_that_names_columns_without_end_has_its_lines_refused_at_once(columns):
    began = time.process_time()
    header = Header().after(f"#Fields: date time cs-uri-stem {columns}")
    with pytest.raises(BadLine, match="#Fields names more than"):
        catalogue.named("iis").under(header).compile()("2026-11-21 09:15:02 /")
    assert time.process_time() - began < 0.5  # a million columns take 70 s to compile
    assert headers.read(header.encode()) == header


@pytest.mark.parametrize(
    "text",
    [
        "regex = '(?P<message>.*)'\n[[sample]]\ntime = 'x'",
        "regex = '(?P<message>.*)'\nsample = [1]",
        "[json]\nmessage = 5",
    ],
)
def test_a_wrappers_file_that_lacks_what_it_needs_is_refused(text, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"has no line|no name of a key"):
        wrappers.read(path)


def test_an_expression_that_python_may_read_otherwise_one_day_is_read_without_a_word():
    found = from_regex(r"(?P<ip>\S+) (?P<date>\S+ \S+) (?P<path>[[/]\S+)", "")
    assert found.compile()("192.0.2.1 21/Nov/2026:09:15:02 +0100 /a").path == "/a"


@pytest.mark.parametrize("path", ["*", "/", "/a.css"])
def test_a_status_that_is_none_makes_a_line_invalid_whatever_was_asked_for(path):
    line = {"ip": "192.0.2.1", "date": "2026-11-21T08:15:02Z", "path": path, "status": "ok", "user_agent": "Firefox"}
    row = Row("nginx_json")
    Trial(catalogue.named("nginx_json"))(row, json.dumps(line), shaped=True)
    assert row.bad == 1


@pytest.mark.parametrize("directive", ["ServerRoot", "Include", "IncludeOptional"])
def test_a_name_in_a_configuration_that_is_too_long_for_a_file_is_that_of_none(directive, tmp_path):
    path = tmp_path / "httpd.conf"
    path.write_text(f'{directive} "/{"long" * 2000}"\nLogFormat "%t %U" mine\n')
    assert [one.name for one in serverconf.formats_in(path)] == ["mine"]


@pytest.mark.parametrize("piece", ["{", '{"a":', '{"'])
def test_objects_without_an_end_are_read_once(piece, tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1},\n' + piece * (5_000_000 // len(piece)))
    os.utime(path, (1, 1))
    spread = replace(catalogue.named("json"), spread=True)
    began = time.process_time()
    first, *_ = framing.blocks(Source(str(path)), spread, 0, 1)
    assert time.process_time() - began < 6  # 2 s; four times as much if all is read again for each piece of the file
    assert first.data == b'[{"a": 1}'


def test_many_small_objects_on_one_line_cost_what_they_are_long():
    objects = framing.of(replace(catalogue.named("json"), spread=True))[1]
    began = time.process_time()
    assert sum(1 for _ in objects(Block(b"{}" * 100_000, 0, 200_000, 1, 0))) == 100_000
    assert time.process_time() - began < 1  # 0.1 s; 2 s if lines are counted from the beginning for each


@pytest.mark.parametrize("size", [30, 100, 1 << 20])
def test_each_envelope_of_a_log_is_opened_however_the_bytes_come(size, tmp_path, dry_run):
    lines = [
        f'{{"ip": "192.0.2.{n}", "time": "2026-11-21T08:15:02Z", "path": "/{n}", "status": 200}}' for n in range(9)
    ]
    log = tmp_path / "a.json"
    log.write_text("\n".join(f'{{ "records" : [{line}, {line}]}}' for line in lines))
    os.utime(log, (1, 1))
    report, entries = dry_run(log, size=size, form="json")
    assert (report.made, report.bad) == (18, 0)
    assert [entry.line for entry in entries] == [n // 2 + 1 for n in range(18)]


LONG = "x" * (1 << 16)


def test_a_text_that_no_server_takes_is_left_out_of_its_hit_and_such_an_address_makes_it_invalid():
    hit = {"idsite": 1, "rec": 1, "url": f"http://example.org/{LONG[:-19]}", "ua": LONG}
    assert len(encode(hit)) > 2 * len(LONG)
    hit["ua"] += "x"
    with pytest.raises(InvalidHit, match="ua: must be a text of up to 65,536 characters") as found:
        encode(hit)
    query, faults = encode_rest(hit, found.value)
    assert "ua=" not in query
    assert [fault.parameter for fault in faults] == ["ua"]
    with pytest.raises(InvalidHit, match="url: must be a full URL with its scheme, of up to 65,536 characters"):
        encode({"idsite": 1, "rec": 1, "url": f"http://example.org/{LONG}"})


def test_a_long_address_is_cut_in_the_title_of_an_error_and_nowhere_else():
    record = catalogue.named("combined").compile()(
        COMBINED.replace("/a ", f"/{LONG[:9000]} ").replace(" 200 ", " 404 ")
    )
    hit = HitMaker(HitSettings(1, "http://example.org"))(record)
    assert len(hit["action_name"]) == len("404/URL = %2F") + 4095
    assert len(hit["url"]) > 9000


def test_a_host_that_is_longer_than_names_are_is_none():
    with pytest.raises(ValueError, match="is no host"):
        host(f"{LONG}.example.org")
