"""Sources → batches: what there is to do is read block by block, and each block translated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from piwik_import.address import base_url
from piwik_import.errors import Interrupted, SourceError, UnknownFormat, UsageError
from piwik_import.importer.settings import Settings
from piwik_import.interrupt import Interrupt
from piwik_import.jobs import Job
from piwik_import.parsers import registry
from piwik_import.parsers.definition import Definition
from piwik_import.replay import REJECTS, Replayer
from piwik_import.report import Report
from piwik_import.segment import Identities
from piwik_import.source import Block
from piwik_import.translate import Batch, Translator, without_format


class Reading:
    """One pass over the sources. `error` is what kept one of them from being read to its end, if anything did."""

    def __init__(self, settings: Settings, todo: Sequence[Job], report: Report, asked: Interrupt) -> None:
        self.base_url = None if settings.base_url is None else base_url(settings.base_url)
        """Where the pages are of a log that names no host; must be known when the first block is translated."""
        self.identities = Identities()
        """What calls say of users; must be known then, too."""
        self.keep_hits = False
        """Whether batches are to hold the hits as dicts, besides their entries."""
        self.sites: frozenset[int] | None = None
        """Sites that there are, for hits that name theirs; must be known by then too, if it can be."""
        self.error: UsageError | None = None
        self._settings = settings
        self._jobs = todo
        self._report = report
        self._asked = asked
        self._translators: dict[int, Callable[[Block], Batch]] = {}

    @property
    def needs_base(self) -> bool:
        """Whether `base_url` is missing."""
        if self._settings.shaping.trackers.files:  # whose requests say themselves where the pages are
            return False
        return self.base_url is None and any(job.needs_base for job in self._jobs)

    def blocks(self) -> Iterator[tuple[int, Block]]:
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
                self.error = self.error or error
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
                self.error, job.damaged = self.error or error, True
                return
            yield block

    def _is_of(self, job: Job, begun: bool) -> bool:
        """Tell whether what was just read is of the log that the journal means, and not of one that took its name."""
        from piwik_import.resume import still_lies

        assert job.stored is not None
        return job.source.is_pipe or still_lies(job.source, job.stored, begun)

    def translate(self, number: int, block: Block) -> Batch:
        """Translate a block, drop what is done already, and count it."""
        job = self._jobs[number]
        if job.definition is not None and number not in self._translators:
            self._translators = {number: self._translator(number, job, job.definition)}
        batch = self._translators[number](block) if job.definition is not None else without_format(block)
        if self._settings.shaping.trackers.files:
            batch.hide_tokens()
        if job.done is not None:
            batch.drop(job.done)
        self._report.add_batch(number, batch)
        self._report.sources[number].position = job.source.position
        return batch

    def _translator(self, number: int, job: Job, known: Definition) -> Callable[[Block], Batch]:
        """Decide what becomes of the lines of a source, now that there are some."""
        settings = self._settings
        self._report.sources[number].format = known.label
        if job.stored is not None:
            job.stored.format = known.label
        if job.note is not None:
            self._report.note(job.note)
        for remark in registry.remarks(known):
            self._report.note(remark)
        if known is REJECTS:
            return Replayer(number, settings.uncertain)
        if job.stored is not None:
            self.identities.begin(number, job.stored.place[0])
        plan = settings.plan(number, known, self.base_url, keep_hits=self.keep_hits, sites=self.sites)
        return Translator(plan, self.identities)
