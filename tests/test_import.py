"""The whole program as a process of its own: logs in, requests out, sums that add up, exit codes that mean it."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import signal
import subprocess
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import BROWSER, START, line_of

SAMPLE = Path(__file__).parent / "data" / "sample.log"


def paths(hits):
    return [hit["url"].removeprefix("http://example.org/") for hit in hits]


def by_visitor(hits):
    """Return the pages of each visitor in the order of arrival."""
    visits = {}
    for hit in hits:
        visits.setdefault(hit["cip"], []).append(hit["url"])
    return visits


def assert_adds_up(outcome):
    summary = outcome.summary
    lines, hits = summary["lines"], summary["hits"]
    fates = lines["imported"] + lines["invalid"] + lines["already_imported"] + sum(lines["filtered"].values())
    assert lines["read"] == fates
    assert hits["sent"] == hits["tracked"] + hits["rejected"] + hits["in_doubt"]
    assert sum(source["lines"] for source in summary["sources"]) == lines["read"]
    return summary


def assert_one_line(outcome, code, *words):
    """Assert that the program has ended with a code and said why in one line."""
    assert outcome.code == code
    assert outcome.stderr.startswith("piwik-import: ")
    assert outcome.stderr.count("\n") == 1
    for word in words:
        assert word in outcome.stderr


# ---- what is sent


def test_every_line_arrives_once_and_each_visitor_in_order(run_import, tracker, make_log):
    outcome = run_import(make_log(lines=1_000, visitors=50), "--recorders", 4, "--chunk-size", 30)
    assert outcome.code == 0
    assert outcome.stderr == ""
    assert Counter(paths(tracker.recorded)) == Counter(f"access/{number}" for number in range(1, 1_001))
    assert all(
        [int(page.rpartition("/")[2]) for page in pages] == sorted(int(page.rpartition("/")[2]) for page in pages)
        for pages in by_visitor(tracker.hits).values()
    )
    assert all(len(bulk.hits) <= 30 for bulk in tracker.bulks)
    summary = assert_adds_up(outcome)
    assert summary["lines"]["imported"] == summary["hits"]["tracked"] == 1_000
    assert summary["requests"]["bulk"] == len(tracker.bulks)


def test_the_hits_hold_what_the_line_says(run_import, tracker, make_log):
    run_import(make_log(lines=1))
    [hit] = tracker.hits
    assert hit["idsite"] == "1"
    assert hit["rec"] == "1"
    assert hit["url"] == "http://example.org/access/1"
    assert hit["cip"].startswith("198.18.")
    assert hit["cdt"] == "2026-03-05 10:00:00"
    assert hit["ua"] == BROWSER


def test_two_runs_send_the_same(run_import, tracker, make_log, tmp_path):
    log = make_log(lines=300)
    for run in ("one", "two"):
        assert run_import(log, env={"XDG_STATE_HOME": str(tmp_path / run)}).code == 0
    hits = tracker.recorded
    first, second = by_visitor(hits[:300]), by_visitor(hits[300:])
    assert len(hits) == 600
    assert first == second


def test_the_sample_log_goes_into_the_embedded_tracker(run_program):
    outcome = run_program(SAMPLE, "--sandbox", "--base-url", "http://example.org", "--summary", "text")
    assert outcome.code == 0
    assert "2,000 lines in" in outcome.stdout
    assert "page views" in outcome.stdout
    assert "top pages" in outcome.stdout
    assert outcome.stderr == ""


def test_a_log_goes_into_the_embedded_tracker_whole(run_program, make_log):
    outcome = run_program(make_log(lines=500), "--sandbox", "--summary", "json")
    summary = assert_adds_up(outcome)
    assert outcome.code == 0
    assert summary["hits"] == {"sent": 500, "tracked": 500, "rejected": 0, "in_doubt": 0}


def test_lines_are_left_out_for_a_reason_and_brought_in_on_demand(run_import, tracker, tmp_path):
    log = tmp_path / "access.log"
    text = (
        line_of("a") + line_of("b.css") + line_of("c", status=404) + line_of("d", status=302) + line_of("e", status=304)
    )
    log.write_text(text + line_of("f").replace(BROWSER, "Googlebot/2.1 (+http://www.google.com/bot.html)") + "what?\n")
    os.utime(log, (0, 0))
    outcome = run_import(log)
    assert outcome.code == 3
    summary = assert_adds_up(outcome)
    assert paths(tracker.hits) == ["a", "e"]
    assert summary["lines"]["filtered"] == {"static": 1, "error": 1, "redirect": 1, "bot": 1}
    assert summary["lines"]["invalid"] == 1
    tracker.bulks.clear()
    enable = ["--enable-bots", "--enable-static", "--enable-http-errors", "--enable-http-redirects"]
    outcome = run_import(log, *enable, env={"XDG_STATE_HOME": str(tmp_path / "second")})
    assert paths(tracker.hits) == ["a", "b.css", "c", "d", "e", "f"]
    assert assert_adds_up(outcome)["lines"]["filtered"] == {}


# ---- sources


@pytest.fixture
def three_logs(make_log):
    """The logs of three days, named so that neither name nor order tells their age. The second is packed."""
    newest = make_log("a.log", lines=20, start=START + timedelta(days=2))
    oldest = make_log("b.log.gz", lines=20)
    middle = make_log("c.log", lines=20, start=START + timedelta(days=1))
    return newest, oldest, middle


@pytest.mark.parametrize(("order", "wanted"), [("time", "bca"), ("given", "abc")])
def test_several_logs_are_read_in_the_order_of_time_or_as_given(run_import, tracker, three_logs, order, wanted):
    outcome = run_import(*three_logs, "--order", order, "--recorders", 1)
    assert [source["name"][-5] if "gz" not in source["name"] else "b" for source in outcome.summary["sources"]] == list(
        wanted
    )
    assert paths(tracker.hits) == [f"{name}/{number}" for name in wanted for number in range(1, 21)]
    assert_adds_up(outcome)


def test_a_folder_and_a_pattern_stand_for_the_logs_in_them(run_import, tracker, three_logs):
    folder = three_logs[0].parent
    assert run_import(folder / "*.log*").summary["lines"]["imported"] == 60
    assert len(tracker.hits) == 60


@pytest.mark.parametrize(
    ("name", "pack"),
    [("x.log.13.gz", gzip.compress), ("x.gz.13", gzip.compress), ("x.log", bz2.compress)],
    ids=["x.log.13.gz", "x.gz.13", "x.log"],
)
def test_a_packed_log_is_known_by_its_bytes(run_import, tracker, tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(b"".join(line_of(page).encode() for page in range(50))))
    outcome = run_import(tmp_path / name)
    assert outcome.code == 0
    assert len(tracker.recorded) == 50


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_log_may_come_from_standard_input(run_import, tracker, pack):
    text = b"".join(line_of(page).encode() for page in range(50)).rstrip(b"\n")
    outcome = run_import("-", stdin=pack(text))
    assert outcome.code == 0
    assert outcome.summary["sources"][0]["name"] == "stdin"
    assert len(tracker.recorded) == 50
    assert_adds_up(outcome)


def test_lines_that_trickle_from_a_pipe_are_sent_soon(start_program, tracker, server):
    process = start_program("-", "--summary", "json", env=server, stdin=subprocess.PIPE)
    for number in (1, 2):
        process.stdin.write(line_of(number).encode())
        process.stdin.flush()
        written = time.monotonic()
        tracker.wait_for_bulks(number)
        assert tracker.bulks[-1].arrived - written < 3.5
    assert paths(tracker.hits) == ["1", "2"]
    stdout, stderr = process.communicate(line_of(3).encode(), 30)
    assert process.returncode == 0
    assert b"Traceback" not in stderr
    assert json.loads(stdout)["lines"]["imported"] == 3


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 5000, b"\xef\xbb\xbf", gzip.compress(b"")], ids=["", "NUL", "BOM", "gz"]
)
def test_an_empty_log_is_no_error(run_import, tracker, tmp_path, content):
    (tmp_path / "access.log").write_bytes(content)
    outcome = run_import(tmp_path / "access.log")
    assert outcome.code == 0
    assert assert_adds_up(outcome)["lines"]["imported"] == 0
    assert not tracker.bulks


def test_an_empty_standard_input_is_no_error(run_import, tracker):
    assert run_import("-", stdin=b"").code == 0
    assert not tracker.bulks


@pytest.mark.parametrize("name", ["missing.log", "*.nothing", "empty/", "archive.zip"])
def test_what_cannot_be_read_is_said_by_name_before_anything_is_sent(run_import, tracker, make_log, tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "archive.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    outcome = run_import(make_log(), tmp_path / name)
    assert_one_line(outcome, 2, name.strip("/"))
    assert outcome.stdout == ""
    assert not tracker.bulks


def test_a_log_of_an_unknown_format_is_refused_with_its_first_line_and_what_to_do(
    run_import, tracker, make_log, tmp_path
):
    (tmp_path / "odd.log").write_text("\x1b[2J Some other kind of log\n" * 20)
    outcome = run_import(make_log(), tmp_path / "odd.log")
    assert outcome.code == 2
    for words in ("odd.log", "Some other kind of log", "--format", "piwik-import formats"):
        assert words in outcome.stderr
    assert "\x1b" not in outcome.stderr
    assert not tracker.bulks


def test_of_a_damaged_log_every_whole_line_before_is_sent_and_then_it_is_named(run_import, tracker, make_log, tmp_path):
    other = make_log("other.log", lines=10, start=START + timedelta(days=1))
    text = b"".join(line_of(f"{page}/{hash(page) % 7}").encode() for page in range(30_000))
    (tmp_path / "broken.log.gz").write_bytes(gzip.compress(text)[:-4000])
    outcome = run_import(tmp_path / "broken.log.gz", other, "--recorders", 1)
    assert_one_line(outcome, 2, "broken.log.gz")
    summary = assert_adds_up(outcome)
    sent = [page for page in paths(tracker.recorded) if not page.startswith("other")]
    assert len(sent) > 1_000
    assert [int(page.partition("/")[0]) for page in sent] == list(range(len(sent)))
    assert len(tracker.recorded) == len(sent) + 10 == summary["lines"]["imported"]


def test_lines_of_many_mebibytes_nuls_and_any_bytes_are_survived(run_import, tracker, tmp_path):
    lines = [
        line_of("first").encode(),
        b"x" * (3 << 20) + b"\n",
        b"\0" * 100 + line_of("second").encode(),
        line_of("third").encode().replace(b"\n", b"\r\n"),
        b'"' * 100_000 + b"\n",
        bytes(range(256)).replace(b"\n", b"") + b"\n",
        line_of("f\xfcnfte\ud7ff").encode("utf-8"),
        line_of("BYTE").encode().replace(b"BYTE", b"caf\xe9"),
    ]
    (tmp_path / "access.log").write_bytes(b"".join(lines))
    outcome = run_import(tmp_path / "access.log", timeout=20)
    assert outcome.code == 3
    summary = assert_adds_up(outcome)
    assert summary["lines"]["invalid"] == 3
    assert paths(tracker.recorded)[:3] == ["first", "second", "third"]
    assert summary["lines"]["imported"] == 5


def test_line_numbers_in_the_summary_begin_at_one(run_program, tmp_path):
    (tmp_path / "access.log").write_text(line_of(1) + line_of(2) + "what is this\n" + line_of(4))
    outcome = run_program("--dry-run", tmp_path / "access.log")
    assert outcome.code == 3
    assert "access.log:3:" in outcome.stdout


def test_a_last_line_without_its_end_is_left_for_the_next_run_and_said(run_program, tmp_path):
    (tmp_path / "access.log").write_text(line_of(1) + line_of(2) + line_of(3)[:-20])
    outcome = run_program("--dry-run", tmp_path / "access.log")
    assert outcome.code == 0
    assert "2  would be imported" in outcome.stdout
    assert "unfinished" in outcome.stdout


def test_a_log_whose_name_is_no_text_is_imported(run_import, tracker, make_log, tmp_path):
    name = os.fsdecode(bytes(tmp_path) + b"/caf\xe9\x1b[2J.log")
    make_log(lines=5).rename(name)
    outcome = run_import(name)
    assert outcome.code == 0
    assert outcome.summary["sources"][0]["name"] == name
    assert len(tracker.recorded) == 5


def test_a_terminal_that_knows_only_ascii_is_no_reason_to_fail(run_program, tmp_path):
    (tmp_path / "zugriffe-ö.log").write_text(line_of(1) + "größer\n" + line_of(2))
    outcome = run_program("--dry-run", tmp_path / "zugriffe-ö.log", env={"PYTHONIOENCODING": "ascii"})
    assert outcome.code == 3
    assert "zugriffe-" in outcome.stdout


# ---- servers


def test_a_wrong_token_ends_after_one_request(run_import, tracker, make_log):
    outcome = run_import(
        make_log(lines=2_000, visitors=100), "--base-url", "http://a.b", env={"PIWIK_TOKEN": "wrong-one"}
    )
    assert_one_line(outcome, 4, "--token-auth", tracker.url)
    assert len(tracker.bulks) == 1
    summary = assert_adds_up(outcome)
    assert summary["lines"]["imported"] == 0
    assert summary["hits"]["sent"] == 0
    assert "wrong-one" not in outcome.stderr + outcome.stdout


def test_a_wrong_token_is_noticed_when_the_sites_url_is_asked_for(run_import, tracker, make_log):
    assert_one_line(run_import(make_log(), env={"PIWIK_TOKEN": "wrong-one"}), 4, "token")
    assert not tracker.bulks


def test_a_site_that_there_is_not_is_refused(run_program, start_program, make_log):
    sandbox = start_program("sandbox", "--port", 0)
    url = sandbox.stderr.readline().split()[2].decode()
    env = {"PIWIK_URL": url, "PIWIK_TOKEN": "sandbox", "PIWIK_SITE": "77"}
    assert_one_line(run_program(make_log(), env=env), 4, "--idsite")
    assert run_program(make_log(), "--base-url", "http://a.b", env=env).code == 4


@pytest.mark.parametrize("base", [[], ["--base-url", "http://example.org"]], ids=["asked for the site", "sent to"])
def test_a_server_that_is_down_is_said_to_be(run_import, nowhere, make_log, base):
    start = time.monotonic()
    outcome = run_import(make_log(), "--retry-for", 1, *base, env={"PIWIK_URL": nowhere})
    assert time.monotonic() - start < 10
    assert_one_line(outcome, 75, nowhere)
    assert assert_adds_up(outcome)["hits"]["sent"] == 0


def test_a_server_that_comes_back_gets_everything(run_import, tracker, make_log):
    tracker.answers()
    tracker.answers(503, b"<h1>Maintenance</h1>", times=2)
    outcome = run_import(make_log(lines=300), "--recorders", 1, "--chunk-size", 50)
    assert outcome.code == 0
    assert assert_adds_up(outcome)["requests"]["retried"] == 2
    assert len(tracker.recorded) == 300


def test_hits_that_the_server_refuses_are_shown_and_end_with_3(run_program, server, tracker, make_log):
    tracker.answers()
    tracker.answers(200, {"status": "success", "tracked": 49, "invalid": 1, "invalid_indices": [2]})
    outcome = run_program(make_log(lines=100), "--recorders", 1, "--chunk-size", 50, env=server)
    assert outcome.code == 3
    assert "access.log:53: the server refused the hit" in outcome.stdout
    assert "1  refused by the server" in outcome.stdout


# ---- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_import_when_the_requests_in_flight_are_answered(
    start_program, server, tracker, make_log, number
):
    tracker.answers()
    tracker.usually = tracker.usually._replace(delay=1.0)
    process = start_program(make_log(lines=5_000, visitors=100), "--summary", "json", "--chunk-size", 20, env=server)
    tracker.wait_for_bulks(5)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Interrupted" in stderr
    assert [line.split(b": ")[1].split()[0] for line in stderr.splitlines()] == [b"finishing", b"Interrupted"]
    summary = json.loads(stdout)
    assert summary["hits"]["in_doubt"] == 0
    assert summary["hits"]["tracked"] == len(tracker.recorded) == len(tracker.hits) == summary["lines"]["imported"]
    assert 0 < len(tracker.recorded) < 5_000
    assert summary["lines"]["read"] == summary["lines"]["imported"]


def test_a_log_that_was_broken_off_is_not_said_to_have_an_unfinished_line(start_program, server, tracker, make_log):
    tracker.usually = tracker.usually._replace(delay=0.5)
    process = start_program(make_log(lines=60_000, visitors=100), env=server)  # 9 MiB: more than may wait
    tracker.wait_for_bulks(5)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"left for another run" in stdout
    assert b"unfinished" not in stdout


def test_a_second_signal_ends_at_once(start_program, server, tracker, make_log):
    tracker.answers()
    tracker.usually = tracker.usually._replace(delay=30.0)
    process = start_program(make_log(lines=1_000), "--summary", "json", "--chunk-size", 20, env=server)
    tracker.wait_for_bulks(3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    stdout, stderr = process.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    summary = json.loads(stdout)
    assert summary["hits"]["tracked"] == 20
    assert summary["hits"]["in_doubt"] == len(tracker.hits) - 20
    assert summary["hits"]["sent"] == len(tracker.hits)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_wait_for_a_pipe(start_program, server, tracker, number):
    process = start_program("-", "--summary", "json", env=server, stdin=subprocess.PIPE)
    process.stdin.write(line_of(1).encode())
    process.stdin.flush()
    tracker.wait_for_bulks(1)
    process.send_signal(number)
    assert process.wait(10) == 130
    assert json.loads(process.stdout.read())["hits"]["tracked"] == len(tracker.recorded)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_wait_for_the_first_line(start_program, server, number):
    process = start_program("-", env=server, stdin=subprocess.PIPE)
    time.sleep(1.0)
    process.send_signal(number)
    assert process.wait(10) == 130
    assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_wait_for_the_sites_url(start_program, server, tracker, make_log, number):
    tracker.api = tracker.api._replace(delay=30.0)
    process = start_program(make_log(), env=server)
    while not tracker.calls:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(10) == 130
    assert not tracker.bulks


# ---- dry run


def test_a_dry_run_asks_no_server_and_shows_what_would_be_imported(run_program, make_log, nowhere):
    outcome = run_program("--dry-run", make_log(lines=50), env={"PIWIK_URL": nowhere})
    assert outcome.code == 0
    assert "50  would be imported" in outcome.stdout
    assert "hits sent" not in outcome.stdout


def test_the_hits_of_a_dry_run_are_one_object_a_line_and_what_would_be_sent(run_program, run_import, tracker, make_log):
    log = make_log(lines=50)
    outcome = run_program("--dry-run", "--output", "-", "--base-url", "http://example.org", log)
    hits = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert "50  would be imported" in outcome.stderr
    run_import(log, "--recorders", 1)
    assert [{name: str(value) for name, value in hit.items()} for hit in hits] == tracker.recorded


def test_the_hits_of_a_dry_run_can_be_written_to_a_file(run_program, make_log, tmp_path):
    outcome = run_program("--dry-run", "--output", tmp_path / "hits", "--summary", "json", make_log(lines=50))
    assert assert_adds_up(outcome)["lines"]["imported"] == 50
    assert len((tmp_path / "hits").read_text().splitlines()) == 50


def test_the_reader_of_a_dry_run_may_go_away(start_program, make_log):
    process = start_program("--dry-run", "--output", "-", make_log(lines=20_000), stdin=subprocess.DEVNULL)
    assert json.loads(process.stdout.readline())["rec"] == 1
    process.stdout.close()
    assert process.wait(20) in (0, -signal.SIGPIPE)
    assert process.stderr.read() == b""


@pytest.mark.parametrize("name", ["nowhere/hits", "/dev/full", "."])
def test_a_file_that_cannot_be_written_is_named(run_program, make_log, name):
    assert_one_line(run_program("--dry-run", "--output", name, "--summary", "none", make_log(lines=5_000)), 2, name)


@pytest.mark.parametrize("name", ["access.log", "link.log", "folder/../access.log"])
def test_a_log_is_never_written_to(run_program, make_log, tmp_path, name):
    log = make_log(lines=50)
    before = log.read_bytes()
    (tmp_path / "link.log").symlink_to(log)
    (tmp_path / "folder").mkdir()
    outcome = run_program("--dry-run", "--output", tmp_path / name, tmp_path / "acc*.log")
    assert_one_line(outcome, 2, "--output")
    assert log.read_bytes() == before


# ---- secrets


def test_the_token_is_shown_nowhere(run_program, tracker, make_log, server, nowhere, tmp_path):
    log = make_log(lines=50)
    token = tracker.token
    config = log.with_suffix(".toml")
    config.write_text(f'token = "{token}"\nnonsense = 1\n')
    flags = ["--url", tracker.url, "--idsite", 1, "--token", token]
    down = {"PIWIK_URL": nowhere}
    runs = [
        (0, [log], server),
        (0, [log, "--summary", "json"], server),
        (0, [log, *flags], {}),
        (0, ["--help"], server),
        (0, ["import", "--help"], server),
        (0, ["--version"], server),
        (0, [log, "--dry-run", "--output", "-"], server),
        (2, [log, f"--tokn={token}"], server),
        (2, [log, "--recorders", "many"], server),
        (2, [log, "--config", config], server),
        (2, ["nothing.log"], server),
        (75, [log, "--retry-for", 0], server | down),
        (75, [log, "--retry-for", 0, "--base-url", "http://example.org"], server | down),
        (4, [log, "--base-url", "http://example.org"], server | {"PIWIK_TOKEN": f"not-{token}"}),
    ]
    for number, (code, arguments, env) in enumerate(runs):
        outcome = run_program(*arguments, env=env | {"XDG_STATE_HOME": str(tmp_path / f"state {number}")})
        assert outcome.code == code
        assert token not in outcome.stdout
        assert token not in outcome.stderr
    assert not any(token in target for target in tracker.targets)
