"""Logs with columns, through the whole program: resumed, packed, piped, without a header, with the peer's options."""

from __future__ import annotations

import gzip
import json
import os
import shutil

import pytest

from piwik_import.identity import Mark
from piwik_import.journal import Journal

OLD = (0.0, 1_700_000_000.0)
IIS = "#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Date: 2020-11-21 00:00:00\n"
FIRST = IIS + "#Fields: date time cs-method cs-uri-stem c-ip sc-status sc-win32-status time-taken\n"
SECOND = IIS + "#Fields: cs-uri-stem c-ip date time cs(User-Agent) sc-status sc-win32-status\n"


def first(*pages):
    return "".join(f"2020-11-21 08:{page:02}:00 GET /{page} 198.18.0.{page} 200 0 15\n" for page in pages)


def second(*pages):
    return "".join(f"/{page} 198.18.0.{page} 2020-11-21 08:{page:02}:00 Mozilla/5.0+(X11) 200 0\n" for page in pages)


def dateless(*times):
    return "".join(f"{time}:00 GET /{time} 198.18.0.1 200 0\n" for time in times)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "u_ex201121.log"


def write(path, text, pack=bytes):
    """Write the whole of a log, long ago."""
    path.write_bytes(pack(text.encode()))
    os.utime(path, OLD)


def pages(tracker):
    """Return the pages that were recorded since this was last asked for."""
    found = sorted(hit["url"].rpartition("/")[2] for hit in tracker.recorded)
    tracker.bulks.clear()
    return found


def hits_of(run_program, *arguments, stdin=None):
    outcome = run_program("--dry-run", "--output", "-", "--summary", "none", *arguments, stdin=stdin)
    assert outcome.code == 0, outcome.stderr
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def lines_of(outcome):
    lines = outcome.summary["lines"]
    assert lines["read"] == lines["imported"] + lines["invalid"] + lines["already_imported"] + sum(
        lines["filtered"].values()
    )
    return lines


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_run_that_begins_in_the_middle_knows_the_header_above(run_import, tracker, log, pack):
    whole = FIRST + first(1, 2) + SECOND + second(3, 4)
    write(log, whole, pack)
    lines = lines_of(run_import(log))
    assert (lines["imported"], lines["filtered"]) == (4, {"header": 8})
    assert pages(tracker) == ["1", "2", "3", "4"]
    write(log, whole + second(5, 6) + FIRST + first(7), pack)
    outcome = run_import(log)
    assert (lines_of(outcome)["imported"], lines_of(outcome)["filtered"]) == (3, {"header": 4})
    assert outcome.summary["sources"][0]["format"] == "iis"
    assert [(hit["url"][-2:], hit.get("ua")) for hit in sorted(tracker.recorded, key=lambda hit: hit["url"])] == [
        ("/5", "Mozilla/5.0 (X11)"),
        ("/6", "Mozilla/5.0 (X11)"),
        ("/7", None),
    ]


AROUND = {
    "syslog_3164": "Nov 21 08:15:02 web1 iis: {}\n".format,
    "docker_json": lambda line: (
        json.dumps({"log": f"{line}\n", "stream": "stdout", "time": "2020-11-21T08:15:02.1Z"}) + "\n"
    ),
    "cri": "2020-11-21T08:15:02.123456789Z stdout F {}\n".format,
}
AROUND["syslog_3164 in docker_json"] = lambda line: AROUND["docker_json"](AROUND["syslog_3164"](line).rstrip())


@pytest.mark.parametrize("wrapper", AROUND)
def test_headers_within_a_wrapper_govern_the_lines_below_them_in_every_run(run_import, tracker, log, wrapper):
    def wrapped(text):
        return "".join(map(AROUND[wrapper], text.splitlines()))

    many = [1] * 300  # so that not all of the lines are looked at
    write(log, wrapped(FIRST + first(1, 2, *many) + SECOND + second(3, 4)))
    outcome = run_import(log)
    assert outcome.summary["sources"][0]["format"] == f"iis in {wrapper}"
    assert (lines_of(outcome)["imported"], lines_of(outcome)["filtered"]) == (304, {"header": 8})
    assert pages(tracker) == [*["1"] * 301, "2", "3", "4"]
    with log.open("a") as file:
        file.write(wrapped(second(5) + FIRST + first(6)))
    outcome = run_import(log)
    assert (lines_of(outcome)["imported"], lines_of(outcome)["filtered"]) == (2, {"header": 4})
    assert pages(tracker) == ["5", "6"]


def test_a_run_that_begins_after_midnight_knows_the_day(run_import, tracker, log):
    above = IIS + "#Fields: time cs-method cs-uri-stem c-ip sc-status sc-win32-status\n"
    write(log, above + dateless("22:00", "23:59", "00:01"))
    run_import(log)
    write(log, above + dateless("22:00", "23:59", "00:01", "00:02", "09:00"))
    tracker.bulks.clear()
    run_import(log)
    assert [hit["cdt"] for hit in tracker.recorded] == ["2020-11-22 00:02:00", "2020-11-22 09:00:00"]


def test_what_lies_above_the_place_reached_is_not_read_again_for_its_header(run_import, tracker, log):
    many = [first(1)] * 4000  # beyond the 4 KiB by which the log is known, and before the bytes that are looked at
    write(log, FIRST + "".join(many) + SECOND + second(*[2] * 4000))
    run_import(log)
    whole = bytearray(log.read_bytes())
    end = len(whole)
    for at in range(8192, end - 8192, 4096):
        whole[at : at + 40] = b"\n#Fields: time c-ip sc-status cs-uri-stem\n"[:40]
    log.write_bytes(whole + second(3, 4).encode())
    tracker.bulks.clear()
    outcome = run_import(log)
    assert outcome.summary["sources"][0]["resumed_at"] == end
    assert (lines_of(outcome)["read"], pages(tracker)) == (2, ["3", "4"])


