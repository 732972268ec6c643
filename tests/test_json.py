"""JSON of every shape: where fields lie, which lines count, and objects that are no lines."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piwik_import import framing
from piwik_import.parsers import catalogue, paths, wrappers
from piwik_import.parsers.detection import recognise
from piwik_import.parsers.json_lines import compile_json
from piwik_import.parsers.record import BadLine, OtherLine
from piwik_import.source import LINE_LIMIT, Source

KNOWN = catalogue.known()

PATHS = {
    "status": (["status"], ""),
    "httpRequest.requestUrl": (["httpRequest", "requestUrl"], ""),
    'headers["User-Agent"][0]': (["headers", "User-Agent", 0], ""),
    "request.headers.User-Agent[0]": (["request", "headers", "User-Agent", 0], ""),
    "a['b.c']": (["a", "b.c"], ""),
    r'["a \"b\" c"]': (['a "b" c'], ""),
    "cs(User-Agent)": (["cs(User-Agent)"], ""),
    ":authority": ([":authority"], ""),
    "a.:b": (["a", ":b"], ""),
    "@timestamp:any": (["@timestamp"], "any"),
    "t:%H:%M": (["t"], "%H:%M"),
    '["a:b"]:s': (["a:b"], "s"),
    "[0].a": ([0, "a"], ""),
}


@pytest.mark.parametrize(("text", "expected"), PATHS.items(), ids=PATHS)
def test_a_path_is_read(text, expected):
    assert paths.split(text) == expected


@pytest.mark.parametrize(
    "text", ["", ".", "a.", "a..b", ".a", "a[", "a[x]", "a[-1]", 'a["b]', "a]b", "a.[0]", "[9999999999]"]
)
def test_what_is_no_path_is_refused_with_the_place(text):
    with pytest.raises(ValueError, match=r"is no path: it goes wrong at column \d"):
        paths.split(text)


OBJECT = {"a": {"b": {"c": 1}, "b.c": 2, "d": [{"e": 3}]}, "a.b.c": 4, "x.y": {"z": 5}, "n": None, "t": "text"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b.c", 4),
        ("a.b", {"c": 1}),
        ("a.d[0].e", 3),
        ("a.d[1].e", None),
        ("x.y.z", 5),
        ("n", None),
        ("n.a", None),
        ("t.a", None),
        ("t[0]", None),
        ("a[0]", None),
        ("b", None),
        ('a["b"].c', 4),
    ],
)
def test_a_key_with_dots_goes_before_the_way_through_objects(text, value):
    assert paths.finder(paths.split(text)[0])(OBJECT) == value


KEYS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(
    st.lists(KEYS | st.integers(0, 3), min_size=1, max_size=5).filter(lambda steps: isinstance(steps[0], str)),
    st.integers(),
)
def test_a_value_is_found_where_it_was_put(steps, value):
    found = value
    for step in reversed(steps):
        found = [None] * step + [found] if isinstance(step, int) else {step: found}
    quoted = "".join(f"[{step}]" if isinstance(step, int) else "[" + _quoted(step) + "]" for step in steps)
    assert paths.split(quoted) == (steps, "")
    assert paths.finder(steps)(found) == value


def _quoted(key):
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_the_first_path_that_has_a_value_counts():
    parse = compile_json({"time": "t:epoch", "path": "p", "ip": ["a", "b.c", "d[0]"]})
    for one in (
        {"a": "::1"},
        {"a": "", "b": {"c": "::1"}},
        {"a": "-", "b": 7 * [None], "d": ["::1"]},
        {"a": None, "b.c": "::1"},
    ):
        assert parse(json.dumps({"t": 1, "p": "/", **one})).ip == "::1"
    assert parse('{"t":1,"p":"/"}').ip is None


def test_numbers_may_be_texts_and_texts_may_be_floats():
    parse = compile_json({"time": "t:epoch_ms", "path": "p", "status": "s", "length": "n", "generation_time": "g:s"})
    record = parse('{"t": 1795248902123.0, "p": "/", "s": 200.0, "n": "12", "g": "0.123"}')
    assert (record.status, record.length, record.generation_time) == (200, 12, 123)
    assert f"{record.time}" == "2026-11-21 08:15:02.123000+00:00"


URLS = {
    "https://www.example.org/a?b=1": ("www.example.org:443", "/a", "b=1"),
    "http://www.example.org:80": ("www.example.org:80", "/", None),
    "https://Example.org:8443/": ("https://example.org:8443", "/", None),
    "http://user@example.org:443/": ("http://example.org:443", "/", None),
    "https://[2001:db8::1]/": ("[2001:db8::1]:443", "/", None),
    "/a?b": ("logged.example", "/a", "b"),
}


@pytest.mark.parametrize(("url", "expected"), URLS.items(), ids=URLS)
def test_a_whole_url_gives_host_scheme_path_and_query(url, expected):
    parse = compile_json({"time": "t:epoch", "target": "u:absolute", "host": "h"})
    record = parse(json.dumps({"t": 1, "u": url, "h": "logged.example"}))
    assert (record.host, record.path, record.query) == expected
    assert record.request.authority is None


def test_a_url_whose_host_is_none_is_no_request():
    parse = compile_json({"time": "t:epoch", "target": "u:absolute"})
    assert parse('{"t":1,"u":"https://${jndi:ldap}/a"}').problem == "garbage_request"


def test_a_scheme_beside_the_host_tells_its_port():
    parse = compile_json({"time": "t:epoch", "path": "p", "host": "h", "scheme": "s"})
    hosts = {"a.example": "a.example:443", "a.example:443": "a.example:443", "a.example:8443": "https://a.example:8443"}
    for host, expected in hosts.items():
        assert parse(json.dumps({"t": 1, "p": "/", "h": host, "s": "HTTPS"})).host == expected
    assert parse('{"t":1,"p":"/","h":"a.example","s":"wss"}').host == "a.example:443"
    assert parse('{"t":1,"p":"/","h":"a.example","s":"rtmp"}').host == "a.example"
    by_version = compile_json({"time": "t:epoch", "path": "p", "host": "h", "scheme": "tls.version:tls"})
    for tls, expected in {
        '{"version":772}': "a.example:443",
        '{"version":"off"}': "a.example:80",
        "{}": "a.example",
    }.items():
        assert by_version(f'{{"t":1,"p":"/","h":"a.example","tls":{tls}}}').host == expected


def test_lines_that_tell_of_no_request_are_known_for_what_they_are():
    parse = compile_json(
        {"time": "t:epoch", "path": "p"},
        only={"logger": ["http.log.access*", "x"], "request.method": True, "edge": "true"},
    )
    good = {"t": 1, "p": "/", "logger": "http.log.access.log0", "request": {"method": "GET"}, "edge": True}
    assert parse(json.dumps(good)).path == "/"
    assert parse(json.dumps(good | {"logger": "x"})).path == "/"
    for other in ({"logger": "http.log.error"}, {"request": {}}, {"edge": False}, {"logger": None}, {"logger": {}}):
        with pytest.raises(OtherLine):
            parse(json.dumps(good | other))
    with pytest.raises(OtherLine):
        parse("DEBUG: a plug-in says hello")
    either = compile_json({"time": "t:epoch", "path": "p"}, only={"a.b": ["true", ""], "c": ["*"]})
    for text in (
        '{"t":1,"p":"/","c":1,"a":{"b":true}}',
        '{"t":1,"p":"/","c":"x","a":{}}',
        '{"t":1,"p":"/","c":"","a":{"b":""}}',
    ):
        assert either(text).path == "/"
    for text in ('{"t":1,"p":"/","c":1,"a":{"b":false}}', '{"t":1,"p":"/","a":{"b":true}}'):
        with pytest.raises(OtherLine):
            either(text)
    with pytest.raises(BadLine, match="no JSON") as caught:  # an object that was cut is no other line
        parse(json.dumps(good)[:-5])
    assert not isinstance(caught.value, OtherLine)


def test_a_dash_that_stands_for_a_number_is_none():
    record = KNOWN["json"].compile()('{"time":"2026-11-21T08:15:02Z","uri":"/a","x":-,"agent":"a \\":-, b","y": -}')
    assert (record.path, record.user_agent) == ("/a", 'a ":-, b')


# The peer's defects that concern JSON.


@pytest.mark.parametrize(
    "line",
    ['{"msg":"x","level":"info","time":"2026-11-21T08:15:02Z"}', '{"level":"info","ts":1,"logger":"tls","msg":"y"}'],
)
def test_any_json_with_msg_level_and_time_is_not_taken_for_traefik(line):
    assert not any(_fits(one, line) for one in KNOWN.values() if "time" in one.fields)


def _fits(log_format, line):
    try:
        log_format.compile()(line)
    except BadLine:
        return False
    return True


def test_caddy_without_client_ip_and_user_id_is_read():
    line = KNOWN["caddy"].samples[2]["line"]
    assert "client_ip" not in line
    assert KNOWN["caddy"].compile()(line).ip == "2001:db8::5"


# Objects that are no lines.

RECORDS = [
    {
        "time": "2026-11-21T08:15:02Z",
        "remote_addr": f"192.0.2.{number % 9}",
        "uri": f"/{number}",
        "status": 200,
        "agent": 'a "{" \\ b',
        "more": {"x": [number]},
    }
    for number in range(200)
]
PRETTY = [json.dumps(one, indent=4) for one in RECORDS]
SHAPES = {
    "an array, an object a line": "[" + ",\n".join(map(json.dumps, RECORDS)) + "]\n",
    "an array, the brackets apart": "[\n" + ",\n".join(map(json.dumps, RECORDS)) + "\n]\n",
    "an array in one line": json.dumps(RECORDS),
    "an array in one line, no spaces": json.dumps(RECORDS, separators=(",", ":")) + "\n",
    "an array, pretty": json.dumps(RECORDS, indent=2) + "\n",
    "an array, pretty, tabs": json.dumps(RECORDS, indent="\t"),
    "objects, pretty": "\n".join(PRETTY) + "\n",
    "objects, pretty, CRLF": "\n".join(PRETTY).replace("\n", "\r\n") + "\r\n",
    "in an envelope": json.dumps({"records": RECORDS}),
    "in an envelope, pretty": json.dumps({"events": RECORDS, "next": []}, indent=1),
}


@pytest.mark.parametrize("size", [256, 5000, 1 << 20])
@pytest.mark.parametrize("shape", SHAPES)
def test_objects_are_found_whatever_the_shape_of_the_log(shape, size, tmp_path, dry_run):
    log = tmp_path / "log.json"
    log.write_bytes(SHAPES[shape].encode())
    os.utime(log, (1, 1))
    report, entries = dry_run(log, size=size)
    assert (report.made, report.bad, report.sources[0].lines) == (200, 0, 200)
    data = log.read_bytes()
    for number, (entry, after) in enumerate(pairwise(entries)):
        before = data[: entry.end]
        assert before.endswith(b"}")
        assert entry.line == before.count(b"\n") + 1
        assert f"/{number}&" in entry.query
        assert entry.end < after.end
        assert data[entry.end :].lstrip(b" ,\t\r\n").startswith(b"{")


@pytest.mark.parametrize("shape", SHAPES)
def test_reading_on_from_the_end_of_any_block_finds_the_rest(shape, tmp_path, dry_run):
    log = tmp_path / "log.json"
    log.write_bytes(SHAPES[shape].encode())
    os.utime(log, (1, 1))
    _, whole = dry_run(log, size=700)
    known = recognise("log", framing.objects(log.read_bytes()), KNOWN.values())
    blocks = list(framing.blocks(Source(str(log)), replace(known, spread=True), 0, 1))
    assert len(blocks) > 5
    for block in blocks[::7]:
        _, rest = dry_run(log, size=700, offset=block.end, line=block.line + block.lines)
        assert [(one.query, one.end, one.line) for one in rest] == [
            (one.query, one.end, one.line) for one in whole if one.end > block.end
        ]


def test_lines_of_json_are_still_read_as_lines():
    for text in ('{"a":1}\n{"b":2}\n', '{"a":\n{"b":2}\n', '{"a":1}', "[not json]\n", "[21/Nov/2026] x\n", ""):
        assert not framing.is_spread(text.encode())


def test_an_object_that_is_cut_at_the_end_is_invalid_and_one_that_is_too_long_too(tmp_path, dry_run):
    log = tmp_path / "log.json"
    long = dict(RECORDS[1], more="x" * (LINE_LIMIT + 10))
    texts = [json.dumps(one) for one in (RECORDS[0], long, RECORDS[2], RECORDS[3])]
    log.write_text("[" + ",\n".join(texts)[:-20])
    os.utime(log, (1, 1))
    report, entries = dry_run(log)
    assert [entry.line for entry in entries] == [1, 3]
    assert [example.line for example in report.examples][-1] == 4
    assert report.bad == 2


def test_an_array_that_is_still_written_is_read_as_far_as_it_goes(tmp_path, dry_run):
    log = tmp_path / "log.json"
    log.write_text("[" + ",\n".join(map(json.dumps, RECORDS[:3]))[:-20])
    report, entries = dry_run(log)
    assert (len(entries), report.bad) == (2, 0)


def test_an_import_of_an_array_goes_on_where_it_ended_though_it_is_one_line(tmp_path, run_import):
    log = tmp_path / "log.json"
    log.write_text(SHAPES["an array in one line"][:-1])
    os.utime(log, (1, 1))
    settings = ("--journal", tmp_path / "j.db", "--base-url", "http://a.example", "--summary", "json")
    first = json.loads(run_import(*settings, log).stdout)["lines"]
    more = [dict(one, uri=f"/more{n}") for n, one in enumerate(RECORDS[:5])]
    log.write_text(SHAPES["an array in one line"][:-1] + ", " + json.dumps(more)[1:])
    os.utime(log, (2, 2))
    second = json.loads(run_import(*settings, log).stdout)["lines"]
    assert (first["imported"], first["invalid"]) == (200, 0)
    assert (second["imported"], second["invalid"]) == (5, 0)


@pytest.mark.parametrize("shape", ["an array in one line", "an array, pretty", "objects, pretty, CRLF"])
def test_an_import_that_is_broken_off_in_an_array_goes_on_without_loss(shape, tmp_path, import_broken_off):
    log = tmp_path / "log.json"
    log.write_bytes(SHAPES[shape].encode())
    assert import_broken_off(log, after=5, chunk_size=9, recorders=2) == [*range(200)]


@pytest.mark.parametrize("shape", SHAPES)
def test_objects_come_out_of_a_pipe_too(shape, run_program):
    outcome = run_program("--dry-run", "--summary", "json", "-", stdin=SHAPES[shape].encode())
    assert json.loads(outcome.stdout)["lines"]["imported"] == 200


ENOUGH = [b"a\n", b"[\n {}", b'[{"a":1},', b'{"a":1}\n', b"{\n}", b'{"records":[{}', b"[21/Nov/2026] x\n"]
TOO_LITTLE = [b"", b"a", b"[", b"[\n", b"[\n {", b"{\n", b'{"a":1}', b"[error] {", b"\xef\xbb\xbf\n{"]


@pytest.mark.parametrize("head", [*ENOUGH, *TOO_LITTLE])
def test_of_a_pipe_so_much_is_waited_for_that_its_shape_can_be_told(head):
    assert framing.is_enough(head) is (head in ENOUGH)


@pytest.mark.parametrize(
    ("name", "visitors", "others"),
    [
        (
            "cloudflare",
            ['"WorkerSubrequest":false', '"ClientRequestSource":"eyeball"', '"ClientRequestSource":"orangeToOrange"'],
            [
                '"WorkerSubrequest":true',
                '"ClientRequestSource":"edgeWorkerFetch"',
                '"ClientRequestSource":"healthcheck"',
            ],
        ),
        (
            "azure_front_door",
            ['"properties":{"isReceivedFromClient":true,'],
            ['"properties":{"isReceivedFromClient":false,'],
        ),
    ],
)
def test_a_request_that_a_network_makes_of_a_visitors_is_not_counted_again(name, visitors, others):
    known = catalogue.named(name)
    parse, line = known.compile(), str(known.samples[0]["line"])

    def with_key(key: str) -> str:
        return line.replace('"properties":{', key) if key.endswith("{") or "{" in key else "{" + key + "," + line[1:]

    for key in visitors:
        assert parse(with_key(key)) == parse(line)
    for key in others:
        with pytest.raises(OtherLine):
            parse(with_key(key))


HEROKU = {
    "heroku": (
        "2026-11-21T08:15:02.1+00:00 app[web.1]: server started on port: 24830",
        "2026-11-21T08:15:02.1+00:00 heroku[web.1]: State changed from starting to up",
        "2026-11-21T08:15:02.1+00:00 app[heroku-redis]: source=REDIS sample#active-connections=4",
    ),
    "heroku_drain": (
        "160 <190>1 2026-11-21T08:15:02.1+00:00 host app web.1 - 2026-11-21 08:15:02,1 [WARNING] users:58",
        "<45>1 2026-11-21T08:15:02.1+00:00 host heroku web.1 - State changed from starting to up",
    ),
}


@pytest.mark.parametrize("name", HEROKU)
def test_in_herokus_logs_the_lines_of_the_dynos_are_other_programs(name):
    known = catalogue.named(name)
    requests = [str(sample["line"]) for sample in known.samples]
    found = recognise(
        "log", [*HEROKU[name] * 5, *requests], catalogue.recognisable(), [None, *wrappers.known().values()]
    )
    assert found is known
    fates = [*found.records([*HEROKU[name], *requests])]
    assert [type(fate) for fate in fates[: len(HEROKU[name])]] == [OtherLine] * len(HEROKU[name])
    assert not any(isinstance(fate, BadLine) for fate in fates[len(HEROKU[name]) :])
