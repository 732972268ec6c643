"""Every chunk is sent until its fate is known; each visitor's hits arrive in order; nothing is sent after a refusal."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from math import inf
from time import monotonic, sleep
from zlib import crc32

import pytest

from piwik_import import pace
from piwik_import.acknowledged import Acknowledged
from piwik_import.client import Client, server
from piwik_import.connection import Connection
from piwik_import.delivery import Delivery
from piwik_import.errors import RefusedError, UnavailableError
from piwik_import.identity import digest
from piwik_import.journal import Journal, rows
from piwik_import.lanes import Lanes
from piwik_import.policy import Policy
from piwik_import.report import Report, SourceReport
from piwik_import.translate import SLOTS, Batch, Entry

pytestmark = pytest.mark.usefixtures("quick")

INVALID = {"status": "success", "tracked": 0, "invalid": 2, "invalid_indices": [0, 1]}


def entries(count, visitors=5, seed=0):
    """Return hits of some visitors, in the order of their lines."""
    dice = random.Random(seed)
    made = []
    for line in range(1, count + 1):
        visitor = f"198.18.0.{dice.randrange(visitors)}"
        query = f"idsite=1&rec=1&url=http://example.org/{line}&cip={visitor}"
        made.append(Entry(query, crc32(visitor.encode()) % SLOTS, 0, line, line * 100))
    return made


class Sending:
    """A delivery under way: `hits` in lanes, a client for them, and the report of both."""

    def __init__(
        self,
        hits,
        url,
        token,
        *,
        lanes=1,
        chunk_size=2,
        patience=5.0,
        timeout=10.0,
        rejects=None,
        is_well=False,
        **policy,
    ):
        self.report = Report(sources=[SourceReport("access.log")])
        self.lanes = Lanes(lanes, chunk_size, policy.get("max_request_bytes", inf))
        if hits:
            self.put(hits)
            self.lanes.close()
        self.client = Client(Connection(url=url, token=token, request_timeout=timeout))
        wanted = Policy(recorders=lanes, chunk_size=chunk_size, retry_for=patience, **policy)
        self.delivery = Delivery(self.lanes, self.client, self.report, wanted, rejects=rejects, is_well=lambda: is_well)

    def put(self, hits, *, alone=False):
        """Hand over hits, or one that goes alone; the lanes are still open if there were none to begin with."""
        self.report.add_batch(0, Batch(hits[-1].end, len(hits), hits))
        if alone:
            self.lanes.put_alone(hits)
        else:
            self.lanes.put(hits)

    @property
    def error(self):
        return self.delivery.error

    def end(self):
        """Wait for the end; the sums must add up whatever has happened."""
        with self.client:
            assert self.delivery.join(30)
        report = self.report
        assert report.read + report.left == report.lines
        assert report.sent == report.tracked + report.rejected + report.in_doubt
        assert report.in_flight == 0
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane")]
        return report


@pytest.fixture
def deliver(tracker):
    """Return a function that delivers hits to the tracker until it is done or gives up."""

    def run(hits, **options):
        sending = Sending(hits, options.pop("url", tracker.url), options.pop("token", tracker.token), **options)
        sending.end()
        return sending

    return run


def wait_for_trouble(report):
    """Wait until delivery waits for its next try, and return why it does."""
    deadline = monotonic() + 10
    while (trouble := report.trouble) is None and monotonic() < deadline:
        sleep(0.01)
    return trouble


def pages(hits):
    return [int(hit["url"].rpartition("/")[2]) for hit in hits]


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_every_hit_arrives_once_and_each_visitor_in_the_order_of_the_log(tracker, deliver, lanes):
    dice = random.Random(lanes)
    tracker.pause = lambda: dice.random() * 0.01
    sending = deliver(entries(600, visitors=40), lanes=lanes, chunk_size=7)
    assert sorted(pages(tracker.recorded)) == list(range(1, 601))
    for visitor in {hit["cip"] for hit in tracker.hits}:
        mine = pages(hit for hit in tracker.hits if hit["cip"] == visitor)
        assert mine == sorted(mine)
    assert sending.report.tracked == 600
    assert sending.error is None


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_no_more_requests_are_in_flight_than_lanes_and_never_two_of_a_visitor(tracker, deliver, lanes):
    dice = random.Random(lanes)
    tracker.pause = lambda: dice.random() * 0.02
    deliver(entries(300, visitors=40), lanes=lanes, chunk_size=5)
    assert tracker.most_at_once <= lanes
    until = {}
    for bulk in tracker.bulks:
        for visitor in {hit["cip"] for hit in bulk.hits}:
            assert until.get(visitor, 0.0) <= bulk.arrived
            until[visitor] = bulk.answered


def test_lanes_send_at_the_same_time(tracker, deliver):
    tracker.pause = lambda: 0.02
    deliver(entries(200, visitors=40), lanes=4, chunk_size=5)
    assert tracker.most_at_once == 4


TROUBLES = {
    "hung up": {"hang_up": True},
    "500 of the tracker": {"status": 500, "body": {"status": "error", "tracked": 1, "invalid": 0}},
    "502": {"status": 502, "body": b"<h1>Bad gateway</h1>"},
    "503": {"status": 503, "body": b"<h1>Maintenance</h1>"},
    "429": {"status": 429, "body": b"slow down"},
    "a page": {"body": b"Error:There is no active transaction"},
    "nothing": {"status": 204},
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_trouble_that_passes_is_waited_for_and_the_order_is_kept(tracker, deliver, trouble):
    tracker.answers()
    tracker.answers(times=3, **trouble)
    sending = deliver(entries(8))
    assert pages(tracker.recorded) == list(range(1, 9))
    assert pages(tracker.hits) == [1, 2, *[3, 4] * 4, 5, 6, 7, 8]
    assert (sending.report.tracked, sending.report.in_doubt) == (8, 0)
    assert sending.report.retried == len(tracker.bulks) - 4
    assert sending.report.trouble is None


def test_all_lanes_go_on_after_trouble(tracker, deliver):
    tracker.answers()
    tracker.answers(502, b"", times=6)
    deliver(entries(100, visitors=40), lanes=8, chunk_size=5)
    assert sorted(pages(tracker.recorded)) == list(range(1, 101))


@pytest.mark.parametrize("lanes", [1, 8])
def test_a_server_that_stays_away_is_given_up_after_a_while(nowhere, deliver, lanes):
    start = monotonic()
    sending = deliver(entries(50, visitors=40), url=nowhere, lanes=lanes, patience=0.3)
    assert monotonic() - start < 5
    assert isinstance(sending.error, UnavailableError)
    assert sending.error.exit_code == 75
    assert "Gave up" in str(sending.error)
    assert (sending.report.left, sending.report.sent, sending.report.in_doubt) == (50, 0, 0)


def test_what_was_acknowledged_before_the_server_went_away_stays_counted(tracker, deliver):
    tracker.answers(times=2)
    tracker.usually = tracker.usually._replace(status=502, body=b"")
    sending = deliver(entries(10), patience=0.2)
    assert isinstance(sending.error, UnavailableError)
    assert (sending.report.tracked, sending.report.left) == (4, 6)


def test_hits_whose_answers_were_lost_are_in_doubt(tracker, deliver):
    tracker.answers()
    tracker.usually = tracker.usually._replace(hang_up=True)
    sending = deliver(entries(10), patience=0.2)
    assert isinstance(sending.error, UnavailableError)
    assert (sending.report.tracked, sending.report.in_doubt, sending.report.left) == (2, 2, 8)


def test_an_answer_that_is_too_slow_is_in_doubt(tracker, deliver):
    tracker.usually = tracker.usually._replace(delay=2.0)
    sending = deliver(entries(4), patience=0.0, timeout=0.2)
    assert isinstance(sending.error, UnavailableError)
    assert sending.report.in_doubt == 2


def test_doubt_is_not_forgotten_when_the_next_try_does_not_even_arrive(tracker, deliver):
    tracker.answers(hang_up=True)
    tracker.usually = tracker.usually._replace(status=503, body=b"")
    assert deliver(entries(4), patience=0.2).report.in_doubt == 2


def test_doubt_is_not_forgotten_when_the_next_try_is_refused(tracker, deliver):
    tracker.answers()
    tracker.answers(hang_up=True)
    tracker.usually = tracker.usually._replace(status=403, body=b"")
    sending = deliver(entries(8))
    assert isinstance(sending.error, RefusedError)
    assert (sending.report.tracked, sending.report.in_doubt, sending.report.left) == (2, 2, 6)


def test_hits_that_were_sent_again_after_doubt_are_named(tracker, deliver):
    tracker.answers(times=2)
    tracker.answers(hang_up=True)
    sending = deliver(entries(10))
    [note] = sending.report.notes
    assert "access.log" in note
    assert "5 to 6" in note
    assert (sending.report.tracked, sending.report.in_doubt) == (10, 0)


def test_a_pause_that_the_server_asks_for_is_kept(tracker, deliver):
    tracker.answers(429, b"", headers={"Retry-After": "1"})
    deliver(entries(2))
    first, second = tracker.bulks
    assert 1.0 <= second.arrived - first.answered < 3.0


def test_a_pause_that_is_longer_than_we_would_wait_ends_the_import_at_once(tracker, deliver):
    tracker.answers(503, b"", headers={"Retry-After": "3600"})
    sending = deliver(entries(4))
    assert isinstance(sending.error, UnavailableError)
    assert len(tracker.bulks) == 1


REFUSALS = {
    "the token is wrong": {"body": INVALID},
    "statistics are off": {"body": {"status": "success", "tracked": 0, "invalid": 0}},
    "unauthorised": {"status": 401, "body": b"<h1>Log in</h1>"},
    "forbidden": {"status": 403, "body": b"<h1>No</h1>"},
    "no bulk requests": {"status": 400, "body": b"<h1>Bad request</h1>"},
    "not found": {"status": 404, "body": b"<h1>Not found</h1>"},
    "elsewhere": {"status": 301, "headers": {"Location": "https://localhost/"}, "body": b""},
}


@pytest.fixture
def hasty():
    """Let threads take turns as often as they can, so that those that race do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_after_a_refusal_nothing_more_is_sent_from_any_lane(tracker, deliver, refusal, lanes):
    tracker.usually = tracker.usually._replace(**refusal)
    sending = deliver(entries(200, visitors=100), lanes=lanes)
    assert isinstance(sending.error, RefusedError)
    assert sending.error.exit_code == 4
    assert len(tracker.bulks) == 1
    assert (sending.report.sent, sending.report.left) == (0, 200)


