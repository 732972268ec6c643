"""Every file of formats/: its samples are its proof. And what a format file may not hold."""

from __future__ import annotations

import json
import pickle
import re
import time
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from piwik_import.errors import FormatError, FormatStringError, UnknownFormat
from piwik_import.parsers import catalogue, formatfile, logformat, wrappers
from piwik_import.parsers.anatomy import dissect
from piwik_import.parsers.detection import lines_of, recognise
from piwik_import.parsers.headers import Header
from piwik_import.parsers.record import BadLine, OtherLine
from piwik_import.parsers.registry import Registry

KNOWN = catalogue.known()
TIMED = {name: one for name, one in KNOWN.items() if "time" in one.fields}
FORMATS = [pytest.param(one, id=one.name) for one in TIMED.values()]
SAMPLES = [
    pytest.param(one, sample, id=f"{one.name}-{number}")
    for one in TIMED.values()
    for number, sample in enumerate(one.samples, 1)
]
RECOGNISABLE = catalogue.recognisable()

PATTERN = "pattern = '{ip} [{time}] \"{request}\"'"
COLUMNS = "[columns]\ntime = 'time'\npath = 'path'\n"
JSON = "[json]\ntime = 'date'\npath = 'path'"


@pytest.mark.parametrize(("log_format", "sample"), SAMPLES)
def test_every_sample_of_every_format_file_parses_to_what_the_file_says(log_format, sample):
    expected = dict(sample)
    (record,) = log_format.records(lines_of(expected.pop("line").encode()))
    assert {name: getattr(record, name) for name in expected} == expected


@pytest.mark.parametrize(("log_format", "sample"), SAMPLES)
def test_every_sample_alone_is_recognised_as_its_own_format_and_no_other(log_format, sample):
    found = recognise("log", lines_of(sample["line"].encode()), RECOGNISABLE)
    assert found is log_format or (not log_format.recognised and {*found.fields} < {*log_format.fields, "host"})


@pytest.mark.parametrize("log_format", FORMATS)
def test_the_samples_of_a_file_together_are_recognised_in_any_order_of_the_formats(log_format):
    lines = lines_of("\n".join([*(sample["line"] for sample in log_format.samples), ""]).encode())
    assert len([*log_format.records(lines)]) == len(log_format.samples)
    if log_format.recognised:
        assert recognise("log", lines, RECOGNISABLE) is log_format
        assert recognise("log", lines, RECOGNISABLE[::-1]) is log_format


@pytest.mark.parametrize("log_format", FORMATS)
def test_every_file_says_what_it_is_and_proves_it(log_format):
    assert 10 < len(log_format.title) < 100
    assert urlsplit(log_format.source).scheme == "https"
    assert len(log_format.samples) >= 2
    assert all(len(sample) >= 2 for sample in log_format.samples)
    assert {"ip", "time", "status"} - {*log_format.fields} <= (
        {"status"} if log_format.name.endswith("rtmp") or log_format.calls else set()
    )


@pytest.mark.parametrize("log_format", FORMATS)
def test_every_field_of_a_format_has_a_value_in_some_sample(log_format):
    records = [
        *log_format.records(lines_of("\n".join([*(sample["line"] for sample in log_format.samples), ""]).encode()))
    ]
    fields = {{"target": "path", "date": "time"}.get(name, name) for name in log_format.fields} - {
        "scheme",
        "forwarded",
    }
    assert fields == {name for name in fields if any(getattr(record, name) is not None for record in records)}


@pytest.mark.parametrize("log_format", FORMATS)
def test_a_definition_crosses_to_another_process(log_format):
    assert pickle.loads(pickle.dumps(log_format)) == log_format


AWKWARD = ['"', " ", "\\", "a", "[", '\\"', '"a" ', "|", "1", "{"]


