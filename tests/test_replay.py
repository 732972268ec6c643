"""What was rejected is kept, and can be sent again until it is taken."""

from __future__ import annotations

import fcntl
import json
import signal

import pytest

from tests.conftest import line_of


@pytest.fixture
def rejects(tmp_path):
    """The rejects file beside the journal."""
    return tmp_path / "state/piwik-import/journal.rejects.ndjson"


@pytest.fixture
def replay(run_program, server, rejects):
    def run(*arguments, **options):
        return run_program("replay", rejects, "--summary", "json", *arguments, env=server, **options)

    return run


def rows(path):
    return [row for line in path.read_text().splitlines() if "hit" in (row := json.loads(line))]


def pages(hits):
    return [int(hit["url"].rpartition("/")[2]) for hit in hits]


def poisoned(tracker, *bad):
    tracker.poison = lambda hit: int(hit["url"].rpartition("/")[2]) in bad


@pytest.fixture
def rejected(tracker, run_import, tmp_path, rejects):
    """Import a log of which the server takes all but pages 3 and 7, and of which a line is no hit."""
    poisoned(tracker, 3, 7)
    log = tmp_path / "access.log"
    log.write_text("".join(line_of(page, f"198.18.0.{page}") for page in range(1, 11)) + "this is no line\n")
    outcome = run_import(log)
    assert outcome.code == 3
    assert outcome.summary["rejects"] == {"file": str(rejects), "lines": 3, "unknown": 0}
    assert sorted(pages(tracker.recorded)) == [1, 2, 4, 5, 6, 8, 9, 10]
    return log


def test_a_rejected_hit_is_kept_with_its_line_and_why(rejected, rejects, tracker):
    kept = {row["line"]: row for row in rows(rejects)}
    assert sorted(kept) == [3, 7, 11]
    third, last = kept[3], kept[11]
    text = rejected.read_text().splitlines()
    assert (third["source"], third["text"], third["offset"]) == (str(rejected), text[2], 2 * len(text[0]) + 2)
    assert third["hit"]["url"].endswith("/3")
    assert third["answer"].startswith("the server says 500")
    assert last["answer"] is None
    assert (last["hit"], last["fate"], last["text"]) == (None, "invalid", "this is no line")
    assert tracker.token not in rejects.read_text()


@pytest.mark.usefixtures("rejected")
def test_what_the_server_takes_now_is_recorded_and_the_rest_stays(rejects, replay, tracker):
    before = {row["line"]: row for row in rows(rejects)}
    poisoned(tracker, 7)
    tracker.bulks.clear()
    outcome = replay()
    assert outcome.code == 3
    assert outcome.summary["hits"] == {"sent": 2, "tracked": 1, "rejected": 1, "in_doubt": 0}
    assert pages(tracker.recorded) == [3]
    after = {row["line"]: row for row in rows(rejects)}
    assert sorted(after) == [7, 11]
    assert {key: after[7][key] for key in ("source", "offset", "text", "hit")} == {
        key: before[7][key] for key in ("source", "offset", "text", "hit")
    }
    assert after[11] == before[11]
    poisoned(tracker)
    assert replay().code == 3
    assert sorted(pages(tracker.recorded)) == [3, 7]
    assert [row["line"] for row in rows(rejects)] == [11]


def test_a_file_of_which_everything_is_taken_is_gone(tracker, run_import, run_program, make_log, replay, rejects):
    poisoned(tracker, 5)
    run_import(make_log(lines=20))
    poisoned(tracker)
    outcome = replay()
    assert outcome.code == 0
    assert not rejects.exists()
    assert [path.name for path in rejects.parent.glob("*.replaying")] == []
    assert "replaying" not in run_program("journal").stdout
    assert replay().code == 2


def test_hits_that_may_have_been_recorded_are_not_sent_again_unless_so_asked(
    tracker, run_import, make_log, replay, rejects
):
    tracker.answers(200, {"status": "success", "tracked": 9, "invalid": 0})
    outcome = run_import("--recorders", 1, make_log(lines=10))
    assert outcome.code == 3
    assert {row["fate"] for row in rows(rejects)} == {"unknown"}
    tracker.bulks.clear()
    assert replay().code == 3
    assert not tracker.bulks
    assert len(rows(rejects)) == 10
    assert replay("--uncertain").code == 0
    assert len(tracker.recorded) == 10


def test_a_replay_that_was_killed_goes_on_where_the_server_acknowledged(
    tracker, run_import, start_program, server, make_log, replay, rejects
):
    tracker.poison = lambda hit: int(hit["url"].rpartition("/")[2]) % 2
    run_import(make_log(lines=60, visitors=3))
    kept = len(rows(rejects))
    assert kept == 30
    poisoned(tracker)
    tracker.bulks.clear()
    tracker.pause = lambda: 0.05
    process = start_program("replay", rejects, "--chunk-size", 2, "--recorders", 1, env=server)
    tracker.wait_for_bulks(5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    tracker.pause = lambda: 0.0
    outcome = replay("--chunk-size", 2, "--recorders", 1)
    assert outcome.code == 0
    got = pages(tracker.recorded)
    assert len(set(got)) == kept
    assert len(got) <= kept + 2
    assert not rejects.exists()


@pytest.mark.usefixtures("rejected")
def test_a_file_that_an_import_is_writing_to_is_not_replayed(rejects, replay, tracker):
    tracker.bulks.clear()
    with open(rejects) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        outcome = replay()
    assert outcome.code == 75
    assert not tracker.bulks
    assert len(rows(rejects)) == 3


def test_what_is_no_rejects_file_is_not_sent(run_program, server, make_log, tracker):
    log = make_log(lines=5)
    text = log.read_text()
    outcome = run_program("replay", log, "--summary", "json", env=server)
    assert outcome.code == 2
    assert not tracker.bulks
    assert log.read_text() == text