def test_a_journal_that_has_not_kept_the_header_finds_it_in_the_log(run_import, tracker, log, tmp_path):
    write(log, FIRST + first(1, 2) + SECOND + second(3))
    run_import(log)
    with Journal(tmp_path / "state/piwik-import/journal.db") as journal:
        (stored,) = journal.stored()
        assert stored.mark is not None
        assert stored.mark.header.decode().splitlines()[-1] == SECOND.splitlines()[-1]
        stored.mark = Mark(stored.mark.end, stored.mark.before)
        journal.save([stored])
    write(log, FIRST + first(1, 2) + SECOND + second(3, 4))
    tracker.bulks.clear()
    assert (lines_of(run_import(log))["invalid"], pages(tracker)) == (0, ["4"])


def test_a_pipe_with_a_name_goes_on_under_its_header(run_import, tracker):
    run_import("-", "--journal-name", "web", stdin=(FIRST + first(1) + SECOND + second(2)).encode())
    assert pages(tracker) == ["1", "2"]
    outcome = run_import("-", "--journal-name", "web", stdin=(FIRST + first(1) + SECOND + second(2, 3)).encode())
    assert lines_of(outcome)["invalid"] == 0
    assert pages(tracker) == ["3"]


def test_two_logs_with_the_same_header_are_two_logs(run_import, tracker, tmp_path):
    one, other = tmp_path / "u_ex201121.log", tmp_path / "u_ex201122.log"
    write(one, FIRST + first(1, 2))
    write(other, FIRST + first(3))
    assert lines_of(run_import(one, other))["imported"] == 3
    assert pages(tracker) == ["1", "2", "3"]
    shutil.move(one, tmp_path / "old.log")
    assert run_import(tmp_path / "old.log", other).code == 0
    assert pages(tracker) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n", id="no #Fields"),
        pytest.param(FIRST, id="a header alone"),
        pytest.param(FIRST.rstrip("\n"), id="a header without its end"),
        pytest.param("#Software: Micro", id="cut in the first line"),
        pytest.param("#Fields:\n", id="no columns"),
    ],
)
def test_a_log_of_headers_alone_is_no_log_yet_and_goes_on_when_it_is_one(run_import, tracker, run_program, log, text):
    write(log, text)
    assert run_import(log, timeout=20).code == 0
    dry = run_program("--dry-run", "--summary", "json", log, timeout=20)
    assert dry.code == 0
    assert lines_of(dry)["filtered"] == {"header": len(text.splitlines())}
    write(log, FIRST + first(1))
    assert lines_of(run_import(log))["imported"] == 1
    assert pages(tracker) == ["1"]


def test_the_line_below_a_header_counts_though_it_has_no_end(run_program, log):
    write(log, (FIRST + first(1)).rstrip("\n"))
    outcome = run_program("--dry-run", "--summary", "json", log)
    assert (lines_of(outcome)["imported"], lines_of(outcome)["filtered"]) == (1, {"header": 4})


def test_lines_above_which_nothing_names_the_columns_are_refused_with_what_to_do(run_program, log):
    write(log, "#Software: Microsoft Internet Information Services 10.0\n" + first(1, 2))
    outcome = run_program("--dry-run", "--format", "iis", log)
    assert outcome.code == 2
    fields = "#Fields: date time cs-method cs-uri-stem c-ip sc-status sc-win32-status time-taken"
    assert len(hits_of(run_program, "--format", "iis", "--w3c-fields", fields, log)) == 2
    (one, _) = hits_of(run_program, "--w3c-fields", fields, log)
    assert (one["cip"], one["gt_ms"]) == ("198.18.0.1", 15)


def test_the_peers_options_mean_what_they_do_there(run_program, log):
    write(
        log,
        "#Fields: my-date time page c-ip sc-status time-taken who\n2020-11-21 08:15:02 /a 198.18.0.1 200 2 u=jane\n",
    )
    options = [
        "--w3c-map-field",
        "my-date=date",
        "--w3c-map-field",
        "page=cs-uri-stem",
        "--w3c-field-regex",
        "who=u=(?P<userid>.+)",
    ]
    (hit,) = hits_of(run_program, "--format", "w3c_extended", *options, "--w3c-time-taken-millisecs", log)
    assert (hit["url"], hit["cdt"], hit["uid"], hit["gt_ms"]) == (
        "http://localhost/a",
        "2020-11-21 08:15:02",
        "jane",
        2,
    )
    (hit,) = hits_of(run_program, *options, "--w3c-time-taken-secs", log)
    assert hit["gt_ms"] == 2000


def test_options_that_may_be_repeated_are_a_list_in_the_configuration(run_program, tmp_path, log):
    write(log, "#Fields: my-date my-time cs-uri-stem c-ip sc-status\n2020-11-21 08:15:02 /a 198.18.0.1 200\n")
    config = tmp_path / "config.toml"
    config.write_text('w3c-map-field = ["my-date=date", "my-time=time"]\n')
    assert len(hits_of(run_program, "--config", config, log)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--w3c-map-field", "a"], "'a' is no such pair"),
        (["--w3c-field-regex", "a=("], "--w3c-field-regex ("),
        (["--w3c-time-taken-secs", "--w3c-time-taken-millisecs"], "choose one"),
        (["--format", "combined", "--w3c-fields", "date"], "combined has none"),
    ],
)
def test_an_option_that_cannot_be_meant_is_a_wrong_usage(run_program, log, arguments, message):
    write(log, FIRST + first(1))
    outcome = run_program("--dry-run", *arguments, log)
    assert outcome.code == 2
    assert message in outcome.stderr
