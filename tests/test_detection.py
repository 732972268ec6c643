"""Which format a log is in, by many of its lines."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piwik_import.errors import FormatError, UnknownFormat, UsageError
from piwik_import.parsers import forms, wrappers
from piwik_import.parsers.anatomy import dissect
from piwik_import.parsers.catalogue import known
from piwik_import.parsers.choice import from_regex
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.detection import LINES, lines_of, recognise
from piwik_import.parsers.glance import Glance
from piwik_import.parsers.record import OtherLine, Record

KNOWN = known()
COMBINED, COMMON, VHOST_COMBINED, NGINX_JSON = (
    KNOWN[name].samples[0]["line"] for name in ("combined", "common", "vhost_combined", "nginx_json")
)
ERROR = '2020/10/10 13:55:36 [error] 31#31: *46 open() failed (2: No such file), client: 192.0.2.1, host: "a"'
SSHD = "Oct 10 13:55:36 host sshd[421]: Failed password for invalid user admin from 192.0.2.1 port 51234 ssh2"


def recognised(*lines: str) -> str:
    return recognise("access.log", lines, KNOWN.values()).name


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        pytest.param([SSHD, *[COMBINED] * 9], "combined", id="a bad first line"),
        pytest.param([COMBINED[:70], *[COMBINED] * 3], "combined", id="a first line that was cut"),
        pytest.param([*[ERROR] * 60, *[COMBINED] * 40], "combined", id="many lines of another kind"),
        pytest.param([*[COMBINED] * 9, *[COMMON] * 5], "combined", id="two formats, most the one"),
        pytest.param([*[COMBINED] * 5, *[COMMON] * 9], "common", id="two formats, most the other"),
        pytest.param([*[VHOST_COMBINED] * 9, *[COMBINED] * 3], "vhost_combined", id="some lines without a host"),
        pytest.param([*[NGINX_JSON] * 2, "{}", "nothing"], "nginx_json", id="JSON among others"),
        pytest.param([COMBINED], "combined", id="one line"),
        pytest.param(
            ['192.0.2.1 - - [10/Oct/2020:13:55:36 +0000] "\\x16\\x03" 400 0 "-" "-"'], "combined", id="attack"
        ),
    ],
)
def test_the_format_that_fits_most_lines_is_the_one(lines, name):
    assert recognised(*lines) == name


def test_a_host_before_the_address_is_not_taken_for_a_clients_name():
    line = COMMON.partition(" ")[2]
    assert recognised(f"www.example.org 192.0.2.1 {line}") == "vhost_common"
    assert recognised(f"client.example.net {line}") == "common"


def test_of_two_formats_that_fit_alike_the_one_with_more_fields_is_taken():
    pattern = '{*} {*} {*} [{time}] "{request}"{...}'
    less = Definition("less", "", "", pattern=pattern)
    more = Definition("more", "", "", pattern=pattern.replace('"{...}', '" {status}{...}'))
    for definitions in ([less, more], [more, less]):
        assert recognise("log", [COMBINED], definitions) is more


@pytest.mark.parametrize("share", [0, 1, 24])
def test_a_log_of_which_less_than_a_quarter_fits_is_refused(share):
    with pytest.raises(UnknownFormat):
        recognised(*[COMBINED] * share, *[ERROR] * (100 - share))
    assert recognised(*[COMBINED] * 25, *[ERROR] * 75) == "combined"


def test_a_refusal_shows_the_first_line_and_says_what_to_do():
    with pytest.raises(UnknownFormat) as caught:
        recognised(SSHD, ERROR)
    assert str(caught.value) == (
        f"access.log: none of the {len(KNOWN)} known formats fits this log. It begins with\n"
        f"    {SSHD}\n"
        "See which come near with `piwik-import explain access.log`. Name the format with --format (list them with "
        "`piwik-import formats`), or describe it in a file: see formats/README.md."
    )
    assert caught.value.exit_code == 2


def test_a_refusal_shows_nothing_that_a_terminal_would_obey():
    with pytest.raises(UnknownFormat) as caught:
        recognise("a\x1b.log", ["\x1b]0;title\x07\x1b[2J\x9b\u202e\udcff" + "x" * 1000], KNOWN.values())
    name, line, *_ = str(caught.value).splitlines()
    assert name.startswith(r"a\x1b.log: none")
    assert line.startswith(r"    \x1b]0;title\x07\x1b[2J\x9b\u202e\udcffxxx")
    assert line.endswith("x…")
    assert len(line) < 250
    assert str(caught.value).replace("\n", "").isprintable()


def test_no_lines_at_all_are_refused_too():
    with pytest.raises(UnknownFormat, match="It begins with"):
        recognised()


@pytest.mark.parametrize(
    ("head", "lines"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"a\nb\n", ["a", "b"], id="whole lines"),
        pytest.param(b"a\nb", ["a"], id="an unfinished line after whole ones"),
        pytest.param(b"a", ["a"], id="an unfinished line alone"),
        pytest.param(b"\n \r\n\0\0\na\n\0", ["a"], id="empty lines"),
        pytest.param(b"\0\0a\r\n", ["a"], id="NULs and carriage returns"),
        pytest.param(b"caf\xc3\xa9\xff\x85\n", ["caf\xc3\xa9\xff\x85"], id="bytes"),
    ],
)
def test_the_head_of_a_log_is_cut_into_whole_lines_that_are_not_empty(head, lines):
    assert lines_of(head) == lines


def test_no_more_lines_are_looked_at_than_it_takes():
    assert lines_of(b"\na" * 1000 + b"\n") == ["a"] * LINES


def test_a_line_that_might_be_wrapped_among_lines_that_are_not_wraps_none_of_them():
    lines = [COMBINED, COMBINED, "what is this", COMBINED]
    assert recognise("log", lines, known().values(), [None, *wrappers.known().values()]).label == "combined"


def test_two_formats_in_the_log_of_a_container_are_both_read():
    envoy, text = (KNOWN[name].samples[0]["line"] for name in ("envoy_json", "envoy"))
    lines = [f"2026-11-21T08:15:02.413656027Z stdout F {line}" for line in (envoy, text, envoy, "starting", text)]
    found = recognise("log", lines, KNOWN.values(), [None, *wrappers.known().values()])
    assert found.label == "envoy_json and envoy in cri"
    parse = found.compile()
    assert [parse(line).path for line in lines[:3]] == ["/a", "/api", "/a"]
    with pytest.raises(OtherLine):
        parse(lines[3])


def test_a_log_in_which_the_format_changes_is_read_in_all_of_them():
    lines = [*[COMBINED] * 9, *[VHOST_COMBINED] * 3, *[COMMON] * 3]
    found = recognise("log", lines, KNOWN.values())
    assert found.label == "combined and vhost_combined and common"
    assert [found.compile()(line).host for line in (COMBINED, VHOST_COMBINED, COMMON)][::2] == [None, None]


def test_the_lines_of_a_virtual_host_without_a_port_are_read_as_such_among_others_too():
    hosted = f"www.example.org {COMBINED}"
    found = recognise("log", [*[COMBINED] * 9, *[hosted] * 3], KNOWN.values())
    assert found.label == "combined and vhost_combined"
    record = found.compile()(hosted)
    assert (record.host, record.ip, record.user) == ("www.example.org", found.compile()(COMBINED).ip, None)


@pytest.mark.parametrize("odd", [[COMMON], [ERROR] * 9, [SSHD] * 9, [COMBINED[:70]] * 9])
def test_a_few_odd_lines_and_those_of_another_log_are_no_second_format(odd):
    assert recognise("log", [*[COMBINED] * 40, *odd], KNOWN.values()).label == "combined"


def test_a_log_of_which_few_lines_tell_of_requests_is_recognised_where_the_others_are_known_for_what_they_are():
    caddy = KNOWN["caddy"].samples[0]["line"]
    other = '{"level":"debug","ts":1742400753.05,"logger":"http.handlers.reverse_proxy","msg":"selected upstream"}'
    assert recognised(*[other] * 19, caddy) == "caddy"
    with pytest.raises(UnknownFormat):
        recognised(*[other] * 20, caddy)


def test_what_s3_does_by_itself_is_no_request():
    sample = KNOWN["s3"].samples[0]["line"]
    parse = KNOWN["s3"].compile()
    for operation in ("S3.EXPIRE.OBJECT", "REST.GET.BUCKET", "BATCH.DELETE.OBJECT"):
        with pytest.raises(OtherLine):
            parse(sample.replace("WEBSITE.GET.OBJECT", operation))
    assert parse(sample.replace("WEBSITE.GET.OBJECT", "REST.HEAD.OBJECT")).status == 200


def test_json_with_a_time_and_a_path_but_neither_client_nor_status_is_no_access_log():
    line = '{"time":"2026-11-21T08:15:02Z","level":"info","path":"/etc/app.conf","msg":"read"}'
    with pytest.raises(UnknownFormat):
        recognised(line)
    assert recognised(line.replace('"msg"', '"status":200,"msg"')) == "json"


SAMPLES = {one.name: lines_of(f"{sample['line']}\n".encode()) for one in KNOWN.values() for sample in one.samples}


@given(
    st.lists(st.sampled_from([line for lines in SAMPLES.values() for line in lines]), min_size=1, max_size=4), st.data()
)
def test_a_glance_rules_out_no_format_that_fits_a_line(lines, data):
    at = data.draw(st.integers(0, len(lines[0])))
    lines[0] = lines[0][:at] + data.draw(st.sampled_from(["", '"', " ", "x"])) + lines[0][at:]
    glance = Glance(lines)
    for one in KNOWN.values():
        if any(isinstance(fate, Record) for fate in forms.records(one, lines)):
            assert glance.could_fit(one), one.name


def test_most_formats_are_ruled_out_at_a_glance():
    glance = Glance([COMBINED, COMBINED.replace("/", "/a")])
    assert sum(map(glance.could_fit, KNOWN.values())) < 15


def test_what_the_first_lines_are_decides_nothing():
    odd = [NGINX_JSON] * 6
    assert recognised(*odd, *[COMBINED] * 30) == "combined"
    assert recognised(*[COMBINED] * 6, *[VHOST_COMBINED] * 30) == "vhost_combined"
    within = [*wrappers.known().values(), None]
    sample = str(wrappers.known()["cri"].samples[0]["line"]).replace(
        str(wrappers.known()["cri"].samples[0]["message"]), COMBINED
    )
    found = recognise("access.log", [*[COMMON] * 6, *[sample] * 30], KNOWN.values(), within)
    assert (found.name, found.wrapper) == ("combined", wrappers.known()["cri"])


UNTIMED = '192.0.2.1 - jane "GET /a HTTP/1.1" 200 65508 4.386'
SYSLOG = "Mar 24 14:02:50 web1 tomcat: "


def test_a_format_without_a_time_is_found_within_a_wrapper_that_has_one():
    around = [None, *wrappers.known().values()]
    lines = [f"{SYSLOG}{UNTIMED}", f"{SYSLOG}started", "Mar 24 14:02:51 web1 sshd[7]: session opened for user root"]
    found = recognise("log", lines, KNOWN.values(), around)
    assert found.label == "untimed in syslog_3164"
    assert [type(fate).__name__ for fate in found.records(lines)] == ["Record", "OtherLine", "OtherLine"]
    with pytest.raises(UnknownFormat):
        recognise("log", [UNTIMED], KNOWN.values(), around)


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in KNOWN.values() if "time" in one.fields])
def test_a_format_without_a_time_takes_no_logs_of_others_wherever_they_come_from(one):
    around = [None, *wrappers.known().values()]
    for sample in one.samples if one.recognised and one.columns is None else ():
        lines = lines_of(sample["line"].encode())
        for before in ("", SYSLOG, "2026-11-21T08:15:02Z ", "2026-11-21T08:15:02Z stdout F "):
            found = recognise("log", [before + line for line in lines], KNOWN.values(), around)
            assert "untimed" not in found.label


OWN = Definition("own", "", "", time_is="end", others=("192.0.2.9 has left",))
KEYS = {"ip": "src", "request": "asked", "status": "code", "generation_time": "took:s"}
TEXT = '192.0.2.1 "GET /a HTTP/1.1" 200 2.250'
REGEX = r'(?P<ip>\S+) "(?P<request>[^"]*)" (?P<status>\d+) (?P<generation_time_secs>\S+)'
TIMELESS = {
    "pattern": (replace(OWN, pattern='{ip} "{request}" {status} {generation_time:s}'), TEXT),
    "regex": (replace(OWN, regex=REGEX), TEXT),
    "json": (replace(OWN, json=KEYS), '{"src": "192.0.2.1", "asked": "GET /a", "code": 200, "took": 2.25}'),
    "cef": (replace(OWN, json=KEYS, syntax="cef"), "CEF:0|X|W|1|1|a|1|src=192.0.2.1 asked=GET /a code=200 took=2.25"),
}


@pytest.mark.parametrize(("own", "line"), TIMELESS.values(), ids=TIMELESS)
def test_a_format_of_ones_own_without_a_time_is_found_whatever_it_is_made_of(own, line):
    around = [None, *wrappers.known().values()]
    times = {"stream": "stdout", "time": "2026-11-21T08:15:02.5Z"}
    docker = [json.dumps({"log": f"{one}\n", **times}) for one in (line, *OWN.others)]
    for lines in (docker, [f"Nov 21 08:15:02 web1 app: {one}" for one in docker]):
        found = recognise("log", [*[lines[0]] * 3, *lines], [own, *KNOWN.values()], around)
        assert found.label.startswith("own in docker_json")
        record, other = found.records(lines)
        assert (record.time, record.path) == (datetime(2026, 11, 21, 8, 15, 0, 250000, UTC), "/a")
        assert isinstance(other, OtherLine)
    assert recognise("log", [COMBINED], [own, *KNOWN.values()], around).name == "combined"


def test_what_is_wrong_with_a_line_without_a_time_is_at_its_place_in_the_line():
    own, line = TIMELESS["pattern"]
    (fate,) = own.within(wrappers.known()["timestamped"]).records(
        [f"2026-11-21T08:15:02Z {line.replace('200', '2x0')}"]
    )
    assert str(fate) == "column 30: expected ' '"


def test_of_several_formats_without_a_time_the_one_that_fits_most_lines_is_the_one():
    short = replace(KNOWN["untimed"], name="short", pattern='{ip} "{request}" {status}')
    lines = [*[f"{SYSLOG}{UNTIMED}"] * 3, *[f'{SYSLOG}192.0.2.1 "GET /a HTTP/1.1" 200'] * 2]
    found = recognise("log", lines, [short, *KNOWN.values()], [None, *wrappers.known().values()])
    assert found.label == "untimed in syslog_3164"
    assert found.compile()(lines[0]).path == "/a"


def test_an_expression_without_a_time_is_read_within_a_wrapper_that_has_one():
    made = from_regex(r'(?i)(\S)(?P<ip>(?<=\1)\S+) \S+ \S+ "get (?P<path>\S+) \S+" (?P<status>\d+) (?P<own>\d+)', "")
    around = [None, *wrappers.known().values()]
    lines = [f"2026-11-21T08:15:02.5Z stdout F 1{UNTIMED}"] * 3
    found = recognise("log", lines, [made], around, given=True)
    assert found.label == "regex in cri"
    record = found.compile(["own"])(lines[0])
    assert (record.time, record.ip, record.path) == (datetime(2026, 11, 21, 8, 15, 2, 500000, UTC), "192.0.2.1", "/a")
    assert record.extra == {"own": "65508"}
    anatomy, around_it = dissect(found, lines[0])
    assert (anatomy.expected, around_it.fields) == ("", ("time",))
    with pytest.raises(FormatError, match="if something around the lines has one"):
        made.compile()


def test_the_form_of_a_date_that_an_expression_lacks_is_refused():
    with pytest.raises(UsageError, match="there is no group `date`"):
        from_regex(r"(?P<path>/\S*)", "%Y-%m-%d")


OTHER_TIMES = [
    "[2026/11/21 08:15]",
    "2026-11-21T08:15:02",
    "[21.11.2026 08:15:02]",
    "[1795248902]",
    "[21/Nov/2026:08:15:02]",
]


@pytest.mark.parametrize("time", OTHER_TIMES)
@pytest.mark.parametrize("user", ["-", "bob"])
@pytest.mark.parametrize("around", ["2026-11-21T08:15:02.4Z", "Nov 21 08:15:02 web1 nginx:"])
def test_a_line_with_a_time_of_another_form_is_not_taken_for_one_without_a_time(time, user, around):
    line = f'{around} 192.0.2.1 - {user} {time} "GET / HTTP/1.1" 200 13 "-" "curl/8.9"'
    with pytest.raises(UnknownFormat):
        recognise("log", [line] * 5, KNOWN.values(), [None, *wrappers.known().values()])
