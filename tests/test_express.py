"""The short way of a line gives what the long way gives, or nothing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from piwik_import.express import applies
from piwik_import.filters import FilterSettings
from piwik_import.hits import HitSettings
from piwik_import.parsers import catalogue, definition, logformat, wrappers
from piwik_import.parsers.detection import lines_of, recognise
from piwik_import.parsers.pattern import Pattern
from piwik_import.source import Block, Source
from piwik_import.translate import Batch, Plan, Translator

BASE = "https://example.org:8443/shop"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
LOGS = Path(os.environ.get("PIWIK_IMPORT_REAL_LOGS") or Path(__file__).parent.parent.parent / "shared" / "logs")

USUAL = (FilterSettings(base_url=BASE), HitSettings(7, BASE))
SETTINGS = {
    "usual": USUAL,
    "all": (FilterSettings(True, True, True, True, BASE), HitSettings(1, BASE, bots=True)),
    "downloads": (
        FilterSettings(base_url=BASE, downloads=frozenset({"css", "html"})),
        HitSettings(1, BASE, downloads=frozenset({"css", "html"})),
    ),
    "no base": (FilterSettings(), HitSettings(1)),
    "no site": (FilterSettings(base_url=BASE), HitSettings(0, BASE)),
}


Ways = tuple[Translator, Translator]


def plan(name: str = "combined", settings: tuple[FilterSettings, HitSettings] = USUAL) -> Plan:
    return Plan(2, catalogue.named(name), *settings)


def ways(how: Plan) -> Ways:
    """Return a translator that takes the short way where there is one, and one that never does."""
    return Translator(how), Translator(replace(how, keep_hits=True))


@cache
def ways_of(name: str, settings: str) -> Ways:
    """Return the same two for all examples: what they have seen before must not matter."""
    return ways(plan(name, SETTINGS[settings]))


def translated(data: bytes, either: Ways) -> tuple[Batch, Batch]:
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    short, long = (translate(Block(data, 100, 100 + len(data), 1, lines)) for translate in either)
    assert len(long.hits) == len(long.entries)
    long.hits.clear()
    return short, long


def fate(line: str, how: Plan) -> object:
    """Return what the short way gives for a line."""
    return Translator(how)._express(line)


IPS = [
    "192.0.2.1",
    "192.0.2.2:4711",
    "2001:0db8::0001",
    "client.example.com",
    "-",
    "10.0.0.1, 198.51.100.7",
    "x!y",
    "a,",
]
TIMES = [
    *(
        f"10/Oct/2020:13:55:{second} {zone}"
        for second in ("00", "36", "59", "60", "61", "7x")
        for zone in ("+0000", "-0330")
    ),
    *(
        "10/Oct/1990:13:55:36 +0000",
        "10/Oct/2090:13:55:36 +0000",
        "31/Feb/2020:13:55:36 +0000",
        "-",
        "2020-10-10 13:55:36",
    ),
    *("10/Oct/2020:13:5536: +0000", "10/Oct/2020-13:55:36 +0000"),
]
TARGETS = [
    "/",
    "/a?b=c",
    "/style.css?v=1",
    "/guide.pdf",
    "/x.html",
    "//wp-login.php",
    "/a b",
    "/caf\xc3\xa9",
    "/caf\xe9",
]
TARGETS += [
    "http://example.org/x",
    "http://other.example/y.css",
    "http://[/",
    "*",
    "index.html",
    '/"q',
    "/a\\x22",
    "/robots.txt",
]
REQUESTS = [f"{method} {target} HTTP/1.1" for method in ("GET", "POST") for target in TARGETS]
REQUESTS += ["-", "", "GET /", "CONNECT a:443 HTTP/1.1", "\\x16\\x03", "get / HTTP/1.1", "OPTIONS * HTTP/1.0"]
STATUSES = ["200", "206", "304", "301", "404", "401", "-", "0", "99", "500"]
LENGTHS = ["0", "-", "12", "007", "00", "9" * 18, "9" * 19, "", "1x"]
REFERRERS = ["-", "", "http://r.example/?q=\xfc&x", 'a"b', "a\\", "\xa0", "http://example.org/x"]
AGENTS = [AGENT, "Googlebot/2.1", "-", "", 'a \\"b\\" c', 'say "hi" now', "\xff\xfe{}%'", "x" * 2000]
USERS = ["-", "jane", "jane doe", '""', " ", "a\xa0b", "[x]"]
HOSTS = ["www.example.org", "www.example.org:443", "example.org.", "OTHER.example", "-", "a/b", "[2001:db8::1]:8080"]


def combined(ip: str, user: str, time: str, request: str, status: str, length: str, referrer: str, agent: str) -> str:
    return f'{ip} - {user} [{time}] "{request}" {status} {length} "{referrer}" "{agent}"'


COLUMNS = (IPS, USERS, TIMES, REQUESTS, STATUSES, LENGTHS, REFERRERS, AGENTS)
# Mostly the first, which is ordinary: a line with two odd fields tells little of either.
FIELDS = [st.just(column[0]) | st.sampled_from(column) for column in COLUMNS]
WHOLE = st.builds(combined, *FIELDS)
ODD = st.builds(combined, *map(st.sampled_from, COLUMNS))
LINES = {
    "combined": WHOLE | ODD | WHOLE.map(lambda line: line + ' "198.51.100.7" 12'),
    "common": WHOLE.map(lambda line: line.split(' "-"')[0]),
    "vhost_combined": st.builds("{} {}".format, st.sampled_from(HOSTS), WHOLE),
    "vhost_common": st.builds("{} {}".format, st.sampled_from(HOSTS), WHOLE.map(lambda line: line.split(' "-"')[0])),
}
MARKS = st.sampled_from(["", "", "", "", "\r", "\0", "\\", '"', " ", "\n", "\t", "\x85", "\xa0"])


@st.composite
def broken(draw: st.DrawFn, lines: st.SearchStrategy[str]) -> str:
    """A line, and now and then one with a character anywhere or without its end."""
    line = draw(lines)
    at = draw(st.integers(0, len(line)))
    return draw(st.sampled_from([line, line, line[:at] + draw(MARKS) + line[at:], line[:at]]))


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", LINES)
@settings_of_hypothesis(max_examples=40)  # and of twenty kinds
@given(data=st.data())
def test_any_lines_come_to_the_same_either_way(name, settings, data):
    lines = data.draw(st.lists(broken(LINES[name]), min_size=1, max_size=8))
    text = "\n".join(lines).encode("latin-1") + data.draw(st.sampled_from([b"", b"\n", b"\r\n"]))
    short, long = translated(text, ways_of(name, settings))
    assert short == long


VALUES = {
    "ip": IPS,
    "host": HOSTS,
    "path": TARGETS,
    "status": [*STATUSES, 200, 404, True],
    "referrer": [*REFERRERS, "\ud83d", "\u0663"],
    "user_agent": [*AGENTS, {}],
    "length": [*LENGTHS, 5, -1, 1.5, 10**18, "\u0663"],
    "generation_time_milli": [0.043, "1.5", "-", "x", 1e9, 17000, -1, "nan"],
    "date": ["2020-10-10T13:55:36+02:00", "10/Oct/2020:13:55:36 +0200", 1602338136, "", "soon", "1990-01-01"],
}
OBJECTS = st.fixed_dictionaries(
    {},
    optional={key: st.none() | st.just(values[0]) | st.sampled_from(values) for key, values in VALUES.items()},
)


@pytest.mark.parametrize("settings", SETTINGS)
@given(values=st.lists(OBJECTS, min_size=1, max_size=6), ends=st.sampled_from(["\n", "\r\n", " \n", "\0\n"]))
def test_any_objects_come_to_the_same_either_way(settings, values, ends):
    data = "".join(json.dumps(value) + ends for value in values).encode()
    short, long = translated(data, ways_of("nginx_json", settings))
    assert short == long


TIMED = {
    "seconds": ("[$time_local]", [f"[{time}]" for time in TIMES]),
    "ISO 8601": ("$time_iso8601", ["2020-10-10T13:55:36+02:00", "2020-10-10T00:00:00Z", "2020-10-10T13:55:36.5Z", "-"]),
    "milliseconds": ("$msec", ["1602338136.001", "1602338136.000", "1602338136.999", "631152000.500", "-"]),
}
TOOK = [
    "0.043",
    "0.000",
    "0.500",
    "0.501",
    "1.000",
    "17.250",
    "86400.000",
    "86400.001",
    "-",
    "-1",
    "12",
    "999999999.000",
]


@cache
def plan_of_nginx(time: str) -> Plan:
    made = logformat.read(f'$remote_addr {time} "$request" $status $body_bytes_sent "$http_user_agent" $request_time')
    assert made.time_is == "end"
    return Plan(0, made, *USUAL)


@cache
def ways_of_nginx(time: str) -> Ways:
    return ways(plan_of_nginx(time))


def of_nginx(time: str, took: str) -> str:
    return f'192.0.2.1 {time} "GET /a HTTP/1.1" 200 12 "{AGENT}" {took}'


@pytest.mark.parametrize(("variable", "times"), TIMED.values(), ids=TIMED)
@given(data=st.data())
def test_any_lines_that_say_when_a_request_ended_come_to_the_same_either_way(variable, times, data):
    values = st.tuples(st.just(times[0]) | st.sampled_from(times), st.sampled_from(TOOK))
    lines = [of_nginx(*pair) for pair in data.draw(st.lists(values, min_size=1, max_size=8))]
    short, long = translated("\n".join(lines).encode(), ways_of_nginx(variable))
    assert short == long


@pytest.mark.parametrize(("variable", "times"), TIMED.values(), ids=TIMED)
@pytest.mark.parametrize("took", ["0.043", "17.250"])
def test_an_ordinary_line_that_says_when_a_request_ended_goes_the_short_way(variable, times, took):
    assert fate(of_nginx(times[0], took), plan_of_nginx(variable))


def test_a_request_in_parts_comes_to_the_same_either_way():
    parts = replace(
        catalogue.named("common"), name="parts", pattern="{ip} [{time}] {method} {path} {query} {length}0 {host}"
    )
    line = "192.0.2.1 [10/Oct/2020:13:55:36 +0000] {} {} {} {} {}"
    rows = [
        line.format(method, path, query, length, host)
        for method in ("GET", "-", "get", "CONNECT")
        for path in ("/a", "/a?x", "/a.css", "-", "http://other.example/")
        for query in ("-", "b=c", "?b=c")
        for length in ("10", "0", "12", "90")
        for host in ("example.org", "-")
    ]
    short, long = translated("\n".join(rows).encode(), ways(Plan(0, parts, *USUAL)))
    assert short == long
    assert long.bad
    assert (
        fate(line.format("GET", "/a", "b=c", "10", "example.org").replace("10 e", "100 e"), Plan(0, parts, *USUAL))
        is None
    )


@pytest.mark.parametrize(
    "json", [{}, {"ip": "i", "time": "t", "scheme": "s", "host": "h", "target": "u"}], ids=["pattern", "json"]
)
def test_a_host_with_its_scheme_comes_to_the_same_either_way(json):
    line = '{{"i": "{}", "t": "{}", "s": "{}", "h": "{}", "u": "{}"}}' if json else "{} [{}] {}://{}{}"
    pattern = None if json else "{ip} [{time}] {scheme}://{host}{target}"
    how = Plan(0, replace(catalogue.named("common"), name="schemes", json=json, pattern=pattern), *USUAL)
    rows = [
        line.format("192.0.2.1", TIMES[2], scheme, host, target)
        for scheme in ("http", "https", "HTTPS", "wss", "rtmp", "-")
        for host in ("example.org", "example.org:443", "example.org:8443", "other.example:80", "-", "a b")
        for target in ("/", "/a?b=c", "/a.css", "/a.pdf")
    ]
    short, long = translated("\n".join(rows).encode(), ways(how))
    assert short == long
    query, _ = fate(rows[4], how)
    assert "&url=http://example.org:443/&" in query
    assert "&url=https://example.org/&" in fate(rows[24], how)[0]


@pytest.mark.parametrize("name", [one.name for one in catalogue.known().values() if "time" in one.fields])
def test_every_sample_of_every_format_comes_to_the_same_either_way(name):
    lines = [str(sample["line"]) for one in catalogue.known().values() for sample in one.samples]
    short, long = translated("\n".join(lines).encode(), ways_of(name, "usual"))
    assert short == long


PATTERNS = [one for one in catalogue.known().values() if one.pattern and "time" in one.fields]
SAMPLES = [str(sample["line"]) for one in PATTERNS for sample in one.samples]


@pytest.mark.parametrize("known", PATTERNS, ids=[one.name for one in PATTERNS])
@given(line=broken(st.sampled_from(SAMPLES)))
def test_what_the_quick_expression_finds_the_strict_one_does(known, line):
    pattern = Pattern(known.pattern or "", [*known.pieces], known.escapes)
    quick = None if "\\" in line else pattern._quick.match(line)
    if quick is not None:
        strict = pattern._strict.match(line)
        assert strict is not None
        assert strict.groups() == quick.groups()


@pytest.mark.skipif(not LOGS.is_dir(), reason="PIWIK_IMPORT_REAL_LOGS names no folder of real logs")
@pytest.mark.parametrize("settings", ["usual", "all"])
@pytest.mark.parametrize(
    "log", ["combined_elastic_10k.log", "combined_shop_lnav.log", "combined_hackers_nielsbasjes.log"]
)
def test_every_line_of_a_real_log_comes_to_the_same_either_way(log, settings):
    source = Source(str(LOGS / log))
    how = plan(recognise(log, lines_of(source.head()), catalogue.known().values()).name, SETTINGS[settings])
    short, long = ways(how)
    for block in source.blocks(size=200_000):
        one, other = short(block), long(block)
        other.hits.clear()
        assert one == other


TIME = "10/Oct/2020:13:55:36 +0000"
ORDINARY = {
    "combined": combined("192.0.2.1", "-", TIME, "GET /a?b=c HTTP/1.1", "200", "12", "http://r.example/", AGENT),
    "common": f'192.0.2.1 - jane [{TIME}] "GET /a.pdf HTTP/1.1" 304 -',
    "vhost_combined": f'example.org:443 192.0.2.1 - - [{TIME}] "POST /a HTTP/1.1" 200 0 "-" "{AGENT}"',
    "vhost_common": f'example.org 192.0.2.1 - - [{TIME}] "GET /caf\xe9 HTTP/1.1" 206 512',
    "nginx_json": json.dumps({"ip": "::1", "host": "a.example", "path": "/", "status": 200, "date": "2020-10-10"}),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_line_goes_the_short_way(name):
    batch, _ = translated(ORDINARY[name].encode("latin-1"), ways_of(name, "usual"))
    (entry,) = batch.entries
    assert fate(ORDINARY[name], plan(name)) == (entry.query, entry.slot)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("/a?b=c", "/a.css", "static"),
        ("/a?b=c", "http://other.example/", "proxy"),
        ("GET /a?b=c HTTP/1.1", "-", "empty_request"),
        (" 200 ", " 404 ", "error"),
        (" 200 ", " 301 ", "redirect"),
        (AGENT, "Googlebot/2.1", "bot"),
    ],
)
def test_a_line_that_is_left_out_goes_the_short_way(old, new, reason):
    assert fate(ORDINARY["combined"].replace(old, new), plan()) == reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("192.0.2.1", "client.example.com", id="a client known by its name"),
        pytest.param("192.0.2.1", "x!y", id="no address"),
        pytest.param(TIME, "31/Feb/2020:13:55:36 +0000", id="no time"),
        pytest.param(TIME, "10/Oct/1990:13:55:36 +0000", id="too long ago"),
        pytest.param(" 200 ", " 404 ", id="an error"),
        pytest.param(" 200 12 ", " 200 012 ", id="an unusual length"),
        pytest.param("Firefox", "Fire\\x22fox", id="an escape"),
        pytest.param("Firefox", 'Fire"fox', id="a quote"),
        pytest.param("GET", '"GET', id="broken"),
    ],
)
def test_a_line_that_is_not_ordinary_has_no_short_way(old, new):
    how = plan(settings=(FilterSettings(errors=True, base_url=BASE), USUAL[1]))
    assert fate(ORDINARY["combined"], how)
    assert fate(ORDINARY["combined"].replace(old, new), how) is None


def test_times_about_now_are_as_good_as_the_long_way_says():
    now = datetime.now(UTC)
    ages = [*range(-400, 400, 20), 86_399, 86_401, 172_800]
    times = [(now - timedelta(seconds=age)).strftime("%d/%b/%Y:%H:%M:%S +0000") for age in ages if abs(age + 300) > 30]
    lines = [ORDINARY["combined"].replace(TIME, time) for time in times]
    short, long = translated("\n".join(lines).encode(), ways_of("combined", "usual"))
    assert short == long
    assert short.bad
    assert short.entries


@dataclass(frozen=True, slots=True)
class More(HitSettings):
    """Settings of a time to come."""

    title: str | None = None


def test_what_is_not_known_there_sends_the_lines_the_long_way():
    known = catalogue.named("combined")
    assert known.pattern
    assert applies(known, *USUAL)
    assert applies(known, FilterSettings(), More(1))
    assert not applies(known, FilterSettings(), More(1, title="x"))
    assert not applies(replace(known, pattern=known.pattern + " {visitor}"), *USUAL)
    assert not applies(replace(known, pattern=known.pattern + "{(} {generation_time}{)}"), *USUAL)
    assert not applies(replace(known, pattern=known.pattern.replace("{request}", "{request:absolute_h2}")), *USUAL)
    assert not applies(replace(known, escapes="hash"), *USUAL)
    assert not applies(replace(known, wrapper=wrappers.known()["cri"]), *USUAL)
    assert not applies(replace(known, also=catalogue.named("common")), *USUAL)
    keys = {"time": "t:iso8601", "path": "p"}
    assert applies(replace(known, pattern=None, json=keys), *USUAL)
    for more in ({"path": ["p", "q"]}, {"path": "a.p"}, {"target": "u:absolute"}, {"request": "r"}):
        assert not applies(replace(known, pattern=None, json=keys | more), *USUAL)
    assert not applies(replace(known, pattern=None, json=keys, only={"x": True}), *USUAL)
    assert not applies(replace(known, pattern=None, json=keys, spread=True), *USUAL)
    assert not applies(definition.Definition("own", "", "", regex=r"(?P<date>\S+ \S+) (?P<path>\S+)"), *USUAL)
