"""Run again and again, over logs that grow, move, are packed and vanish: nothing twice, nothing missed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
import stress
from conftest import START, line_of

from piwik_import import identity, resume
from piwik_import.journal import Doubt, Journal
from piwik_import.report import Report
from piwik_import.source import Source, find

OLD = (0.0, 1_700_000_000.0)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "access.log"


@pytest.fixture
def run_import(run_here, run_program, server):
    """Return a function that imports into the tracker: in this process, unless something comes on standard input."""

    def run(*arguments, env=(), **more):
        run = run_program if more else run_here
        return run("--summary", "json", *arguments, env=server | dict(env), **more)

    return run


def text(*pages):
    """Return a line for each page."""
    return "".join(line_of(page, f"198.18.0.{hash(page) % 20}") for page in pages).encode()


def write(path, *pages, settled=True):
    """Write pages at the end of a log, all of it long ago."""
    with path.open("ab") as file:
        file.write(text(*pages))
    if settled:
        os.utime(path, OLD)


def pages(tracker):
    """Return the pages that were recorded since this was last asked for."""
    found = [hit["url"].removeprefix("http://example.org/") for hit in tracker.recorded]
    tracker.bulks.clear()
    return sorted(found, key=lambda page: (not page.isdecimal(), page.zfill(9)))


def numbers(*of):
    return [str(number) for number in range(*of)]


def said(outcome):
    return " / ".join(outcome.summary["notes"])


# ---- growth


def test_only_what_is_new_is_sent(run_import, tracker, log):
    write(log, *range(50))
    assert run_import(log).code == 0
    assert pages(tracker) == numbers(50)
    size = log.stat().st_size
    write(log, *range(50, 80))
    outcome = run_import(log)
    assert pages(tracker) == numbers(50, 80)
    assert outcome.summary["sources"][0]["resumed_at"] == size
    assert outcome.summary["lines"]["read"] == outcome.summary["lines"]["imported"] == 30


def test_a_log_that_had_one_short_line_when_it_was_first_seen_may_grow(run_import, tracker, log):
    for number in range(4):
        write(log, number)
        run_import(log)
    assert pages(tracker) == numbers(4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_nothing_new_is_no_request_and_loads_nothing_heavy(tmp_path, run_import, tracker, log, pack):
    log.write_bytes(pack(text(*range(20))))
    os.utime(log, OLD)
    run_import(log)
    before = len(tracker.targets)
    program = (
        "import json, sys\nfrom piwik_import.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, "--idsite", "1", "--token", tracker.token, "--url", tracker.url, log],
        env={"PYTHONPATH": str(Path(resume.__file__).parent.parent), "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert not {"httpx", "rich", "asyncio", "ssl"} & set(json.loads(run.stderr))
    assert len(tracker.targets) == before


def test_nothing_new_is_exit_0_after_any_number_of_runs(run_import, tracker, log):
    write(log, *range(20))
    for _ in range(3):
        outcome = run_import(log)
        assert outcome.code == 0
        assert outcome.stderr == ""
    assert pages(tracker) == numbers(20)
    assert outcome.summary["lines"]["read"] == 0
    assert outcome.summary["sources"][0]["resumed_at"] == log.stat().st_size


def test_an_unfinished_last_line_waits_for_its_end(run_import, tracker, log):
    whole = text(*range(10))
    log.write_bytes(whole[:-30])
    run_import(log)
    assert pages(tracker) == numbers(9)
    run_import(log)
    assert pages(tracker) == []
    with log.open("ab") as file:
        file.write(whole[-30:])
    run_import(log)
    assert pages(tracker) == ["9"]


def test_a_log_that_begins_in_the_middle_of_its_first_line_is_known_later(run_import, tracker, log):
    whole = text(*range(3))
    for end in (5, 60, 200, len(whole)):
        log.write_bytes(whole[:end])
        run_import(log)
    assert pages(tracker) == numbers(3)


@pytest.mark.parametrize("content", [b"", b"#Version: 1.0\n#Fields: date\n", b"\n\r\n", b"\0" * 9000], ids=repr)
def test_a_log_of_nothing_but_headers_is_no_log_yet(run_import, tracker, tmp_path, content):
    names = [tmp_path / name for name in ("a.log", "b.log")]
    for name in names:
        name.write_bytes(content)
    assert run_import(*names).code == 0
    write(names[0], *range(5))
    write(names[1], *range(5, 10))
    run_import(*names)
    assert pages(tracker) == numbers(10)


def test_logs_are_told_apart_behind_the_same_headers(tmp_path):
    headers = b"#Software: IIS\n#Fields: date time\n" * 5_000  # 170 kB
    for name in "ab":
        (tmp_path / name).write_bytes(headers + name.encode() * 9_000)
    assert identity.beginning(headers) == b""
    one, other = (identity.beginning_of(Source(str(tmp_path / name))) for name in "ab")
    assert (one, other) == (b"a" * identity.LIMIT, b"b" * identity.LIMIT)


HEADERS = b"""#Software: Microsoft Internet Information Services 10.0
#Version: 1.0
#Date: 2026-03-05 00:00:00
#Fields: date time c-ip cs-method cs-uri-stem sc-status cs(User-Agent)
"""


def test_logs_with_equal_w3c_headers_are_each_imported_once(run_import, tracker, tmp_path):
    form = tmp_path / "w3c.toml"
    form.write_text("""title = "W3C"
