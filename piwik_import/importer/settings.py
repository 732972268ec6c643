"""What the user asked for, in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from piwik_import.connection import Connection
from piwik_import.filters import FilterSettings
from piwik_import.hints import Hints
from piwik_import.hits import DOWNLOADS, HitSettings
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.registry import Registry
from piwik_import.parsers.w3c import W3C
from piwik_import.policy import Policy
from piwik_import.shaping import Shaping
from piwik_import.translate import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asked for."""

    logs: Sequence[str]
    formats: Sequence[Definition] = ()
    """What the logs may be, as far as the user has said so; a single one is taken as given."""
    registry: Registry = field(default_factory=Registry)
    """What they may be else."""
    w3c: W3C = field(default_factory=W3C)
    hints: Hints = field(default_factory=Hints)
    order: str = "time"
    connection: Connection | None = None
    """None if nothing is sent."""
    policy: Policy = field(default_factory=Policy)
    check: bool = True
    """Whether the server is tried before the first import of a large log."""
    site: int | None = 1
    """None if each hit names its own."""
    base_url: str | None = None
    bots: bool = False
    static: bool = False
    errors: bool = False
    redirects: bool = False
    downloads: frozenset[str] = DOWNLOADS
    rejects: Path | None = None
    """Where lines and hits are kept that were not imported; None if they are not."""
    shaping: Shaping = field(default_factory=Shaping)
    replay: bool = False
    """Whether the logs are rejects files, to be sent again."""
    uncertain: bool = False
    """Whether to send also those rejects again that the server may have recorded."""
    dry_run: bool = False
    journal: Path | None = None
    """Where progress is kept; None if it is not."""
    destination: str | None = None
    """What progress is kept for, if that is not the server's address: the sandbox has another port each time."""
    journal_name: str | None = None
    from_start: bool = False
    skip_doubts: bool = False
    wait: float = 0.0

    def plan(
        self,
        number: int,
        definition: Definition,
        base_url: str | None,
        *,
        keep_hits: bool = False,
        sites: frozenset[int] | None = None,
    ) -> Plan:
        """Return what becomes of the lines of source `number`, whose pages are at `base_url` if they do not say it.

        `sites` are those that there are, if that is known.
        """
        shaping = self.shaping if self.shaping.applies(definition) else None
        filters = FilterSettings(self.bots, self.static, self.errors, self.redirects, base_url, self.downloads)
        if shaping is not None and shaping.trackers.files:  # the server judges them; nothing is said of pages
            shaping = replace(shaping, trackers=replace(shaping.trackers, sites=sites))
            filters = FilterSettings(bots=True, static=True, errors=True, redirects=True, base_url=base_url)
        return Plan(
            source=number,
            definition=definition,
            filters=filters,
            hits=HitSettings(self.site or 1, base_url, self.bots, self.downloads),
            shaping=shaping,
            keep_hits=keep_hits,
        )

    @property
    def what(self) -> str:
        """Say which hits of a log go to a server: pages and tracker requests of one log have a place each."""
        if not self.shaping.trackers.files:
            return f"site {self.site}"
        return "tracker requests" if self.site is None else f"tracker requests to site {self.site}"
