"""Lines → records: the pattern language, JSON, requests and addresses, whatever a stranger sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from piwik_import.errors import UsageError
from piwik_import.hints import Hints
from piwik_import.parsers import anatomy, catalogue, client_address, json_lines, logformat
from piwik_import.parsers.client_address import address
from piwik_import.parsers.escapes import plain
from piwik_import.parsers.fields import host
from piwik_import.parsers.json_lines import compile_json
from piwik_import.parsers.pattern import Pattern, pieces_of
from piwik_import.parsers.record import BadLine, OtherLine, Request, split_port
from piwik_import.parsers.request import from_line, from_parts

PARSERS = {name: one.compile() for name, one in catalogue.known().items() if "time" in one.fields}
combined = PARSERS["combined"]
nginx_json = PARSERS["nginx_json"]

LINE = '192.0.2.1 - - [10/Oct/2020:13:55:36 -0700] "GET /a?b=c HTTP/1.1" 200 2326 "http://r.example/" "Agent 1"'
WHEN = datetime(2020, 10, 10, 20, 55, 36, tzinfo=UTC)


def line(
    ip: str = "192.0.2.1", user: str = "-", request: str = "GET / HTTP/1.1", agent: str = "-", more: str = ""
) -> str:
    return f'{ip} - {user} [10/Oct/2020:13:55:36 -0700] "{request}" 200 12 "-" "{agent}"{more}'


def as_logged(text: str) -> str:
    """A line of a file: a character a byte."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def reason(parse, text: str) -> str:
    with pytest.raises(BadLine) as caught:
        parse(text)
    return str(caught.value)


def test_a_line_becomes_a_record():
    assert combined(LINE)._asdict() == {
        "ip": "192.0.2.1",
        "time": WHEN,
        "request": Request("GET", "/a", "b=c"),
        "status": 200,
        "length": 2326,
        "referrer": "http://r.example/",
        "user_agent": "Agent 1",
        "host": None,
        "user": None,
        "generation_time": None,
        "duration": None,
        "extra": None,
    }


QUOTED = {
    "apache's quote": (r"A \"q\" agent", 'A "q" agent'),
    "apache's backslash": (r"A \\ agent\\", "A \\ agent\\"),
    "apache's controls": (r"a\tb\nc\rd\be\vf\fg\ah", "a\tb\nc\rd\be\vf\fg\ah"),
    "apache's UTF-8": (r"caf\xc3\xa9", "café"),
    "nginx's quote": (r"A \x22q\x22 agent", 'A "q" agent'),
    "nginx's backslash": (r"A \x5C agent\x5C", "A \\ agent\\"),
    "nginx's UTF-8": (r"caf\xC3\xA9", "café"),
    "a backslash, then x": (r"\\x41", r"\x41"),
    "an unknown escape": (r"a\qb", "aqb"),
    "half an escape": (r"a\x4", "ax4"),
    "raw UTF-8": (as_logged("café"), "café"),
    "raw bytes": ("caf\xe9\xff", "caf\udce9\udcff"),
    "bytes as escapes": (r"caf\xe9", "caf\udce9"),
    "raw NULs and tabs": ("a\0b\tc", "a\0b\tc"),
    "a carriage return": ("a\rb", "a\rb"),
    "line separators": (as_logged("a\u2028b\x85c"), "a\u2028b\x85c"),
    "empty": ("", None),
    "dash": ("-", None),
    "dash and more": ("- ", "- "),
    "quotes that nobody escaped": ('"><script>alert("1")</script>', '"><script>alert("1")</script>'),
    "a quote alone": ('"', '"'),
    "a backslash that escapes nothing": ('C:\\dir\\"x', 'C:dir"x'),
}


@pytest.mark.parametrize(("logged", "agent"), QUOTED.values(), ids=QUOTED)
def test_a_quoted_field_is_what_the_client_sent(logged, agent):
    record = combined(line(agent=logged))
    assert (record.user_agent, record.status, record.length) == (agent, 200, 12)


@pytest.mark.parametrize(
    "more", [' "-"', ' "192.0.2.7, 10.0.0.1"', " 48211", " -", ' 0.043 "a b" x', " ", ' "a'], ids=repr
)
def test_further_fields_at_the_end_are_passed_over(more):
    assert combined(line(agent='say \\"hi\\"', more=more)).user_agent == 'say "hi"'


@pytest.mark.parametrize(
    ("logged", "agent"),
    [
        ('a "b" c" "192.0.2.7', 'a "b" c'),
        ('a "b" c" 48211 "x', 'a "b" c'),
        ('a "b" c" - "x', 'a "b" c'),
    ],
)
def test_unescaped_quotes_and_further_fields_go_together(logged, agent):
    assert combined(line(agent=logged)).user_agent == agent


