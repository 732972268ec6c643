"""A log: its format and how sure that is, what else it might be, and some of its lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from piwik_import import framing, jobs
from piwik_import.errors import UnknownFormat, UsageError, printable
from piwik_import.explain.line import Explainer, Line
from piwik_import.jobs import Job
from piwik_import.parsers import forms, headers
from piwik_import.parsers.anatomy import dissect
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.detection import LINES
from piwik_import.parsers.parts import Anatomy
from piwik_import.parsers.ranking import Contender, Share, contenders, nearest, share_of
from piwik_import.parsers.record import Record
from piwik_import.source import LINE_LIMIT, Block
from piwik_import.translate import Plan

FIRST = 3
"""Lines that are explained if nobody asks for a certain one; and the first invalid one, and a hit, if none is there."""

RUNNERS_UP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is to be said of a log."""

    source: str
    definition: Definition | None
    """Its format; the one that comes nearest if none fits; None if none comes near."""
    fits: bool
    given: bool
    """Whether the user has named it."""
    share: Share
    """What becomes of the lines that were looked at."""
    others: Sequence[Contender]
    """What else fits; or comes near, if nothing fits."""
    instead: str = ""
    """The format that fits where the one that the user has named does not."""
    zone: str = ""
    """What zone its times are of, in words."""
    lines: Sequence[Line] = ()


def explain(job: Job, plan_of: Callable[[Definition], Plan], line: int | None = None) -> Explanation:
    """Explain a log, and line number `line` of it, or its first ones.

    `plan_of` says what an import makes of its lines.

    Raises SourceError, FormatError; UsageError for what cannot be meant, a log without lines and a line that it lacks.
    """
    source = job.source
    forms.check(job.hints)
    head = source.head(enough=framing.is_enough)
    sample, spread = jobs.sample_of(head)
    sample = sample or jobs.sample_of(head + b"\n")[0]  # below a header, perhaps, is one line that has no end yet
    if not sample:
        raise UsageError(f"{printable(source.name)}: there is no line in it yet that could be explained.")
    found, share = _found(job, sample)
    asked = [job.as_asked(one) for one in job.candidates]
    others = contenders(sample, asked, job.around)
    near = [] if found or others else nearest(sample, asked, job.around) or [*filter(None, [job.fixed])]
    known = found or next((one.definition for one in others), None) or (near[0] if near else None)
    if known is not None and found is None:
        known = job.as_asked(known, year=True)
        share = share_of(known, sample)
    others += [Contender(one, Share(0, 0, share.lines)) for one in near]
    if known is None:
        lines = [_unread(head, sample)]
    else:
        job.definition = replace(known, spread=spread)
        plan = plan_of(job.definition)
        explainer = Explainer(plan if found else replace(plan, shaping=None))
        lines = _first(job, explainer, FIRST if found else 1) if line is None else [explainer(_at(job, line))]
    return Explanation(
        source=source.name,
        definition=known,
        fits=found is not None,
        given=job.given,
        share=share,
        others=[one for one in others if _is_other(one.definition, known, found)][:RUNNERS_UP],
        instead=_instead(job, sample) if job.given and not found else "",
        zone="" if found is None else _zone(job, found, sample),
        lines=lines,
    )


def _found(job: Job, sample: Sequence[str]) -> tuple[Definition | None, Share]:
    """Return the format of a log, if any fits, and what becomes of its lines."""
    try:
        found = job.recognised(sample)
    except UnknownFormat:
        return None, Share(0, 0, len(sample))
    share = share_of(found, sample)
    return (found if share.fit else None), share


def _instead(job: Job, sample: Sequence[str]) -> str:
    """Return what a log would be recognised as if the user had named no format; empty if as nothing."""
    try:
        return (
            Job(job.source, job.registry.recognisable(), hints=job.hints, registry=job.registry)
            .recognised(sample)
            .label
        )
    except UsageError:  # no format, or none with the fields that the user names
        return ""


def _is_other(one: Definition, known: Definition | None, found: Definition | None) -> bool:
    """Tell whether a format is worth mention beside the one that is shown: if that fits, within the same wrapper."""
    return known is None or (one.label != known.label and (found is None or _around(one) == _around(found)))


def _around(one: Definition) -> str | None:
    """Name what is around the lines; the wrapper itself may have been told the year of its times meanwhile."""
    return None if one.wrapper is None else one.wrapper.label


def _unread(head: bytes, sample: Sequence[str]) -> Line:
    """Return the first line of a log of which no format says anything."""
    text = next((line for line in sample if not headers.is_header(line)), sample[0])
    above = head.decode("latin-1").partition(text)[0]
    return Line(number=above.count("\n") + 1, text=text, anatomy=Anatomy(text, []), fate="invalid")