source = "https://www.w3.org/TR/WD-logfile.html"
pattern = '[{time}] {ip} "{request}" {status} "{user_agent}"'
""")

    def visit(name, *of):
        with (tmp_path / name).open("ab") as file:
            line = b'[05/Mar/2026:10:00:00 +0000] 198.18.0.1 "GET /%d HTTP/1.1" 200 "Mozilla/5.0"\n'
            file.writelines(line % one for one in of)
        os.utime(tmp_path / name, OLD)

    names = ["u_ex260305.log", "u_ex260306.log"]
    for name in names:
        (tmp_path / name).write_bytes(HEADERS)
    for first in (0, 3, 40):  # with headers alone, with a few lines, and with many
        run_import("--format", form, tmp_path / "u_ex*")
        for number, name in enumerate(names):
            start = 100 * number + first
            visit(name, *range(start, start + (3 if first == 0 else 37)))
            if first == 3:
                with (tmp_path / name).open("ab") as file:
                    file.write(HEADERS)  # as after a restart
    run_import("--format", form, *(tmp_path / name for name in reversed(names)))
    assert pages(tracker) == numbers(77) + numbers(100, 177)
    assert run_import("--format", form, tmp_path / "u_ex*").summary["lines"]["read"] == 0


def test_lines_may_be_out_of_order_and_clocks_may_jump(run_import, tracker, log):
    lines = [line_of(page, time=START + timedelta(hours=-page % 7)).encode() for page in range(60)]
    log.write_bytes(b"".join(lines[:30]))
    os.utime(log, (0, time.time() + 10**6))
    run_import(log)
    with log.open("ab") as file:
        file.write(b"".join(lines[30:]))
    os.utime(log, (0, 1))
    run_import(log)
    assert pages(tracker) == numbers(60)
    assert run_import(log).code == 0
    assert pages(tracker) == []


@pytest.mark.parametrize("recorders", [(1, 7), (64, 3)], ids=str)
def test_another_number_of_recorders_goes_on(start_program, run_import, server, tracker, make_log, recorders):
    log = make_log(lines=600, visitors=90)
    tracker.pause = lambda: 0.03
    process = start_program(log, "--recorders", recorders[0], "--chunk-size", 9, env=server)
    tracker.wait_for_bulks(5)
    process.terminate()
    assert process.wait(20) == 130
    before = len(tracker.recorded)
    assert 0 < before < 600
    tracker.pause = lambda: 0.0
    assert run_import(log, "--recorders", recorders[1]).summary["lines"]["imported"] == 600 - before
    assert Counter(hit["url"] for hit in tracker.recorded) == Counter(
        f"http://example.org/access/{number}" for number in range(1, 601)
    )


# ---- rotation


def by_rename(log):
    log.rename(f"{log}.1")


def by_date(log):
    log.rename(f"{log}-20261121")


def by_date_before_the_extension(log):
    log.rename(log.with_name("access-20261121.log"))


def by_rename_and_gzip(log):
    data = log.read_bytes()
    log.unlink()
    Path(f"{log}.1.gz").write_bytes(gzip.compress(data))


def by_copytruncate(log):
    shutil.copy(log, f"{log}.1")
    os.truncate(log, 0)


def by_copytruncate_under_a_server_that_keeps_its_place(log):
    shutil.copy(log, f"{log}.1")
    size = log.stat().st_size
    os.truncate(log, 0)
    os.truncate(log, size)


def by_several_renames(log):
    log.rename(f"{log}.4")


ROTATIONS = pytest.mark.parametrize(
    "rotate",
    [
        by_rename,
        by_date,
        by_date_before_the_extension,
        by_rename_and_gzip,
        by_copytruncate,
        by_copytruncate_under_a_server_that_keeps_its_place,
        by_several_renames,
    ],
    ids=lambda rotate: rotate.__name__,
)


@ROTATIONS
def test_what_is_left_of_a_rotated_log_comes_first_and_is_said(run_import, tracker, log, rotate):
    write(log, *range(40))
    run_import(log)
    write(log, *range(40, 60))
    rotate(log)
    write(log, *range(60, 70))
    tracker.bulks.clear()
    outcome = run_import(log, "--recorders", 1)
    arrived = [int(hit["url"].rpartition("/")[2]) for hit in tracker.hits]
    assert arrived == list(range(40, 70))
    assert "was rotated" in said(outcome)
    assert run_import(log).summary["requests"]["bulk"] == 0
    write(log, 70)
    run_import(log)
    assert len(tracker.hits) == 31


@ROTATIONS
def test_a_glob_or_folder_may_name_old_and_new(run_import, tracker, tmp_path, rotate):
    logs = tmp_path / "logs"
    logs.mkdir()
    log = logs / "access.log"
    name = logs if rotate is by_rename else logs / "access*"
    write(log, *range(40))
    run_import(name)
    write(log, *range(40, 60))
    rotate(log)
    write(log, *range(60, 70))
    run_import(name)
    assert pages(tracker) == numbers(70)
    assert run_import(name).summary["lines"]["read"] == 0


def test_a_log_is_rotated_again_and_again(run_import, tracker, log):
    for day in range(5):
        write(log, *range(10 * day, 10 * day + 5))
        run_import(log)
        write(log, *range(10 * day + 5, 10 * day + 10))
        for age in (3, 2, 1):
            with suppress(FileNotFoundError):
                Path(f"{log}.{age}").rename(f"{log}.{age + 1}")
        log.rename(f"{log}.1")
    write(log, 50)
    run_import(log)
    assert pages(tracker) == numbers(51)


def test_logs_that_came_and_went_between_two_runs_are_imported_too(run_import, tracker, log, tmp_path):
    write(log, *range(10))
    run_import(log)
    write(log, *range(10, 20), settled=False)
    os.utime(log, (0, 1000))
    log.rename(f"{log}.4")
    for age in (3, 2, 1):
        data = text(*range(50 - 10 * age, 60 - 10 * age))
        packed = Path(f"{log}.{age}.gz" if age > 1 else f"{log}.{age}")
        packed.write_bytes(gzip.compress(data) if age > 1 else data)
        os.utime(packed, (0, 2000 - age))
    Path(f"{log}.5").write_bytes(text("older"))
    os.utime(f"{log}.5", (0, 500))
    (tmp_path / "access2.log").write_bytes(text("of another site"))
    (tmp_path / "access.log.bak").write_bytes(text("something else"))
    write(log, *range(50, 60))
    tracker.bulks.clear()
    outcome = run_import(log, "--recorders", 1)
    assert [int(hit["url"].rpartition("/")[2]) for hit in tracker.hits] == list(range(10, 60))
    assert "came and went" in said(outcome)
    assert run_import(log).summary["lines"]["read"] == 0


@pytest.mark.parametrize("new", [True, False], ids=["something new", "nothing new"])
def test_the_rest_of_a_rotated_log_is_sent_though_the_new_one_is_empty(run_import, tracker, log, new):
    write(log, *range(10))
    run_import(log)
    if new:
        write(log, 10)
    log.rename(f"{log}.1")
    log.touch()
    assert run_import(log).code == 0
    assert pages(tracker) == numbers(11 if new else 10)
    write(log, 11)
    run_import(log)
    assert pages(tracker) == ["11"]


def test_a_link_to_todays_log_is_followed_from_day_to_day(run_import, tracker, tmp_path, log):
    days = [tmp_path / f"access-2026112{day}.log" for day in (1, 2)]
    write(days[0], *range(10))
    log.symlink_to(days[0])
    run_import(log)
    write(days[0], *range(10, 20))
    write(days[1], *range(20, 30))
    log.unlink()
    log.symlink_to(days[1])
    run_import(log)
    assert pages(tracker) == numbers(30)


def test_a_rotated_log_that_is_not_beside_the_new_one_is_said_to_be_missing(run_import, tracker, log):
    write(log, *range(10))
    run_import(log)
    log.unlink()
    write(log, *range(10, 20))
    outcome = run_import(log)
    assert pages(tracker) == numbers(20)
    assert "up to line 10" in said(outcome)
    write(log, *range(20, 30))
    assert "up to line" not in said(run_import(log))


def test_the_end_of_a_long_rotation_is_no_news(run_import, tracker, tmp_path, log):
    glob = tmp_path / "access.log*"
    for day in range(4):
        write(log, *range(10 * day, 10 * day + 10))
        outcome = run_import(glob)
        assert said(outcome) == ""
        Path(f"{log}.2").unlink(missing_ok=True)
        for age in (1, 0):
            with suppress(FileNotFoundError):
                Path(f"{log}.{age}" if age else log).rename(f"{log}.{age + 1}")
    assert pages(tracker) == numbers(40)


def test_a_log_and_what_gzip_is_making_of_it_are_read_once(run_import, tracker, tmp_path, log):
    lines = [line_of(page, f"198.18.1.{page % 99}").encode() for page in range(9_000)]
    whole = b"".join(lines)
    Path(f"{log}.1").write_bytes(whole)
    os.utime(f"{log}.1", OLD)
    run_import(tmp_path / "access*", "--chunk-size", 2000)
    assert len(tracker.recorded) == 9_000
    packed = gzip.compress(whole)
    for share in (0, 3, 2, 1):
        if share == 1:
            Path(f"{log}.1").unlink()
        Path(f"{log}.1.gz").write_bytes(packed[: len(packed) // share] if share else b"")
        os.utime(f"{log}.1.gz", OLD)
        assert run_import(tmp_path / "access*").code == 0
    assert len(tracker.recorded) == 9_000


def test_a_half_made_copy_beside_its_log_is_not_imported(run_import, tracker, tmp_path, log):
    write(log, *range(3_000))
    run_import(tmp_path / "access*")
    Path(f"{log}.1").write_bytes(log.read_bytes()[:200_000])
    outcome = run_import(tmp_path / "access*")
    assert len(tracker.recorded) == 3_000
    assert "same log" in said(outcome)


@pytest.mark.parametrize("order", [("a.log", "b.log"), ("b.log", "a.log")], ids="before".join)
def test_of_two_copies_the_one_that_goes_on_is_read(run_import, tracker, tmp_path, order):
    short, long = (tmp_path / name for name in order)
    write(short, *range(10))
    write(long, *range(15))
    for end in (20, 25):
        run_import(tmp_path / "*.log")
        write(long, *range(end - 5, end))
    run_import(tmp_path / "*.log")
    assert pages(tracker) == numbers(25)


def test_a_copy_is_the_same_log_in_a_later_run(run_import, tracker, tmp_path, log):
    write(log, *range(10))
    run_import(log)
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copy(log, copy)
    assert run_import(copy).summary["lines"]["read"] == 0
    (tmp_path / "packed.gz").write_bytes(gzip.compress(log.read_bytes() + text(10)))
    run_import(tmp_path / "packed.gz")
    assert pages(tracker) == numbers(11)


# ---- other logs under known names


def test_a_log_truncated_and_written_anew_beyond_the_old_place_is_read_from_its_beginning(run_import, tracker, log):
    write(log, *range(10))
    run_import(log)
    log.write_bytes(text(*range(100, 200)))
    os.utime(log, OLD)
    run_import(log)
    assert pages(tracker) == numbers(10) + numbers(100, 200)


@pytest.mark.parametrize("together", [True, False], ids=["one run", "two runs"])
@pytest.mark.parametrize("first", [80, 120], ids=["shorter first", "longer first"])
def test_logs_that_begin_alike_and_go_on_differently_are_two(run_import, tracker, tmp_path, first, together):
    one, other = tmp_path / "one.log", tmp_path / "two.log"
    same = text(*range(60))
    assert len(same) > identity.LIMIT
    one.write_bytes(same + text(*range(1000, 1000 + first)))
    other.write_bytes(same + text(*range(2000, 2100)))
    for names in [(one, other)] if together else [(one,), (other,)]:
        run_import(*names)
    wanted = sorted(numbers(60) * 2 + numbers(1000, 1000 + first) + numbers(2000, 2100), key=int)
    assert pages(tracker) == wanted
    assert run_import(one, other).summary["lines"]["read"] == 0


def test_a_log_rewritten_with_the_same_beginning_and_length_is_another(run_import, log):
    write(log, *range(100, 200))
    run_import(log)
    data = log.read_bytes()
    log.write_bytes(data[:5_000] + data[5_000:].replace(b"/1", b"/9"))
    outcome = run_import(log)
    assert outcome.summary["lines"]["imported"] == 100


def resumer(journal):
    return resume.Resumer(journal, "nowhere", Report())


def test_a_log_that_is_rotated_while_it_waits_for_its_turn_is_left_alone(tmp_path, log):
    write(log, *range(10))
    with Journal(tmp_path / "journal.db") as journal:
        [found] = resumer(journal)(find([str(log)]))
        assert resume.still_lies(found.source, found.stored, begun=False)
        write(log, 11)
        assert resume.still_lies(found.source, found.stored, begun=False)
        log.rename(f"{log}.1")
        assert not resume.still_lies(found.source, found.stored, begun=False)
        assert resume.still_lies(found.source, found.stored, begun=True)  # it is open, whatever it is called now
        write(log, 12)
        assert not resume.still_lies(found.source, found.stored, begun=False)
        assert resume.still_lies(found.source, found.stored, begun=True)
        Path(f"{log}.1").rename(log)
        log.write_bytes(text(*range(20, 40)))
        assert not resume.still_lies(found.source, found.stored, begun=True)


def test_a_log_that_is_rotated_before_its_turn_comes_is_finished_by_the_next_run(
    start_program, run_import, server, tracker, make_log
):
    first = make_log("first.log", lines=40_000, visitors=300)  # more than may wait
    second = make_log("second.log", lines=100, start=START + timedelta(days=30))
    run_import(second)
    with second.open("a") as file:
        file.write("".join(line_of(f"second/{number}") for number in range(101, 121)))
    tracker.bulks.clear()
    tracker.pause = lambda: 0.02
    process = start_program(first, second, "--summary", "json", env=server)
    tracker.wait_for_bulks(5)
    second.rename(f"{second}.1")
    second.write_text("".join(line_of(f"new/{number}") for number in range(200)))
    tracker.pause = lambda: 0.0
    stdout, _ = process.communicate(timeout=50)
    assert process.returncode == 0
    assert "run again" in json.dumps(json.loads(stdout)["notes"])
    assert not any("/second/" in hit["url"] or "/new/" in hit["url"] for hit in tracker.recorded)
    run_import(first, second)
    counts = Counter(hit["url"].split("/")[3] for hit in tracker.recorded)
    assert counts == {"first": 40_000, "second": 20, "new": 200}


# ---- destinations and sources


def test_each_server_and_site_has_progress_of_its_own(run_import, tracker, log):
    write(log, *range(10))
    for options in ([], ["--idsite", 2], ["--url", tracker.url + "sub/"], ["--idsite", 2], []):
        run_import(log, *options)
    assert Counter((bulk.path, bulk.hits[0]["idsite"]) for bulk in tracker.bulks if bulk.recorded).keys() == {
        ("/piwik.php", "1"),
        ("/piwik.php", "2"),
        ("/sub/piwik.php", "1"),
    }
    assert Counter(pages(tracker)) == dict.fromkeys(numbers(10), 3)


def test_sources_come_and_vanish(run_import, tracker, tmp_path):
    logs = [tmp_path / f"{name}.log" for name in "abc"]
    for number, log in enumerate(logs):
        write(log, *range(10 * number, 10 * number + 10))
    run_import(*logs[:2])
    logs[0].unlink()
    outcome = run_import(tmp_path / "*.log")
    assert [Path(source["name"]).name for source in outcome.summary["sources"]] == ["c.log", "b.log"]
    write(logs[0], *range(9))
    write(logs[1], 30)
    run_import(tmp_path / "*.log")
    expected = sorted(numbers(31) + numbers(9), key=int)
    assert pages(tracker) == expected


def test_from_start_imports_again_on_purpose_and_goes_on_from_there(run_import, tracker, log):
    write(log, *range(10))
    run_import(log)
    assert run_import(log, "--from-start").summary["lines"]["imported"] == 10
    assert run_import(log).summary["lines"]["read"] == 0
    write(log, 10)
    run_import(log)
    assert len(pages(tracker)) == 21


def test_from_start_changes_nothing_if_nothing_could_be_sent(run_import, tracker, nowhere, log):
    write(log, *range(10))
    run_import(log)
    down = {"PIWIK_URL": tracker.url, "PIWIK_TOKEN": "wrong"}
    assert run_import(log, "--from-start", env=down).code == 4
    assert run_import(log).summary["lines"]["read"] == 0
    assert run_import(log, "--from-start", "--retry-for", 0, env={"PIWIK_URL": nowhere}).code == 75
    assert run_import(log).summary["lines"]["read"] == 0
    assert len(pages(tracker)) == 10


def test_no_journal_keeps_nothing(run_import, tracker, tmp_path, log):
    write(log, *range(10))
    for _ in range(2):
        run_import(log, "--no-journal")
    assert len(pages(tracker)) == 20
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("option", ["--dry-run", "--sandbox"])
def test_trying_out_keeps_no_journal(run_program, tmp_path, log, option):
    write(log, *range(10))
    for _ in range(2):
        assert json.loads(run_program(log, option, "--summary", "json").stdout)["lines"]["imported"] == 10
    assert not (tmp_path / "state").exists()


def test_a_sandbox_with_a_file_goes_on(run_program, tmp_path, log):
    for imported in (10, 5, 0):
        first = 10 - imported if imported else 0
        write(log, *range(first, first + imported))
        outcome = run_program(log, "--sandbox", "--db", tmp_path / "hits.db", "--summary", "json")
        assert json.loads(outcome.stdout)["lines"]["imported"] == imported
    assert (
        json.loads(run_program(log, "--sandbox", "--db", tmp_path / "2.db", "--summary", "json").stdout)["lines"][
            "imported"
        ]
        == 15
    )


# ---- pipes


def test_a_pipe_with_a_name_goes_on(run_import, tracker):
    for end in (10, 10, 25):
        outcome = run_import("-", "--journal-name", "web", stdin=text(*range(end)))
        assert outcome.code == 0
        assert "cannot be resumed" not in outcome.stderr
    assert pages(tracker) == numbers(25)
    run_import("-", "--journal-name", "other", stdin=text(*range(5)))
    assert pages(tracker) == numbers(5)


def test_a_packed_pipe_with_a_name_goes_on(run_import, tracker):
    for end in (10, 25):
        run_import("-", "--journal-name", "web", stdin=gzip.compress(text(*range(end))))
    assert pages(tracker) == numbers(25)


def test_a_pipe_that_comes_in_bits_is_known_again(start_program, run_import, server, tracker):
    whole = b"#Header\n" + text(*range(100))
    run_import("-", "--journal-name", "web", "--enable-bots", stdin=whole)
    tracker.bulks.clear()
    process = start_program("-", "--journal-name", "web", "--summary", "json", env=server, stdin=subprocess.PIPE)
    for start in range(0, 4_000, 1_000):
        process.stdin.write(whole[start : start + 1_000])
        process.stdin.flush()
        time.sleep(0.5)
    process.communicate(whole[4_000:] + text(100), 30)
    assert pages(tracker) == ["100"]


def test_a_pipe_without_a_name_says_at_the_start_that_it_cannot_go_on(run_import, tracker):
    for _ in range(2):
        outcome = run_import("-", stdin=text(*range(5)))
        assert "--journal-name" in outcome.stderr
    assert len(pages(tracker)) == 10


def test_a_fifo_is_a_pipe_like_standard_input(start_program, server, tracker, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for name, end, told in (
        ([], 5, True),
        (["--journal-name", "web"], 9, False),
        (["--journal-name", "web"], 12, False),
    ):
        process = start_program(fifo, *name, "--progress", "none", env=server)
        if told:
            said = process.stderr.readline().decode()  # before anything has come
            assert said == f"piwik-import: {fifo} is a pipe and cannot be resumed; --journal-name names it\n"
        fifo.write_bytes(text(*range(end)))
        assert process.communicate(timeout=30)[1] == b""
    assert Counter(pages(tracker)) == Counter(numbers(5) + numbers(12))


def test_a_pipe_may_have_the_name_of_a_file(run_import, run_program, tracker, log):
    write(log, *range(5))
    run_import("-", "--journal-name", log, stdin=text(*range(9)))
    run_import(log)
    write(log, *range(5, 7))
    run_import(log)
    run_import("-", "--journal-name", log, stdin=text(*range(12)))
    assert pages(tracker) == sorted(numbers(7) + numbers(12), key=int)
    assert len(json.loads(run_program("journal", "--json").stdout)) == 2


def test_one_name_is_for_one_pipe(run_import, tracker, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    outcome = run_import("-", tmp_path / "fifo", "--journal-name", "web", stdin=text(1))
    assert outcome.code == 2
    assert "--journal-name" in outcome.stderr
    assert not tracker.bulks


# ---- refusals, crashes, doubt


def test_what_was_not_acknowledged_is_not_marked_as_done(run_import, tracker, nowhere, log):
    write(log, *range(50))
    base = ["--base-url", "http://example.org"]
    assert run_import(log, *base, env={"PIWIK_TOKEN": "wrong"}).code == 4
    assert run_import(log, *base, "--retry-for", 0, env={"PIWIK_URL": nowhere}).code == 75
    assert pages(tracker) == []
    tracker.answers()
    tracker.answers(503, b"busy", times=50)
    assert run_import(log, "--retry-for", 0, "--recorders", 1, "--chunk-size", 10).code == 75
    assert pages(tracker) == numbers(10)
    tracker.script.clear()
    outcome = run_import(log)
    assert "not known" not in said(outcome)
    assert pages(tracker) == numbers(10, 50)


def test_hits_that_the_server_refused_are_not_sent_again(run_import, tracker, log):
    write(log, *range(20))
    tracker.answers()
    tracker.answers(200, {"status": "success", "tracked": 8, "invalid": 2})
    assert run_import(log, "--recorders", 1, "--chunk-size", 10).code == 3
    outcome = run_import(log)
    assert outcome.code == 0
    assert outcome.summary["lines"]["read"] == 0


@pytest.fixture
def killed(start_program, server, tracker, make_log):
    """A log of which three chunks of ten lines were recorded, and a fourth was on its way when the import died."""
    log = make_log(lines=100)
    tracker.answers(times=3)
    tracker.answers(delay=30)
    process = start_program(log, "--recorders", 1, "--chunk-size", 10, env=server)
    tracker.wait_for_bulks(4)
    process.kill()
    process.wait()
    tracker.bulks.pop()
    return log


def test_a_chunk_in_doubt_is_named_by_the_journal(killed, run_program):
    listing = run_program("journal").stdout
    assert f"in doubt: {killed}, lines 31 to 40" in listing
    assert "lines 31 to 40: 10 hits" in run_program("journal", "show", killed.name).stdout
    [row] = json.loads(run_program("journal", "--json").stdout)
    assert row["source"] == str(killed)
    assert (row["in_doubt"][0]["first_line"], row["in_doubt"][0]["last_line"]) == (31, 40)


def test_a_chunk_in_doubt_is_sent_again_and_said_to_be(killed, run_program, server, tracker):
    outcome = run_program(killed, env=server)
    assert outcome.code == 0
    assert f"Note: {killed}: it is not known whether lines 31 to 40 were recorded" in outcome.stdout
    assert "sent again" in outcome.stdout
    assert sorted(pages(tracker)) == sorted(f"access/{number}" for number in range(1, 101))
    assert "not known" not in run_program(killed, env=server).stdout
    assert "in doubt:" not in run_program("journal").stdout


def test_a_chunk_in_doubt_is_skipped_on_demand(killed, run_import, tracker):
    outcome = run_import(killed, "--in-doubt", "skip")
    assert "lines 31 to 40" in said(outcome)
    assert "skipped" in said(outcome)
    wanted = [f"access/{number}" for number in range(1, 101) if not 31 <= number <= 40]
    assert sorted(pages(tracker)) == sorted(wanted)
    assert "not known" not in said(run_import(killed))


def test_a_run_that_dies_too_does_not_hide_what_was_in_doubt_before(killed, start_program, run_import, server, tracker):
    tracker.bulks.clear()
    tracker.script.clear()
    tracker.answers(times=4)
    tracker.answers(delay=30)
    process = start_program(killed, "--recorders", 1, "--chunk-size", 10, env=server)
    tracker.wait_for_bulks(5)
    process.kill()
    process.wait()
    outcome = run_import(killed)
    sent_again, in_doubt = outcome.summary["notes"]
    assert "lines 31 to 40 were" in sent_again
    assert "killed before it said so" in sent_again
    assert "lines 71 to 80 were" in in_doubt
    assert "not known" not in said(run_import(killed))


@pytest.mark.parametrize("summary", ["text", "json"])
def test_a_chunk_in_doubt_is_struck_out_only_when_the_summary_that_names_it_is_out(killed, run_here, server, summary):
    def named():
        return "lines 31 to 40" in run_here("journal").stdout

    command = [sys.executable, "-m", "piwik_import", "--summary", summary, killed]
    environment = server | {"PYTHONPATH": str(Path(resume.__file__).parent.parent)}
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            command, env=os.environ | environment, stdout=full, stderr=subprocess.PIPE, timeout=30, check=False
        )
    assert b"could not be written" in run.stderr
    assert named()  # though its hits have been sent again
    assert "killed before it said so" in run_here(killed, "--summary", summary, env=server).stdout
    assert not named()


@pytest.mark.parametrize("fate", ["resend", "skip"])
def test_where_no_summary_is_wanted_a_chunk_in_doubt_is_named_nevertheless(killed, run_here, server, fate):
    outcome = run_here(killed, "--summary", "none", "--in-doubt", fate, env=server)
    assert outcome.stdout == ""
    assert outcome.stderr.startswith(f"piwik-import: {killed}: it is not known whether lines 31 to 40 were")
    assert run_here(killed, "--summary", "none", env=server).stderr == ""


def test_chunks_in_doubt_are_all_named_however_many_there_are(run_here, server, tmp_path, make_log):
    log = make_log(lines=100)
    run_here(log, env=server)
    with Journal(tmp_path / "state/piwik-import/journal.db") as journal:
        [row] = journal.stored()
        row.doubts = [Doubt(row.id, 1, lane, 64, 1, lane + 2, lane + 1, 3, 5.0) for lane in range(64)]
        journal.save([row])
    outcome = run_here(log, env=server)
    assert all(f"lines 1 to {lane + 2}" in outcome.stdout for lane in range(64))


def test_from_start_dying_at_its_first_chunk_is_sent_again(start_program, run_import, server, tracker, log):
    write(log, *range(30))
    run_import(log)
    tracker.bulks.clear()
    tracker.answers(delay=30)
    process = start_program(log, "--from-start", "--recorders", 1, env=server)
    tracker.wait_for_bulks(1)
    process.kill()
    process.wait()
    tracker.bulks.clear()
    outcome = run_import(log)
    assert "sent again" in said(outcome)
    assert pages(tracker) == numbers(30)


def test_a_second_import_of_the_same_log_ends_at_once_or_waits(start_program, run_import, server, tracker, make_log):
    log = make_log(lines=50)
    tracker.answers(delay=2)
    process = start_program(log, "--recorders", 1, "--chunk-size", 10, env=server)
    tracker.wait_for_bulks(1)
    began = time.monotonic()
    outcome = run_import(log)
    assert time.monotonic() - began < 1.5
    assert outcome.code == 75
    assert f"process {process.pid} " in outcome.stderr
    assert run_import(log, "--idsite", 2).code == 0
    outcome = run_import(log, "--wait", 20)
    assert process.wait(10) == 0
    assert outcome.code == 0
    assert outcome.summary["lines"]["read"] == 0
    assert Counter(hit["idsite"] for hit in tracker.recorded) == {"1": 50, "2": 50}


def test_two_imports_of_the_same_logs_in_other_orders_do_not_wait_for_each_other(
    tmp_path, start_program, server, tracker
):
    logs = [tmp_path / f"{name}.log" for name in "ab"]
    for number, log in enumerate(logs):
        write(log, *range(100 * number, 100 * number + 30))
    with Journal(tmp_path / "state/piwik-import/journal.db") as journal:
        here = resume.Resumer(journal, f"{tracker.url}piwik.php site 1", Report())
        first, second = (one.stored for one in here(find(list(map(str, logs)))))
        journal.unlock()
        journal.lock(first, 0)
        other = start_program(*reversed(logs), "--wait", 30, env=server)
        time.sleep(1)  # by now it has found the second free, and waits for the first
        journal.lock(second, 10)
    assert other.wait(30) == 0
    assert pages(tracker) == numbers(30) + numbers(100, 130)


# ---- the command `journal`


def test_the_journal_lists_shows_and_forgets(run_import, run_program, tracker, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.log", *range(10))
    write(tmp_path / "b.log", *range(10, 14))
    run_import(tmp_path / "a.log")
    run_import(tmp_path / "b.log")
    listing = run_program("journal").stdout
    assert f"{tracker.url}piwik.php site 1" in listing
    rows = {Path(row["source"]).name: row for row in json.loads(run_program("journal", "--json").stdout)}
    assert rows["b.log"]["lines"] == rows["b.log"]["hits"] == 14
    assert rows["b.log"]["bytes"] == (tmp_path / "b.log").stat().st_size
    assert rows["b.log"]["last_run"]
    for name in ("b.log", tmp_path / "b.log", rows["b.log"]["id"]):
        assert "up to line 14" in run_program("journal", "show", name).stdout
    [shown] = json.loads(run_program("journal", "show", "--json", "b.log").stdout)
    assert shown == rows["b.log"]
    assert run_program("journal", "forget", "b.log").stdout.startswith("Forgotten: ")
    assert run_program("journal", "show", "b.log").code == 2
    tracker.bulks.clear()
    run_import(tmp_path / "a.log", tmp_path / "b.log")
    assert pages(tracker) == numbers(14)


@pytest.mark.parametrize("by", ["file", "variable", "option"])
def test_the_journal_is_the_one_that_an_import_with_the_same_settings_keeps(run_here, server, tmp_path, log, by):
    write(log, *range(10))
    config = tmp_path / "settings.toml"
    path = tmp_path / "elsewhere.db"
    config.write_text(
        f'journal = "{path if by == "file" else tmp_path / "wrong.db"}"\nidsite = 1\nenable-bots = true\n'
    )
    env = (
        server
        | {"PIWIK_IMPORT_CONFIG": str(config)}
        | ({"PIWIK_IMPORT_JOURNAL": str(path)} if by == "variable" else {})
    )
    options = ["--journal", path] if by == "option" else []
    assert run_here(*options, log, env=env).code == 0
    assert path.exists()
    [row] = json.loads(run_here("journal", *options, "--json", env=env).stdout)
    assert row["source"] == str(log)
    assert "up to line 10" in run_here("journal", *options, "show", "access.log", env=env).stdout


def test_a_configuration_that_an_import_refuses_is_refused_by_the_journal_too(run_here, tmp_path):
    (tmp_path / "settings.toml").write_text("jornal = 'x.db'\n")
    outcome = run_here("journal", "--config", tmp_path / "settings.toml")
    assert outcome.code == 2
    assert "there is no option jornal" in outcome.stderr


def test_the_journal_counts_the_hits_of_a_request_for_the_logs_that_they_are_of(run_import, run_program, make_log):
    logs = [make_log(f"{name}.log", lines=30, seed=seed) for seed, name in enumerate("abc")]
    assert run_import("--recorders", 1, *logs).summary["hits"]["tracked"] == 90
    listed = json.loads(run_program("journal", "--json").stdout)
    assert [(one["lines"], one["hits"]) for one in listed] == [(30, 30)] * 3


def test_a_journal_that_is_not_there_is_not_made_by_asking(run_program, tmp_path):
    outcome = run_program("journal")
    assert outcome.code == 2
    assert "none yet" in outcome.stderr
    assert not (tmp_path / "state").exists()


# ---- the law


@pytest.mark.parametrize("power_fails", [False, True], ids=["kill -9", "power failure"])
@pytest.mark.parametrize("seed", range(2))
def test_after_kill_9_and_after_a_power_failure_only_what_was_in_doubt_comes_twice(seed, power_fails):
    stress.campaign(seed, 6, lines=400, power_fails=power_fails)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_after_a_signal_that_asks_nothing_comes_twice(number):
    stress.campaign(10 + number, 4, number=number, lines=400)