def test_quotes_that_nobody_escaped_in_request_and_referrer_end_where_the_pattern_goes_on():
    record = combined(LINE.replace("/a?b=c", '/a" b "c').replace("r.example/", 'r.example/"x"'))
    assert (record.path, record.status, record.length) == ('/a" b "c', 200, 2326)
    assert (record.referrer, record.user_agent) == ('http://r.example/"x"', "Agent 1")


@pytest.mark.parametrize("end", ["\r", "", " \r"], ids=repr)
@pytest.mark.parametrize("name", ["common", "combined", "vhost_common", "vhost_combined"])
def test_a_carriage_return_at_the_end_belongs_to_no_field(name, end):
    sample = as_logged(catalogue.known()[name].samples[0]["line"])
    if end.startswith(" ") and name.endswith("common"):
        assert reason(PARSERS[name], sample + end).endswith("expected the end of the line")
    else:
        assert PARSERS[name](sample + end) == PARSERS[name](sample)


USERS = {
    "-": None,
    '""': None,
    "jane": "jane",
    "John Smith": "John Smith",
    "Dr. John  Smith": "Dr. John  Smith",
    "DOMAIN\\\\jane": "DOMAIN\\jane",
    "jane@example.org": "jane@example.org",
    r"J\xc3\xb6rg": "Jörg",
    "a]b": "a]b",
    "-x y": "-x y",
}


@pytest.mark.parametrize(("logged", "user"), USERS.items(), ids=USERS)
def test_a_user_is_what_stands_before_the_bracket(logged, user):
    assert combined(line(user=logged)).user == user


@pytest.mark.parametrize("logged", ["- -", "- jane", "- 0.005"])
def test_a_dash_and_more_is_no_user_but_one_field_more_than_the_format_has(logged):
    # www.example.org 192.0.2.1 - - […]: all of a virtual host's visitors would be one user.
    assert reason(combined, line(ip="www.example.org", user=logged)) == (
        f"user: '{logged}' is no name of a user: is there one field more before the time?"
    )


ADDRESSES = {
    "192.0.2.1": "192.0.2.1",
    "192.0.2.1:51234": "192.0.2.1",
    "2001:db8::1": "2001:db8::1",
    "2001:0DB8:0:0::1": "2001:db8::1",
    "2001:db8::1:443": "2001:db8::1:443",
    "[2001:db8::1]": "2001:db8::1",
    "[2001:db8::1]:443": "2001:db8::1",
    "fe80::1%eth0": "fe80::1",
    "[fe80::1%12]:80": "fe80::1",
    "::ffff:192.0.2.7": "192.0.2.7",
    "[::ffff:c000:207]:80": "192.0.2.7",
    "::1": "::1",
    "0.0.0.0": "0.0.0.0",
    "-": None,
    "": None,
    "unknown": None,
    "Unknown": None,
    "unix:": None,
    "_hidden": None,
    "Client.Example.COM": "client.example.com",
    "192.0.2.x": "192.0.2.0",
    "192.0.2.xxx": "192.0.2.0",
    "192.0.2.*": "192.0.2.0",
    "192.0.*.*": "192.0.0.0",
    "192.0.2.0/24": "192.0.2.0",
    "192.0.2.77/24": "192.0.2.0",
    "2001:db8::/32": "2001:db8::",
    "for=192.0.2.60;proto=http;by=203.0.113.43": "192.0.2.60",
    'For="[2001:db8:cafe::17]:4711"': "2001:db8:cafe::17",
    "for=198.51.100.9, for=10.0.0.1": "198.51.100.9",
    "proto=https": None,
    "for=_hidden": None,
    "198.51.100.9, 10.0.0.2": "198.51.100.9",
    "203.0.113.1, 198.51.100.9, 172.16.0.1, 127.0.0.1": "198.51.100.9",
    "198.51.100.9,10.0.0.2": "198.51.100.9",
    "2001:db8::1, fd00::1": "2001:db8::1",
    "[2001:db8::1]:443, 10.0.0.1:80": "2001:db8::1",
    "10.0.0.1, 10.0.0.2": "10.0.0.1",
    "unknown, 10.0.0.2": "10.0.0.2",
    "client.example.com, 198.51.100.9": "198.51.100.9",
    "client.example.com, 10.0.0.2": "client.example.com",
    "' OR 1=1 --, 198.51.100.9": "198.51.100.9",
    "unknown, -": None,
    ", ": None,
    '"198.51.100.9", "10.0.0.1"': "198.51.100.9",
}


