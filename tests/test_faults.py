"""What the server cannot take is found, kept as rejects, and everything else is recorded once and in order."""

from __future__ import annotations

import json
import resource
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from piwik_import.errors import PiwikImportError
from piwik_import.evidence import VOUCHED
from piwik_import.rejects import Rejects
from tests.test_delivery import Sending, entries, pages

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def rejects(tmp_path):
    one = Rejects(tmp_path / "rejects.ndjson")
    yield one
    one.close()


def rows(rejects):
    lines = rejects.path.read_text().splitlines()[1:] if rejects.path.exists() else []
    return [json.loads(line) for line in lines]


@pytest.fixture
def deliver(tracker, rejects):
    def run(hits, **options):
        sending = Sending(hits, tracker.url, tracker.token, rejects=rejects, **options)
        sending.end()
        return sending

    return run


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize(
    "bad",
    [{1}, {2}, {20}, {40}, {1, 2}, {19, 20, 21}, {3, 11, 27, 39}, {10, 30, 31}],
    ids=lambda bad: "-".join(map(str, sorted(bad))),
)
def test_the_hits_that_the_tracker_fails_on_are_found_and_all_others_recorded_once(
    tracker, deliver, rejects, bad, lanes
):
    tracker.poison = lambda hit: int(hit["url"].rpartition("/")[2]) in bad
    sending = deliver(entries(40, visitors=20), lanes=lanes, chunk_size=10, is_well=True)
    assert sending.error is None
    assert Counter(pages(tracker.recorded)) == Counter(set(range(1, 41)) - bad)
    assert (sending.report.tracked, sending.report.rejected) == (40 - len(bad), len(bad))
    assert sorted(row["line"] for row in rows(rejects)) == sorted(bad)
    assert {row["fate"] for row in rows(rejects)} == {"rejected"}
    for visitor in {hit["cip"] for hit in tracker.recorded}:
        mine = pages(hit for hit in tracker.recorded if hit["cip"] == visitor)
        assert mine == sorted(mine)


def test_a_tracker_that_names_the_wrong_hit_is_found_out(tracker, deliver):
    tracker.poison = lambda hit: hit["url"].endswith("/25")
    usual = tracker._trouble_with
    tracker._trouble_with = lambda bulk: (
        reply._replace(body={"status": "error", "tracked": 0, "invalid": 0}) if (reply := usual(bulk)) else None
    )
    sending = deliver(entries(40), chunk_size=40)
    assert Counter(pages(tracker.recorded)) == Counter(set(range(1, 41)) - {25})
    assert len(tracker.bulks) < 40
    assert sending.report.rejected == 1


def test_a_tracker_that_fails_on_everything_is_waited_for_and_nothing_is_rejected(tracker, deliver, rejects):
    tracker.poison = lambda _: True
    sending = deliver(entries(10), patience=0.5)
    assert sending.error.exit_code == 75
    assert (sending.report.left, sending.report.rejected, sending.report.in_doubt) == (10, 0, 0)
    assert not rows(rejects)


def test_a_hit_that_nothing_can_be_compared_with_is_rejected_if_the_server_says_that_it_is_well(
    tracker, deliver, rejects
):
    tracker.poison = lambda _: True
    sending = deliver(entries(1), is_well=True)
    assert sending.error is None
    assert sending.report.rejected == 1
    assert [row["line"] for row in rows(rejects)] == [1]


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_database_that_can_only_be_read_costs_few_hits(tracker, deliver, rejects, lanes):
    tracker.poison = lambda _: True
    sending = deliver(entries(40, visitors=20), lanes=lanes, chunk_size=10, patience=0.3, is_well=True)
    assert sending.error.exit_code == 75
    assert sending.report.rejected == len(rows(rejects)) == VOUCHED


