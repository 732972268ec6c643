"""An import that is stopped at any moment, also while a chunk is sent in parts, loses and doubles nothing."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter

import pytest

from piwik_import.cli import main

pytestmark = pytest.mark.usefixtures("quick")

LINES = 24


@pytest.fixture
def run_here(capfd, monkeypatch, server, tmp_path):
    """Return a function that runs the program in this process and returns its exit code and summary."""
    for name, value in (server | {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["--summary", "json", "--progress", "none", *map(str, arguments)])
        return end.value.code or 0, json.loads(capfd.readouterr().out)

    return run


def stop_at(tracker, count):
    """Send this process SIGTERM when request number `count` has come."""
    usual = tracker.take

    def take(*arguments):
        if len(tracker.bulks) == count - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return usual(*arguments)

    tracker.take = take


def received(tracker):
    return Counter(int(hit["url"].rpartition("/")[2]) for hit in tracker.recorded)


TROUBLES = {
    "none": {},
    "a hit that the tracker fails on": {"poison": lambda hit: hit["url"].endswith(("/5", "/6", "/17"))},
    "requests that are too large": {"most_bytes": 1900},
}


CASES = [("none", 1, range(1, 4)), ("requests that are too large", 1, range(1, 7))]
CASES += [("a hit that the tracker fails on", lanes, range(1, 15)) for lanes in (1, 3)]


@pytest.mark.parametrize(
    ("trouble", "lanes", "count"),
    [(trouble, lanes, count) for trouble, lanes, counts in CASES for count in counts],
)
def test_what_was_stopped_goes_on_and_each_hit_is_received_once(run_here, tracker, make_log, trouble, count, lanes):
    for name, value in TROUBLES[trouble].items():
        setattr(tracker, name, value)
    stop_at(tracker, count)
    options = ("--recorders", lanes, "--chunk-size", 12, make_log(lines=LINES))
    codes, again, rejected = [], set(), 0
    for _ in range(2):
        code, summary = run_here(*options)
        codes.append(code)
        rejected += summary["hits"]["rejected"]
        assert summary["hits"]["in_doubt"] == 0
        for note in summary["notes"]:
            if "sent again by the next run" in note:
                first, last = re.search(r"lines (\d+) to (\d+)", note).groups()
                again |= set(range(int(first), int(last) + 1))
    bad = {5, 6, 17} if "fails" in trouble else set()
    counts = received(tracker)
    assert counts.keys() == set(range(1, LINES + 1)) - bad
    assert rejected == len(bad)
    twice = {line for line, number in counts.items() if number > 1}
    assert len(twice) <= 1  # of a hit that went before a suspect
    assert twice <= again
    assert set(codes) <= {0, 3, 130}