@pytest.mark.parametrize(("logged", "ip"), ADDRESSES.items(), ids=map(repr, ADDRESSES))
def test_the_clients_address_is_bare(logged, ip):
    assert address(logged) == ip


@pytest.mark.parametrize("text", ["192.0.02.7", "192.0.2.256", "12", "a b", "[2001:db8::1", "http://a/", "é", "\udcff"])
def test_what_is_neither_address_nor_host_name_is_refused(text):
    with pytest.raises(ValueError, match="is no address"):
        address(text)


def test_only_the_last_addresses_of_a_list_are_looked_at():
    inner = ["10.0.0.1"] * 100
    assert address(", ".join(["198.51.100.9", *inner[:20]])) == "198.51.100.9"
    assert address(", ".join(["198.51.100.9", *inner])) == "10.0.0.1"


@pytest.mark.parametrize(
    "ip", ["198.51.100.9, 10.0.0.2", "198.51.100.9,10.0.0.2", "::1, 198.51.100.9, 10.0.0.2", "unknown, 198.51.100.9"]
)
def test_a_list_of_addresses_may_be_the_first_field(ip):
    record = combined(line(ip=ip, user="jane doe"))
    assert (record.ip, record.user) == ("198.51.100.9", "jane doe")


HOSTS = {
    "www.example.org": "www.example.org",
    "WWW.Example.ORG.": "www.example.org",
    "www.example.org:443": "www.example.org:443",
    "Example.org.:8080": "example.org:8080",
    "[2001:DB8::1]:8443": "[2001:db8::1]:8443",
    "[2001:db8::1]": "[2001:db8::1]",
    "bücher.example": "bücher.example",
    "my_host": "my_host",
    "_": None,
    "-": None,
    "*": None,
    "": None,
    "_:80": None,
}


@pytest.mark.parametrize(("logged", "name"), HOSTS.items(), ids=map(repr, HOSTS))
def test_a_host_is_lower_case_and_keeps_its_port(logged, name):
    assert host(logged) == name


@pytest.mark.parametrize(
    "text", ["a b", "a/b", "u@h", "a?", "a\\b", "<a>", "2001:db8::1", "2026-11-21T10:00:00.5Z", "192.0.2.1,"]
)
def test_what_could_not_stand_in_a_url_is_no_host(text):
    with pytest.raises(ValueError, match="is no host"):
        host(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("example.org", ("example.org", "")),
        ("example.org:443", ("example.org", "443")),
        ("example.org:", ("example.org:", "")),
        (":443", (":443", "")),
        ("[::1]:8", ("[::1]", "8")),
        ("[::1]", ("[::1]", "")),
        ("", ("", "")),
    ],
)
def test_a_port_is_cut_off(text, parts):
    assert split_port(text) == parts


EMPTY = Request(problem="empty_request")
GARBAGE = Request(problem="garbage_request")
REQUESTS = {
    "plain": ("GET /a?b=c HTTP/1.1", Request("GET", "/a", "b=c")),
    "HTTP/2": ("GET / HTTP/2", Request("GET", "/")),
    "HTTP/1.0 of another method": ("HEAD /x HTTP/1.0", Request("HEAD", "/x")),
    "WebDAV": ("VERSION-CONTROL /x HTTP/1.1", Request("VERSION-CONTROL", "/x")),
    "Exchange": ("RPC_IN_DATA /rpc HTTP/1.1", Request("RPC_IN_DATA", "/rpc")),
    "empty query": ("GET /a? HTTP/1.1", Request("GET", "/a", "")),
    "two question marks": ("GET /a?b?c HTTP/1.1", Request("GET", "/a", "b?c")),
    "fragment": ("GET /a#b HTTP/1.1", Request("GET", "/a#b")),
    "raw spaces": ("GET /a b  c.pdf?d e HTTP/1.1", Request("GET", "/a b  c.pdf", "d e")),
    "two slashes": ("GET //wp-login.php HTTP/1.1", Request("GET", "//wp-login.php")),
    "no slash": ("GET index.html HTTP/1.0", Request("GET", "/index.html")),
    "no valid percents": ("GET /%zz%u00e9%?% HTTP/1.1", Request("GET", "/%zz%u00e9%", "%")),
    "bytes": ("GET /caf\udce9 HTTP/1.1", Request("GET", "/caf\udce9")),
    "nonsense version": ("GET / HTTP/9.9", Request("GET", "/")),
    "HTTP/0.9": ("GET /", Request("GET", "/")),
    "HTTP/0.9 with spaces": ("GET /a b", Request("GET", "/a b")),
    "absolute": ("GET http://Example.org:80/a?b HTTP/1.1", Request("GET", "/a", "b", "http://Example.org:80")),
    "absolute without path": ("GET http://example.org HTTP/1.1", Request("GET", "/", None, "http://example.org")),
    "absolute, query only": ("GET http://example.org?b HTTP/1.1", Request("GET", "/", "b", "http://example.org")),
    "address in the query": ("GET /?u=http://a.example/ HTTP/1.1", Request("GET", "/", "u=http://a.example/")),
    "CONNECT": ("CONNECT example.org:443 HTTP/1.1", Request(problem="connect")),
    "asterisk": ("OPTIONS * HTTP/1.0", Request(problem="asterisk")),
    "dash": ("-", EMPTY),
    "nothing": ("", EMPTY),
    "TLS": ("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", GARBAGE),
    "TLS with spaces": ("\x16\x03\x01 /x HTTP/1.1", GARBAGE),
    "RDP": ("\x03\0\0/*\xe0\0\0", GARBAGE),
    "SSH": ("SSH-2.0-OpenSSH_9.6", GARBAGE),
    "a word": ("HELP", GARBAGE),
    "a method alone": ("GET", GARBAGE),
    "a method and a space": ("GET ", GARBAGE),
    "method and protocol": ("GET HTTP/1.1", GARBAGE),
    "lower case": ("get / HTTP/1.1", GARBAGE),
    "RTSP": ("GET / RTSP/1.0", GARBAGE),
    "HTTP/0.9 of another method": ("POST /", GARBAGE),
    "HTTP/0.9 without slash": ("GET index.html", GARBAGE),
    "a trojan": ("lv|'|'|SGFjS2Vk|'|'|", GARBAGE),
}


