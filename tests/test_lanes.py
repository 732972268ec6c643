"""Lanes keep each visitor's order, give out what was put once, and hold no more than they may."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piwik_import import lanes
from piwik_import.lanes import Lanes
from piwik_import.translate import SLOTS, Entry


def entries(*slots, first=1, query="url=/"):
    """Return hits of visitors in these slots, on lines 1, 2, 3 …"""
    return [Entry(query, slot, 0, line, line * 100) for line, slot in enumerate(slots, first)]


def lines(chunk):
    return [entry.line for entry in chunk]


def chunks_of(waiting, lane):
    """Yield all chunks of a lane as a sender takes them: the next one, if it is there, before one is done."""
    chunk = waiting.take(lane)
    while chunk:
        following = waiting.take_ahead(lane)
        yield chunk
        waiting.done(lane)
        chunk = following or waiting.take(lane)


def taken(waiting, lane):
    """Take all chunks of a lane until there are no more."""
    return list(chunks_of(waiting, lane))


def later(seconds, action):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """No chunk goes out for having waited."""
    monkeypatch.setattr(lanes, "LINGER", 60.0)


def test_a_lane_gives_out_its_hits_in_the_order_they_came():
    waiting = Lanes(1, 3)
    waiting.put(entries(5, 9, 5))
    waiting.put(entries(9, 5, first=4))
    waiting.close()
    assert [lines(chunk) for chunk in taken(waiting, 0)] == [[1, 2, 3], [4, 5]]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(1, 30)), max_size=40),
    st.integers(1, 3),
    st.integers(1, 7),
    st.integers(10, 100),
)
def test_the_hits_of_a_line_stay_in_one_chunk(made, count, size, most):
    waiting = Lanes(count, size, most)
    hits = [
        Entry("x" * length, slot, 0, line, line * 100, is_further=number > 0)
        for line, (slot, each, length) in enumerate(made, 1)
        for number in range(each)
    ]
    waiting.put(hits)
    waiting.close()
    for lane in range(count):
        chunks = taken(waiting, lane)
        assert [hit for chunk in chunks for hit in chunk] == [hit for hit in hits if hit.slot % count == lane]
        for chunk in chunks:
            assert not chunk[0].is_further
            assert len(chunk) <= size or len({*lines(chunk)}) == 1
    assert waiting.wait_for_room(0)


@pytest.mark.parametrize("count", [1, 3, 4, 16])
def test_all_hits_of_one_slot_share_a_lane(count):
    waiting = Lanes(count, 7)
    waiting.put(entries(*range(SLOTS), *range(SLOTS)))
    waiting.close()
    lanes_of = {}
    for lane in range(len(waiting)):
        for chunk in taken(waiting, lane):
            for entry in chunk:
                lanes_of.setdefault(entry.slot, set()).add(lane)
    assert set(lanes_of) == set(range(SLOTS))
    assert all(len(found) == 1 for found in lanes_of.values())


def test_no_chunk_is_larger_than_asked():
    waiting = Lanes(1, 10)
    waiting.put(entries(*[0] * 25))
    waiting.close()
    assert [len(chunk) for chunk in taken(waiting, 0)] == [10, 10, 5]


def test_a_chunk_that_is_not_full_waits_for_more():
    waiting = Lanes(1, 3)
    waiting.put(entries(0, 0))
    timer = later(0.2, lambda: waiting.put(entries(0, first=3)))
    assert lines(waiting.take(0)) == [1, 2, 3]
    timer.join()


def test_a_hit_that_has_waited_long_is_given_out_alone(monkeypatch):
    monkeypatch.setattr(lanes, "LINGER", 0.1)
    waiting = Lanes(2, 100)
    waiting.put(entries(0))
    assert lines(waiting.take(0)) == [1]


def test_close_lets_out_what_waits():
    waiting = Lanes(1, 100)
    waiting.put(entries(0))
    timer = later(0.1, waiting.close)
    assert lines(waiting.take(0)) == [1]
    assert waiting.take(0) is None
    timer.join()


def test_close_wakes_a_lane_that_has_nothing():
    waiting = Lanes(1, 100)
    timer = later(0.1, waiting.close)
    assert waiting.take(0) is None
    timer.join()


def test_full_lanes_ask_to_wait_and_let_go_when_a_chunk_is_taken():
    waiting = Lanes(1, 2, capacity=50)
    assert waiting.wait_for_room(0)
    waiting.put(entries(0, 0, 0, 0, query="x" * 20))
    assert not waiting.wait_for_room(0.05)
    timer = later(0.1, lambda: waiting.take(0))
    assert waiting.wait_for_room(10)
    timer.join()


def test_full_lanes_give_out_chunks_that_are_not_full_else_nothing_would_move():
    waiting = Lanes(2, 100, capacity=50)
    waiting.put(entries(0, 1, 1, query="x" * 20))
    assert lines(waiting.take(0)) == [1]
    assert waiting.wait_for_room(0)


def test_a_lane_that_one_visitor_fills_does_not_keep_the_others_from_being_filled():
    waiting = Lanes(2, 10, capacity=10_000)
    waiting.put(entries(*[0] * 400, query="x" * 20))
    assert waiting.wait_for_room(0)
    waiting.put(entries(*[1] * 10, first=401))
    assert lines(waiting.take(1)) == list(range(401, 411))


def test_a_lane_gives_out_its_next_chunk_before_the_one_taken_last_is_done():
    waiting = Lanes(1, 2)
    waiting.put(entries(0, 0, 0, 0, 0))
    assert lines(waiting.take(0)) == [1, 2]
    assert lines(waiting.take_ahead(0)) == [3, 4]
    assert waiting.take_ahead(0) is None  # it would not be full
    waiting.done(0)
    assert not waiting.is_idle(0)
    waiting.close()
    assert lines(waiting.take_ahead(0)) == [5]
    waiting.done(0)
    waiting.done(0)
    assert waiting.is_idle(0)
    assert waiting.take_ahead(0) is None


def test_nothing_is_taken_ahead_while_a_hit_waits_that_goes_alone():
    waiting = Lanes(2, 1)
    waiting.put(entries(0, 0))
    assert lines(waiting.take(0)) == [1]
    assert lines(waiting.take_ahead(0)) == [2]
    waiting.put_alone(entries(0, first=3))
    waiting.put(entries(0, 1, first=4))
    assert waiting.take_ahead(0) is None
    waiting.done(0)
    waiting.done(0)
    assert lines(waiting.take(0)) == [3]
    assert waiting.take_ahead(0) is None
    assert waiting.take(1, patience=0) == []
    waiting.done(0)
    assert lines(waiting.take(0)) == [4]
    assert lines(waiting.take(1)) == [5]


def test_abandoned_lanes_give_out_nothing_more_whatever_is_put():
    waiting = Lanes(1, 2, capacity=50)
    waiting.put(entries(0, 0, query="x" * 20))
    waiting.abandon()
    waiting.put(entries(0, 0, query="x" * 20))
    assert waiting.take(0) is None
    assert waiting.wait_for_room(0)


def test_abandoning_wakes_who_waits():
    waiting = Lanes(1, 2, capacity=10)
    waiting.put(entries(0, query="x" * 20))
    waiting.take(0)
    waiting.put(entries(0, query="x" * 20))
    timer = later(0.1, waiting.abandon)
    start = monotonic()
    assert waiting.wait_for_room(10)
    assert waiting.take(0) is None
    assert monotonic() - start < 5
    timer.join()


@settings(max_examples=50)
@given(
    slots=st.lists(st.integers(0, SLOTS - 1), max_size=300),
    count=st.integers(1, 9),
    size=st.integers(1, 20),
    capacity=st.integers(1, 500),
    batch=st.integers(1, 50),
)
def test_whatever_is_put_is_taken_once_and_in_the_order_of_each_slot(slots, count, size, capacity, batch):
    waiting = Lanes(count, size, capacity=capacity)
    hits = entries(*slots)
    with ThreadPoolExecutor(count) as threads:
        chunks = [threads.submit(taken, waiting, lane) for lane in range(count)]
        for at in range(0, len(hits), batch):
            waiting.put(hits[at : at + batch])
            assert waiting.wait_for_room(10)
        waiting.close()
    got = [[entry for chunk in lane.result() for entry in chunk] for lane in chunks]
    assert all(len(chunk) <= size for lane in chunks for chunk in lane.result())
    assert sorted(entry.line for lane in got for entry in lane) == list(range(1, len(hits) + 1))
    for lane, given_out in enumerate(got):
        assert given_out == [entry for entry in hits if entry.slot % count == lane]


@settings(max_examples=60)
@given(
    slots=st.lists(st.tuples(st.integers(0, SLOTS - 1), st.sampled_from([False] * 6 + [True])), max_size=120),
    count=st.integers(1, 6),
    size=st.integers(1, 20),
    capacity=st.integers(1, 500),
    stop=st.none() | st.integers(0, 120),
)
def test_a_hit_that_goes_alone_keeps_all_that_came_later_waiting_and_nobody_for_ever(
    slots, count, size, capacity, stop
):
    waiting, events = Lanes(count, size, capacity=capacity), []
    hits = entries(*[slot for slot, _ in slots])
    alone = {hit.line for hit, (_, is_alone) in zip(hits, slots, strict=True) if is_alone}

    def work(lane):
        for chunk in chunks_of(waiting, lane):
            events.append(("taken", lines(chunk)))
            events.append(("done", lines(chunk)))

    with ThreadPoolExecutor(count) as threads:
        ends = [threads.submit(work, lane) for lane in range(count)]
        for place, hit in enumerate(hits):
            if place == stop:
                waiting.abandon()
            waiting.put_alone([hit]) if hit.line in alone else waiting.put([hit])
            assert waiting.wait_for_room(10)
        waiting.close()
        assert [end.result(20) for end in ends] == [None] * count
    taken = [line for what, chunk in events if what == "taken" for line in chunk]
    assert len(set(taken)) == len(taken)
    if stop is None or stop >= len(hits):
        assert len(taken) == len(hits)
    for lane in range(count):
        mine = {hit.line for hit in hits if hit.slot % count == lane}
        assert [line for line in taken if line in mine] == sorted(mine & set(taken))
    for line in alone & set(taken):
        assert ("taken", [line]) in events
        before = events[: events.index(("done", [line]))]
        assert all(max(chunk) <= line for what, chunk in before if what == "taken")
