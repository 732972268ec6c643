"""The hits that a sandbox has recorded: a table in SQLite, and the report on it.

A row is a hit, with every parameter as it was received. A visit is all hits of a visitor with no 30 minutes between
them, in the order of their times.

This module knows nothing of tracking requests: who the visitor is and what kind of hit it is, rows say.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from piwik_import.errors import printable

KINDS = {
    "page": "page views",
    "download": "downloads",
    "ping": "pings",
    "ecommerce": "carts and orders",
    "goal": "goals",
    "search": "site searches",
    "event": "events",
    "content": "contents",
    "outlink": "outlinks",
}
"""What a hit can be, and what a report calls such hits."""

ALWAYS = ("page", "download")
"""Kinds that a report counts even when there are none."""


class Row(NamedTuple):
    """A hit as it is stored: `cdt` is UTC; in the JSON of `parameters`, bytes that are not UTF-8 are \\udcXX."""

    idsite: int
    cip: str
    cdt: str
    visitor: str
    kind: str
    """One of `KINDS`."""
    url: str
    title: str
    bot: bool
    new_visit: bool
    ec_id: str | None
    parameters: str


SCHEMA = f"""
CREATE TABLE IF NOT EXISTS hits (id INTEGER PRIMARY KEY, {", ".join(Row._fields)});
CREATE UNIQUE INDEX IF NOT EXISTS orders ON hits (idsite, ec_id) WHERE ec_id IS NOT NULL;
CREATE VIEW IF NOT EXISTS actions AS
    SELECT *, sum(begins) OVER (ORDER BY idsite, visitor, unix, id) AS visit FROM (
        SELECT *, new_visit OR ifnull(unix - lag(unix) OVER (PARTITION BY idsite, visitor ORDER BY unix, id) > 1800, 1)
            AS begins FROM (SELECT *, CAST(strftime('%s', cdt) AS INTEGER) AS unix FROM hits));
"""
INSERT = f"INSERT OR IGNORE INTO hits ({', '.join(Row._fields)}) VALUES ({', '.join('?' * len(Row._fields))})"
TOP = "SELECT {0}, count(*) FROM hits {1} GROUP BY {0} ORDER BY 2 DESC, 1 LIMIT {2}"


def _of(name: str) -> str:
    return f"json_extract(parameters, '$.\"{name}\"')"


def _top(text: str, kind: str) -> str:
    return f"SELECT {text} AS text, count(*) FROM hits WHERE kind = '{kind}' GROUP BY text ORDER BY 2 DESC, 1 LIMIT 10"


LISTS = {
    "events": _top(f"{_of('e_c')} || ' / ' || {_of('e_a')} || ifnull(' / ' || {_of('e_n')}, '')", "event"),
    "contents": _top(f"{_of('c_n')} || ': ' || ifnull({_of('c_i')}, 'impression')", "content"),
    "searches": _top(_of("search"), "search"),
    "goals": "SELECT 'goal ' || goal || ', revenue ' || round(sum(revenue), 2), count(*) FROM"
    f" (SELECT {_of('idgoal')} AS goal, CAST(ifnull({_of('revenue')}, 0) AS REAL) AS revenue FROM hits"
    " WHERE kind = 'goal') GROUP BY goal ORDER BY 2 DESC, 1 LIMIT 10",
    "orders": f"SELECT ec_id || ', ' || ifnull({_of('revenue')}, 'no') || ' in all',"
    f" ifnull(CASE WHEN json_valid({_of('ec_items')}) THEN json_array_length({_of('ec_items')}) END, 0)"
    f" FROM hits WHERE ec_id IS NOT NULL ORDER BY CAST({_of('revenue')} AS REAL) DESC, ec_id LIMIT 10",
}
"""What a report lists of actions that are no pages."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a sandbox has recorded; its text is for people, and leaves out most of what is zero."""

    visits: int
    visitors: int
    actions: Mapping[str, int]
    """Hits by the kinds of `KINDS`, those without hits too."""
    bots: int
    """Hits of any kind that bots made."""
    invalid: int
    """Hits refused one by one, since the start."""
    refused: int
    """Requests refused as a whole for one value that SQL does not take, since the start."""
    first: str | None
    last: str | None
    events: list[tuple[str, int]]
    """Category, action and name of the ten most frequent events."""
    contents: list[tuple[str, int]]
    """Names of contents with what was done with them; an impression if nothing."""
    searches: list[tuple[str, int]]
    goals: list[tuple[str, int]]
    """Goals with the revenue of all their conversions."""
    orders: list[tuple[str, int]]
    """The ten dearest orders, with the number of their items."""
    days: list[tuple[str, int]]
    """The three days with most hits."""
    pages: list[tuple[str, int]]
    """The ten URLs with most page views."""
    faults: list[tuple[str, int]]
    """What hits that were recorded all the same had against the rules of the Tracking API, since the start."""

    def __str__(self) -> str:
        counts = {"visits": self.visits, "visitors": self.visitors}
        counts |= {KINDS[kind]: count for kind, count in self.actions.items() if count or kind in ALWAYS}
        problems = {"by bots": self.bots, "invalid hits": self.invalid, "refused requests": self.refused}
        counts |= {label: count for label, count in problems.items() if count}
        lines = [f"{count:>10,}  {label}" for label, count in counts.items()]
        if self.first:
            lines += ["", f"from {self.first} to {self.last} UTC"]
        lists = {
            "busiest days": self.days,
            "top pages": self.pages,
            "events": self.events,
            "contents": self.contents,
            "site searches": self.searches,
            "goals": self.goals,
            "orders, with the number of items": self.orders,
            "recorded against the rules of the API": self.faults,
        }
        for title, rows in lists.items():
            if rows:
                lines += ["", title, *(f"{count:>10,}  {printable(text)}" for text, count in rows)]
        return "\n".join(lines)