@pytest.mark.parametrize(("text", "request_"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_taken_apart_or_named_for_what_it_is(text, request_):
    assert from_line(text) == request_


@pytest.mark.parametrize(
    ("parts", "request_"),
    [
        pytest.param(("POST", "/a?b"), Request("POST", "/a", "b"), id="target"),
        pytest.param(("GET", "/a", "b=c"), Request("GET", "/a", "b=c"), id="query apart"),
        pytest.param(("GET", "/a?b", "c"), Request("GET", "/a", "b"), id="query twice"),
        pytest.param((None, "/a"), Request("GET", "/a"), id="no method"),
        pytest.param((None, None), EMPTY, id="nothing"),
        pytest.param(("GET", None), GARBAGE, id="method alone"),
        pytest.param(("g t", "/"), GARBAGE, id="no method at all"),
        pytest.param(("CONNECT", "a:443"), Request(problem="connect"), id="CONNECT"),
        pytest.param(("OPTIONS", "*"), Request(problem="asterisk"), id="asterisk"),
    ],
)
def test_a_request_in_several_fields_is_put_together(parts, request_):
    assert from_parts(*parts) == request_


REASONS = {
    "nothing": ("", "the line ends where ip should follow"),
    "a space first": (" ", "column 1: expected ip"),
    "ip alone": ("192.0.2.1", "the line ends where ' ' should follow"),
    "no ident and user": (LINE.replace(" - -", ""), "the line ends where ' [' should follow"),
    "cut in the time": (LINE[:26], "the line ends where '] \"' should follow"),
    "cut in the request": (LINE[:50], "the line ends where '\" ' should follow"),
    "cut in the agent": (LINE[:-1], "the line ends where '\"' should follow"),
    "cut before the agent": (LINE[: LINE.rindex('"Agent')], "column 93: expected '\" \"'"),
    "a word for the status": (LINE.replace(" 200 ", " OK "), "column 66: expected status"),
    "status of four digits": (LINE.replace(" 200 ", " 2000 "), "column 69: expected ' '"),
    "a word for the length": (LINE.replace(" 2326 ", " 2k "), "column 71: expected ' \"'"),
    "more behind": (LINE + "x", "column 104: expected the end of the line"),
    "no such day": (LINE.replace("10/Oct", "31/Nov"), "time: '31/Nov/2020:13:55:36 -0700' is no time"),
    "no time": (LINE.replace("10/Oct/2020:13:55:36 -0700", "-"), "the line has no time"),
    "no address": (LINE.replace("192.0.2.1", "192.0.2.999"), "ip: '192.0.2.999' is no address"),
}


@pytest.mark.parametrize(("text", "expected"), REASONS.values(), ids=REASONS)
def test_a_broken_line_says_in_which_column_it_breaks(text, expected):
    assert reason(combined, text) == expected


def test_the_column_is_right_where_quotes_were_not_escaped():
    text = line(agent='a "b" c').replace('" 200', '" OK')
    assert reason(combined, text) == f"column {text.index('OK') + 1}: expected status"


def test_a_reason_is_short_and_harmless_however_long_the_text():
    text = LINE.replace("10/Oct/2020:13:55:36 -0700", "\x1b[2J" * 1000)
    assert len(reason(combined, text)) < 200
    assert reason(combined, text).isprintable()
    assert len(reason(nginx_json, dumped(generation_time_milli="\x1b" * 1000))) < 300


def test_literals_of_a_pattern_stand_for_themselves():
    parse = Pattern("(.*) <{time:epoch}> [{path}] {status}|{user}.").parse
    record = parse("(.*) <1602363336> [/a] 200|jane doe.\r")
    assert (record.time, record.path, record.status, record.user) == (WHEN, "/a", 200, "jane doe")
    assert reason(parse, "(..) <1602363336> [/a] 200|jane.") == "column 1: expected '(.*) <'"


def test_a_request_in_several_fields_of_a_line_is_put_together():
    parse = Pattern('{time:iso8601} {method} "{path}" "{query}" {host}').parse
    record = parse('2020-10-10T20:55:36Z POST "/a \\"b\\"" "?c=\\xc3\\xa9" Example.org')
    assert record.request == Request("POST", '/a "b"', "c=é")
    assert (record.time, record.host) == (WHEN, "example.org")
    assert parse('2020-10-10T20:55:36Z - "-" "-" -').request == EMPTY


def dumped(**values: object) -> str:
    usual = {"ip": "192.0.2.1", "host": "example.org", "path": "/a?b", "status": "200", "date": "2020-10-10T20:55:36Z"}
    return as_logged(json.dumps(usual | values, ensure_ascii=False))


def test_an_object_becomes_a_record():
    record = nginx_json(dumped(length="5", referrer="-", user_agent="", generation_time_milli=0.0426))
    assert record._asdict() == {
        "ip": "192.0.2.1",
        "time": WHEN,
        "request": Request("GET", "/a", "b"),
        "status": 200,
        "length": 5,
        "referrer": None,
        "user_agent": None,
        "host": "example.org",
        "user": None,
        "generation_time": 43,
        "duration": None,
        "extra": None,
    }


@pytest.fixture(params=["orjson", "json"])
def without_orjson(request, monkeypatch):
    """Both readers of JSON, so that what a log means does not depend on the extra being installed."""
    if request.param == "json":
        monkeypatch.setattr(json_lines, "fast_loads", json.loads)
    elif json_lines.fast_loads is json.loads:
        pytest.skip("orjson is not installed")


JSON_TEXTS = {
    "escapes": (r"say \"hi\" \\ \/ \t\u00e9", 'say "hi" \\ / \té'),
    "nginx's quote": (r"say \x22hi\x22", 'say "hi"'),
    "nginx's backslash": (r"a\x5Cb", "a\\b"),
    "nginx's bytes": (r"caf\xC3\xA9", "café"),
    "nginx's bytes that are not UTF-8": (r"caf\xE9", "caf\udce9"),
    "nginx's controls": (r"a\x0Ab\x1B", "a\nb\x1b"),
    "a backslash, then x": (r"a\\x41", r"a\x41"),
    "a backslash, then x, and a byte": (r"a\\x41\xC3\xA9", r"a\x41é"),
    "raw UTF-8": (as_logged("café 😀"), "café 😀"),
    "raw bytes": ("caf\xe9\xff", "caf\udce9\udcff"),
    "a pair of surrogates": (r"\ud83d\ude00", "😀"),
    "half a pair": (r"a\ud83db", "a\ufffdb"),
    "the other half": (r"a\ude00b", "a\ufffdb"),
    "half a pair and a byte": ("\\ud83d\xff", "\ufffd\udcff"),
}


@pytest.mark.usefixtures("without_orjson")
@pytest.mark.parametrize(("logged", "agent"), JSON_TEXTS.values(), ids=JSON_TEXTS)
def test_a_text_in_json_is_what_the_client_sent(logged, agent):
    assert nginx_json(dumped()[:-1] + f', "user_agent": "{logged}"}}').user_agent == agent


@pytest.mark.parametrize("around", [" {}", "\t{}\r", "\0\0{}", "{} \0"], ids=repr)
def test_what_stands_around_an_object_does_not_matter(around):
    assert nginx_json(around.format(dumped())).time == WHEN


DEEP = "[" * 100_000
BAD_JSON = {
    "nothing": ("", "the line is no JSON: "),
    "text": ("hello", "the line is no JSON: "),
    "a row": ("[1]", "the line is JSON, but no object"),
    "a number": ("1", "the line is JSON, but no object"),
    "cut": (dumped()[:-1], "the line is no JSON: "),
    "cut in an escape": ('{"a": "\\x2', "the line is no JSON: "),
    "a raw backslash": (r'{"a": "\q"}', "the line is no JSON: "),
    "nested deeply": ('{"a": ' + DEEP, "the line is no JSON: nested too deeply"),
    "nested deeply after bytes": ('{"\xff": ' + DEEP, "the line is no JSON: nested too deeply"),
    "nested deeply after nginx's bytes": ('{"\\xFF": ' + DEEP, "the line is no JSON: "),
    "a number of 5000 digits": ('{"a": ' + "9" * 5000 + "}", "the line is no JSON: Exceeds the limit"),
    "no date": ('{"path": "/"}', "the line has no time"),
    "date null": (dumped(date=None), "the line has no time"),
    "date out of range": (dumped(date="9" * 20), "time: '99999999999999999999' is no time"),
    "status nested": (dumped(status=[200]), "status: status is no single value"),
    "status a truth": (dumped(status=True), "status: status is no single value"),
    "status negative": (dumped(status=-2), "status: '-2' is no number"),
    "length a word": (dumped(length="1k"), "length: '1k' is no number"),
    "time not finite": (dumped(generation_time_milli="inf"), "generation_time: 'inf' is no number of s"),
    "time a list": (dumped(generation_time_milli="0.1; 0.2"), "generation_time: '0.1; 0.2' is no number of s"),
}


@pytest.mark.usefixtures("without_orjson")
@pytest.mark.parametrize(("text", "expected"), BAD_JSON.values(), ids=BAD_JSON)
def test_a_broken_object_says_why(text, expected):
    if "9999" in text and json_lines.fast_loads is not json.loads:
        return  # orjson reads the number, as one of floating point
    assert reason(nginx_json, text).startswith(expected)


@pytest.mark.usefixtures("without_orjson")
@pytest.mark.parametrize("length", [-5, 10**18, 10**30, "9" * 5000], ids=lambda length: str(length)[:9])
def test_a_length_that_no_server_stores_does_not_make_the_line_bad(length):
    assert nginx_json(dumped(length=length)).length == -1
    assert combined(LINE.replace(" 2326 ", f" {'9' * 19} ")).length == -1


@pytest.mark.parametrize(("seconds", "milliseconds"), [(-2, -2000), (3e6, 3_000_000_000), (1e300, 10**303)])
def test_a_time_that_no_server_stores_does_not_make_the_line_bad(seconds, milliseconds):
    read = nginx_json(dumped(generation_time_milli=seconds)).generation_time
    assert float(read) == pytest.approx(milliseconds)


PIECES = '{ip} {*ident} {user} [{time}] "{request}" {status} {length} "{*trace id}" {*zone}'
PIECES_LINE = r'192.0.2.1 id7 - [10/Oct/2020:13:55:36 -0700] "GET /a?b=c HTTP/1.1" 200 5 "caf\xc3\xa9 \"1\"" -'


@pytest.mark.parametrize(
    ("wanted", "extra"),
    [
        ((), None),
        (("ident",), {"ident": "id7"}),
        (("zone",), {}),
        (("trace id", "ident", "zone"), {"ident": "id7", "trace id": 'café "1"'}),
    ],
    ids=str,
)
def test_a_piece_with_a_name_is_read_if_it_is_wanted(wanted, extra):
    record = Pattern(PIECES, wanted).parse(PIECES_LINE)
    assert record.extra == extra
    assert record._replace(extra=None) == Pattern(PIECES).parse(PIECES_LINE)


def test_a_piece_that_is_wanted_must_be_there_and_once():
    with pytest.raises(ValueError, match="no such field: colour"):
        Pattern(PIECES, ("colour",))
    with pytest.raises(ValueError, match="a field stands in it twice"):
        Pattern(PIECES + " {*zone}", ("zone",))
    assert [*pieces_of(PIECES)] == ["ident", "trace id", "zone"]


def test_keys_of_an_object_are_read_if_they_are_wanted():
    parse = compile_json({"time": "t:epoch", "path": "p"}, ["n", "list", "gone", "dash", "p"])
    values = {"t": 1602363336, "p": "/a", "n": 0, "list": [1, {"a": None}], "dash": "-", "more": 1}
    assert parse(json.dumps(values)).extra == {"n": 0, "list": [1, {"a": None}], "p": "/a"}


def test_a_value_within_an_object_is_read_by_its_path_if_it_is_wanted():
    parse = compile_json({"time": "t:epoch", "path": "p"}, ["h['X-Id'][0]", "a.b", "c.d", "x:y", "gone[1]", "..."])
    values = {"t": 1602363336, "p": "/a", "h": {"X-Id": ["abc"]}, "a": {"b": 1}, "c.d": 2, "x:y": 3, "x": 4, "...": 5}
    assert parse(json.dumps(values)).extra == {"h['X-Id'][0]": "abc", "a.b": 1, "c.d": 2, "x:y": 3, "...": 5}


def test_a_request_line_in_json_is_taken_apart():
    parse = compile_json({"time": "t:epoch", "request": "r"})
    assert parse('{"t": 1602363336.0, "r": "GET /a?b HTTP/1.1"}').request == Request("GET", "/a", "b")
    assert parse('{"t": 1602363336, "r": "-"}').request == EMPTY
    with pytest.raises(OtherLine, match="the object tells of no request"):
        parse('{"t": "1602363336"}')


def test_path_and_query_and_method_in_json_are_put_together():
    parse = compile_json({"time": "t:epoch", "path": "p", "query": "q", "method": "m"})
    assert parse('{"t": 1, "p": "/a", "q": "?b=c", "m": "PUT"}').request == Request("PUT", "/a", "b=c")
    assert parse('{"t": 1, "p": "/a", "q": "", "m": null}').request == Request("GET", "/a")


BYTES = st.binary(max_size=300).map(lambda data: data.decode("latin-1"))
AWKWARD = st.lists(
    st.sampled_from(
        [*' "\\[]{}:,-0189ax\0\r\t\xff\xc3\xa9', '" "', "\\x", "\\u", "] ", " [", LINE, LINE[:60], dumped()]
    ),
    max_size=30,
).map("".join)


@st.composite
def damaged(draw):
    """Lines of some format with a piece cut out and something put in its place."""
    text = draw(
        st.sampled_from(
            [LINE, dumped(), *(as_logged(s["line"]) for f in catalogue.known().values() for s in f.samples)]
        )
    )
    first = draw(st.integers(0, len(text)))
    last = draw(st.integers(first, min(first + 20, len(text))))
    return text[:first] + draw(BYTES | AWKWARD) + text[last:]


@given(BYTES | AWKWARD | damaged())
@example('{"a\xff":' + DEEP)
@example(LINE.replace("10/Oct/2020", "01/Jan/0001").replace("-0700", "+2359"))
@example(LINE.replace("10/Oct/2020", "31/Dec/9999"))
def test_no_text_makes_a_parser_raise_anything_but_bad_line(text):
    for parse in PARSERS.values():
        try:
            record = parse(text)
        except BadLine as error:
            said = str(error)
        else:
            said = ""
            assert record.time.tzinfo is UTC
            assert record.request.problem is not None or record.path.startswith("/")
        assert said.isprintable()


@given(BYTES | AWKWARD)
def test_undoing_escapes_takes_any_text(text):
    assert plain(plain_escaped(text)) == text.encode("latin-1").decode("utf-8", "surrogateescape")


def plain_escaped(text: str) -> str:
    """As nginx writes it."""
    return "".join(c if " " <= c < "\x7f" and c not in '"\\' else f"\\x{ord(c):02X}" for c in text)


BEHIND = {
    "203.0.113.1, 198.51.100.9, 10.0.0.1": "198.51.100.9",
    "10.9.9.9, 10.0.0.1": "10.9.9.9",  # an inner client is one too
    "10.0.0.2, 10.0.0.1": "10.0.0.2",
    "198.51.100.9, 2001:db8:1::5, 10.0.0.1": "198.51.100.9",
    'for=198.51.100.9;proto=http, for="[2001:db8:1::5]:443"': "198.51.100.9",
    "203.0.113.1, unknown, 10.0.0.1": None,
    "203.0.113.1, ' OR 1=1, 10.0.0.1": None,
    "client.example.com, 10.0.0.1": "client.example.com",
    "198.51.100.9": "198.51.100.9",
    "10.0.0.1": "10.0.0.1",
    "-": None,
}


@pytest.mark.parametrize(("text", "ip"), BEHIND.items(), ids=map(repr, BEHIND))
def test_the_client_is_the_right_most_that_no_trusted_proxy_is(text, ip):
    assert client_address.reader("10.0.0.0/24 2001:db8:1::/48")(text) == ip


@given(st.lists(st.ip_addresses(), min_size=1, max_size=6), st.integers(0, 5))
def test_what_a_client_writes_before_its_own_address_changes_nothing(addresses, own):
    trusted = client_address.reader("192.0.2.0/24")
    proxies = ", ".join(f"192.0.2.{number}" for number in range(own + 1))
    client = str(addresses[0])
    if not client.startswith("192.0.2."):
        told = ", ".join(map(str, addresses[1:]))
        assert trusted(f"{told}, {client}, {proxies}" if told else f"{client}, {proxies}") == address(client)


@given(st.ip_addresses())
def test_an_address_stays_the_same_in_brackets_with_a_port_and_with_a_zone(ip):
    plain = address(str(ip))
    assert address(plain) == plain
    if ip.version == 4:
        assert address(f"{ip}:443") == address(f"::ffff:{ip}") == plain
    else:
        assert address(f"[{ip}]:443") == address(f"[{ip}]") == address(f"{ip.exploded.upper()}") == plain


def test_a_list_beside_the_address_counts_only_behind_a_trusted_proxy():
    line = '{"time":"2026-11-21T08:15:02Z","uri":"/","remote_addr":"%s","xff":"203.0.113.1, 198.51.100.9"}'
    known = catalogue.known()["json"]
    behind = known.read_as(Hints(trusted_proxies=["10.0.0.0/8"])).compile()
    assert known.compile()(line % "10.0.0.1").ip == "10.0.0.1"
    assert behind(line % "10.0.0.1").ip == "198.51.100.9"
    assert behind(line % "192.0.2.7").ip == "192.0.2.7"
    assert behind(line.replace("xff", "x") % "198.51.100.9, 10.0.0.1").ip == "198.51.100.9"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("nginx_main", '%s - - [21/Nov/2026:08:15:02 +0000] "GET / HTTP/1.1" 200 3 "-" "x" "%s"'),
        ("nginx_time", '%s - - [21/Nov/2026:08:15:02 +0000] "GET / HTTP/1.1" 200 3 "-" "x" "%s" 0.250'),
    ],
)
def test_a_list_beside_the_address_in_a_line_of_text_counts_only_behind_a_trusted_proxy(name, line):
    known = catalogue.known()[name]
    behind = known.read_as(Hints(trusted_proxies=["10.0.0.0/8", "198.51.100.9"]), "")
    assert not behind.is_usual  # the short way would take the address alone
    parse, chain = behind.compile(), "1.2.3.4, 203.0.113.1, 198.51.100.9"
    assert known.compile()(line % ("10.0.0.1", chain)).ip == "10.0.0.1"
    assert parse(line % ("10.0.0.1", chain)).ip == "203.0.113.1"
    assert parse(line % ("192.0.2.7", chain)).ip == "192.0.2.7"
    assert parse(line % ("10.0.0.1", "-")).ip == "10.0.0.1"
    assert behind.compile(["http_x_forwarded_for"])(line % ("10.0.0.1", chain)).extra == {"http_x_forwarded_for": chain}
    parts = anatomy.dissect(behind, line % ("10.0.0.1", chain)).anatomy.parts
    assert [part.fields for part in parts if part.name == "http_x_forwarded_for"] == [("forwarded",)]