@pytest.mark.parametrize("log_format", FORMATS)
def test_no_line_takes_long_however_long_and_odd_it_is(log_format):
    *above, line = lines_of(log_format.samples[0]["line"].encode())
    header = Header()
    for one in above:
        header = header.after(one)
    parse = log_format.under(header).compile()
    for place in (len(line) // 3, len(line) * 2 // 3):
        for odd in AWKWARD:
            text = line[:place] + odd * ((1 << 18) // len(odd)) + line[place:]
            began = time.process_time()
            with suppress(BadLine):
                parse(text)
            assert time.process_time() - began < 0.2  # 10 ms on a quiet machine, and minutes if it is not linear


def test_a_log_is_recognised_in_the_blink_of_an_eye():
    for name in ("combined", "caddy", "s3"):
        line = "".join(lines_of(KNOWN[name].samples[0]["line"].encode()))
        for lines in ([line] * 200, [f"web-1  | {line}"] * 200):
            re.purge()
            began = time.process_time()
            recognise("log", lines, RECOGNISABLE, [None, *wrappers.known().values()])
            assert time.process_time() - began < 0.5  # 0.1 s on a quiet machine


def test_no_format_has_the_name_of_another_for_an_alias():
    for one in KNOWN.values():
        assert not KNOWN.keys() & {*one.aliases}
        assert len(one.aliases) == len({*one.aliases})


def test_an_alias_stands_for_all_formats_that_have_it():
    registry = Registry()
    for name in {name for one in KNOWN.values() for name in (one.name, *one.aliases)}:
        assert registry.called(name) == [one for one in KNOWN.values() if name in (one.name, *one.aliases)]
    assert [one.name for one in registry.called("elb")] == ["alb", "alb_2016", "elb_classic"]


@pytest.mark.parametrize("name", ["alb", "alb_2016", "elb_classic"])
def test_of_the_formats_with_an_alias_the_one_that_fits_the_log_is_meant(name, run_here, tmp_path):
    log = tmp_path / "balancer.log"
    lines = [sample["line"] for sample in KNOWN[name].samples]
    log.write_text("\n".join([*lines, ""]))
    asked = [run_here("explain", "--json", "--format", one, log) for one in ("elb", name)]
    found = [json.loads(one.stdout) for one in asked]
    assert found[0]["format"] == name
    assert found[0]["lines"] == found[1]["lines"]


def test_another_log_than_those_of_an_alias_is_refused_with_their_names(run_here, tmp_path):
    log = tmp_path / "access.log"
    log.write_text(KNOWN["combined"].samples[0]["line"] + "\n")
    outcome = run_here("--dry-run", "--format", "elb", log)
    assert outcome.code == UnknownFormat.exit_code
    assert "alb, alb_2016, elb_classic" in outcome.stderr


def test_all_formats_of_an_alias_are_shown_and_checked(run_here):
    shown = run_here("formats", "elb").stdout
    assert shown == "\n".join(run_here("formats", name).stdout for name in ("alb", "alb_2016", "elb_classic"))
    assert run_here("formats", "--check", "elb").stdout.count(": right\n") >= 6


def test_an_unknown_name_says_how_to_list_the_known_ones():
    with pytest.raises(FormatError, match=r"^format combinde: no such format; `piwik-import formats` lists"):
        catalogue.named("combinde")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "it needs one of `pattern`, `json`, `cef`, `columns` and `regex`", id="nothing"),
        pytest.param(
            PATTERN + "\n" + JSON, "it needs one of `pattern`, `json`, `cef`, `columns` and `regex`", id="both"
        ),
        pytest.param(PATTERN + "\nregexp = ''\ntittle = ''", "unknown key regexp, tittle; known are", id="unknown key"),
        pytest.param("pattern = ", "Invalid value", id="no TOML"),
        pytest.param("title = '\udcff'", "codec can't decode byte 0xff", id="no UTF-8"),
        pytest.param("pattern = 1", "`pattern` is no str", id="pattern is a number"),
        pytest.param("json = 'ip'", "`json` is no dict", id="json is a text"),
        pytest.param("[json.time]\nkey = 'date'", "`json` holds what is no name of a key", id="json is nested"),
        pytest.param(PATTERN + "\naliases = 'clf'", "`aliases` is no list", id="aliases are a text"),
        pytest.param(PATTERN + "\nsample = ['x']", "a `sample` has no line", id="sample is a text"),
        pytest.param(PATTERN + "\n[[sample]]\nip = '::1'", "a `sample` has no line", id="sample without line"),
        pytest.param("pattern = '{ip} {time} {agent}'", "no such field: agent", id="unknown field"),
        pytest.param("pattern = '{} {time} {path}'", "no such field: ", id="field without name"),
        pytest.param("pattern = '{time} {path} {ip} {ip}'", "a field stands in it twice", id="field twice"),
        pytest.param("pattern = '{ip} {path}'", "its lines have no time", id="no time"),
        pytest.param("pattern = '{ip} {time}'", r"it needs one of \{request}, \{target}", id="no request"),
        pytest.param("pattern = '{...} {time} {path}'", "stands elsewhere than at its end", id="further fields first"),
        pytest.param("pattern = '{time}{...};{path}'", "stands elsewhere than at its end", id="further fields amid"),
        pytest.param("pattern = '{time:clock} {path}'", "unknown form 'clock'", id="unknown form of time"),
        pytest.param("pattern = '{time:%Y %Q} {path}'", "'Q' is a bad directive", id="bad strptime pattern"),
        pytest.param("pattern = '{time} {generation_time:h} {path}'", "unknown form 'h'", id="unknown unit"),
        pytest.param("pattern = '{time} {path} {ip:v4}'", "'v4' is no network", id="form of what has none"),
        pytest.param("[json]\ntime = 'date'", "it needs time and one of request, target, path", id="json: no request"),
        pytest.param("[json]\npath = 'date'", "it needs time and one of request, target, path", id="json: no time"),
        pytest.param(
            COLUMNS + "ip = 1", "`columns` holds what is no name of a field", id="columns: a number for a field"
        ),
        pytest.param("known_by = [1]\n" + COLUMNS, "`known_by` holds what is no text", id="columns: number"),
        pytest.param("separator = 'dot'\n" + COLUMNS, "no such separator: dot; known are", id="columns: separator"),
        pytest.param(COLUMNS + "ua = 'agent'", "no such field: agent", id="columns: unknown field"),
        pytest.param(COLUMNS + "ua = 'user_agent:rot13'", "unknown form 'rot13'", id="columns: unknown form"),
        pytest.param(COLUMNS + "day = 'date:roman'", "unknown form 'roman'", id="columns: unknown form of the day"),
        pytest.param(
            "[columns]\npath = 'path'", "it needs time and one of request, target, path", id="columns: no time"
        ),
        pytest.param("[columns]\nurl = []\ntime = 'time'", "`columns` holds what is no name", id="columns: nothing"),
        pytest.param("pattern = '{date} {path}'", "its lines have no time", id="a date without time"),
        pytest.param("pattern = '{date} {time:clf} {path}'", "unknown form 'clf'", id="a date and another"),
        pytest.param(JSON + "\nagent = 'ua'", "no such field: agent", id="json: unknown field"),
        pytest.param(JSON + "\nip = []", "`json` holds what is no name of a key", id="json: no path at all"),
        pytest.param(JSON + "\nip = ['a', 1]", "`json` holds what is no name of a key", id="json: a number for a path"),
        pytest.param(JSON + "\nip = 'a..b'", "'a..b' is no path: it goes wrong at column 3", id="json: no path"),
        pytest.param("only = {a = 1}\n" + JSON, "`only` asks of a what is neither", id="only a number"),
        pytest.param("only = 'a'\n" + JSON, "`only` is no dict", id="only is a text"),
        pytest.param("only = {a = 'b'}\n" + PATTERN, "no piece of the pattern is called", id="only names no piece"),
        pytest.param("others = [1]\n" + PATTERN, "`others` holds what is no text", id="others: a number"),
        pytest.param("pattern = '{time:iso8601@Mars} {path}'", "there is no time zone 'Mars'", id="no such zone"),
        pytest.param(JSON + "\nlength = 'size:kB'", "unknown form 'kB'", id="json: unknown form"),
    ],
)
def test_a_format_file_that_makes_no_sense_is_refused_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FormatError, match=rf"^format mine(\.toml)?: .*{reason}") as caught:
        catalogue.read(path).compile()
    assert caught.value.exit_code == 2


