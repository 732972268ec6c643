"""The whole path: sources → blocks → batches → lanes → server. The only module that knows all of it.

prepare     find the sources, recognise their formats, put them in order: all that can be wrong with what the
            user asked for is known before anything is sent
run         read, translate, hand over; meanwhile the lanes' threads send
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from piwik_import import interrupt, source
from piwik_import.errors import Interrupted, PiwikImportError, SourceError, UnknownFormat, UsageError
from piwik_import.filters import FilterSettings
from piwik_import.hits import DOWNLOADS, HitSettings
from piwik_import.interrupt import Interrupt
from piwik_import.parsers import definition, detection
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.record import BadLine
from piwik_import.report import Report, SourceReport
from piwik_import.source import Block, Source
from piwik_import.translate import Batch, Plan, Translator

PLACEHOLDER = "http://localhost"
"""Where pages are in a dry run that knows no better: nothing is sent, so nobody is asked."""

LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asked for."""

    logs: Sequence[str]
    format: str | None = None
    order: str = "time"
    url: str | None = None
    token: str | None = None
    site: int = 1
    base_url: str | None = None
    bots: bool = False
    static: bool = False
    errors: bool = False
    redirects: bool = False
    downloads: frozenset[str] = DOWNLOADS
    recorders: int = 4
    chunk_size: int = 200
    retry_for: float = 600.0
    request_timeout: float = 300.0
    dry_run: bool = False


@dataclass(slots=True)
class Job:
    """One source and what its lines are. A source that is empty so far has no format."""

    source: Source
    definition: Definition | None
    first: datetime
    """The time of its first record."""

    @property
    def needs_base(self) -> bool:
        """Whether its lines do not say where the pages are."""
        return self.definition is None or "host" not in self.definition.fields


def run(settings: Settings, report: Report, output: IO[str] | None = None) -> None:
    """Import what `settings` name and count it in `report`; in a dry run write the hits to `output`, if given.

    Raises PiwikImportError; what has been counted until then stays true.
    """
    jobs = prepare(settings)
    for job in jobs:
        name = job.definition.name if job.definition else None
        report.sources.append(SourceReport(job.source.name, name, job.source.size))
    with interrupt.handled() as asked:
        run = _Run(settings, jobs, report, asked)
        if settings.dry_run:
            run.dry(output)
        else:
            run.deliver()


def prepare(settings: Settings) -> list[Job]:
    """Find and recognise the sources, in the order in which they are to be read.

    Raises SourceError, UnknownFormat, FormatError.
    """
    fixed = _definition(settings.format) if settings.format else None
    jobs = [_job(found, fixed) for found in source.find(settings.logs)]
    if settings.order == "time":
        jobs.sort(key=lambda job: job.first)
    return jobs


def _definition(name: str) -> Definition:
    """Return the format of a name, or of a file that ends in ``.toml``."""
    return definition.read(Path(name)) if name.endswith(".toml") else definition.named(name)


def _job(found: Source, fixed: Definition | None) -> Job:
    head = found.head()
    lines = detection.lines_of(head)
    if fixed is None and lines:
        try:
            fixed = detection.recognise(found.name, lines, definition.known().values())
        except UnknownFormat:
            if b"\n" in head:
                raise  # else it is the beginning of a line, and its blocks will tell more
    return Job(found, fixed, _first_time(lines, fixed))


def _first_time(lines: Sequence[str], known: Definition | None) -> datetime:
    """Return the time of the first record; a source without one comes last."""
    if known is not None:
        parse = known.compile()
        for line in lines:
            try:
                return parse(line).time
            except BadLine:
                continue
    return LAST


class _Run:
    """One pass over the sources."""

    def __init__(self, settings: Settings, jobs: Sequence[Job], report: Report, asked: Interrupt) -> None:
        self._settings = settings
        self._jobs = jobs
        self._report = report
        self._asked = asked
        self._base_url = settings.base_url
        self._damaged: SourceError | None = None

    def dry(self, output: IO[str] | None) -> None:
        """Read and count, send nothing."""
        if self._base_url is None:
            self._base_url = PLACEHOLDER
            if any(job.needs_base for job in self._jobs):
                self._report.note(f"page URLs begin with {PLACEHOLDER}: neither the log nor --base-url names the site")

        def write(batch: Batch) -> bool:
            if output is not None:
                output.writelines(json.dumps(hit) + "\n" for hit in batch.hits)
            return True

        self._read(write)
        self._end(None)

    def deliver(self) -> None:
        """Read the sources and send what they hold."""
        from piwik_import.client import Client  # httpx: not for a dry run
        from piwik_import.delivery import Delivery
        from piwik_import.lanes import Lanes

        settings = self._settings
        if settings.url is None:
            raise UsageError("Missing --url: the address of the Piwik or Matomo server.")
        with Client(
            settings.url, settings.token, connections=settings.recorders, timeout=settings.request_timeout
        ) as client:
            if self._base_url is None and any(job.needs_base for job in self._jobs):
                self._base_url = client.main_url(settings.site)
            lanes = Lanes(settings.recorders, settings.chunk_size)
            delivery = Delivery(lanes, client, self._report, patience=settings.retry_for)

            def hand_over(batch: Batch) -> bool:
                lanes.put(batch.entries)
                while not lanes.wait_for_room(0.1) and not self._asked.asked:
                    pass
                return delivery.error is None

            try:
                self._read(hand_over)
            except BaseException:
                delivery.stop()
                raise
            finally:
                lanes.close()
                while not delivery.join(0.1):
                    if self._asked.asked:
                        delivery.stop()
                    if self._asked.insisted:
                        raise Interrupted("Interrupted again: the requests in flight were not waited for.")
            self._end(delivery.error)

    def _end(self, error: PiwikImportError | None) -> None:
        """Raise the most telling of what kept the run from its end, if anything did."""
        if error is not None:
            raise error
        self._asked.check()
        if self._damaged is not None:
            raise self._damaged

    def _read(self, hand_over: Callable[[Batch], bool]) -> None:
        """Translate all blocks of all sources and hand them over, until that returns False.

        A source that turns out to be damaged does not keep the others from being read.
        """
        for number, job in enumerate(self._jobs):
            counts, translate = self._report.sources[number], None
            try:
                for block in self._blocks(job.source):
                    translate = translate or Translator(self._plan(number, job, block))
                    batch = translate(block)
                    self._report.add_batch(number, batch)
                    counts.position = job.source.position
                    if not hand_over(batch):
                        return
            except SourceError as error:
                self._report.note(str(error))
                self._damaged = self._damaged or error
            counts.unfinished = job.source.unfinished

    def _blocks(self, found: Source) -> Iterator[Block]:
        """Yield the blocks of a source. Reading may wait for ever (a pipe), so it is what Ctrl-C breaks off."""
        blocks = found.blocks()
        while not self._asked.asked:
            try:
                with self._asked.breaks():
                    block = next(blocks, None)
            except Interrupted:
                return
            if block is None:
                return
            yield block

    def _plan(self, number: int, job: Job, block: Block) -> Plan:
        """Decide what becomes of the lines of a source, now that there are some."""
        settings = self._settings
        if job.definition is None:
            lines = detection.lines_of(block.data)
            job.definition = detection.recognise(job.source.name, lines, definition.known().values())
            self._report.sources[number].format = job.definition.name
        return Plan(
            source=number,
            definition=job.definition,
            filters=FilterSettings(settings.bots, settings.static, settings.errors, settings.redirects, self._base_url),
            hits=HitSettings(settings.site, self._base_url, settings.bots, settings.downloads),
            keep_hits=settings.dry_run,
        )
