"""However a chunk is cut, each hit is settled once, and in order but for a suspect that lets the next go first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from piwik_import.chunk import Chunk
from piwik_import.translate import Entry


def entries(count, sources=1):
    """Return hits of so many sources, whose lines begin anew in each."""
    return [
        Entry("url=/", 0, source, line, line * 100)
        for source in range(sources)
        for line in range(1, count // sources + 1)
    ]


def pending(chunk):
    return [entry for part in chunk.parts for entry in part.entries]


STEPS = st.lists(st.tuples(st.sampled_from(["settle", "halve", "cut", "probe"]), st.integers(0, 99)), max_size=60)


@given(st.integers(1, 20), STEPS)
def test_whatever_is_cut_every_hit_is_settled_once_and_in_order_but_for_the_suspects(count, steps):
    chunk, settled, overtaken = Chunk(0, entries(count)), [], set()
    for step, place in [*steps, *[("settle", 0)] * (2 * count)]:
        if not chunk.parts:
            break
        part = chunk.parts[0]
        if part.is_probe and step != "settle":
            chunk.restore()
            suspect = chunk.parts[0].entries[0]
            if not settled or max(settled) < suspect:  # else another one went before it earlier on
                overtaken.remove(suspect)
        elif step == "halve" and len(part) > 1:
            chunk.halve()
        elif step == "cut":
            chunk.cut_out(place % len(part))
        elif step == "probe" and len(part) == 1 and chunk.let_next_go_first():
            overtaken.add(part.entries[0])
        elif step == "settle":
            settled += part.entries
            chunk.settled(len(part))
        assert sorted(settled + pending(chunk)) == chunk.entries
        assert all(part.entries for part in chunk.parts)
    assert not chunk.parts
    assert sorted(settled) == chunk.entries
    assert chunk.tracked == count
    in_order = [entry for entry in settled if entry not in overtaken]
    assert in_order == sorted(in_order)


@given(st.integers(2, 20), STEPS)
def test_the_head_is_what_is_settled_from_the_beginning_on(count, steps):
    chunk, settled = Chunk(0, entries(count, sources=2)), set()
    for step, place in steps:
        if not chunk.parts:
            break
        part = chunk.parts[0]
        if step == "halve" and len(part) > 1:
            chunk.halve()
        elif step == "cut" and not part.is_probe:
            chunk.cut_out(place % len(part))
        elif step == "probe" and len(part) == 1 and not part.is_probe:
            chunk.let_next_go_first()
        elif step == "settle":
            settled.update(part.entries)
            chunk.settled(len(part))
    head = chunk.head()
    assert head == chunk.entries[: len(head)]
    assert set(head) <= settled
    assert len(head) == len(chunk.entries) or chunk.entries[len(head)] not in settled


@given(st.integers(1, 20), STEPS)
def test_doubt_is_inherited_by_every_piece(count, steps):
    chunk = Chunk(0, entries(count))
    chunk.parts[0].in_doubt = chunk.parts[0].is_again = True
    for step, place in steps:
        if step == "halve" and len(chunk.parts[0]) > 1:
            chunk.halve(is_cut=place % 2 == 0)
        elif step == "cut":
            chunk.cut_out(place % len(chunk.parts[0]))
        elif step == "probe" and len(chunk.parts[0]) == 1 and not chunk.parts[0].is_probe:
            chunk.let_next_go_first()
    assert all(part.in_doubt and part.is_again for part in chunk.parts)


def test_a_part_that_was_cut_because_of_its_size_is_not_known_to_fail():
    chunk = Chunk(0, entries(4))
    chunk.halve(is_cut=False)
    assert not any(part.is_cut for part in chunk.parts)


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_line_with_more_hits_than_a_request_may_hold_is_sent_in_several(count, most):
    chunk = Chunk(0, entries(count), most)
    assert pending(chunk) == entries(count)
    assert all(len(part) <= most for part in chunk.parts)


def test_of_a_line_with_a_hit_that_is_not_settled_none_counts_as_done():
    first, second, third = entries(3)
    further = first._replace(is_further=True)
    chunk = Chunk(0, [first, further, second, third], 1)
    chunk.settled(1)
    assert chunk.head() == []
    chunk.settled(1)
    assert chunk.head() == [first, further]