def test_a_format_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"^format mine\.toml: .*No such file"):
        catalogue.read(tmp_path / "mine.toml")


def test_a_format_file_of_the_users_own_works_as_those_that_come_along(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("pattern = '[{time:%Y-%m-%d %H:%M:%S %z}] {method} {path} {query} {generation_time:us}{...}'")
    record = catalogue.read(path).compile()("[2020-10-10 13:55:36 -0700] PUT /a ?b=c 1234567 more of it")
    assert (record.method, record.path, record.query, record.generation_time) == ("PUT", "/a", "b=c", 1235)
    assert f"{record.time}" == "2020-10-10 20:55:36+00:00"


OTHERS = "others = ['started .*', 'Server [ab] is (UP|DOWN)', '\\[\\w+\\]']\n"


def test_lines_that_a_format_names_are_no_requests_and_not_invalid(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(OTHERS + PATTERN)
    made = catalogue.read(path)
    assert catalogue.describe(made)
    path.write_text(formatfile.text(made))
    assert catalogue.read(path).others == made.others
    parse = made.compile()
    for line in ("started as 7\r", "Server a is UP", "[info]"):
        with pytest.raises(OtherLine):
            parse(line)
        assert dissect(made, line).anatomy.expected == ""
    for line in ("not started", "Server a is UP, or not", "started " + "x" * 20_000):
        with pytest.raises(BadLine) as caught:
            parse(line)
        assert not isinstance(caught.value, OtherLine)
    with pytest.raises(FormatStringError, match="unterminated subpattern"):
        replace(made, others=("a", "b(")).compile()


def test_haproxys_formats_name_the_same_other_lines():
    names = ("haproxy", "haproxy_agent", "haproxy_host", "haproxy_host_agent")
    (others,) = {catalogue.named(name).others for name in names}
    assert logformat.read("haproxy:%ci [%trl] %{+Q}r").others == others


HAPROXY = "192.0.2.1:4711 [21/Nov/2026:09:15:02.655] "
HAPROXY_OTHERS = [
    f"{HAPROXY}web/1: SSL handshake failure",
    f"{HAPROXY}web/2: Connection closed during SSL handshake",
    f"{HAPROXY}web/2: Received something which does not look like a PROXY protocol header",
    f"{HAPROXY}tcp t/s1 1/0/0 38 -- 1/1/0/0/0 0/0",
    f"{HAPROXY}tcp t/<NOSRV> -1/-1/+0 +0 sD 1/1/0/0/+3 0/0",
    "Connect from 192.0.2.1:36594 to 192.0.2.9:80 (web/HTTP)",
    "Proxy web started.",
    "Proxy web stopped (cumulated conns: FE: 8, BE: 0).",
    "Server b/s1 is DOWN, reason: Layer4 connection problem, check duration: 0ms.",
    "Backup Server b/s1 is UP, reason: Layer7 check passed, code: 200.",
    "Server b/s1 was DOWN and now enters maintenance.",
    "backend b has no server available!",
    "Health check for server b/s1 failed, reason: Layer4 timeout.",
    "Paused frontend tcp.",
    "Stopping backend b in 0 ms.",
    "[NOTICE]   (1) : New worker (8) forked",
    "[WARNING] 325/093424 (16512) : Server b/s1 is DOWN, reason: Layer4 timeout.",
]


@pytest.mark.parametrize("line", HAPROXY_OTHERS)
def test_what_haproxy_says_of_itself_and_of_connections_is_no_invalid_line(line):
    with pytest.raises(OtherLine):
        catalogue.named("haproxy").compile()(line)


@pytest.mark.parametrize(
    "line",
    [
        f"{HAPROXY}web b/s1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {{Mozilla/5.0 (rv: 3)}} GET /",
        f"{HAPROXY}web b/s1 10/0/30/69/109 200",
        f"{HAPROXY}web",
        "something else: Server b/s1 is DOWN",
    ],
)
def test_a_broken_line_of_haproxy_is_not_taken_for_another_kind(line):
    with pytest.raises(BadLine) as caught:
        catalogue.named("haproxy").compile()(line)
    assert not isinstance(caught.value, OtherLine)


def test_a_format_is_shown_with_its_samples(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        f"title = 'My format'\nsource = 'https://example.org/'\naliases = ['ours', 'yours']\n{PATTERN}\n"
        "[[sample]]\nline = 'first'\nip = '::1'\nstatus = 200\n[[sample]]\nline = 'second'\n"
    )
    assert [*catalogue.describe(catalogue.read(path))] == [
        "mine: My format",
        "  https://example.org/",
        "  also called ours, yours",
        "",
        '  {ip} [{time}] "{request}"',
        "",
        "  first",
        "      ip               ::1",
        "      status           200",
        "",
        "  second",
    ]


def test_a_format_of_json_is_shown_with_its_keys():
    shown = "\n".join(catalogue.describe(KNOWN["nginx_json"]))
    assert "\n  time             date:any\n" in shown
    assert "\n  generation_time  generation_time_milli:s\n" in shown


def test_all_formats_of_haproxy_know_the_same_other_lines():
    assert len({one.others for name, one in catalogue.known().items() if name.startswith("haproxy")}) == 1