def test_a_refusal_says_what_to_check(tracker, deliver):
    sending = deliver(entries(2), token="wrong")
    assert "--token-auth" in str(sending.error)
    assert "--idsite" in str(sending.error)
    assert "wrong" not in str(sending.error)
    assert not tracker.recorded


def test_several_hits_that_are_all_invalid_are_a_refusal_though_others_were_recorded(tracker, deliver):
    tracker.answers()
    tracker.answers(200, INVALID)
    sending = deliver(entries(6))
    assert isinstance(sending.error, RefusedError)
    assert (sending.report.tracked, sending.report.rejected, sending.report.left) == (2, 0, 4)


def test_a_single_hit_that_is_invalid_is_no_refusal_once_others_were_recorded(tracker, deliver):
    tracker.answers()
    tracker.answers(200, {"status": "success", "tracked": 0, "invalid": 1})
    sending = deliver(entries(3))
    assert sending.error is None
    assert (sending.report.tracked, sending.report.rejected) == (2, 1)


def test_a_hit_that_the_server_names_invalid_is_shown_with_its_line(tracker, deliver):
    tracker.answers()
    tracker.answers(200, {"status": "success", "tracked": 1, "invalid": 1, "invalid_indices": [1]})
    sending = deliver(entries(6))
    [example] = sending.report.examples
    assert (example.source, example.line) == ("access.log", 4)
    assert (sending.report.tracked, sending.report.rejected) == (5, 1)
    assert pages(tracker.hits) == list(range(1, 7))


