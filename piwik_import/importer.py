"""The whole path: sources → blocks → batches → lanes → server. The only module that knows all of it.

First everything is prepared (`jobs`), then the blocks are read, translated and handed over one after another, while
the lanes' threads send. The server is not even called before there is something to import.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from piwik_import import identity, interrupt, jobs
from piwik_import.address import base_url, tracker_url
from piwik_import.connection import Connection
from piwik_import.errors import Interrupted, PiwikImportError, SourceError, UnavailableError, UnknownFormat, UsageError
from piwik_import.filters import FilterSettings
from piwik_import.hits import DOWNLOADS, HitSettings
from piwik_import.interrupt import Interrupt
from piwik_import.jobs import Job
from piwik_import.parsers.definition import Definition
from piwik_import.policy import Policy
from piwik_import.reading import Reading
from piwik_import.report import Report, SourceReport
from piwik_import.source import Block
from piwik_import.translate import Batch, Plan, Translator, without_format

if TYPE_CHECKING:
    from piwik_import.acknowledged import Acknowledged
    from piwik_import.client import Client
    from piwik_import.delivery import Delivery
    from piwik_import.journal import Journal
    from piwik_import.lanes import Lanes
    from piwik_import.resume import Resumer

PLACEHOLDER = "http://localhost"
"""Where pages are in a dry run that knows no better: nothing is sent, so nobody is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asked for."""

    logs: Sequence[str]
    format: str | None = None
    order: str = "time"
    reading: Reading = field(default_factory=Reading)
    connection: Connection | None = None
    """None if nothing is sent."""
    policy: Policy = field(default_factory=Policy)
    site: int = 1
    base_url: str | None = None
    bots: bool = False
    static: bool = False
    errors: bool = False
    redirects: bool = False
    downloads: frozenset[str] = DOWNLOADS
    dry_run: bool = False
    journal: Path | None = None
    """Where progress is kept; None if it is not."""
    destination: str | None = None
    """What progress is kept for, if that is not the server's address: the sandbox has another port each time."""
    journal_name: str | None = None
    from_start: bool = False
    skip_doubts: bool = False
    wait: float = 0.0


Show = Callable[[], AbstractContextManager[None]]
"""Shows the report while it grows."""


def run(settings: Settings, report: Report, output: IO[str] | None = None, show: Show = nullcontext) -> None:
    """Import what `settings` name and count it in `report`; in a dry run write the hits to `output`, if given.

    Raises PiwikImportError; what has been counted until then stays true.
    """
    with ExitStack() as stack:
        asked = stack.enter_context(interrupt.handled())
        with asked.breaks():  # a pipe may be silent for ever, and so may another import of the same log
            journal = None if settings.journal is None else stack.enter_context(_journal(settings.journal))
            resume = None if journal is None else _resumer(settings, journal, report)
            todo = jobs.prepare(settings.logs, settings.format, settings.order, resume, settings.reading)
        for job in todo:
            report.sources.append(SourceReport(job.source.name, job.format, job.source.size, resumed_at=job.offset))
        if all(job.nothing_new for job in todo):
            return
        stack.enter_context(show())
        run = _Run(settings, todo, report, asked)
        if settings.dry_run:
            run.dry(output)
        else:
            run.deliver(journal)


def _journal(path: Path) -> Journal:
    from piwik_import.journal import Journal  # sqlite3: not for a dry run

    return Journal(path)


def _resumer(settings: Settings, journal: Journal, report: Report) -> Resumer:
    from piwik_import.resume import Resumer

    assert settings.connection is not None
    return Resumer(
        journal,
        f"{settings.destination or tracker_url(settings.connection.url)} site {settings.site}",
        report,
        pipe=settings.journal_name,
        from_start=settings.from_start,
        skip_doubts=settings.skip_doubts,
        patience=settings.wait,
    )


