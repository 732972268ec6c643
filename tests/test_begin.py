"""When a request began, of a log that says when it ended."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piwik_import.errors import FormatError
from piwik_import.hints import Hints
from piwik_import.parsers import catalogue, formatfile, logformat, wrappers
from piwik_import.parsers.begin import DAY, begin
from piwik_import.parsers.definition import Definition

END = datetime(2026, 11, 21, 8, 15, 2, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)).map(
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)


@given(MOMENTS.filter(lambda time: time.microsecond), st.integers(1, DAY))
def test_of_a_time_with_a_fraction_the_beginning_is_exact(end, took):
    assert begin(end, took) == end - timedelta(milliseconds=took)


@given(MOMENTS, st.integers(1, DAY))
def test_of_a_time_of_whole_seconds_the_beginning_is_the_likeliest_second(moment, took):
    second = moment.replace(microsecond=0)
    guessed = begin(second, took)
    assert guessed.microsecond == 0
    # The request may have ended at any millisecond of the second, each as likely as another.
    began = [(second + timedelta(milliseconds=at - took)).replace(microsecond=0) for at in range(0, 1000, 10)]
    assert began.count(guessed) >= 50
    assert abs(guessed - (second - timedelta(milliseconds=took))) <= timedelta(milliseconds=500)


@pytest.mark.parametrize(("took", "seconds"), [(1, 0), (5, 0), (500, 0), (501, 1), (1500, 1), (1501, 2), (DAY, 86_400)])
def test_short_requests_do_not_move_a_time_of_whole_seconds(took, seconds):
    assert begin(END, took) == END - timedelta(seconds=seconds)


@pytest.mark.parametrize("took", [None, 0, -1, -5000, DAY + 1, 10**17])
@pytest.mark.parametrize("end", [END, END.replace(microsecond=5000)])
def test_what_no_request_takes_changes_nothing(end, took):
    assert begin(end, took) == end


def test_before_the_first_day_there_is_none():
    first = datetime(1, 1, 1, tzinfo=UTC)
    assert begin(first, 5000) == first


LINES = {
    "pattern": (
        Definition("own", "", "", pattern='{ip} [{time}] "{request}" {generation_time:s}', time_is="end"),
        '192.0.2.1 [21/Nov/2026:08:15:02 +0000] "GET / HTTP/1.1" {}',
    ),
    "absolute": (
        Definition("own", "", "", pattern='{ip} [{time}] "{request:absolute}" {generation_time:s}', time_is="end"),
        '192.0.2.1 [21/Nov/2026:08:15:02 +0000] "GET http://a.example/ HTTP/1.1" {}',
    ),
    "regex": (
        Definition(
            "own", "", "", regex=r"\[(?P<date>[^]]+)\] (?P<path>\S+) (?P<generation_time_secs>\S+)", time_is="end"
        ),
        "[21/Nov/2026:08:15:02 +0000] / {}",
    ),
    "json": (
        Definition("own", "", "", json={"time": "t:any", "path": "p", "generation_time": "took:s"}, time_is="end"),
        '{{"t": "2026-11-21T08:15:02Z", "p": "/", "took": "{}"}}',
    ),
    "columns": (
        replace(catalogue.named("w3c_extended"), time_is="end"),
        "#Fields: date time cs-uri time-taken\n2026-11-21 08:15:02 / {}",
    ),
}
LINES["duration"] = (
    Definition("own", "", "", pattern='[{time}] "{request}" {duration:s} {generation_time:s}', time_is="end"),
    '[21/Nov/2026:08:15:02 +0000] "GET / HTTP/1.1" {} 7',
)
LINES["columns with a duration"] = (
    catalogue.named("shoutcast"),
    "#Fields: date time cs-uri-stem x-duration\n2026-11-21 08:15:02 / {}",
)
LINES["JSON with a duration"] = (
    Definition("own", "", "", json={"time": "t:any", "path": "p", "duration": "listened:s"}, time_is="end"),
    '{{"t": "2026-11-21T08:15:02Z", "p": "/", "listened": "{}"}}',
)
MOVED = {"1.25": 1, "0.005": 0, "-": 0, "90000": 0, "-1": 0}


@pytest.mark.parametrize("kind", LINES)
def test_formats_of_all_kinds_may_say_the_end(kind):
    definition, line = LINES[kind]
    for took, seconds in MOVED.items():
        *above, text = line.format(took).split("\n")
        (record,) = definition.records([*above, text])
        assert record.time == END - timedelta(seconds=seconds), took
        (as_logged,) = replace(definition, time_is="begin").records([*above, text])
        assert as_logged.time == END


def test_without_a_duration_the_time_is_as_logged():
    definition = Definition("own", "", "", pattern='[{time}] "{request}"', time_is="end")
    (record,) = definition.records(['[21/Nov/2026:08:15:02 +0000] "GET / HTTP/1.1"'])
    assert record.time == END


def test_the_time_of_a_wrapper_may_be_that_of_the_end():
    definition = Definition("own", "", "", pattern='"{request}" {generation_time:ms}', time_is="end")
    within = definition.within(wrappers.known()["cri"])
    record = within.compile()('2026-11-21T08:15:02.500000000Z stdout F "GET / HTTP/1.1" 700')
    assert record.time == END - timedelta(milliseconds=200)


def test_where_the_user_says_where_the_time_lies_nothing_is_known_of_the_end():
    line = json.dumps(
        {"time": "2026-11-21T08:15:02Z", "began": "2026-11-21T08:14:02Z", "path": "/", "request_time": 60}
    )
    known = catalogue.named("json")
    assert known.compile()(line).time == END - timedelta(seconds=60)
    placed = known.read_as(Hints(fields={"time": ("began",)}))
    assert placed.compile()(line).time == END - timedelta(seconds=60)


STRINGS = {
    '$remote_addr [$time_local] "$request" $request_time': "end",
    '$remote_addr [$time_iso8601] "$request" $request_time $upstream_response_time': "end",
    '$remote_addr $msec "$request" $request_time': "end",
    '$remote_addr [$time_local] "$request" $upstream_response_time': "begin",
    '$remote_addr [$time_local] "$request"': "begin",
    'escape=json {"t":"$time_iso8601","r":"$request","took":$request_time}': "end",
    'escape=json {"t":"$time_iso8601","r":"$request","took":"$upstream_response_time"}': "begin",
    '%h %t "%r" %D': "begin",
    '%h %{end}t "%r" %D': "end",
    '%h %{end:sec}t "%r" %T': "end",
    '%h %{end:%F %T}t.%{end:usec_frac}t "%r" %D': "end",
    '%h %{end:%F}t %{%T}t "%r" %D': "begin",
    '%h %{end:sec}t %{begin:sec}t "%r" %D': "begin",
    '%h %{begin:sec}t "%r" %D': "begin",
    'tomcat:%h %t "%r" %D': "end",
    'tomcat:%h %{end}t "%r" %D': "end",
    'tomcat:%h %{begin}t "%r" %D': "begin",
    'tomcat:%h %t %{begin:msec}t "%r" %D': "begin",
    'tomcat9:%h %{yyyy-MM-dd HH:mm:ss.SSS}t "%r" %D': "end",
    "tomcat:combined": "begin",
    'lighttpd:%h %V %u %t "%r" %>s %b %D': "end",
    'lighttpd:%h %V %u %{begin:sec}t "%r" %>s %b %D': "begin",
    'varnish:%h %l %u %t "%r" %s %b %D': "begin",
    "haproxy:httplog": "begin",
    'goaccess:%h %^[%d:%t %^] "%r" %s %b %D': "begin",
}


@pytest.mark.parametrize("string", STRINGS)
def test_the_string_of_a_server_tells_which_time_it_logs(string, tmp_path):
    made = logformat.read(string, "own")
    assert made.time_is == STRINGS[string]
    path = tmp_path / "own.toml"
    path.write_text(formatfile.text(made), "utf-8")
    assert catalogue.read(path) == made


def test_a_time_is_of_the_beginning_or_of_the_end(tmp_path: Path):
    path = tmp_path / "own.toml"
    path.write_text("pattern = '{time} {request}'\ntime_is = 'middle'\n")
    with pytest.raises(FormatError, match="unknown `time_is`; known are begin, end"):
        catalogue.read(path)


def test_a_format_that_has_the_time_of_the_end_is_shown_with_it():
    assert "the time is that of the end: generation_time is taken off" in "\n".join(
        catalogue.describe(catalogue.named("nginx_time"))
    )