def test_invalid_hits_that_the_server_does_not_name_are_told_by_the_range_of_their_lines(tracker, deliver):
    tracker.answers()
    tracker.answers(200, {"status": "success", "tracked": 1, "invalid": 1})
    sending = deliver(entries(6))
    [example] = sending.report.examples
    assert example.line == 3
    assert "line 3" in example.reason
    assert "line 4" in example.reason
    assert sending.report.rejected == 1


def test_hits_that_the_server_neither_recorded_nor_named_are_counted_and_not_sent_again(tracker, deliver):
    tracker.answers(200, {"status": "success", "tracked": 1, "invalid": 0, "invalid_indices": []})
    sending = deliver(entries(6))
    assert (sending.report.tracked, sending.report.rejected) == (5, 1)
    assert pages(tracker.hits) == list(range(1, 7))
    assert len(sending.report.examples) == 1


def test_to_stop_lets_the_requests_in_flight_end_and_sends_nothing_more(tracker):
    tracker.answers()
    tracker.usually = tracker.usually._replace(delay=0.4)
    sending = Sending(entries(100, visitors=40), tracker.url, tracker.token, lanes=4)
    tracker.wait_for_bulks(8)
    sending.delivery.stop()
    sent = len(tracker.bulks)
    report = sending.end()
    assert sending.error is None
    assert tracker.most_at_once > 1
    assert sent <= len(tracker.bulks) <= sent + 4  # some had been let go already
    assert report.tracked == len(tracker.recorded) == 2 * len(tracker.bulks)
    assert (report.in_doubt, report.left) == (0, 100 - report.tracked)


def test_to_stop_does_not_wait_for_the_next_try(tracker, monkeypatch):
    monkeypatch.setattr(pace, "FIRST_PAUSE", 30.0)
    tracker.usually = tracker.usually._replace(status=502, body=b"")
    sending = Sending(entries(10), tracker.url, tracker.token, patience=600.0)
    tracker.wait_for_bulks(1)
    wait_for_trouble(sending.report)
    start = monotonic()
    sending.delivery.stop()
    report = sending.end()
    assert monotonic() - start < 5
    assert report.in_doubt == 2  # a proxy's 502 does not tell what the tracker did


