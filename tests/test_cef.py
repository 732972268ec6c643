"""Events in the Common Event Format: taken apart, and as a format that one file describes."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piwik_import.parsers import catalogue, cef, formatfile, wrappers
from piwik_import.parsers.anatomy import dissect
from piwik_import.parsers.detection import recognise
from piwik_import.parsers.record import BadLine, OtherLine, Stranger

HEADER = "CEF:0|Incapsula|SIEMintegration|1|1|Normal|0|"
INCAPSULA = catalogue.named("incapsula_cef")
AROUND = [None, *wrappers.known().values()]


def test_an_event_has_its_header_and_its_keys():
    assert cef.load(r"CEF:1|a\|b|c\\|1.0|7|it is\=so|High|  act=blocked a \\  msg=x\=1\ny |  dst.ip=1.1.1.1 n= ") == {
        "version": "1",
        "deviceVendor": "a|b",
        "deviceProduct": "c\\",
        "deviceVersion": "1.0",
        "deviceEventClassId": "7",
        "name": "it is=so",
        "severity": "High",
        "act": "blocked a \\",
        "msg": "x=1\ny |",
        "dst.ip": "1.1.1.1",
        "n": "",
    }


def escaped(text: str) -> str:
    for character, written in {"\\": "\\\\", "=": "\\=", "|": "\\|", "\n": "\\n", "\r": "\\r"}.items():
        text = text.replace(character, written)
    return text


KEYS = st.from_regex(r"[A-Za-z][\w.-]{0,9}", fullmatch=True).filter(lambda key: key not in cef.HEADER)
TEXTS = st.text().map(str.strip).filter(lambda text: text.isprintable() or text in ("a\nb", "a\r\nb"))


@given(st.lists(TEXTS, min_size=7, max_size=7), st.dictionaries(KEYS, TEXTS))
def test_what_is_written_as_the_standard_has_it_reads_back(header, extension):
    line = (
        f"CEF:{'|'.join(map(escaped, header))}|{' '.join(f'{key}={escaped(text)}' for key, text in extension.items())}"
    )
    assert cef.load(line.encode().decode("latin-1")) == dict(zip(cef.HEADER, header, strict=True)) | extension


@given(st.text(st.characters(max_codepoint=255)))
def test_no_line_makes_it_raise_anything_but_bad_line(text):
    for line in (text, f"CEF:{text}", f"{HEADER}{text}"):
        try:
            assert cef.load(line)
        except BadLine:
            continue


@pytest.mark.parametrize("odd", ["a", "=", " ", "a=", " a=", "\\", "|", "\\|", "a ", "a= "])
def test_no_line_takes_long_however_long_and_odd_it_is(odd):
    for line in (f"{HEADER}{odd * (1 << 18)}", f"CEF:{odd * (1 << 18)}"):
        began = time.process_time()
        with suppress(BadLine):
            cef.load(line)
        assert time.process_time() - began < 0.5  # 20 ms on a quiet machine


def test_a_line_that_is_no_event_says_why():
    with pytest.raises(Stranger, match="does not begin with CEF:"):
        cef.load("LEEF:2.0|Lancope|")
    with pytest.raises(BadLine, match="more than 1000 keys"):
        cef.load(HEADER + "a=1 " * 1001)
    assert cef.load(HEADER + "a=1 " * 1000)["a"] == "1"
    with pytest.raises(BadLine, match="no bar behind the deviceVersion"):
        cef.load("CEF:0|a|b|c")


def test_an_event_of_another_maker_and_the_head_of_a_file_are_lines_of_another_kind():
    parse = INCAPSULA.compile()
    others = ["accountId:12", "|==|", HEADER.replace("Incapsula", "Other") + "request=a/ start=1", f"{HEADER}start=1"]
    for line in others:
        with pytest.raises(OtherLine):
            parse(line)


@pytest.mark.parametrize(
    "before", ["", "<14>Sep 19 08:26:10 waf1 ", "Sep 19 08:26:10 waf1 ", "2026-11-21T08:15:02Z waf1 "]
)
def test_events_are_recognised_within_syslog(before):
    lines = [before + sample["line"] for sample in INCAPSULA.samples]
    found = recognise("log", [*lines, f"{before}|==|"], catalogue.recognisable(), AROUND)
    assert found.name == "incapsula_cef"
    assert [record.ip for record in found.records(lines)] == ["192.0.2.8", "2001:db8::8"]


OWN = """
title = "A firewall for the web"
source = "https://example.org/"
only = { deviceProduct = "WAF" }

[cef]
ip = "src"
time = "rt:%b %d %Y %H:%M:%S"
method = "requestMethod"
target = "request:absolute"
user_agent = "requestClientApplication"

[[sample]]
line = 'LINE'
path = "/a"
""".replace(
    "LINE",
    "CEF:0|Example|WAF|1.0|100|access|1|rt=Nov 21 2026 08:15:02 src=192.0.2.1 request=https://example.org/a?b\\=1"
    " requestClientApplication=curl/8.9 (x) requestMethod=GET",
)


def test_another_source_of_events_is_one_file(tmp_path):
    (tmp_path / "waf.toml").write_text(OWN)
    made = catalogue.read(tmp_path / "waf.toml")
    (record,) = made.records([made.samples[0]["line"]])
    assert (record.time, record.path, record.query) == (datetime(2026, 11, 21, 8, 15, 2, tzinfo=UTC), "/a", "b=1")
    assert (record.host, record.user_agent) == ("example.org:443", "curl/8.9 (x)")
    (tmp_path / "waf.toml").write_text(formatfile.text(made, made.samples))
    again = catalogue.read(tmp_path / "waf.toml")
    assert (again.json, again.syntax) == (made.json, "cef")
    parts = dissect(made, made.samples[0]["line"]).anatomy.parts
    assert {part.name for part in parts} >= {"deviceVendor", "src", "request"}
    assert dissect(made, "CEF:0|").anatomy.expected.startswith("an event: there is no bar behind")


def test_an_event_without_a_time_has_that_of_syslog(tmp_path):
    (tmp_path / "waf.toml").write_text(OWN.replace('time = "rt:%b %d %Y %H:%M:%S"\n', ""))
    made = catalogue.read(tmp_path / "waf.toml")
    lines = [f"2026-11-21T08:15:07Z waf1 {made.samples[0]['line']}"] * 2
    found = recognise("log", lines, [made], AROUND)
    assert found.compile()(lines[0]).time == datetime(2026, 11, 21, 8, 15, 7, tzinfo=UTC)
