"""The door opens for one, then for as many as the server has room for, and closes for all."""

from __future__ import annotations

import threading
from time import monotonic, sleep

import pytest

from piwik_import import pace
from piwik_import.pace import Pace, Pauses
from piwik_import.policy import Policy


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(pace, "FIRST_PAUSE", 0.05)


def enters(one, hits=1):
    """Tell whether a request may go out now."""
    entered = threading.Event()
    thread = threading.Thread(target=lambda: one.enter(hits) is not None and entered.set(), daemon=True)
    thread.start()
    return entered.wait(0.2)


def opened(policy, answers=1):
    one = Pace(policy)
    for _ in range(answers):
        one.enter(1)
        one.recorded(1, 0.01)
    return one


def test_until_something_was_recorded_only_one_goes_through():
    one = Pace(Policy(recorders=4))
    assert enters(one)
    assert not enters(one)


def test_each_quick_answer_lets_one_more_go_until_there_are_as_many_as_recorders():
    one = opened(Policy(recorders=3), answers=5)
    assert [enters(one) for _ in range(4)] == [True, True, True, False]


def test_trouble_closes_the_door_for_all_and_then_one_goes_first():
    one = opened(Policy(recorders=4), answers=4)
    turn = one.enter(1)
    assert one.failed(turn) > 0
    start = monotonic()
    assert one.enter(1) is not None
    assert monotonic() - start > 0.01
    assert not enters(one)


def test_requests_that_fail_together_close_the_door_once():
    one = opened(Policy(recorders=4, retry_max_attempts=3), answers=4)
    turns = [one.enter(1) for _ in range(4)]
    assert all(one.failed(turn) is not None for turn in turns)


def test_the_last_of_the_tries_that_are_allowed_is_the_last():
    pauses = Pauses(60.0, most=3)
    assert [pauses.next() is None for _ in range(3)] == [False, False, True]


def test_a_success_begins_the_count_of_tries_anew():
    one = Pace(Policy(retry_max_attempts=2))
    for _ in range(5):
        assert one.failed(one.enter(1)) is not None
        one.enter(1)
        one.recorded(1, 0.01)
    assert one.failed(one.enter(1)) is not None
    assert one.failed(one.enter(1)) is None


def test_requests_grow_while_full_ones_are_answered_quickly_and_never_beyond_the_limit():
    one, sizes = Pace(Policy(chunk_size=1000)), []
    for _ in range(5):
        one.enter(one.size)
        one.recorded(one.size, 0.1)
        sizes.append(one.size)
    assert sizes == [400, 800, 1000, 1000, 1000]


def test_requests_do_not_grow_while_they_are_not_full():
    one = opened(Policy(), answers=10)
    assert one.size == 200


def test_requests_shrink_while_answers_take_long_but_not_to_nothing():
    one = Pace(Policy())
    for _ in range(9):
        one.enter(one.size)
        one.recorded(one.size, 20.0)
    assert one.size == pace.LEAST_SIZE


def answered(one, at_once, seconds_of_hit):
    """Have full requests answered, as many at once as may go, by a server that has so much work to do for each hit."""
    for _ in range(30):
        allowed = one._allowed
        one.enter(one.size)
        one.recorded(one.size, one.size * seconds_of_hit * max(1.0, allowed / at_once))


def test_a_server_that_works_at_two_requests_at_once_gets_few_more():
    one = Pace(Policy(recorders=16))
    answered(one, at_once=2, seconds_of_hit=0.005)
    assert 2 <= one._allowed <= 4


def test_a_server_that_has_room_gets_as_many_as_there_are_recorders():
    one = Pace(Policy(recorders=16))
    answered(one, at_once=100, seconds_of_hit=0.005)
    assert one._allowed == 16


def test_after_a_clash_half_as_many_go_at_once():
    one = opened(Policy(recorders=8), answers=8)
    one.clashed()
    assert one._allowed == 4


def test_no_more_hits_a_second_go_out_than_allowed():
    one = Pace(Policy(max_rate=100.0, recorders=1))
    assert one.size == 100
    start = monotonic()
    for _ in range(3):
        one.enter(20)
        one.recorded(20, 0.01)
    assert monotonic() - start >= 0.4


def test_nobody_waits_at_a_door_that_is_shut_for_good():
    one = Pace(Policy())
    one.enter(1)
    threading.Timer(0.1, one.stop).start()
    assert one.enter(1) is None


@pytest.mark.parametrize("rate", [float("inf"), 1e300, 1e-300])
def test_a_rate_may_be_as_large_or_small_as_a_number_can_be(rate):
    one = Pace(Policy(max_rate=rate))
    assert 1 <= one.size <= 200
    assert one.enter(1) is not None


def test_less_than_one_hit_a_second_goes_out_one_by_one():
    one = Pace(Policy(max_rate=0.5))
    assert one.size == 1
    assert enters(one)
    one.recorded(1, 0.01)
    assert not enters(one)
    one.stop()


def test_who_waits_at_the_door_is_let_in_in_turn():
    one, entered = Pace(Policy(recorders=1)), []
    one.enter(1)

    def work(lane):
        for _ in range(20):
            one.enter(1)
            entered.append(lane)
            one.recorded(1, 0.01)

    threads = [threading.Thread(target=work, args=(lane,)) for lane in range(4)]
    for thread in threads:
        thread.start()
    while len(one._queue) < 4:
        sleep(0.001)
    one.recorded(1, 0.01)
    for thread in threads:
        thread.join()
    assert all(set(entered[begin : begin + 4]) == {0, 1, 2, 3} for begin in range(0, 80, 4))
