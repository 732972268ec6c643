"""One run: prepare, read, translate, hand over, wait, record.

First everything is prepared (`jobs`), then the blocks are read, translated and handed over one after another, while
the lanes' threads send. The server is not even called before there is something to import.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, tzinfo
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from piwik_import import interrupt, jobs, keyring
from piwik_import.address import tracker_url
from piwik_import.errors import Interrupted, PiwikImportError, UnavailableError
from piwik_import.importer.reading import Reading
from piwik_import.importer.settings import Settings
from piwik_import.interrupt import Interrupt
from piwik_import.jobs import Job
from piwik_import.replay import REJECTS
from piwik_import.report import Report, SourceReport
from piwik_import.segment import Identities
from piwik_import.source import Block

if TYPE_CHECKING:
    from piwik_import.acknowledged import Acknowledged
    from piwik_import.client import Client
    from piwik_import.delivery import Delivery
    from piwik_import.journal import Journal
    from piwik_import.lanes import Lanes
    from piwik_import.rejects import Rejects
    from piwik_import.resume import Resumer

PLACEHOLDER = "http://localhost"
"""Where pages are in a dry run that knows no better: nothing is sent, so nobody is asked."""

TURN = 0.0001
"""Seconds that a thread may keep the interpreter while others want it. With Python's 5 ms a lane whose answer has come
waits that long for the thread that parses, and again after each call that lets go of the interpreter: to write 1,000
hits down as in doubt took 4 ms with 0.5 ms here. Shorter turns cost no CPU that could be measured."""


Show = Callable[[], AbstractContextManager[None]]
"""Shows the report while it grows."""
Tell = Callable[[], bool]
"""Writes the summary at the end, whatever that is; true if it has been written."""


def run(
    settings: Settings, report: Report, output: IO[str] | None = None, show: Show = nullcontext, tell: Tell = bool
) -> None:
    """Import what `settings` name and count it in `report`; in a dry run write the hits to `output`, if given.

    Raises PiwikImportError; what has been counted until then stays true.
    """
    with ExitStack() as stack:
        asked = stack.enter_context(interrupt.handled())
        with asked.breaks():  # a pipe may be silent for ever, and so may another import of the same log
            resume = None if settings.journal is None else _resumer(settings, settings.journal, report)
            if resume is not None:
                stack.enter_context(resume.journal)
            stack.callback(tell if resume is None else partial(resume.told, tell))
            todo = jobs.prepare(
                settings.logs,
                settings.formats,
                settings.order,
                resume,
                certain=REJECTS if settings.replay else None,
                w3c=settings.w3c,
                hints=settings.hints,
                registry=settings.registry,
            )
        journal = None if resume is None else resume.journal
        settings = replace(settings, shaping=keyring.fitted(settings.shaping, todo, journal, report))
        for job in todo:
            report.sources.append(SourceReport(job.source.name, job.format, job.source.size, resumed_at=job.offset))
        if all(job.nothing_new for job in todo):
            return
        stack.enter_context(show())
        run = _Run(settings, todo, report, asked)
        if settings.dry_run:
            run.dry(output)
        else:
            run.deliver(journal, stack.enter_context(_rejects(settings, report)))


@contextmanager
def _rejects(settings: Settings, report: Report) -> Iterator[Rejects]:
    """Keep what is not imported, and say where."""
    from piwik_import.rejects import Again, Rejects, check

    if settings.rejects is not None:
        check(settings.rejects)
        report.rejects_file = str(settings.rejects)
    rejects = (Again if settings.replay else Rejects)(settings.rejects)
    try:
        yield rejects
    finally:
        rejects.close()
        report.rejects = rejects.count


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let threads take turns often, and none of them look for garbage among the modules."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(TURN, before))
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)


def _destination(settings: Settings) -> str:
    """Return what progress is kept for."""
    assert settings.connection is not None
    return f"{settings.destination or tracker_url(settings.connection.url)} {settings.what}"


def _resumer(settings: Settings, path: Path, report: Report) -> Resumer:
    from piwik_import.journal import Journal  # sqlite3: not for a dry run
    from piwik_import.resume import Resumer

    return Resumer(
        Journal(path),
        _destination(settings),
        report,
        pipe=settings.journal_name,
        from_start=settings.from_start,
        skip_doubts=settings.skip_doubts,
        patience=settings.wait,
    )


class _Run:
    """One run over what there is to do."""

    def __init__(self, settings: Settings, todo: Sequence[Job], report: Report, asked: Interrupt) -> None:
        self._settings = settings
        self._jobs = todo
        self._report = report
        self._asked = asked
        self._reading = Reading(settings, todo, report, asked)

    def dry(self, output: IO[str] | None) -> None:
        """Read and count, send nothing."""
        reading = self._reading
        if reading.needs_base:
            self._report.note(f"page URLs begin with {PLACEHOLDER}: neither the log nor --base-url names the site")
        reading.base_url = reading.base_url or PLACEHOLDER
        reading.keep_hits = output is not None
        for number, block in reading.blocks():
            batch = reading.translate(number, block)
            if output is not None:
                output.writelines(json.dumps(hit) + "\n" for hit in batch.hits)
        self._end(None)

    def deliver(self, journal: Journal | None, rejects: Rejects) -> None:
        """Read the sources and send what they hold, if they hold anything."""
        from piwik_import.acknowledged import Acknowledged
        from piwik_import.check import sites, trial
        from piwik_import.journal import known_at
        from piwik_import.lanes import Lanes

        policy = self._settings.policy
        lanes = Lanes(policy.recorders, policy.chunk_size, policy.max_request_bytes)
        identities = self._reading.identities
        if journal is not None:
            destination = _destination(self._settings)
            identities = Identities(partial(known_at, journal, destination), destination)
            self._reading.identities = identities
        acknowledged = Acknowledged(journal, [job.stored for job in self._jobs], lanes, identities)
        blocks = self._reading.blocks()
        first = next(blocks, None)
        error = None
        if first is not None:
            with self._client() as client, _short_turns():
                site = self._settings.site
                if site is None:
                    with self._asked.breaks():
                        self._reading.sites = sites(client)
                elif self._settings.check and any(job.is_large_and_new for job in self._jobs):
                    trial(client, site)
                self._find_base(client)
                error = self._send(chain([first], blocks), client, lanes, acknowledged, rejects)
        self._record(acknowledged, finished=error is None and not self._asked.asked)
        self._end(error)

    def _client(self) -> Client:
        from piwik_import.client import Client  # httpx: only now that there is something to send

        settings = self._settings
        assert settings.connection is not None
        return Client(settings.connection, self._report.note)

    def _find_base(self, client: Client) -> None:
        """Ask the server where the pages are, if neither the logs nor the user say so."""
        from piwik_import.pace import Pauses

        pauses = Pauses(self._settings.policy.retry_for, self._settings.policy.retry_max_attempts)
        while self._reading.needs_base:
            with self._asked.breaks():
                try:
                    self._reading.base_url = client.main_url(self._settings.site)
                except UnavailableError as error:
                    if (wait := pauses.next()) is None:
                        raise
                    self._report.troubles[0] = str(error)
                    time.sleep(wait)
        self._report.troubles.clear()

    def _send(
        self,
        blocks: Iterator[tuple[int, Block]],
        client: Client,
        lanes: Lanes,
        acknowledged: Acknowledged,
        rejects: Rejects,
    ) -> PiwikImportError | None:
        """Translate all blocks and have them delivered; return why that ended early, if it did."""
        from piwik_import.days import Days
        from piwik_import.delivery import Delivery

        policy = self._settings.policy
        delivery = Delivery(lanes, client, self._report, policy, acknowledged, rejects, lambda: self._is_well(client))
        days = Days(lambda: self._zone(client, lanes, delivery))
        try:
            for number, block in blocks:
                batch = self._reading.translate(number, block)
                rejects.add_bad(self._report.sources[number].name, batch.bad)
                for entries, first_of_day in days.parts(batch.entries):
                    lanes.put(entries)
                    if first_of_day:
                        lanes.put_alone(first_of_day)
                acknowledged.read(number, block.end, block.line + block.lines - 1, self._jobs[number].mark_after(block))
                while not lanes.wait_for_room(0.1) and not self._asked.asked:
                    pass
                while self._reading.identities.is_full and not self._asked.asked and delivery.error is None:
                    lanes.urge()
                    acknowledged.flush()
                    time.sleep(0.01)
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

    def _zone(self, client: Client, lanes: Lanes, delivery: Delivery) -> tzinfo:
        """Ask the server for the time zone of the site, once it has recorded something: UTC if it does not say."""
        from piwik_import.days import zone_of

        lanes.urge()
        while not delivery.wait_for_welcome(0.05) and not all(map(lanes.is_idle, range(len(lanes)))):
            if delivery.error is not None or self._asked.asked or delivery.join(0):
                return UTC
        try:
            with self._asked.breaks():
                return zone_of(str(client.site(self._settings.site).get("timezone", "")))
        except PiwikImportError:
            return UTC

    def _is_well(self, client: Client) -> bool:
        """Tell whether the server works and knows the token, as far as the Reporting API can tell."""
        try:
            client.site(self._settings.site)
        except PiwikImportError:
            return False
        return True

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
        acknowledged.flush()

    def _end(self, error: PiwikImportError | None) -> None:
        """Raise the most telling of what kept the run from its end, if anything did."""
        if error is not None:
            raise error
        self._asked.check()
        if self._reading.error is not None:
            raise self._reading.error
