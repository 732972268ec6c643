"""Logs in logfmt: ``key=value`` pairs in any order, which no pattern can describe."""

from __future__ import annotations

import re
from datetime import datetime

from piwik_import.parsers.record import BadLine, OtherLine, Record
from piwik_import.parsers.request import from_parts

PAIR = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*+)"|(\S*+))')


class Logfmt:
    """What the entry point names: see `piwik_import.parsers.plugin.LineParser`."""

    title = "logfmt: pairs of key and value in any order"
    source = "https://brandur.org/logfmt"
    fields = ("ip", "time", "request", "status", "length", "user_agent", "generation_time")
    samples = (
        {
            "line": 'time=2026-11-21T08:15:02Z ip=192.0.2.1 method=GET path="/a?b=c" status=200 bytes=5 ms=12 shop=b-7',
            "ip": "192.0.2.1",
            "path": "/a",
            "query": "b=c",
            "status": 200,
            "generation_time": 12,
        },
        {
            "line": r'ip=192.0.2.2 path=/café agent="A \"q\"" method=POST time=2026-11-21T09:15:02+01:00',
            "path": "/café",
            "user_agent": 'A "q"',
        },
    )

    def parse(self, line: str) -> Record:
        """Return the record of a line."""
        pairs = {key: _plain(quoted) or bare for key, quoted, bare in PAIR.findall(line)}
        if "path" not in pairs:
            raise OtherLine("it is about no request")
        if "time" not in pairs:
            raise BadLine("there is no time=")
        return Record(
            ip=pairs.get("ip"),
            time=datetime.fromisoformat(pairs["time"]),
            request=from_parts(pairs.get("method"), pairs["path"]),
            status=_number(pairs.get("status")),
            length=_number(pairs.get("bytes")),
            user_agent=pairs.get("agent"),
            generation_time=_number(pairs.get("ms")),
            extra=pairs,  # what --map may ask for
        )


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
