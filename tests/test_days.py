"""The first hit of a day goes alone, whatever the zone of the site."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piwik_import.days import Days, zone_of
from piwik_import.translate import Entry


def entries(*moments):
    return [
        Entry(
            f"idsite=1&rec=1&url=http://example.org/&cip=198.18.0.1&cdt={moment.replace(' ', '%20')}:00",
            0,
            0,
            line,
            line,
        )
        for line, moment in enumerate(moments, 1)
    ]


def firsts(moments, zone=UTC, cut=1000):
    """Return the lines that go alone, the hits being put in batches."""
    hits, days, alone, rest = entries(*moments), Days(lambda: zone), [], []
    for begin in range(0, len(hits), cut):
        for before, first in days.parts(hits[begin : begin + cut]):
            rest += before
            alone += [entry.line for entry in first]
            rest += first
    assert rest == hits
    return alone


def test_the_first_hit_of_each_day_but_the_first_goes_alone():
    moments = ["2026-03-05 10:00", "2026-03-05 23:59", "2026-03-06 00:00", "2026-03-06 00:00", "2026-03-08 12:00"]
    assert firsts(moments) == [3, 5]


def test_a_day_that_comes_back_is_known():
    assert firsts(["2026-03-05 10:00", "2026-03-06 00:00", "2026-03-05 23:59", "2026-03-06 00:01"]) == [2]


def test_days_are_those_of_the_site():
    moments = ["2026-03-05 17:00", "2026-03-05 18:29", "2026-03-05 18:30", "2026-03-06 00:00"]
    assert firsts(moments, timezone(timedelta(hours=5, minutes=30))) == [3]


def test_a_log_of_a_quarter_of_an_hour_asks_for_no_zone():
    days = Days(lambda: pytest.fail("asked"))
    hits = entries("2026-03-05 23:45", "2026-03-05 23:59")
    assert list(days.parts(hits)) == [(hits, ())]


def test_a_hit_without_a_time_is_of_no_day():
    hits = [Entry("idsite=1&rec=1&url=http://example.org/", 0, 0, 1, 1)]
    assert list(Days(lambda: UTC).parts(hits)) == [(hits, ())]


@given(st.lists(st.integers(0, 5000), max_size=50), st.integers(1, 7), st.sampled_from([-8.0, 0.0, 5.75, 13.0]))
def test_every_hit_stays_in_its_place_and_each_day_begins_once(minutes, cut, hours):
    moments = [f"2026-03-{5 + minute // 1440:02} {minute % 1440 // 60:02}:{minute % 60:02}" for minute in minutes]
    alone = firsts(moments, timezone(timedelta(hours=hours)), cut)
    of_day = [(minute + int(hours * 60)) // 1440 for minute in minutes]
    news = [line for line, day in enumerate(of_day, 1) if day not in of_day[: line - 1]]
    assert alone == news[1:]


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("UTC", 0),
        ("UTC+2", 2),
        ("UTC-3.5", -3.5),
        ("UTC+5.75", 5.75),
        ("", 0),
        ("Nowhere/Land", 0),
        ("UTC+99", 0),
        ("../x", 0),
    ],
)
def test_zones_are_read_as_piwik_names_them(name, hours):
    assert datetime(2026, 3, 5, tzinfo=UTC).astimezone(zone_of(name)).utcoffset() == timedelta(hours=hours)


def test_the_hits_of_a_line_go_alone_together():
    one, two, three = entries("2026-03-05 10:00", "2026-03-06 00:00", "2026-03-06 00:00")
    further = two._replace(is_further=True)
    parts = [(list(before), list(first)) for before, first in Days(lambda: UTC).parts([one, two, further, three])]
    assert parts == [([one], []), ([], [two, further]), ([three], [])]
