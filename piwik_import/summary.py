"""What a report says at the end: for people, and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from piwik_import.errors import printable
from piwik_import.filters import REASONS
from piwik_import.report import Report

WHOLE = 1 << 16
"""Characters of a note that must not be cut: a path, and some lines for each of 64 lanes."""

OMISSIONS = 10
"""How many of the parameters that were left out the summary for people names."""


def as_dict(report: Report) -> dict[str, Any]:
    """Return the summary for programs."""
    return {
        "sources": [
            {
                "name": source.name,
                "format": source.format,
                "lines": source.lines - source.left,
                "bytes": source.bytes,
                "resumed_at": source.resumed_at,
            }
            for source in report.sources
        ],
        "lines": {
            "read": report.read,
            "imported": report.imported,
            "invalid": report.invalid,
            "already_imported": report.already,
            "filtered": dict(report.filtered),
            "left": report.left,
        },
        "hits": {
            "sent": report.sent,
            "tracked": report.tracked,
            "rejected": report.rejected,
            "in_doubt": report.in_doubt,
        },
        "requests": {"bulk": report.requests, "retried": report.retried},
        "rejects": {"file": report.rejects_file, "lines": report.rejects, "unknown": report.unknown},
        "warnings": [
            {
                "parameter": parameter,
                "reason": reason,
                "hits": warning.hits,
                "example": None if warning.example is None else asdict(warning.example),
            }
            for (parameter, reason), warning in report.warnings.items()
        ],
        "notes": report.remarks,
        "seconds": round(report.seconds, 3),
    }


def as_text(report: Report) -> str:
    """Return the summary for people: what was imported, what was left out and why."""
    seconds = report.seconds
    rate = f"{report.read / seconds:,.0f} lines/s" if seconds > 0 else ""
    lines = []
    for source in report.sources:
        lines.append(
            f"{printable(source.name)}: {source.lines - source.left:,} lines, format {source.format or '(empty)'}"
        )
        if source.unfinished:
            lines.append(f"  its last line is unfinished ({source.unfinished:,} bytes): left for the next run")
    lines.append(f"{report.read:,} lines in {seconds:,.1f} s ({rate})")
    lines += _rows(report) + _examples(report) + _warnings(report)
    if not report.dry_run:
        fates = f"{report.tracked:,} tracked, {report.rejected:,} rejected, {report.in_doubt:,} in doubt"
        lines.append(f"{report.sent:,} hits sent: {fates}; requests: {report.requests:,}, repeated: {report.retried:,}")
    if report.rejects:
        lines.append(
            f"Kept in {printable(report.rejects_file or '', 300)}, for `piwik-import replay`: lines: {report.rejects:,}"
        )
    lines += [f"Note: {printable(note, WHOLE if note in report.doubts else 300)}" for note in report.remarks]
    return "\n".join(lines)


def _rows(report: Report) -> list[str]:
    """Return the sums of all lines."""
    rows = [(report.imported, "would be imported" if report.dry_run else "imported")]
    rows += [(count, f"left out: {REASONS[reason]}") for reason, count in report.filtered.most_common()]
    rows += [(report.already, "imported before")] if report.already else []
    rows += [(report.bad, "invalid: cannot be read, or not be used")] if report.bad else []
    unknown, skipped = report.lines_of("unknown"), report.lines_of("skipped")
    rejected = report.lines_of("rejected") - unknown
    rows += [(rejected, "refused by the server")] if rejected else []
    rows += [(unknown, "lost by the server, which did not say which")] if unknown else []
    rows += [(skipped, "in doubt: perhaps recorded, and not sent again")] if skipped else []
    left = report.left - skipped
    rows += [(left, "read, but not sent or not answered: left for another run")] if left else []
    width = max(len(f"{count:,}") for count, _ in rows)
    return [f"  {count:{width},}  {what}" for count, what in rows]


def _examples(report: Report) -> list[str]:
    """Return the first lines that were not imported."""
    if not report.examples:
        return []
    lines = ["First lines that were not imported:"]
    for example in report.examples:
        lines.append(f"  {printable(example.source)}:{example.line}: {printable(example.reason, 300)}")
        lines.append(f"    {printable(example.text, 120)}")
    return lines


def _warnings(report: Report) -> list[str]:
    """Return the parameters that were left out of hits."""
    if not report.warnings:
        return []
    lines = ["Hits that were made without a parameter that breaks its rule:"]
    most = sorted(report.warnings.items(), key=lambda item: -item[1].hits)
    width = len(f"{most[0][1].hits:,}")
    for (parameter, reason), omission in most[:OMISSIONS]:
        lines.append(f"  {omission.hits:{width},}  {parameter}: {printable(reason, 300)}")
        if (first := omission.example) is not None:
            lines.append(f"    first {printable(first.source)}:{first.line}: {printable(first.text, 120)}")
    if len(most) > OMISSIONS:
        lines.append(f"  and {len(most) - OMISSIONS} more, which --summary json lists")
    return lines