class _Run:
    """One pass over the sources."""

    def __init__(self, settings: Settings, todo: Sequence[Job], report: Report, asked: Interrupt) -> None:
        self._settings = settings
        self._jobs = todo
        self._report = report
        self._asked = asked
        self._base_url = None if settings.base_url is None else base_url(settings.base_url)
        self._translators: dict[int, Translator] = {}
        self._damaged: UsageError | None = None

    def dry(self, output: IO[str] | None) -> None:
        """Read and count, send nothing."""
        if self._base_url is None:
            self._base_url = PLACEHOLDER
            if any(job.needs_base for job in self._jobs):
                self._report.note(f"page URLs begin with {PLACEHOLDER}: neither the log nor --base-url names the site")
        for number, block in self._blocks():
            batch = self._translate(number, block)
            if output is not None:
                output.writelines(json.dumps(hit) + "\n" for hit in batch.hits)
        self._end(None)

    def deliver(self, journal: Journal | None) -> None:
        """Read the sources and send what they hold, if they hold anything."""
        from piwik_import.acknowledged import Acknowledged
        from piwik_import.lanes import Lanes

        lanes = Lanes(self._settings.policy.recorders, self._settings.policy.chunk_size)
        acknowledged = Acknowledged(journal, [job.stored for job in self._jobs], lanes)
        blocks = self._blocks()
        first = next(blocks, None)
        error = None
        if first is not None:
            with self._client() as client:
                self._find_base(client)
                error = self._send(chain([first], blocks), client, lanes, acknowledged)
        self._record(acknowledged, finished=error is None and not self._asked.asked)
        self._end(error)

    def _client(self) -> Client:
        from piwik_import.client import Client  # httpx: only now that there is something to send

        settings = self._settings
        assert settings.connection is not None
        return Client(settings.connection, settings.policy.recorders)

    def _find_base(self, client: Client) -> None:
        """Ask the server where the pages are, if neither the logs nor the user say so."""
        from piwik_import.delivery import Pauses

        pauses = Pauses(self._settings.policy.retry_for)
        while self._base_url is None and any(job.needs_base for job in self._jobs):
            with self._asked.breaks():
                try:
                    self._base_url = client.main_url(self._settings.site)
                except UnavailableError as error:
                    if (wait := pauses.next()) is None:
                        raise
                    self._report.troubles[0] = str(error)
                    time.sleep(wait)
        self._report.troubles.clear()

    def _send(
        self, blocks: Iterator[tuple[int, Block]], client: Client, lanes: Lanes, acknowledged: Acknowledged
    ) -> PiwikImportError | None:
        """Translate all blocks and have them delivered; return why that ended early, if it did."""
        from piwik_import.delivery import Delivery

        delivery = Delivery(lanes, client, self._report, self._settings.policy, acknowledged)
        try:
            for number, block in blocks:
                batch = self._translate(number, block)
                lanes.put(batch.entries)
                mark = None if block.cut else identity.mark(block.end, block.data)
                acknowledged.read(number, block.end, block.line + block.lines - 1, mark)
                while not lanes.wait_for_room(0.1) and not self._asked.asked:
                    pass
                if delivery.error is not None:
                    break
        except BaseException:
            delivery.stop()
            raise
        finally:
            lanes.close()
            try:
                self._wait(delivery)
            finally:
                acknowledged.flush()
        return delivery.error

    def _wait(self, delivery: Delivery) -> None:
        """Wait for the lanes; if the user has asked to stop, for the requests in flight; if he insists, for nothing."""
        while not delivery.join(0.1):
            if self._asked.asked:
                delivery.stop()
            if self._asked.insisted:
                self._report.abandon()
                raise Interrupted("Interrupted again: the requests in flight were not waited for.")

    def _record(self, acknowledged: Acknowledged, finished: bool) -> None:
        """Bring the journal up to date at the end."""
        for number, job in enumerate(self._jobs):
            if finished and not job.nothing_new and not job.damaged and not job.source.unfinished:
                acknowledged.completed(number, job.source.file)
        acknowledged.flush(last=True)

    def _end(self, error: PiwikImportError | None) -> None:
        """Raise the most telling of what kept the run from its end, if anything did."""
        if error is not None:
            raise error
        self._asked.check()
        if self._damaged is not None:
            raise self._damaged

    def _blocks(self) -> Iterator[tuple[int, Block]]:
        """Yield the blocks of all sources that have something new, each with the number of its source.

        A source that turns out to be damaged does not keep the others from being read.
        """
        for number, job in enumerate(self._jobs):
            if job.nothing_new:
                continue
            try:
                for block in self._blocks_of(job):
                    yield number, block
            except SourceError as error:
                self._report.note(str(error))
                self._damaged = self._damaged or error
                job.damaged = True
            else:
                if not self._asked.asked:  # else reading was broken off anywhere
                    self._report.sources[number].unfinished = job.source.unfinished

    def _blocks_of(self, job: Job) -> Iterator[Block]:
        """Yield the blocks of a source. Reading may wait for ever (a pipe), so it is what Ctrl-C breaks off."""
        blocks, begun = job.blocks(), False
        while not self._asked.asked:
            try:
                with self._asked.breaks():
                    block = next(blocks, None)
            except Interrupted:
                return
            if block is None:
                return
            if job.stored is not None and not self._is_of(job, begun):
                self._report.note(f"{job.source.name} was rotated before it was read to its end: run again to go on")
                job.damaged = True
                return
            begun = True
            try:
                job.recognise(block)
            except UnknownFormat as error:
                self._report.note(str(error))
                self._damaged, job.damaged = self._damaged or error, True
                return
            yield block

    def _is_of(self, job: Job, begun: bool) -> bool:
        """Tell whether what was just read is of the log that the journal means, and not of one that took its name."""
        from piwik_import.resume import still_lies

        assert job.stored is not None
        return job.source.is_pipe or still_lies(job.source, job.stored, begun)

    def _translate(self, number: int, block: Block) -> Batch:
        """Translate a block, drop what is done already, and count it."""
        job = self._jobs[number]
        if job.definition is not None and number not in self._translators:
            self._translators = {number: Translator(self._plan(number, job, job.definition))}
        batch = self._translators[number](block) if job.definition is not None else without_format(block)
        if job.done is not None:
            batch.drop(job.done)
        self._report.add_batch(number, batch)
        self._report.sources[number].position = job.source.position
        return batch

    def _plan(self, number: int, job: Job, known: Definition) -> Plan:
        """Decide what becomes of the lines of a source, now that there are some."""
        settings = self._settings
        self._report.sources[number].format = known.label
        if job.stored is not None:
            job.stored.format = known.label
        if job.note is not None:
            self._report.note(job.note)
        return Plan(
            source=number,
            definition=known,
            filters=FilterSettings(
                settings.bots, settings.static, settings.errors, settings.redirects, self._base_url, settings.downloads
            ),
            hits=HitSettings(settings.site, self._base_url, settings.bots, settings.downloads),
            keep_hits=settings.dry_run,
        )