def _first(job: Job, explainer: Explainer, number: int) -> list[Line]:
    """Explain the first `number` lines of a log, the first hit and the first invalid one."""
    lines: list[Line] = []
    fates: set[str] = set()
    left = LINES
    for block in _blocks(job):
        for record in islice(_records(job, block, 1), left):
            left -= 1
            fate = explainer.fate(record)
            if fate in ("blank", "header") or (fate == "invalid" and record.data[:1] == b"#"):
                continue
            if len(lines) < number or (fate in ("hit", "invalid") and fate not in fates):
                lines.append(explainer(record))
            fates.add(fate)
        # Whoever writes into a pipe may be silent for ever after what has come.
        if not left or (lines and job.source.is_pipe) or (len(lines) >= number and {"hit", "invalid"} <= fates):
            break
    return lines


def _at(job: Job, number: int) -> Block:
    """Return the record that a line is in as a block of its own. Raises UsageError if there is no such line."""
    last = 0
    for block in _blocks(job):
        last = block.line + block.lines
        if last >= number:
            for record in _records(job, block, number):
                if record.line >= number:
                    return record
    raise UsageError(f"{printable(job.source.name)}: there is no line {number:,}: it has {last - 1:,}.")


def _blocks(job: Job) -> Iterator[Block]:
    """Yield the blocks of a log, and at last the line that is perhaps still being written."""
    assert job.definition is not None
    source, last = job.source, Block(b"", 0, 0, 1, 0)
    for last in job.blocks():
        yield last
    if 0 < source.unfinished <= LINE_LIMIT and not source.is_pipe:
        header = job.definition.header_after(headers.read(last.header), last.data)
        data = source.before(last.end + source.unfinished, source.unfinished)
        yield Block(data, last.end, last.end + len(data), last.line + last.lines, 1, header=header.encode())


def _records(job: Job, block: Block, first: int) -> Iterator[Block]:
    """Yield the records of a block as blocks of their own, each under its header; of lines those from `first` on."""
    assert job.definition is not None
    is_spread, taken = framing.of(job.definition)
    if block.cut:
        yield block
    elif is_spread(block):
        for text, number, end in taken(block):
            yield _single(text.encode("latin-1"), number, block.header, end)
    else:
        lines = block.data.removesuffix(b"\n").split(b"\n")
        above = lines[: max(first - block.line, 0)]
        header = headers.read(block.header)
        if above:
            header = job.definition.header_after(header, b"\n".join([*above, b""]))
        for number, line in enumerate(lines[len(above) :], block.line + len(above)):
            yield _single(line, number, header.encode())
            header = job.definition.header_after(header, line + b"\n")


def _single(line: bytes, number: int, header: bytes, end: int = 0) -> Block:
    data = line + b"\n"
    return Block(data, max(end - len(data), 0), max(end, len(data)), number, data.count(b"\n"), header=header)


def _said(known: Definition, sample: Sequence[str]) -> str:
    """Say why the times of a log need no --timezone."""
    found = (dissect(known, line) for line in known.whole(sample))
    parts = (part for one in found for part in (one.around, *one.anatomy.parts) if part and "time" in part.fields)
    texts = [part.text for part in islice(parts, 20)]
    if any(SAYS_ZONE.search(text) for text in texts):
        return "said by the lines"
    return "none: seconds since 1970" if any(SECONDS.match(text) for text in texts) else "UTC, as the format has it"


SECONDS = re.compile(r"\d{9,19}(?:\.\d*)?$")
SAYS_ZONE = re.compile(r"(?:[+-]\d\d:?\d\d|Z|GMT|UTC)$")


def _zone(job: Job, known: Definition, sample: Sequence[str]) -> str:
    """Say of which zone the times of a log are: it shows in whether another --timezone would make others of them."""
    plain = next(one for one in job.candidates if one.name == known.name)
    times = set()
    for zone in ("+05:00", "-05:00"):
        around = None if known.wrapper is None else forms.in_zone(known.wrapper, zone)
        one = plain.read_as(replace(job.hints, timezone=zone)).within(around)
        times |= {record.time for record in islice(one.records(sample), 20) if isinstance(record, Record)}
    same = {record.time for record in islice(known.records(sample), 20) if isinstance(record, Record)}
    if times <= same:
        return _said(known, sample)
    if job.hints.timezone is not None:
        return f"{job.hints.timezone}, as --timezone says"
    return "not said by the lines: UTC (--timezone names another)"
