"""What the server cannot take is found, kept as rejects, and everything else is recorded once and in order."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from piwik_import import delivery, pace
from piwik_import.rejects import Rejects
from tests.test_delivery import Sending, entries, pages


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(pace, "FIRST_PAUSE", 0.01)


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
    if lanes == 1 and bad == {1, 2}:
        pytest.skip("with nothing else to compare with, it is the server that fails")
    tracker.poison = lambda hit: int(hit["url"].rpartition("/")[2]) in bad
    sending = deliver(entries(40, visitors=20), lanes=lanes, chunk_size=10)
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