def test_a_pasted_string_may_have_the_header_forwarded_beside_the_address():
    known = logformat.read('%h "%{Forwarded}i" %t "%r" %>s').read_as(Hints(trusted_proxies=["10.0.0.0/8"]), "")
    line = '10.0.0.1 "for=192.0.2.60, for=\\"[2001:db8::17]:4711\\"" [21/Nov/2026:08:15:02 +0000] "GET / HTTP/1.1" 200'
    assert known.compile()(line).ip == "2001:db8::17"


@pytest.mark.parametrize(
    ("hints", "reason"),
    [
        (Hints(timezone="Mars"), "there is no time zone 'Mars'"),
        (Hints(trusted_proxies=["10.0.0.0/33"]), "'10.0.0.0/33' is no network"),
        (Hints(fields={"agent": ["a"]}), "no such field: agent; there are ip"),
        (Hints(fields={"ip": ["a..b"]}), "'a..b' is no path"),
        (Hints(fields={"generation_time": ["took", "spent:min"]}), "generation_time: there is no form 'min'"),
    ],
)
def test_what_the_user_says_wrongly_is_refused_with_the_reason(hints, reason):
    with pytest.raises(UsageError, match=rf"^--[a-z-]+: {reason}"):
        catalogue.known()["json"].read_as(hints)


def test_fields_are_found_where_the_user_says_that_they_lie(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("pattern = '{ip} {*client} [{time}] \"{request}\" {*took}'")
    fields = {"ip": ["other", "client"], "generation_time": ["took:us"]}
    record = (
        catalogue.read(path)
        .read_as(Hints(fields=fields))
        .compile()('10.0.0.1 192.0.2.7 [21/Nov/2026:09:15:02 +0100] "GET / HTTP/1.1" 48211')
    )
    assert (record.ip, record.generation_time) == ("192.0.2.7", 48)
