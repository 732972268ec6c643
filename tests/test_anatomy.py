"""What of a line is what, and where it stops being what the format says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from piwik_import.parsers import catalogue, wrappers
from piwik_import.parsers.anatomy import dissect
from piwik_import.parsers.choice import from_regex
from piwik_import.parsers.detection import lines_of
from piwik_import.parsers.headers import Header
from piwik_import.parsers.record import BadLine, OtherLine

KNOWN = {name: one for name, one in catalogue.known().items() if "time" in one.fields}
COMBINED = KNOWN["combined"]
GOOD = '203.0.113.9 - frank [10/Oct/2026:13:55:36 -0700] "GET /a?b HTTP/1.1" 200 2326 "-" "Mozilla/5.0"'
SAMPLES = [
    pytest.param(one, sample, id=f"{one.name}-{number}")
    for one in KNOWN.values()
    for number, sample in enumerate(one.samples, 1)
]
GIVEN_BY = {
    "ip": {"ip", "forwarded"},
    "time": {"time"},
    "path": {"request", "target", "path"},
    "query": {"request", "target", "query"},
    "host": {"host", "request", "target"},
} | {name: {name} for name in ("status", "length", "referrer", "user_agent", "user", "generation_time")}


def lines_under(definition, text):
    """Yield each line of a log that is no directive, with the format under the header that governs it."""
    lines = lines_of(text.encode())
    for header, start, stop in definition.sections(Header(), lines):
        for line in lines[start:stop]:
            yield definition.under(header), line


def parsed(definition, line):
    """Return the record of a line, or why it is none."""
    try:
        return definition.compile()(line)
    except BadLine as error:
        return error


@pytest.mark.parametrize(("log_format", "sample"), SAMPLES)
def test_each_field_of_every_sample_has_a_piece_that_lies_where_it_is_said_to(log_format, sample):
    ((definition, line),) = lines_under(log_format, sample["line"])
    found, _ = dissect(definition, line)
    assert (found.line, found.stop, found.expected) == (line, None, "")
    assert all(line.startswith(part.text, part.start) for part in found.parts if part.start is not None)
    given = {field for part in found.parts for field in part.fields if part.text not in ("-", "")}
    for name in sample.keys() & GIVEN_BY.keys():
        assert given & GIVEN_BY[name], name


@pytest.mark.parametrize("log_format", [pytest.param(one, id=one.name) for one in KNOWN.values()])
def test_a_line_stops_somewhere_just_where_the_parser_refuses_it_for_its_shape(log_format):
    for other in KNOWN.values():
        for definition, line in lines_under(log_format, other.samples[0]["line"]):
            found, _ = dissect(definition, line)
            fate = parsed(definition, line)
            if isinstance(fate, BadLine):
                shape = re.search(r"expected |the line ends|no JSON|goes on after", str(fate))
                assert found.expected or not shape or isinstance(fate, OtherLine), line
            else:
                assert not found.expected, line


BROKEN = {
    "a word for the status": (GOOD.replace(" 200 ", " OK "), "OK", "status after request"),
    "a status of four digits": (GOOD.replace(" 200 ", " 2000 "), "0 2326", "' ' after status"),
    "a word for the length": (GOOD.replace(" 2326 ", " 2k "), 'k "-', "' \"' after length"),
    "a field more": (GOOD.replace(' "-"', ' 0.012 "-"'), "0.012", "'\"' after length"),
    "no quote at the end": (GOOD[:-1], "", "'\"' after user_agent"),
    "no bracket behind": (GOOD.replace("]", ""), "10/Oct", "time and then '] \"'"),
    "no quote before the status": (GOOD.replace('" 200', " 200"), '-" "Moz', "' ' after request"),
    "cut in the time": (GOOD[:40], "", "'] \"' after time"),
    "more behind": (f"{GOOD}x", "x", "the end of the line after user_agent"),
    "no bracket before": (GOOD.replace("[", ""), "frank", "user and then ' ['"),
    "a field too few": (GOOD.replace("- frank", "-frank"), "[", "user and then ' ['"),
    "a word alone": ("hello", "", "' ' after ip"),
    "nothing": ("", "", "ip"),
    "bytes before it": (GOOD.replace("/a?b", "/\xc3\xa4").replace(" 200 ", " OK "), "OK", "status after request"),
}


@pytest.mark.parametrize(("line", "rest", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_line_shows_where_it_stops_and_what_is_expected(line, rest, expected):
    found, _ = dissect(COMBINED, line)
    assert found.expected == expected
    assert found.stop == (line.index(rest) if rest else len(line))


def test_what_may_be_absent_is_expected_too():
    line = KNOWN["heroku"].samples[0]["line"]
    found, _ = dissect(KNOWN["heroku"], line.replace("method=", "verb="))
    assert found.expected == "'code=' or 'method=' after at"
    assert found.stop == line.index("method=")


REGEX = (
    r'(?P<ip>\S+) \S+ \S+ \[(?P<date>[^\]]+?)(?: (?P<timezone>[-+]\d{4}))?\] "(?:GET|POST) (?P<path>\S+)[^"]*" '
    r"(?P<status>\d{3}) (?P<length>\d+|-)"
)


@pytest.mark.parametrize(
    ("line", "rest", "expected"),
    [
        pytest.param(GOOD.replace(" 200 ", " OK "), "OK ", r"what '\d{3}' matches", id="in a group"),
        pytest.param(GOOD.replace("GET", "PUT"), "PUT", "what '(?:GET|POST)' matches", id="before alternatives"),
        pytest.param(GOOD.replace("[", "("), "(10", r"what '\[' matches", id="text"),
        pytest.param(
            GOOD.replace(" 2326 ", " x "), "x ", r"what '(?P<length>\d+|-)' matches", id="a group of alternatives"
        ),
    ],
)
def test_a_line_goes_along_a_regular_expression_as_far_as_it_can(line, rest, expected):
    found, _ = dissect(from_regex(REGEX, ""), line)
    assert line[found.stop :].startswith(rest)
    assert found.expected == expected
    assert found.parts[0].fields == ("ip",)


def test_of_an_expression_of_alternatives_it_is_said_that_no_place_is_known():
    found, _ = dissect(from_regex(rf"{REGEX}|(?:never)", ""), "hello")
    assert found.stop is None
    assert "cannot be told" in found.expected


@pytest.mark.parametrize(
    ("line", "rest", "expected"),
    [
        pytest.param('{"ts": "x" "uri": "/"}', '"uri"', "JSON: Expecting ',' delimiter", id="a comma"),
        pytest.param('{"ts": "\xc3\xa4" "uri": "/"}', '"uri"', "JSON: Expecting ',' delimiter", id="after other bytes"),
        pytest.param('{"ts": "x', '"x', "JSON: Unterminated string starting at", id="cut"),
        pytest.param("hello", "hello", "'{', an object of JSON", id="no JSON"),
    ],
)
def test_a_line_that_is_no_json_shows_where(line, rest, expected):
    found, _ = dissect(KNOWN["json"], line)
    assert (line[found.stop :].startswith(rest), found.expected) == (True, expected)


def test_an_object_shows_what_is_missing_and_where_that_is_looked_for():
    found, _ = dissect(KNOWN["json"], '{"when": 1, "uri": "/", "a": {"b": [1, {"c.d": null}]}}')
    assert found.stop is None
    assert found.expected.startswith("time at one of time_iso8601, @timestamp")
    assert [(part.name, part.fields) for part in found.parts] == [
        ("when", ()),
        ("uri", ("target",)),
        ("a.b[0]", ()),
        ("a.b[1].c.d", ()),
    ]
    found, _ = dissect(KNOWN["caddy"], KNOWN["caddy"].samples[0]["line"].replace("http.log.access", "tls"))
    assert found.expected.startswith("logger that is ")


@pytest.mark.parametrize(
    ("line", "stop", "expected"),
    [
        pytest.param("2026-11-21 08:15:02 /a", 22, "sc-status, column 4 of 4", id="a column too few"),
        pytest.param("2026-11-21 08:15:02 /a 200 x", 27, "the end of the line: sc-status is", id="a column too many"),
        pytest.param("2026-11-21\t08:15:02\t/a b\t200", None, "", id="tabs"),
        pytest.param('2026-11-21 08:15:02 "/a b" 200', None, "", id="quotes"),
    ],
)
def test_a_row_shows_which_column_it_lacks(line, stop, expected):
    definition = KNOWN["w3c_extended"].under(Header("date time cs-uri-stem sc-status"))
    found, _ = dissect(definition, line)
    assert found.stop == stop
    assert found.expected.startswith(expected) if expected else not found.expected


@pytest.mark.parametrize("wrapper", [pytest.param(one, id=one.name) for one in wrappers.known().values()])
def test_what_is_around_a_line_is_a_piece_of_its_own(wrapper):
    line = next(sample for sample in wrapper.samples if "time" in sample or wrapper.time_form is None)
    within = COMBINED.within(wrapper)
    found, around = dissect(within, line["line"])
    assert around is not None
    assert (around.name, found.line) == (wrapper.name, line["message"])
    assert dissect(within, GOOD) == dissect(COMBINED, GOOD), "a line that is not wrapped is read as it is"


def test_a_line_without_a_time_has_that_of_what_is_around_it():
    definition = replace(COMBINED, pattern='{ip} "{request}" {status}', wrapper=wrappers.known()["syslog_3164"])
    found, around = dissect(definition, 'Nov 21 09:15:02 web1 nginx: 192.0.2.1 "GET / HTTP/1.1" 200')
    assert around is not None
    assert (around.text, around.fields, found.expected) == ("Nov 21 09:15:02", ("time",), "")


def test_a_line_of_the_other_format_of_a_log_is_cut_by_that():
    both = replace(COMBINED, also=KNOWN["json"])
    sample = KNOWN["json"].samples[0]["line"]
    assert dissect(both, sample).anatomy == dissect(KNOWN["json"], sample).anatomy
    assert dissect(both, "hello").anatomy.expected == "' ' after ip"