@pytest.mark.parametrize("limit", [float("inf"), 2500], ids=["", "after a request that was too large"])
@pytest.mark.parametrize("recorded", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("lanes", [1, 3])
def test_no_hit_is_rejected_because_the_server_fails_while_a_chunk_is_sent_in_parts(
    tracker, deliver, recorded, limit, lanes
):
    tracker.most_bytes = limit
    tracker.poison = lambda hit: hit["url"].endswith("/12") or sum(bulk.recorded for bulk in tracker.bulks) >= recorded
    sending = deliver(entries(60), lanes=lanes, chunk_size=30, patience=0.1)
    assert sending.report.rejected <= 1
    assert sending.report.tracked == len(tracker.recorded)


def test_a_poisoned_chunk_makes_room_for_others_only_once(tracker, deliver):
    tracker.poison = lambda hit: hit["url"].endswith("/190")
    sending = deliver(entries(200, visitors=100), lanes=8, chunk_size=4)
    assert sending.delivery._pace._allowed >= 4


@pytest.fixture
def full_disk():
    one = Rejects(Path("/dev/full"))
    yield one
    with suppress(OSError):
        one.close()


def test_what_was_recorded_is_not_sent_again_because_the_disk_is_full(tracker, full_disk):
    tracker.answers(200, {"status": "success", "tracked": 3, "invalid": 1, "invalid_indices": [2]})
    sending = Sending(entries(8), tracker.url, tracker.token, chunk_size=4, rejects=full_disk)
    report = sending.end()
    assert "/dev/full" in str(sending.error)
    assert (report.tracked, report.rejected, report.in_doubt, report.left) == (3, 1, 0, 4)
    assert any("not in the rejects file" in note and "3 to 3" in note for note in report.notes)


def test_what_is_in_doubt_is_counted_once_though_the_disk_is_full(tracker, full_disk):
    tracker.answers()
    tracker.answers(hang_up=True)
    sending = Sending(entries(8), tracker.url, tracker.token, resend=False, rejects=full_disk)
    report = sending.end()
    assert "/dev/full" in str(sending.error)
    assert (report.tracked, report.in_doubt, report.left) == (2, 2, 6)


@contextmanager
def files_no_larger_than(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_a_part_of_the_rejects_is_an_error_and_later_lines_stay_whole(rejects):
    hits = entries(6)
    with files_no_larger_than(500), pytest.raises(PiwikImportError):
        rejects.add("access.log", hits, "rejected", "no reason", "no answer")
    assert rejects.path.stat().st_size == 500
    rejects.close()
    rejects.add("access.log", hits[5:], "rejected", "no reason", "no answer")
    *_, torn, last = rejects.path.read_text().splitlines()
    with pytest.raises(ValueError, match=r"Unterminated|delimiter|Expecting"):
        json.loads(torn)
    assert json.loads(last)["line"] == 6


def test_a_few_hits_are_believed_to_be_all_invalid_if_the_server_still_knows_the_token(tracker, deliver, rejects):
    tracker.answers()
    tracker.answers(200, {"status": "success", "tracked": 0, "invalid": 2, "invalid_indices": [0, 1]})
    sending = deliver(entries(6), is_well=True)
    assert sending.error is None
    assert (sending.report.tracked, sending.report.rejected) == (4, 2)
    assert [row["line"] for row in rows(rejects)] == [3, 4]


def test_many_hits_are_not_believed_to_be_all_invalid(tracker, deliver):
    tracker.answers()
    tracker.answers(200, {"status": "success", "tracked": 0, "invalid": 100})
    sending = deliver(entries(300), chunk_size=100, is_well=True)
    assert sending.error.exit_code == 4
    assert (sending.report.tracked, sending.report.rejected) == (100, 0)


def test_a_hit_that_is_invalid_does_not_speak_for_the_server(tracker, deliver):
    tracker.answers()
    tracker.answers(200, {"status": "success", "tracked": 0, "invalid": 1})
    sending = deliver(entries(2), chunk_size=1)
    assert sending.report.rejected == 1
    assert sending.delivery._pace.successes == 1


def test_after_a_hit_that_went_alone_and_was_not_recorded_the_next_goes_alone_too(tracker):
    tracker.answers(times=30)
    sending = Sending([], tracker.url, tracker.token, lanes=4, chunk_size=1)
    before = entries(30, visitors=20)
    first, *after = entries(60, visitors=20)[30:]
    sending.put(before)
    tracker.answers(200, {"status": "success", "tracked": 0, "invalid": 1})
    sending.put([first], alone=True)
    tracker.usually = tracker.usually._replace(delay=0.05)
    sending.put(after)
    sending.lanes.close()
    sending.end()
    came = sorted(tracker.bulks, key=lambda bulk: bulk.arrived)
    place = next(place for place, bulk in enumerate(came) if pages(bulk.hits) == [31])
    alone, *others = came[place + 1 :]
    assert all(bulk.arrived >= alone.answered for bulk in others)


def test_a_request_that_is_too_large_is_halved_and_no_larger_ones_follow(tracker, deliver):
    tracker.most_bytes = 2000
    sending = deliver(entries(200), chunk_size=100)
    assert Counter(pages(tracker.recorded)) == Counter(range(1, 201))
    assert pages(tracker.recorded) == list(range(1, 201))
    assert sending.report.tracked == 200
    refused = [bulk for bulk in tracker.bulks if not bulk.recorded]
    assert len(refused) <= 4


def test_a_hit_that_is_too_large_by_itself_is_rejected(tracker, deliver, rejects):
    hits = entries(10)
    hits[4] = hits[4]._replace(query=hits[4].query + "&ua=" + "x" * 3000)
    tracker.most_bytes = 2000
    sending = deliver(hits, chunk_size=10)
    assert (sending.report.tracked, sending.report.rejected) == (9, 1)
    assert [row["line"] for row in rows(rejects)] == [5]


def test_a_server_that_finds_everything_too_large_costs_no_hit(tracker, deliver):
    tracker.most_bytes = 100
    sending = deliver(entries(100), chunk_size=50)
    assert sending.error.exit_code == 4
    assert "not even" in str(sending.error)
    assert (sending.report.rejected, sending.report.left) == (0, 100)


def test_no_request_is_larger_than_allowed(tracker, deliver):
    deliver(entries(200), chunk_size=100, max_request_bytes=1500)
    assert max(len(bulk.body) for bulk in tracker.bulks) <= 1500 + 100


def test_what_is_in_doubt_is_not_sent_again_if_so_asked_and_the_rest_goes_on(tracker, deliver, rejects):
    tracker.answers()
    tracker.answers(hang_up=True)
    sending = deliver(entries(10), resend=False)
    assert sending.error is None
    assert pages(tracker.hits) == list(range(1, 11))
    assert (sending.report.tracked, sending.report.in_doubt) == (8, 2)
    assert [(row["line"], row["fate"]) for row in rows(rejects)] == [(3, "in doubt"), (4, "in doubt")]


def test_a_server_that_always_hangs_up_leaves_no_more_in_doubt_than_patience_allows(tracker, deliver):
    tracker.answers()
    tracker.usually = tracker.usually._replace(hang_up=True)
    sending = deliver(entries(1000), resend=False, retry_max_attempts=3)
    assert sending.error.exit_code == 75
    assert sending.report.in_doubt == 6


def test_the_ambiguous_deadlock_is_in_doubt_and_said(tracker, deliver):
    tracker.answers()
    tracker.answers(500, {"status": "error", "tracked": 2, "invalid": 0})
    sending = deliver(entries(6))
    assert pages(tracker.hits) == [1, 2, 3, 4, 3, 4, 5, 6]
    assert any("twice" in note and "3 to 4" in note for note in sending.report.notes)


def test_hits_that_were_lost_are_kept_with_their_whole_chunk(tracker, deliver, rejects):
    tracker.answers(200, {"status": "success", "tracked": 3, "invalid": 0})
    sending = deliver(entries(8), chunk_size=4)
    assert (sending.report.tracked, sending.report.rejected, sending.report.unknown) == (7, 1, 1)
    assert [(row["line"], row["fate"]) for row in rows(rejects)] == [(line, "unknown") for line in (1, 2, 3, 4)]


def test_the_number_of_tries_is_limited(tracker, deliver):
    tracker.usually = tracker.usually._replace(status=503, body=b"")
    sending = deliver(entries(4), retry_max_attempts=3)
    assert sending.error.exit_code == 75
    assert len(tracker.bulks) == 3


def test_a_single_hit_that_the_server_loses_after_others_is_unknown_and_no_refusal(tracker, deliver, rejects):
    tracker.answers()
    tracker.answers(200, {"status": "success", "tracked": 0, "invalid": 0})
    sending = deliver(entries(3))
    assert sending.error is None
    assert (sending.report.tracked, sending.report.rejected, sending.report.unknown) == (2, 1, 1)
    assert [(row["line"], row["fate"]) for row in rows(rejects)] == [(3, "unknown")]


def test_the_answer_of_the_server_is_kept_with_what_it_did_not_record(tracker, deliver, rejects):
    tracker.answers(200, {"status": "success", "tracked": 1, "invalid": 1, "invalid_indices": [1]})
    deliver(entries(4))
    [row] = rows(rejects)
    assert (row["line"], row["fate"]) == (2, "rejected")
    assert '"invalid": 1' in row["answer"]