def test_the_report_knows_what_is_in_flight_and_what_it_waits_for(tracker, monkeypatch):
    monkeypatch.setattr(pace, "FIRST_PAUSE", 1.0)
    tracker.answers(502, b"<h1>Bad gateway</h1>", delay=0.5)
    sending = Sending(entries(2), tracker.url, tracker.token)
    tracker.wait_for_bulks(1)
    assert sending.report.in_flight == 2
    assert "502" in wait_for_trouble(sending.report)
    assert sending.end().trouble is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_ours_ends_the_import_as_an_internal_error_and_does_not_hang(tracker, deliver):
    broken = entries(6)
    broken[4] = broken[4]._replace(query="url=http://example.org/ü")  # queries are ASCII
    sending = deliver(broken)
    assert sending.error.exit_code == 1
    assert "internal error" in str(sending.error)
    assert (sending.report.tracked, sending.report.in_doubt) == (4, 0)
    assert tracker.token not in str(sending.error)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_hits_whose_answer_a_fault_of_ours_has_lost_are_in_doubt(tracker, deliver, monkeypatch):
    monkeypatch.setattr(server, "of_bulk", lambda *_: {}[0])
    sending = deliver(entries(4))
    assert "internal error" in str(sending.error)
    assert len(tracker.recorded) == sending.report.in_doubt == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_was_prepared_behind_hits_that_a_fault_of_ours_has_lost_is_not_in_doubt(tracker, monkeypatch, tmp_path):
    read, answers = server.of_bulk, []

    def read_once(*arguments):
        answers.append(read(*arguments))
        return {0: answers[0]}[len(answers) - 1]

    monkeypatch.setattr(server, "of_bulk", read_once)
    lanes = Lanes(1, 2)
    lanes.put(entries(8))
    lanes.close()
    way = Connection(url=tracker.url, token=tracker.token)
    with Journal(tmp_path / "journal.db") as journal, Client(way) as client:
        acknowledged = Acknowledged(journal, [journal.add("", "access.log", None, digest(b"x"))], lanes)
        report = Report(sources=[SourceReport("access.log")])
        delivery = Delivery(lanes, client, report, Policy(recorders=1, chunk_size=2), acknowledged)
        assert delivery.join(30)
        acknowledged.flush()
        monkeypatch.setattr(rows, "BOOT", "another start of the machine")
        [doubt] = journal.stored()[0].doubts
    assert (doubt.first, doubt.last) == (3, 4)


def test_hits_are_not_in_doubt_if_the_client_cannot_follow_where_the_server_sends_it(monkeypatch, raw_server):
    moved = b"HTTP/1.1 301 Moved\r\nLocation: https://stats.example.org/piwik.php\r\nContent-Length: 0\r\n\r\n"
    proxy = raw_server((moved,))
    for name in ("all_proxy", "no_proxy", "ALL_PROXY", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("https_proxy", "ftp://nowhere")
    sending = Sending(entries(2), "http://stats.example.org/", "token")
    assert (sending.end().in_doubt, sending.error.exit_code) == (0, 2)
    assert len(proxy.requests) == 1


def test_what_was_ready_when_the_server_called_a_request_too_large_is_cut_too(tracker, deliver):
    def pause():
        tracker.most_bytes = 1_500 if len(tracker.bulks) > 1 else inf
        return 0.2  # in which the next one is made ready

    tracker.pause = pause
    sending = deliver(entries(120), lanes=1, chunk_size=40)
    assert sending.report.tracked == 120
    refused = [len(sent.hits) for sent in tracker.bulks if not sent.recorded]
    assert refused == [40]


def test_a_slow_disk_is_not_taken_for_a_slow_server(tracker, deliver, monkeypatch):
    monkeypatch.setattr(Acknowledged, "prepare", lambda *_: sleep(0.6) or True)
    deliver(entries(1_900), lanes=1, chunk_size=1_600)
    assert [len(bulk.hits) for bulk in tracker.bulks] == [200, 400, 400, 800, 100]


def test_many_hits_through_many_lanes_are_counted_right(tracker, deliver):
    dice = random.Random(1)
    for _ in range(30):
        tracker.answers()
        tracker.answers(**dice.choice(list(TROUBLES.values())))
    sending = deliver(entries(5_000, visitors=500), lanes=16, chunk_size=50)
    assert sending.error is None
    assert Counter(pages(tracker.recorded)) == Counter(range(1, 5_001))
    assert sending.report.tracked == 5_000
    assert sending.report.requests == len(tracker.bulks)
    assert sending.report.retried == 30
