"""No lane sends hits of a new day of the site before its first hit is answered, and that costs one small request."""

from __future__ import annotations

import os
import random
import signal
from datetime import datetime, timedelta
from time import monotonic
from zoneinfo import ZoneInfo

import pytest
from conftest import START, line_of

from piwik_import.cli import main

DAYS = 4
A_DAY = 150
"""Lines."""


@pytest.fixture
def log(tmp_path):
    """A log of some days from the morning on, of many visitors, some of whose lines come late."""
    dice, path = random.Random(7), tmp_path / "access.log"
    minutes = sorted(dice.randrange(DAYS * 1440) for _ in range(DAYS * A_DAY))
    with path.open("w") as file:
        for line, minute in enumerate(minutes, 1):
            late = dice.choice((0,) * 9 + (30,)) if minute > 60 else 0
            visitor = f"198.18.0.{dice.randrange(200)}"
            file.write(line_of(line, visitor, START + timedelta(minutes=minute - late)))
    return path


def by_day(bulks, zone):
    """Return the bulks that hold hits of each day of a zone, in the order in which they came."""
    found = {}
    for bulk in sorted(bulks, key=lambda bulk: bulk.arrived):
        for hit in bulk.hits:
            day = datetime.fromisoformat(hit["cdt"] + "+00:00").astimezone(ZoneInfo(zone)).date()
            if not (came := found.setdefault(day, [])) or came[-1] is not bulk:
                came.append(bulk)
    return found


def assert_each_day_begins_alone(bulks, zone):
    days = by_day(bulks, zone)
    for first, *others in days.values():
        assert all(bulk.arrived >= first.answered for bulk in others)
    for day, (first, *_) in list(days.items())[1:]:
        assert len(first.hits) == 1, day
    return days


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/St_Johns", "Asia/Kathmandu"])
def test_the_first_hit_of_each_day_of_the_site_goes_alone(run_import, tracker, log, zone):
    tracker.timezone = zone
    dice = random.Random(3)
    tracker.pause = lambda: dice.random() * 0.02
    outcome = run_import(log, "--recorders", 8, "--chunk-size", 20)
    assert outcome.code == 0
    assert len(tracker.recorded) == DAYS * A_DAY
    assert tracker.most_at_once > 1
    assert len(assert_each_day_begins_alone(tracker.bulks, zone)) >= DAYS


def test_a_day_costs_one_small_request(run_import, tracker, log):
    outcome = run_import(log, "--recorders", 1, "--chunk-size", 10_000)
    assert outcome.code == 0
    days = assert_each_day_begins_alone(tracker.bulks, "UTC")
    alone = [bulk for bulk in tracker.bulks if len(bulk.hits) == 1]
    assert len(alone) <= len(days)
    assert len(tracker.bulks) <= 2 * len(days) + 2  # what came before midnight, and the first after it
    assert sum(call["method"] == "SitesManager.getSiteFromId" for call in map(dict, tracker.calls)) == 2  # base, zone


def test_days_begin_alone_after_a_restart_too(start_program, run_import, server, tracker, log):
    tracker.timezone = "Pacific/Auckland"
    tracker.pause = lambda: 0.01
    options = (log, "--recorders", 4, "--chunk-size", 10)
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = start_program(*options, env=server)
        tracker.wait_for_bulks(len(tracker.bulks) + 15)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert run_import(*options).code == 0
    assert {hit["url"] for hit in tracker.recorded} == {
        f"http://example.org/{line}" for line in range(1, DAYS * A_DAY + 1)
    }
    for first, *others in by_day(tracker.bulks, "Pacific/Auckland").values():
        assert all(bulk.arrived >= first.answered for bulk in others)


@pytest.fixture
def run_here(capfd, monkeypatch, server, tmp_path):
    """Return a function that runs the program in this process and returns its exit code and what it said."""
    for name, value in (server | {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["--summary", "json", "--progress", "none", *map(str, arguments)])
        return end.value.code or 0, capfd.readouterr()

    return run


def two_hits(tmp_path, page="1"):
    path = tmp_path / "access.log"
    path.write_text(line_of(page) + line_of("2", time=START + timedelta(hours=1)))
    return path


@pytest.mark.timeout(20)
def test_a_first_hit_that_is_not_recorded_does_not_keep_the_others_waiting(run_here, tracker, tmp_path):
    tracker.most_bytes = 2500
    code, said = run_here(two_hits(tmp_path, "x" * 3000))
    assert code == 3, said
    assert [hit["url"] for hit in tracker.recorded] == ["http://example.org/2"]


@pytest.mark.timeout(20)
def test_a_first_hit_whose_answer_is_lost_does_not_keep_the_others_waiting(run_here, tracker, tmp_path):
    tracker.answers(hang_up=True)
    code, said = run_here(two_hits(tmp_path), "--in-doubt", "skip")
    assert code == 3, said
    assert [hit["url"] for hit in tracker.recorded] == ["http://example.org/2"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("day", [1, 2])
def test_the_first_hit_of_a_day_is_rejected_if_the_tracker_fails_on_it_and_all_else_goes_on(
    run_here, tracker, tmp_path, day
):
    path = tmp_path / "access.log"
    with path.open("w") as file:
        for line in range(60):
            file.write(line_of(line, f"198.18.0.{line}", START + timedelta(hours=line)))
    bad = {1: 0, 2: 14}[day]
    tracker.poison = lambda hit: hit["url"].endswith(f"/{bad}")
    code, said = run_here(path, "--recorders", 4)
    assert code == 3, said
    assert sorted(int(hit["url"].rpartition("/")[2]) for hit in tracker.recorded) == sorted(set(range(60)) - {bad})


@pytest.mark.timeout(20)
def test_to_stop_does_not_wait_for_the_zone(run_here, tracker, tmp_path):
    usual, begun = tracker.call, []

    def call(fields):
        if tracker.bulks:
            begun.append(monotonic())
            os.kill(os.getpid(), signal.SIGTERM)
            tracker.closing.wait(15)
        return usual(fields)

    tracker.call = call
    code, _ = run_here(two_hits(tmp_path))
    assert code == 130
    assert monotonic() - begun[0] < 10
