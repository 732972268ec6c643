"""What is around the lines of a log: every file of formats/wrappers, and what it does to a log."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piwik_import.errors import FormatError, UnknownFormat, UsageError
from piwik_import.hints import Hints
from piwik_import.parsers import catalogue, wrappers
from piwik_import.parsers.anatomy import dissect
from piwik_import.parsers.detection import lines_of, recognise
from piwik_import.parsers.record import BadLine, OtherLine
from piwik_import.parsers.registry import Registry

KNOWN = catalogue.known()
AROUND = wrappers.known()
FILES = [pytest.param(one, id=one.name) for one in AROUND.values()]
SAMPLES = [
    pytest.param(one, sample, id=f"{one.name}-{number}")
    for one in AROUND.values()
    for number, sample in enumerate(one.samples, 1)
]
COMBINED = '192.0.2.1 - - [21/Nov/2026:09:15:02 +0100] "GET /a?b HTTP/1.1" 200 13 "-" "say \\"hi\\" caf\\xc3\\xa9"'
WRAP = {
    "syslog_3164": lambda line: f"<190>Nov 21 09:15:02 web1 nginx[42]: {line}",
    "syslog_5424": lambda line: f'<165>1 2026-11-21T08:15:02.003Z web1 nginx 311 - [a@1 b="c"] {line}',
    "syslog_iso": lambda line: f"2026-11-21T09:15:02.123456+01:00 web1 nginx: {line}",
    "timestamped": lambda line: f"2026-11-21T08:15:02.413656027Z {line}",
    "aws_logs_tail": lambda line: f"2026-11-21T08:15:02.364000+00:00 web/nginx/0d1e2f {line}",
    "compose": lambda line: f"web-1  | {line}",
    "cri": lambda line: f"2026-11-21T08:15:02.413656027Z stdout F {line}",
    "kubectl_prefix": lambda line: f"[pod/web-7d4b9c-x2x4q/nginx] {line}",
    "stern": lambda line: f"web-7d4b9c-x2x4q nginx {line}",
    "docker_json": lambda line: json.dumps(
        {"log": text(line) + "\n", "stream": "stdout", "time": "2026-11-21T08:15:02Z"}
    ),
    "journald": lambda line: json.dumps(
        {"MESSAGE": list(line.encode("latin-1")), "__REALTIME_TIMESTAMP": "1795248902123456"}
    ),
    "cloudwatch": lambda line: json.dumps({"timestamp": 1795248902123, "message": text(line), "ingestionTime": 1}),
    "json_message": lambda line: json.dumps({"@timestamp": "2026-11-21T08:15:02Z", "message": text(line)}),
}


def text(line):
    """A line as JSON holds it: bytes that are no UTF-8 are halves of surrogate pairs there, and lost."""
    return line.encode("latin-1").decode("utf-8", "replace")


def logged(line):
    return line.encode().decode("latin-1")


def found(*lines):
    return recognise("log", lines, catalogue.recognisable(), [None, *AROUND.values()])


@pytest.mark.parametrize(("wrapper", "sample"), SAMPLES)
def test_every_sample_of_every_wrapper_is_unwrapped_as_its_file_says(wrapper, sample):
    (line,) = lines_of(sample["line"].encode())
    unwrapped = wrapper.compile()(line)
    expected = {name: value for name, value in sample.items() if name != "line"}
    assert {name: getattr(unwrapped, name) for name in expected} == expected


@pytest.mark.parametrize("wrapper", FILES)
def test_every_file_says_what_it_is_and_proves_it(wrapper):
    assert 10 < len(wrapper.title) < 120
    assert wrapper.source.startswith("https://")
    assert len(wrapper.samples) >= 2


def test_every_wrapper_is_tried_here():
    assert {*WRAP} == {*AROUND}


@pytest.mark.parametrize("name", WRAP)
def test_a_wrapped_log_is_recognised_by_what_is_within(name):
    for sample in (KNOWN["combined"].samples[0], KNOWN["common"].samples[1], KNOWN["traefik_json"].samples[0]):
        (line,) = lines_of(sample["line"].encode())
        known = found(*[WRAP[name](line)] * 3)
        assert (known.wrapper, known.compile()(WRAP[name](line))) == (AROUND[name], found(line).compile()(line))
        assert known.label == f"{known.name} in {name}"


@pytest.mark.parametrize(
    "log_format", [pytest.param(one, id=one.name) for one in catalogue.recognisable() if "time" in one.fields]
)
def test_no_log_without_a_wrapper_is_taken_for_one_with(log_format):
    for sample in log_format.samples:
        assert found(*lines_of(sample["line"].encode())) is log_format


@pytest.mark.parametrize(
    ("held", "byte"),
    [pytest.param("\xe9", "\xe9", id="a byte"), pytest.param(r"\ud800", "\xef\xbf\xbd", id="half a pair")],
)
def test_what_is_no_text_within_json_is_what_it_would_be_without(held, byte):
    message = AROUND["docker_json"].compile()(f'{{"log":"caf{held}","stream":"stdout"}}').message
    assert message == f"caf{byte}"


WORDS = st.text(
    st.characters(min_codepoint=33, exclude_characters="\x7f\x85\xa0\u2028\u2029", exclude_categories=["C", "Z"]),
    min_size=1,
)


@given(st.sampled_from(sorted(WRAP)), WORDS)
def test_a_line_wrapped_and_unwrapped_is_the_same(name, words):
    line = logged(f"192.0.2.1 - - [x] {words} end")
    assert AROUND[name].compile()(WRAP[name](line)).message == line


@given(st.sampled_from(sorted(WRAP)), st.sampled_from(sorted(WRAP)), WORDS)
def test_a_line_wrapped_twice_and_unwrapped_is_the_same(inner, outer, words):
    line = logged(f"192.0.2.1 - - [x] {words} end")
    both = Registry().wrapper(f"{inner} in {outer}")
    assert both.compile()(WRAP[outer](WRAP[inner](line))).message == line


@pytest.mark.parametrize("wrapper", FILES)
def test_no_line_takes_long_however_long_and_odd_it_is(wrapper):
    unwrap = wrapper.compile()
    line = logged(wrapper.samples[0]["line"])
    for place in (len(line) // 4, len(line) // 2):
        for odd in ['"', " ", "\\", "a", "[", '\\"', "a.", "]", ":", "{"]:
            began = time.process_time()
            unwrap(line[:place] + odd * ((1 << 20) // len(odd)) + line[place:])
            assert time.process_time() - began < 0.3  # 50 ms on a quiet machine; the square takes minutes


def test_lines_of_other_programs_are_no_invalid_lines():
    parse = found(*[WRAP["syslog_3164"](COMBINED)] * 3).compile()
    for other in (
        "Feb 12 14:10:21 host sshd[1]: Invalid user pascal from 192.0.2.7 port 53502",
        "Mar 24 14:26:01 --- last message repeated 2 times ---",
        WRAP["syslog_3164"](" "),
        "Attaching to web-1",
    ):
        with pytest.raises(OtherLine):
            parse(other)
    assert parse(COMBINED).path == "/a"  # and what is not wrapped is read as it is


def test_a_line_that_begins_as_those_of_the_log_and_is_cut_is_invalid():
    parse = found(*[WRAP["syslog_3164"](COMBINED)] * 3).compile()
    with pytest.raises(BadLine, match="the line ends where") as caught:
        parse(WRAP["syslog_3164"](COMBINED[:60]))
    assert not isinstance(caught.value, OtherLine)


@pytest.mark.parametrize("name", sorted(WRAP.keys() - {"syslog_3164", "compose", "kubectl_prefix", "stern"}))
def test_the_time_of_the_wrapper_counts_where_the_line_has_none(name, tmp_path):
    path = tmp_path / "timeless.toml"
    path.write_text("pattern = '{ip} {*} {*} \"{request}\" {status} {*}'")
    parse = catalogue.read(path).within(AROUND[name]).compile()
    record = parse(WRAP[name]('192.0.2.1 - - "GET /a HTTP/1.1" 200 65508'))
    assert (record.path, record.time.replace(microsecond=0)) == ("/a", datetime(2026, 11, 21, 8, 15, 2, tzinfo=UTC))
    with pytest.raises(OtherLine, match="says the time"):
        parse('192.0.2.1 - - "GET /a HTTP/1.1" 200 65508')


def test_json_without_a_time_gets_that_of_the_wrapper(tmp_path):
    path = tmp_path / "timeless.toml"
    path.write_text("[json]\npath = 'p'\nip = 'a'")
    parse = catalogue.read(path).within(AROUND["docker_json"]).compile()
    assert parse(WRAP["docker_json"]('{"p":"/a","a":"::1"}')).time == datetime(2026, 11, 21, 8, 15, 2, tzinfo=UTC)


def test_the_year_of_a_wrapper_that_names_none_is_that_of_the_log(tmp_path):
    path = tmp_path / "timeless.toml"
    path.write_text("pattern = '{ip} {*} {*} \"{request}\" {status} {*}'")
    wrapped = catalogue.read(path).within(AROUND["syslog_3164"])
    zoned = wrapped.read_as(Hints(timezone="Europe/Berlin"), "2020-01-03T00:00:00Z")
    times = [
        f"{zoned.compile()(f'{day} 09:15:02 web1 nginx: ::1 - - {chr(34)}GET / HTTP/1.1{chr(34)} 200 1').time}"
        for day in ("Dec 31", "Jan  3", "Jul  1")
    ]
    assert times == ["2019-12-31 08:15:02+00:00", "2020-01-03 08:15:02+00:00", "2019-07-01 07:15:02+00:00"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "it needs one of `regex` and `json`", id="nothing"),
        pytest.param("regex = 1", "`regex` is no str", id="a number"),
        pytest.param("regex = '('", "missing \\)", id="no regular expression"),
        pytest.param("regex = '(?P<line>.*)'", "has no group `message`", id="no message"),
        pytest.param("[json]\ntime = 't'", "needs a `message`", id="json without message"),
        pytest.param("[json]\nmessage = 'm'\npart = 'p'", "knows besides `time` and `stream`", id="json with part"),
        pytest.param("[json]\nmessage = 'a..b'", "is no path", id="no path"),
        pytest.param("rgx = ''", "unknown key rgx", id="unknown key"),
        pytest.param("regex = ", "Invalid value", id="no TOML"),
    ],
)
def test_a_wrapper_that_makes_no_sense_is_refused_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(FormatError, match=rf"^format .*/mine\.toml(, line [12])?: .*{reason}"):
        Registry().wrapper(str(path))


def test_a_wrapper_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(UsageError, match=r"^--wrapper sylog: .* compose, cri"):
        Registry().wrapper("sylog")


# Wrappers in wrappers.

SAME = {
    "timestamped in compose": "compose",
    "timestamped in kubectl_prefix": "kubectl_prefix",
    "kubectl_prefix in syslog_iso": "aws_logs_tail in syslog_iso",
}
"""What can be read in two ways, which come to the same."""


@pytest.mark.parametrize("outer", WRAP)
def test_a_wrapper_within_any_other_is_taken_off_too(outer):
    plain = found(COMBINED).compile()(COMBINED)
    for inner in WRAP.keys() - {outer}:
        line = WRAP[outer](WRAP[inner](COMBINED))
        known = found(*[line] * 3)
        named = f"{inner} in {outer}"
        assert known.label == f"combined in {SAME.get(named, named)}"
        assert known.compile()(line) == plain
        one = KNOWN["combined"].within(Registry().wrapper(named))
        assert one.compile()(line) == plain
        assert dissect(one, line).anatomy == dissect(KNOWN["combined"], COMBINED).anatomy


def test_lines_with_one_of_two_wrappers_are_those_of_other_programs():
    twice = WRAP["docker_json"](WRAP["syslog_3164"](COMBINED))
    known = found(*[twice] * 5, WRAP["docker_json"]("started"))
    with pytest.raises(OtherLine):
        known.compile()(WRAP["docker_json"]("started"))
    assert known.compile()(WRAP["docker_json"](COMBINED)).path == "/a"  # its container logs by itself


TIMELESS = '192.0.2.1 - - "GET /a HTTP/1.1" 200 65508'
DAY = datetime(2026, 11, 21, tzinfo=UTC)
TIMES = {
    # The year stands without; of two times with a year the inner one is that of the line.
    "syslog_3164 in docker_json": {"hour": 8, "minute": 15, "second": 2},
    "docker_json in syslog_3164": {"hour": 8, "minute": 15, "second": 2},
    "stern in cri": {"hour": 8, "minute": 15, "second": 2, "microsecond": 413656},
    "compose in journald": {"hour": 8, "minute": 15, "second": 2, "microsecond": 123456},
    "cri in cloudwatch": {"hour": 8, "minute": 15, "second": 2, "microsecond": 413656},
}


@pytest.mark.parametrize(("named", "time"), TIMES.items(), ids=TIMES)
def test_the_time_of_two_wrappers_is_that_of_the_inner_one_that_names_the_year(named, time):
    inner, _, outer = named.partition(" in ")
    line = WRAP[outer](WRAP[inner](TIMELESS))
    known = found(*[line] * 3)
    assert known.label == f"untimed in {named}"
    for one in (known, known.read_as(Hints(timezone="Asia/Tokyo"), "2026-12-01T00:00:00Z")):
        assert one.compile()(line).time == DAY.replace(**time)


def test_nothing_is_looked_for_within_the_wrapper_that_the_user_names():
    line = WRAP["docker_json"](WRAP["syslog_3164"](COMBINED))
    with pytest.raises(UnknownFormat):
        recognise("log", [line] * 3, catalogue.recognisable(), [AROUND["docker_json"]])
    named = [Registry().wrapper("syslog_3164 in docker_json")]
    assert recognise("log", [line] * 3, catalogue.recognisable(), named).wrapper is named[0]


# Messages in parts.


def cri(stream, tag, message):
    return f"2026-11-21T08:15:02.413656027Z {stream} {tag} {message}\n"


def docker(stream, message):
    return json.dumps({"log": message, "stream": stream, "time": "2026-11-21T08:15:02.2Z"}) + "\n"


def page(number):
    return f'192.0.2.{number % 250} - - [21/Nov/2026:09:15:02 +0100] "GET /{number} HTTP/1.1" 200 13 "-" "Mozilla/5.0"'


def parted(number, wrap, within=str):
    """Return lines of two streams; every third message is in parts, and in between comes another stream."""
    line = within(page(number))
    if number % 3:
        return [wrap("stdout", "F", line)]
    parts = [wrap("stdout", tag, part) for tag, part in (("P", line[:30]), ("P", line[30:40]), ("F", line[40:]))]
    return [parts[0], wrap("stderr", "F", within(page(number + 1000))), *parts[1:]]


def in_docker(stream, tag, message):
    return docker(stream, message + ("\n" if tag == "F" else ""))


def cri_in_kubectl(stream, tag, message):
    return WRAP["kubectl_prefix"](cri(stream, tag, message))


def syslog(message):
    return f"Nov 21 08:15:02 web1 nginx: {message}"  # the tag is within the first part, and in no other


def docker_in_cloudwatch(stream, tag, message):
    return WRAP["cloudwatch"](in_docker(stream, tag, message).rstrip()) + "\n"


IN_PARTS = {
    "cri": (cri, str),
    "docker": (in_docker, str),
    "cri in another": (cri_in_kubectl, str),
    "docker in another": (docker_in_cloudwatch, str),
    "another in cri": (cri, WRAP["docker_json"]),
    "another in docker": (in_docker, WRAP["syslog_3164"]),
    "another with its own streams in docker": (in_docker, syslog),
    "another with its own streams in cri": (cri, syslog),
}


@pytest.mark.parametrize(("wrap", "within"), IN_PARTS.values(), ids=IN_PARTS)
def test_parts_of_a_message_become_one_hit_that_ends_with_the_last_of_them(wrap, within, dry_run, tmp_path):
    lines = [line for number in range(300) for line in parted(number, wrap, within)]
    log = tmp_path / "0.log"
    log.write_text("".join(lines))
    os.utime(log, (1, 1))
    report, entries = dry_run(log, size=700)
    paths = [re.search(r"example\.org(?:/|%2F)(\d+)&", entry.query)[1] for entry in entries]
    assert sorted(map(int, paths)) == sorted([*range(300), *range(1000, 1300, 3)])
    for entry, path in zip(entries, paths, strict=True):
        assert f"cip=192.0.2.{int(path) % 250}&" in entry.query
    ends = [0]
    for line in lines:
        ends.append(ends[-1] + len(line))
    assert all(entry.end == ends[entry.line] for entry in entries)
    assert [entry.end for entry in entries] == sorted(entry.end for entry in entries)
    assert report.bad == 0


def all_in_parts(number, wrap, within=str):
    line = within(page(number))
    return [wrap("stdout", tag, part) for tag, part in (("P", line[:30]), ("P", line[30:40]), ("F", line[40:]))]


@pytest.mark.parametrize(
    ("wrap", "within"),
    [
        *(pytest.param(*one, id=name) for name, one in IN_PARTS.items()),
        pytest.param(in_docker, WRAP["json_message"], id="JSON of a log shipper in docker"),
        pytest.param(in_docker, WRAP["journald"], id="journald in docker"),
    ],
)
@pytest.mark.parametrize("number", [1, 7, 300])
def test_a_log_of_nothing_but_parts_is_recognised_by_its_messages(wrap, within, number, dry_run, tmp_path):
    log = tmp_path / "0.log"
    log.write_text("".join(line for one in range(number) for line in all_in_parts(one, wrap, within)))
    os.utime(log, (1, 1))
    report, entries = dry_run(log)
    assert (len(entries), report.bad) == (number, 0)


@pytest.mark.parametrize("wrap", [pytest.param(cri, id="cri"), pytest.param(in_docker, id="docker")])
def test_of_a_pipe_so_much_is_waited_for_that_a_message_is_whole(wrap, start_program):
    first, *rest = [part for one in range(3) for part in all_in_parts(one, wrap)]
    process = start_program("--dry-run", "--summary", "json", "-", stdin=subprocess.PIPE)
    process.stdin.write(first.encode())
    process.stdin.flush()
    time.sleep(0.2)  # so that most probably it comes by itself
    stdout, stderr = process.communicate("".join(rest).encode(), timeout=40)
    assert json.loads(stdout)["lines"]["imported"] == 3, stderr.decode()


def test_lines_of_more_than_docker_takes_at_once_are_recognised(dry_run, tmp_path):
    known = KNOWN["traefik_json"].samples[0]["line"]
    line = json.dumps({**json.loads(known), "request_Cookie": "x" * 20_000})
    cut = [line[:16384], line[16384:] + "\n"]
    log = tmp_path / "0.log"
    log.write_text("".join(docker("stdout", part) for part in cut * 10))
    report, entries = dry_run(log)
    assert (len(entries), report.bad) == (10, 0)


def test_parts_of_two_formats_in_one_log_are_read_by_both():
    other = json.dumps({**json.loads(KNOWN["traefik_json"].samples[0]["line"])})
    lines = [
        part.rstrip()
        for text in [page(1), other] * 20
        for part in (cri("stdout", "P", text[:30]), cri("stdout", "F", text[30:]))
    ]
    known = found(*lines)
    assert {one.name for one in known.joined} == {"combined", "traefik_json"}
    assert not [one for one in known.records(lines) if isinstance(one, BadLine)]


def test_a_log_that_has_only_the_beginning_of_a_message_is_no_known_one():
    with pytest.raises(UnknownFormat):
        found(cri("stdout", "P", page(1)[:60]).rstrip())


@pytest.mark.parametrize("inner", ["json_message", "journald", "docker_json", "syslog_3164"])
@pytest.mark.parametrize(("outer", "wrap"), [("docker_json", in_docker), ("cri", cri)])
def test_the_anatomy_of_a_message_in_parts_is_that_of_a_whole_one(inner, outer, wrap):
    if inner == outer:
        return
    text = "\n".join(one.rstrip("\n") for one in all_in_parts(1, wrap, WRAP[inner]))
    one = KNOWN["combined"].within(Registry().wrapper(f"{inner} in {outer}"))
    shown = dissect(one, text)
    assert shown.around is not None
    assert shown.anatomy == dissect(KNOWN["combined"], page(1)).anatomy


def test_a_message_whose_end_never_comes_is_invalid_and_nothing_else_is_lost(dry_run, tmp_path):
    log = tmp_path / "0.log"
    log.write_text(cri("stdout", "F", page(1)) + cri("stdout", "P", page(2)[:60]) + cri("stderr", "F", page(3)))
    os.utime(log, (1, 1))
    report, entries = dry_run(log)
    assert [entry.line for entry in entries] == [1, 3]
    assert report.bad == 1


@pytest.mark.parametrize("stop", [1, 4, 9])
def test_an_import_that_is_broken_off_between_parts_goes_on_without_loss(stop, tmp_path, import_broken_off):
    log = tmp_path / "0.log"
    log.write_text("".join(line for number in range(150) for line in parted(number, cri)))
    pages = import_broken_off(log, after=stop, chunk_size=7, recorders=3)
    assert pages == sorted([*range(150), *range(1000, 1150, 3)])
