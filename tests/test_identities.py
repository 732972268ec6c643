"""Who is behind an anonymous id is known at each line as if the log had been read without a break, however it was."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import START
from hypothesis import given, settings
from hypothesis import strategies as st

from piwik_import import jobs, source
from piwik_import.acknowledged import Acknowledged
from piwik_import.importer.reading import Reading
from piwik_import.importer.settings import Settings
from piwik_import.interrupt import Interrupt
from piwik_import.journal import Journal, JournalError, known_at, learn
from piwik_import.lanes import Lanes
from piwik_import.parsers import catalogue
from piwik_import.report import Report, SourceReport
from piwik_import.resume import Resumer
from piwik_import.segment import Fact, Identities, SegmentSettings, after, identities
from piwik_import.shaping import Shaping
from piwik_import.tracking import decode
from piwik_import.visitors import VisitorSettings

SITE = "http://127.0.0.1/piwik.php site 1"
SEGMENT = catalogue.named("segment")
SHAPING = Shaping(visitors=VisitorSettings(key=b"key"), segment=SegmentSettings((("Goal", 3),)))


def call(number, kind="track", anonymous="a", time=START, **more):
    """Return a line; the label of an event is its number, so that its hit is known again."""
    values = {"type": kind, "anonymousId": anonymous, "timestamp": time.isoformat(), "messageId": f"m{number}"}
    if kind == "track":
        values |= {"event": "Seen", "properties": {"label": str(number)}}
    return json.dumps(values | more) + "\n"


def some_lines(dice, count, first=0, time=START):
    """Return lines in which a few people come, are named, and are named anew."""
    lines = []
    for number in range(first, first + count):
        time += timedelta(minutes=dice.choice((1, 1, 1, 700)))
        anonymous, kind = f"a{dice.randrange(8)}", dice.random()
        if kind < 0.3:
            lines.append(call(number, "identify", anonymous, time, userId=f"u{dice.randrange(4)}"))
        elif kind < 0.35:
            lines.append(call(number, "alias", time=time, previousId=anonymous, userId=f"u{dice.randrange(4)}"))
        else:
            lines.append(call(number, "track", anonymous, time, event=dice.choice(("Seen", "Goal"))))
    return lines


# What is known


facts = st.builds(Fact, st.sampled_from([f"{number:016x}" for number in range(6)]), st.sampled_from("xyz"), st.just(5))


@given(st.lists(facts, max_size=30), st.integers(0, 30), st.integers(1, 4))
def test_to_learn_the_last_things_again_changes_nothing(learnt, again, room):
    with few(room=room):
        once = after("", learnt)
        assert after(once, learnt[max(0, len(learnt) - again) :]) == once
        assert after(after("", learnt[:again]), learnt[again:]) == once


def test_from_a_full_place_goes_who_was_not_seen_longest():
    with few(places=1, room=2):
        known = Identities()
        known.learn("a", "jane", 1)
        known.learn("b", "joe", 1)
        assert known.user("a", 2) == "jane"  # on another day, which counts
        known.learn("c", "jim", 2)
        assert [known.user(one, 2) for one in "abc"] == ["jane", None, "jim"]


def test_there_is_room_for_a_million():
    assert identities.PLACES * identities.ROOM == 1_048_576


@contextmanager
def few(places=identities.PLACES, room=identities.ROOM, cached=identities.CACHED):
    """Leave less room than there is."""
    before = identities.PLACES, identities.ROOM, identities.CACHED
    identities.PLACES, identities.ROOM, identities.CACHED = places, room, cached
    try:
        yield
    finally:
        identities.PLACES, identities.ROOM, identities.CACHED = before


@contextmanager
def small_blocks(size):
    before = source.Source.blocks.__kwdefaults__
    source.Source.blocks.__kwdefaults__ = {"size": size, "limit": source.LINE_LIMIT}
    try:
        yield
    finally:
        source.Source.blocks.__kwdefaults__ = before


def test_what_two_imports_learn_at_once_is_all_kept(tmp_path):
    with few(places=1), Journal(tmp_path / "journal.db") as journal:
        for user in ("jane", "joe"):
            journal.save([], (), partial(learn, journal, SITE, [Fact(f"{user:>16}".replace(" ", "0"), user, 1)]))
        assert [user for _, user, _ in json.loads(known_at(journal, SITE, 0))] == ["jane", "joe"]
        assert known_at(journal, "elsewhere", 0) == ""


def test_what_is_damaged_is_not_believed(tmp_path):
    with Journal(tmp_path / "journal.db") as journal:
        fact = Fact("0001" * 4, "jane", 1)
        journal.save([], (), partial(learn, journal, SITE, [fact]))
        with closing(sqlite3.connect(journal.path)) as db:
            db.execute("UPDATE identities SET held = replace(held, 'jane', 'joan')")
            db.commit()
        with pytest.raises(JournalError, match="users of anonymous ids is damaged"):
            known_at(journal, SITE, fact.place)


# Broken off and gone on with


class Died(Exception):
    """The run was broken off."""


class Sender:
    """A run whose lanes send in any order, one chunk each at a time, until it is done or dies."""

    def __init__(self, path, logs, dice, order="time"):
        self.dice = dice
        self.received = []
        self.in_doubt = []
        self.journal = Journal(path)
        report = Report()
        self.todo = jobs.prepare(logs, [SEGMENT], order, Resumer(self.journal, SITE, report))
        report.sources += [SourceReport(job.source.name) for job in self.todo]
        settings = Settings(logs=logs, base_url="http://example.org", shaping=SHAPING)
        self.reading = Reading(settings, self.todo, report, Interrupt())
        known = Identities(partial(known_at, self.journal, SITE), SITE)
        self.reading.identities = known
        self.lanes = Lanes(dice.randint(1, 5), dice.randint(1, 4))
        stored = [job.stored for job in self.todo]
        self.acknowledged = Acknowledged(self.journal, stored, self.lanes, known)
        self.flying = {}

    def run(self, steps, *, kill):
        """Do so many things, then die: by being killed, or with all that is known written down."""
        blocks = self.reading.blocks()
        with self.journal:
            try:
                while block := next(blocks, None):
                    number, data = block
                    self.lanes.put(self.reading.translate(number, data).entries)
                    mark = self.todo[number].mark_after(data)
                    self.acknowledged.read(number, data.end, data.line + data.lines - 1, mark)
                    for _ in range(self.dice.randrange(6)):
                        steps = self.step(steps)
                while not all(map(self.lanes.is_idle, range(len(self.lanes)))):
                    steps = self.step(steps)
            except Died:
                if kill:
                    self.in_doubt += [hit for chunk in self.flying.values() for hit in chunk]
                    return False
                for lane in self.flying:
                    self.acknowledged.withdraw(lane)
                self.lanes.abandon()
            else:
                for number, job in enumerate(self.todo):
                    self.acknowledged.completed(number, job.source.file)
            self.acknowledged.flush()
        return not steps <= 0

    def step(self, steps):
        if steps <= 0:
            raise Died
        lane = self.dice.randrange(len(self.lanes))
        if self.dice.random() < 0.1:
            self.acknowledged.flush()
        if lane in self.flying:
            chunk = self.flying.pop(lane)
            self.received += chunk
            self.acknowledged.settle(lane, chunk, len(chunk))
            self.lanes.done(lane)
            if self.dice.random() < 0.5:
                self.acknowledged.flush()
            else:
                self.in_doubt += chunk  # until something is written
        elif not self.lanes.is_idle(lane):
            self.lanes.urge()
            if chunk := self.lanes.take(lane, 0):
                self.acknowledged.begin(lane, chunk)
                self.flying[lane] = chunk
        return steps - 1


def hits_of(entries):
    return Counter(frozenset(decode(entry.query).items()) for entry in entries)


def wanted(logs, order="time"):
    """Return the hits of a run that nobody disturbed."""
    todo = jobs.prepare(logs, [SEGMENT], order, None)
    report = Report(sources=[SourceReport(job.source.name) for job in todo])
    reading = Reading(Settings(logs=logs, base_url="http://example.org", shaping=SHAPING), todo, report, Interrupt())
    return hits_of([entry for number, block in reading.blocks() for entry in reading.translate(number, block).entries])


@pytest.mark.parametrize("kill", [False, True], ids=["interrupted", "killed"])
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**9))
def test_however_often_it_is_broken_off_each_hit_is_that_of_an_undisturbed_run(kill, seed):
    dice = random.Random(seed)
    with TemporaryDirectory() as folder, few(2, dice.choice((2, 16)), 1), small_blocks(dice.choice((200, 900, 5000))):
        logs = []
        for number in range(dice.choice((1, 1, 2, 3))):
            path = Path(folder) / f"{number}.ndjson"
            text = "".join(some_lines(dice, 25, 25 * number, START + timedelta(days=30 * number))).encode()
            path.write_bytes(gzip.compress(text) if dice.random() < 0.3 else text)
            os.utime(path, (0, 0))
            logs.append(str(path))
        expected, received, in_doubt = wanted(logs), Counter(), Counter()
        for attempt in range(100):
            sender = Sender(Path(folder) / "journal.db", logs, dice)
            is_done = sender.run(dice.randint(1, 40 + 10 * attempt), kill=kill)
            received += hits_of(sender.received)
            in_doubt += hits_of(sender.in_doubt)
            if is_done:
                break
        assert is_done
        assert received.keys() == expected.keys()
        if kill:
            assert all(count <= expected[hit] + in_doubt[hit] for hit, count in received.items())
        else:
            assert received == expected


def test_an_interrupted_log_is_finished_before_an_older_one_is_begun(tmp_path):
    newer, older = tmp_path / "newer.ndjson", tmp_path / "older.ndjson"
    newer.write_text(call(0, "identify", userId="new") + "".join(call(n, anonymous=f"a{n % 5}") for n in range(1, 40)))
    older.write_text(call(50, "identify", userId="old", time=START - timedelta(days=9)) + call(51, time=START))
    dice = random.Random(3)
    sender = Sender(tmp_path / "journal.db", [str(newer)], dice)
    assert not sender.run(9, kill=False)
    sender = Sender(tmp_path / "journal.db", [str(older), str(newer)], dice)
    assert [job.source.name for job in sender.todo] == [str(newer), str(older)]
    assert sender.run(1000, kill=False)
    users = {hit["e_n"]: hit.get("uid") for hit in (decode(entry.query) for entry in sender.received)}
    assert users["51"] == "old"


# The program


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "events.ndjson"
    path.write_text("".join(some_lines(random.Random(5), 900)))
    os.utime(path, (0, 0))
    return path


OPTIONS = ["--summary", "json", "--visitor-id-key", "k", "--goal", "Goal=3", "--base-url", "http://example.org"]


def received(tracker):
    hits = Counter(frozenset(hit.items()) for hit in tracker.recorded)
    tracker.bulks.clear()
    return hits


@pytest.mark.parametrize("recorders", [1, 3, 8])
def test_any_number_of_recorders_sends_the_same(run_here, server, tracker, log, recorders):
    outcome = run_here(*OPTIONS, "--recorders", recorders, "--chunk-size", 7, log, env=server)
    assert outcome.code == 0, outcome.stderr
    mine = received(tracker)
    run_here(*OPTIONS, "--no-journal", "--recorders", 1, log, env=server)
    assert mine == received(tracker)
    users = [dict(hit).get("uid") for hit in mine]
    assert len(set(users)) == 5


def test_what_was_learnt_is_known_in_the_next_log(run_here, server, tracker, tmp_path):
    for number, text in enumerate([call(0, "identify", userId="jane"), call(1), call(2, anonymous="b")]):
        log = tmp_path / f"{number}.ndjson"
        log.write_text(text)
        os.utime(log, (0, 0))
        assert run_here(*OPTIONS, log, env=server).code == 0
    assert [hit.get("uid") for hit in tracker.recorded] == ["jane", None]
    tracker.bulks.clear()
    for option in ("--no-journal", "--from-start"):
        assert run_here(*OPTIONS, option, tmp_path / "1.ndjson", env=server).code == 0
    assert [hit.get("uid") for hit in tracker.recorded] == [None, "jane"]


def test_a_log_of_nothing_but_identify_waits_for_no_hit(run_here, server, tracker, tmp_path, monkeypatch):
    monkeypatch.setattr(identities, "MOST", 10)
    log = tmp_path / "1.ndjson"
    log.write_text(
        "".join(call(n, "identify", f"a{n}", userId=f"u{n}") for n in range(100)) + call(100, anonymous="a7")
    )
    os.utime(log, (0, 0))
    with small_blocks(500):
        assert run_here(*OPTIONS, log, env=server).code == 0
    assert [hit["uid"] for hit in tracker.recorded] == ["u7"]


@pytest.mark.parametrize("seed", range(2))
def test_after_kill_9_each_hit_is_that_of_an_undisturbed_run(start_program, run_here, server, tracker, log, seed):
    dice = random.Random(seed)
    run_here(*OPTIONS, "--no-journal", log, env=server)
    expected, all_received, in_doubt = received(tracker), Counter(), 0
    tracker.pause = lambda: 0.003 * dice.random()
    for _ in range(3):
        process = start_program(*OPTIONS, "--recorders", dice.choice((2, 3, 5)), "--chunk-size", 5, log, env=server)
        tracker.wait_for_bulks(dice.randint(3, 25))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        all_received += received(tracker)
        with closing(sqlite3.connect(next(log.parent.glob("state/*/journal.db")))) as db:
            in_doubt += db.execute("SELECT count(*) FROM lanes WHERE first IS NOT NULL").fetchone()[0] * 6
            assert db.execute("SELECT count(*) FROM identities").fetchone()[0] > 0
    tracker.pause = lambda: 0.0
    assert run_here(*OPTIONS, log, env=server).code == 0
    all_received += received(tracker)
    assert all_received.keys() == expected.keys()
    assert (all_received - expected).total() <= in_doubt