class Store:
    """A store of hits that threads may share.

    Args:
        path: the SQLite file to write and go on with, or ":memory:".

    Raises:
        sqlite3.Error: the file cannot be used.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False)
        try:
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA synchronous = OFF")  # what is tried out need not outlive a loss of power
            self._db.executescript(SCHEMA)
        except sqlite3.Error:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file; what was in memory is gone."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep other threads out, and undo every `add` of the block if an exception leaves it."""
        with self._lock, self._db:
            yield

    def add(self, row: Row) -> bool:
        """Store a hit, within a transaction; return False if its site has an order of that `ec_id` already."""
        return self._db.execute(INSERT, row).rowcount == 1

    def hits(self) -> list[dict[str, Any]]:
        """Return every stored hit in the order of arrival: the columns of `Row`, with id and visit."""
        with self._lock:
            rows = self._db.execute(f"SELECT id, visit, {', '.join(Row._fields)} FROM actions ORDER BY id").fetchall()
        return [{**row, "parameters": json.loads(row["parameters"])} for row in rows]

    def report(self, *, invalid: int, refused: int, faults: list[tuple[str, int]]) -> Report:
        """Return the report on all hits; of what was not recorded only the caller knows."""
        with self._lock:
            kinds = dict(self._db.execute("SELECT kind, count(*) FROM hits GROUP BY kind").fetchall())
            totals = self._db.execute(
                "SELECT ifnull(sum(begins), 0) AS visits, count(DISTINCT idsite || ' ' || visitor) AS visitors,"
                " ifnull(sum(bot), 0) AS bots, min(cdt) AS first, max(cdt) AS last FROM actions"
            ).fetchone()
            return Report(
                **totals,
                actions={kind: kinds.get(kind, 0) for kind in KINDS},
                invalid=invalid,
                refused=refused,
                faults=faults,
                days=[tuple(row) for row in self._db.execute(TOP.format("date(cdt)", "", 3))],
                pages=[tuple(row) for row in self._db.execute(TOP.format("url", "WHERE kind = 'page'", 10))],
                events=self._list("events"),
                contents=self._list("contents"),
                searches=self._list("searches"),
                goals=self._list("goals"),
                orders=self._list("orders"),
            )

    def _list(self, name: str) -> list[tuple[str, int]]:
        return [tuple(row) for row in self._db.execute(LISTS[name])]
