"""`piwik-import explain`: what a log is, what becomes of its lines, and why."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BROWSER, line_of

import piwik_import
from piwik_import.filters import REASONS
from piwik_import.parsers import catalogue

KNOWN = {name: one for name, one in catalogue.known().items() if "time" in one.fields}
ROOT = Path(piwik_import.__file__).parent.parent
UNUSUAL = (ROOT / "tests" / "data" / "unusual.log").read_text("utf-8")
NGINX = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent $request_time "$http_referer" '
    '"$http_user_agent"'
)


@pytest.fixture
def explained(run_here, tmp_path):
    """Return a function that explains a log, given as text or as a path, and returns the JSON."""

    def explain(log: str | bytes | Path, *options: object, code: int = 0):
        if not isinstance(log, Path):
            path = tmp_path / "access.log"
            path.write_bytes(log.encode() if isinstance(log, str) else log)
            log = path
        outcome = run_here("explain", log, "--json", *options)
        assert (outcome.code, outcome.stderr) == (code, "")
        return json.loads(outcome.stdout)

    return explain


def pieces(line):
    """Return of each piece that has a use: its text by the fields, or the name, that it is known by."""
    return {", ".join(one["fields"]) or one["name"]: one["text"] for one in line["pieces"] if one["fields"]}


def becomes(line):
    """Return the parameters that each piece gives."""
    return {one["text"]: [*one["parameters"]] for one in line["pieces"] if one["parameters"]}


def test_a_line_is_shown_in_its_pieces_and_what_they_become(explained):
    found = explained(f'203.0.113.9 - - [10/Oct/2020:13:55:36 -0700] "GET /a?b HTTP/1.1" 200 2326 "-" "{BROWSER}"\n')
    assert (found["format"], found["wrapper"], found["zone"]) == ("combined", None, "said by the lines")
    assert found["sample"] == {"lines": 1, "fit": 1, "other": 0, "invalid": 0}
    (line,) = found["lines"]
    assert becomes(line) == {
        "203.0.113.9": ["cip"],
        "10/Oct/2020:13:55:36 -0700": ["cdt"],
        "GET /a?b HTTP/1.1": ["url"],
        "2326": ["bw_bytes"],
        BROWSER: ["ua"],
    }
    (time,) = [one for one in line["pieces"] if one["fields"] == ["time"]]
    assert time["parameters"] == {"cdt": "2020-10-10 20:55:36"}
    assert (line["line"], line["fate"], line["reason"], line["column"]) == (1, "hit", None, None)
    assert line["hit"]["url"] == "http://localhost/a?b"
    assert "&url=http://localhost/a%3Fb&" in line["query"]


def test_of_a_time_of_the_end_it_is_shown_what_was_taken_off(explained):
    line = '203.0.113.9 - - [21/Nov/2025:08:15:02 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8.9" {}\n'
    found = explained(line.format("2.250") + line.format("0.250"), "--enable-bots")
    assert (found["format"], found["time_is"]) == ("nginx_time", "end")
    slow, quick = found["lines"]
    assert (slow["hit"]["cdt"], quick["hit"]["cdt"]) == ("2025-11-21 08:15:00", "2025-11-21 08:15:02")
    assert [name for name in becomes(slow)["2.250"] if name == "cdt"] == ["cdt"]
    assert "cdt" not in becomes(quick)["0.250"]


def test_of_two_formats_it_is_said_of_which_the_times_are_those_of_the_end(explained, run_here):
    apache = '203.0.113.9 - - [21/Nov/2025:08:15:02 +0000] "GET / HTTP/1.1" 200 12'
    squid = "1763712902.500   2250 192.0.2.1 TCP_MISS/200 135 GET http://www.example.com/a - HIER_DIRECT/198.51.100.2 -"
    found = explained(f"{apache}\n{squid}\n{apache}\n")
    assert (found["format"], found["also"]) == ("common", "squid")
    _, line, _ = found["lines"]
    assert line["hit"]["cdt"] == "2025-11-21 08:15:00"
    assert "cdt" in becomes(line)["2250"]
    assert "times       of squid: when requests ended;" in run_here("explain", "access.log").stdout


def test_a_scheme_is_shown_to_become_what_it_becomes(explained):
    head = "#Fields: date time s-ip cs-method cs-uri-stem s-port c-ip sc-status sc-win32-status cs-host\n"
    row = "2025-11-21 00:00:02 10.0.0.5 GET /a {} 192.0.2.3 200 0 {}\n"
    rows = [row.format(443, "www.example.com"), row.format(80, "www.example.com"), row.format(443, "-")]
    found = explained("".join([head, *rows]))
    secure, plain, homeless = found["lines"]
    assert (secure["hit"]["url"], becomes(secure)["443"]) == ("https://www.example.com/a", ["url"])
    assert (plain["hit"]["url"], becomes(plain).get("80")) == ("http://www.example.com/a", None)
    assert (homeless["hit"]["url"], becomes(homeless).get("443")) == ("http://localhost/a", None)


def test_what_is_around_a_line_and_around_that_is_shown_with_the_zone_of_its_times(explained):
    line = 'Mar 24 14:02:50 web1 tomcat: 203.0.113.9 - - "GET /a HTTP/1.1" 200 2326'
    found = explained(f"{line}\n")
    assert (found["format"], found["wrapper"]) == ("untimed", "syslog_3164")
    assert found["zone"].startswith("not said by the lines: UTC")
    twice = json.dumps({"log": f"{line}\n", "stream": "stdout", "time": "2026-03-24T13:02:50.5Z"})
    found = explained(f"{twice}\n")
    assert (found["format"], found["wrapper"]) == ("untimed", "syslog_3164 in docker_json")
    assert found["zone"] == "said by the lines"
    (shown,) = found["lines"]
    assert pieces(shown)["time"] == "2026-03-24T13:02:50.5Z"
    assert (shown["hit"]["cdt"], shown["hit"]["cip"]) == ("2026-03-24 13:02:50", "203.0.113.9")


def test_a_line_that_the_format_names_as_another_kind_is_said_to_be_one(explained):
    request = '"GET / HTTP/1.1"'
    lines = [
        f"192.0.2.2:1 [21/Nov/2026:09:15:02.655] in a/b 0/0/0/0/9 200 27 - - ---- 1/1/1/1/0 0/0 {request}",
        "192.0.2.2:2 [21/Nov/2026:09:15:03.655] in/1: SSL handshake failure",
    ]
    found = explained("\n".join([*lines, ""]))
    assert found["sample"] == {"lines": 2, "fit": 1, "other": 1, "invalid": 0}
    assert [(line["fate"], line["reason"], line["expected"]) for line in found["lines"]] == [
        ("hit", None, None),
        ("filtered", "other", None),
    ]


def test_what_is_explained_is_what_an_import_sends(explained, run_import, tracker, make_log):
    log = make_log(lines=3)
    found = explained(log, "--base-url", "http://example.org", "--idsite", 1)
    assert run_import(log).code == 0
    assert [line["hit"] for line in found["lines"]] == sorted(tracker.hits, key=lambda hit: hit["url"])


@pytest.mark.parametrize("log_format", [pytest.param(one, id=one.name) for one in KNOWN.values()])
def test_the_samples_of_every_format_are_explained(log_format, explained):
    text = "\n".join([*(sample["line"] for sample in log_format.samples), ""])
    found = explained(text, "--format", log_format.name)
    assert found["format"] == log_format.name
    assert found["sample"]["fit"] > len(log_format.samples) / 2  # a header of one sample is not that of another
    assert found["lines"]
    for line in found["lines"]:
        assert line["reason"] in {None, *REASONS} or line["reason"].startswith(("cdt: must be a time", "column "))
        assert "time" in ", ".join(pieces(line))
        if line["fate"] == "hit":
            given = {name for one in line["pieces"] for name in one["parameters"]}
            always = {"idsite", "rec", "apiv", "queuedtracking", *log_format.hit.always.set}
            always |= {"cip"} if log_format.calls else set()  # a server's call has no address
            assert given | always >= line["hit"].keys()


@pytest.mark.parametrize(
    ("path", "agent", "status", "reason"),
    [
        ("a.css", BROWSER, 200, "static"),
        ("a", "Googlebot/2.1", 200, "bot"),
        ("a", BROWSER, 404, "error"),
        ("a", BROWSER, 301, "redirect"),
    ],
)
def test_a_line_that_is_left_out_says_why_and_what_it_would_be(path, agent, status, reason, explained, run_here):
    text = line_of(path, status=status).replace(BROWSER, agent)
    (line,) = explained(text)["lines"]
    assert (line["fate"], line["reason"], line["hit"], line["query"]) == ("filtered", reason, None, None)
    assert "url" in becomes(line)[f"GET /{path} HTTP/1.1"]
    assert f"left out: {REASONS[reason]}" in run_here("explain", "access.log").stdout


def test_the_options_of_an_import_count(explained):
    log = (
        f'10.0.0.1, 198.51.100.7, 192.0.2.9 - ann [10/Oct/2020 13:55:36] "GET /a.css HTTP/1.1" 404 5 "-" "{BROWSER}"\n'
    )
    options = ["--log-format", '%h %l %u [%{%d/%b/%Y %H:%M:%S}t] "%r" %>s %b "%{Referer}i" "%{User-Agent}i"']
    options += ["--timezone", "Europe/Berlin", "--trusted-proxy", "192.0.2.0/24", "--enable-http-errors"]
    options += ["--enable-static", "--map", "e_n={method} {user}", "--set", "e_c=x", "--set", "e_a=y"]
    options += ["--visitor-id", "user", "--base-url", "https://shop.example", "--site", 7]
    found = explained(log, *options)
    (line,) = found["lines"]
    assert found["zone"] == "Europe/Berlin, as --timezone says"
    assert line["hit"]["cdt"] == "2020-10-10 11:55:36"
    assert (line["hit"]["idsite"], line["hit"]["cip"], line["hit"]["e_n"]) == ("7", "198.51.100.7", "GET ann")
    assert becomes(line)["ann"] == ["uid", "e_n", "cid"]
    assert "e_n" in becomes(line)["GET /a.css HTTP/1.1"]
    assert becomes(line)["404"] == ["action_name"]


def test_a_mapped_piece_that_is_no_field_is_shown_with_its_parameter(explained):
    log = (
        '{"time": "2020-11-21T08:15:02Z", "uri": "/a", "remote_addr": "192.0.2.1", "status": 200, "x": {"y": ["z"]}}\n'
    )
    (line,) = explained(log, "--map", 'dimension1=x["y"][0]')["lines"]
    assert becomes(line)["z"] == ["dimension1"]
    pattern = ["--log-format", "$remote_addr [$time_local] $request_id $uri", "--map", "dimension2=request_id"]
    (line,) = explained("192.0.2.1 [10/Oct/2020:13:55:36 -0700] abc /a\n", *pattern)["lines"]
    assert becomes(line)["abc"] == ["dimension2"]


def test_settings_come_from_the_configuration_too_and_what_concerns_the_server_does_not_matter(
    explained, tmp_path, run_here
):
    config = tmp_path / "my.toml"
    config.write_text('url = "http://127.0.0.1:1"\ntoken = "0123456789abcdef"\nbots = true\nmap = { e_n = "method" }\n')
    config.chmod(0o600)
    (line,) = explained(line_of("a").replace(BROWSER, "Googlebot"), "--config", config)["lines"]
    assert (line["fate"], line["hit"]["bots"], line["hit"].get("e_n")) == ("hit", "1", None)
    assert line["left_out"] == {"e_n": "needs e_c"}
    assert "0123456789abcdef" not in json.dumps(line)
    assert "sent without e_n: needs e_c" in run_here("explain", "access.log", "--config", config).stdout


def test_nothing_is_sent_and_nothing_is_kept(run_program, server, tracker, make_log, tmp_path):
    outcome = run_program("explain", make_log(), env=server)
    assert outcome.code == 0
    assert tracker.targets == []
    assert tracker.token not in outcome.stdout + outcome.stderr
    assert not (tmp_path / "state").exists()


def test_a_log_of_no_format_shows_the_nearest_and_a_caret_where_its_pattern_stops(explained, run_here):
    found = explained(UNUSUAL, code=2)
    assert (found["fits"], found["format"], found["nearest"]) == (False, None, "combined")
    (line,) = found["lines"]
    assert (line["column"], line["expected"]) == (UNUSUAL.index("0.012") + 1, "'\"' after length")
    assert pieces(line)["length"] == "2326"
    rows = run_here("explain", "access.log").stdout.splitlines()
    (at,) = [number for number, row in enumerate(rows) if row.strip() == "^"]
    assert rows[at - 1][rows[at].index("^") :].startswith("0.012")
    assert any("--log-format 'STRING'" in row for row in rows)


def test_the_string_that_its_server_was_given_makes_it_fit(explained):
    found = explained(UNUSUAL, "--log-format", NGINX)
    assert (found["fits"], found["format"], found["sample"]["fit"]) == (True, "nginx", 2)
    assert becomes(found["lines"][1])["0.207"] == ["gt_ms", "pf_srv"]


def test_a_format_that_was_named_and_does_not_fit_shows_why_and_what_would(explained, run_here):
    found = explained(line_of("a"), "--format", "common", code=2)
    assert (found["nearest"], found["instead"]) == ("common", "combined")
    assert found["lines"][0]["expected"] == "the end of the line after length"
    assert "would fit   combined" in run_here("explain", "access.log", "--format", "common").stdout


def test_what_comes_near_nothing_is_shown_as_it_is(explained, run_here):
    text = "\nNov 12 14:10:21 host sshd[1]: Invalid user \x1b[31mred from 192.0.2.1\n" * 3
    found = explained(text, code=2)
    assert (found["nearest"], found["others"], found["lines"][0]["line"]) == (None, [], 2)
    shown = run_here("explain", "access.log").stdout
    assert "none comes near" in shown
    assert r"user \x1b[31mred" in shown


@pytest.mark.parametrize(
    ("lines", "options", "helps"),
    [
        ("2026-11-22 10:00:01 203.0.113.9 GET /a 200\n", (), "--w3c-fields 'NAMES'"),
        (
            "#Fields: day hour c-ip\n2026-11-22 10:00:01 203.0.113.9\n",
            ("--format", "iis"),
            "--w3c-map-field A=B",
        ),
        (
            "22.11.2026 10h00 203.0.113.9 /a\n",
            ("--log-format-regex", r"(?P<date>\S+ \S+) (?P<ip>\S+) (?P<path>\S+)"),
            "--log-date-format",
        ),
    ],
    ids=["columns without names", "columns by other names", "a regular expression"],
)
def test_the_options_that_may_help_are_those_of_the_log_at_hand(lines, options, helps, run_here, tmp_path):
    log = tmp_path / "odd.log"
    log.write_text(lines)
    outcome = run_here("explain", *options, log)
    assert outcome.code == 2
    assert helps in outcome.stdout.split("What may help:")[1]


def test_an_import_of_such_a_log_names_the_command_that_explains_it(run_here, tmp_path):
    (tmp_path / "access.log").write_text(UNUSUAL)
    outcome = run_here("--dry-run", "access.log")
    assert (outcome.code, "piwik-import explain access.log" in outcome.stderr) == (2, True)


def test_a_value_that_is_none_is_pointed_at(explained):
    lines = line_of("a") + line_of("b").replace("05/Mar/2026", "35/Mar/2026")
    found = explained(lines)
    assert [line["fate"] for line in found["lines"]] == ["hit", "invalid"]
    bad = found["lines"][1]
    assert bad["reason"].startswith("time: '35/Mar/2026")
    assert bad["text"][bad["column"] - 1 :].startswith("35/Mar")


def test_columns_are_counted_in_characters_and_the_caret_stands_below_wide_ones(explained, run_here):
    text = line_of("ä").replace(" - - ", " - 日本 ") + line_of("ä").replace(" - - ", " - 日本 ").replace(
        " 200 ", " OK "
    )
    (_, bad) = explained(text)["lines"]
    assert bad["column"] == bad["text"].index("OK") + 1
    rows = run_here("explain", "access.log").stdout.splitlines()
    (at,) = [number for number, row in enumerate(rows) if row.strip() == "^"]
    before = rows[at - 1][: rows[at - 1].index("OK")]
    assert rows[at].index("^") == len(before) + sum(before.count(wide) for wide in "日本")


def test_the_first_hit_and_the_first_invalid_line_are_shown_wherever_they_are(explained):
    text = line_of("a.css") * 10 + line_of("page") + "nonsense\n" + line_of("b.css") * 10
    lines = explained(text)["lines"]
    assert [(line["line"], line["fate"]) for line in lines] == [
        (1, "filtered"),
        (2, "filtered"),
        (3, "filtered"),
        (11, "hit"),
        (12, "invalid"),
    ]


def test_a_line_far_into_a_large_log_is_found_in_little_memory(tmp_path):
    log = tmp_path / "large.log"
    with log.open("w") as file:
        file.write("#Fields: date time c-ip cs-uri-stem sc-status\n")
        for number in range(2, 400_000):
            file.write(f"2020-11-21 08:15:02 192.0.2.1 /{number} 200\n")
        file.write("#Fields: date time cs-uri-stem c-ip\n2020-11-22 08:15:02 /last 192.0.2.7\n")
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_DATA, (150 << 20,) * 2); {MAIN}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    for number, path, address in ((350_000, "/350000", "192.0.2.1"), (400_001, "/last", "192.0.2.7")):
        command = [sys.executable, "-c", limited, "explain", "--line", str(number), "--json", str(log)]
        run = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=40)
        (line,) = json.loads(run.stdout)["lines"]
        assert (line["line"], pieces(line)["path"], pieces(line)["ip"]) == (number, path, address)


MAIN = "from piwik_import.cli import main; main()"


def test_a_line_that_there_is_not_is_an_error_and_so_is_an_empty_log(run_here, tmp_path):
    log = tmp_path / "access.log"
    log.write_text(line_of("a") * 3)
    outcome = run_here("explain", "access.log", "--line", 4)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "there is no line 4: it has 3" in outcome.stderr
    log.write_text("\n\n")
    assert "no line in it yet" in run_here("explain", "access.log").stderr
    (tmp_path / "another.log").write_text("")
    assert "these are 2 logs: explain one of them" in run_here("explain", tmp_path).stderr


def test_a_line_that_is_still_being_written_is_explained_too(explained):
    header = "#Fields: date time c-ip cs-uri-stem\n"
    found = explained(f"{header}2020-11-21 08:15:02 192.0.2.1 /a")
    assert [(line["line"], line["fate"]) for line in found["lines"]] == [(2, "hit")]
    (line,) = explained(f"{line_of('a')}{line_of('b').strip()}", "--line", 2)["lines"]
    assert line["hit"]["url"] == "http://localhost/b"


def test_directives_and_empty_lines_are_passed_over_or_named_for_what_they_are(explained):
    text = "#Fields: date time cs-uri-stem\n\n2020-11-21 08:15:02 /a\n"
    text += "#Fields: time cs-uri-stem date\n08:15:02 /b 2020-11-22\n"
    found = explained(text)
    assert [line["line"] for line in found["lines"]] == [3, 5]
    assert [line["hit"]["cdt"] for line in found["lines"]] == ["2020-11-21 08:15:02", "2020-11-22 08:15:02"]
    assert explained(text, "--line", 4)["lines"][0]["reason"] == "header"
    assert explained(text, "--line", 2)["lines"][0]["reason"] == "blank"


def test_what_is_around_the_lines_is_named_and_taken_off(explained):
    around = "Nov 21 09:15:02 web1 nginx[77]: "
    other = "Nov 21 09:15:03 web1 sshd[78]: session closed\n"
    found = explained(around + line_of("a") + other + around + line_of("b"))
    assert (found["format"], found["wrapper"]) == ("combined", "syslog_3164")
    assert found["sample"] == {"lines": 3, "fit": 2, "other": 1, "invalid": 0}
    assert {one["wrapper"] for one in found["others"]} == {"syslog_3164"}
    first, second, _ = found["lines"]
    assert first["within"] == line_of("a").strip()
    assert first["pieces"][0] == {"text": around.strip(), "name": "syslog_3164", "fields": [], "parameters": {}}
    assert (second["fate"], second["reason"], second["column"]) == ("filtered", "other", len("session closed") + 1)


def test_parts_of_a_message_are_put_together(explained):
    text, time = line_of("a").strip(), "2020-11-21T08:15:02.1Z stdout"
    found = explained(f"{time} F {text}\n{time} P {text[:30]}\n{time} F {text[30:]}\n", "--line", 2)
    (line,) = found["lines"]
    assert (found["wrapper"], line["line"], line["within"], line["fate"]) == ("cri", 3, text, "hit")


@pytest.mark.parametrize("indent", [None, 2], ids=["in one row", "pretty"])
def test_an_object_of_an_array_is_found_by_any_of_its_lines(indent, explained):
    entry = {"time": "2020-11-21T08:15:02Z", "remote_addr": "192.0.2.1", "request": "GET /0 HTTP/1.1", "status": 200}
    entries = [entry | {"request": f"GET /{number} HTTP/1.1"} for number in range(3)]
    text = json.dumps(entries, indent=indent)
    row = text[: text.index("GET /1")].count("\n") + 1
    found = explained(text, *(["--line", row] if indent else []))
    line = found["lines"][0] if indent else found["lines"][1]
    assert (found["format"], line["hit"]["url"]) == ("json", "http://localhost/1")


def test_a_regular_expression_shows_its_groups(explained):
    regex = r'(?P<ip>\S+) \S+ (?P<userid>\S+) \[(?P<date>[^ ]+) (?P<timezone>[^\]]+)\] "\S+ (?P<path>\S+)'
    good, bad = line_of("a"), line_of("b").partition("HTTP")[0].replace(" /b ", "") + "\n"
    found = explained(good + bad, "--log-format-regex", regex)
    first, second = found["lines"]
    assert (found["format"], pieces(first)["target"], first["fate"]) == ("regex", "/a", "hit")
    assert (second["fate"], second["expected"]) == ("invalid", "what ' ' matches")
    assert second["text"][second["column"] - 1 :].startswith(" 200") is False


def test_of_two_programs_that_write_into_one_log_both_formats_are_named(explained, run_here):
    found = explained(line_of("a") + "example.org:443 " + line_of("b"))
    assert (found["format"], found["also"]) == ("vhost_combined", "combined")
    assert run_here("explain", "access.log").stdout.splitlines()[1].startswith("  and combined, Combined log format")


def test_runners_up_are_named_with_their_shares(explained, run_here):
    found = explained(line_of("a") * 3 + "nonsense\n")
    assert found["others"]
    assert all(one["fit"] <= found["sample"]["fit"] for one in found["others"])
    shown = run_here("explain", "access.log").stdout
    assert "fit         75 % of 4 lines looked at, 1 invalid; recognised" in shown
    assert f"runners-up  {found['others'][0]['format']} 75 %" in shown


@pytest.mark.parametrize("name", ["access.log", "access.log.gz"])
@pytest.mark.parametrize("piped", [True, False], ids=["a pipe", "a file"])
def test_a_pipe_and_a_packed_log_are_explained_as_well(name, piped, run_program, make_log):
    log = make_log(name)
    outcome = run_program("explain", "-" if piped else log, "--json", "--line", 90, stdin=log.read_bytes())
    (line,) = json.loads(outcome.stdout)["lines"]
    assert line["hit"]["url"].endswith("/access/90")
    assert (outcome.code, outcome.stderr) == (0, "")


def test_of_a_pipe_that_stays_open_what_has_come_is_explained(start_program):
    process = start_program("explain", "-", "--json", stdin=subprocess.PIPE)
    process.stdin.write((line_of("a") + line_of("b")).encode())
    process.stdin.flush()
    found = json.loads(process.stdout.read())
    assert [line["hit"]["url"] for line in found["lines"]] == ["http://localhost/a", "http://localhost/b"]
    assert process.wait(20) == 0


def test_bytes_and_very_long_lines_do_no_harm(explained, run_here):
    text = line_of("caf\udce9").encode("utf-8", "surrogateescape") + line_of("x" * 50_000).encode()
    found = explained(text + b"z" * (3 << 20) + b"\n" + line_of("c").encode())
    assert r"caf\xe9" in found["lines"][0]["text"]
    assert [line["fate"] for line in found["lines"]] == ["hit", "hit", "invalid"]
    assert found["lines"][2]["reason"] == "longer than 1 MiB"
    shown = run_here("explain", "access.log").stdout
    assert r"caf\udce9" in shown
    assert len(shown) < 20_000


def test_halves_of_surrogate_pairs_in_an_object_do_no_harm(explained, run_here):
    row = r'{"time":"2026-11-21T09:15:02Z","method":"GET","path":"/a","status":200,"x":"\ud800","\ud800":1}'
    found = explained(f"{row}\n" * 3, "--format", "json")
    assert [piece["text"] for piece in found["lines"][0]["pieces"] if piece["name"] in ("x", "\ufffd")] == [
        "\ufffd",
        "1",
    ]
    assert run_here("explain", "access.log", "--format", "json").code == 0


def on_a_terminal(*command, tmp_path, columns, **environment):
    """Run the program in a terminal of so many columns; return its exit code and all that it wrote there."""
    master, slave = pty.openpty()
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "TERM": "xterm-256color"}
    program = [sys.executable, "-m", "piwik_import", *map(str, command)]
    subprocess.run(["stty", "cols", str(columns), "rows", "50"], stdin=slave, check=True)
    with subprocess.Popen(program, stdout=slave, stdin=slave, env=clean | environment, cwd=tmp_path) as process:
        os.close(slave)
        written = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            written += piece
    os.close(master)
    return process.returncode, written.decode()


COLOUR = re.compile(r"\x1b\[[\d;]*m")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_has_colours_and_rows_no_longer_than_it_is_wide(columns, tmp_path):
    (tmp_path / "access.log").write_text(UNUSUAL)
    for options in ((), ("--log-format", NGINX)):
        code, written = on_a_terminal("explain", "access.log", *options, tmp_path=tmp_path, columns=columns)
        assert code == (0 if options else 2)
        assert "\x1b[1;32mnginx" in written if options else "\x1b[1;31mno format fits" in written
        assert max(len(COLOUR.sub("", row).rstrip("\r")) for row in written.split("\n")) <= columns
        plain = COLOUR.sub("", written).replace("\r", "")
        assert "21/Nov/2020:09:15:02 +0100" in plain
        assert not options or columns < 80 or "cdt = 2020-11-21 08:15:02 UTC" in plain


def test_no_colours_go_to_who_wants_none_and_to_files(tmp_path, run_here):
    (tmp_path / "access.log").write_text(UNUSUAL)
    _, written = on_a_terminal("explain", "access.log", tmp_path=tmp_path, columns=80, NO_COLOR="1")
    assert not re.search(r"\x1b\[[\d;]*3\d", written)
    piped = run_here("explain", "access.log").stdout
    assert "\x1b" not in piped
    assert not [row for row in piped.splitlines() if row != row.rstrip()]
    assert piped.isascii() or "…" in piped


def test_the_words_of_a_shell_can_be_pasted(run_here, tmp_path):
    (tmp_path / "access.log").write_text(UNUSUAL)
    outcome = run_here(*shlex.split(f"explain access.log --log-format {shlex.quote(NGINX)} --line 2"))
    assert outcome.code == 0
    assert re.search(r"^ +0\.207 +generation_time +gt_ms = 207, pf_srv = 207$", outcome.stdout, re.MULTILINE)
    assert re.search(r"^ +anna +user +uid$", outcome.stdout, re.MULTILINE)
