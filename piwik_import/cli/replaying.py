"""The command that sends again what was rejected."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from piwik_import.cli.importing import carry_out
from piwik_import.cli.options import Command, group, option
from piwik_import.cli.sending import in_doubt as in_doubt_option
from piwik_import.cli.sending import journal as journal_option
from piwik_import.cli.sending import sending, taken_policy
from piwik_import.cli.server import connecting, connection, server
from piwik_import.cli.trying import messages
from piwik_import.errors import UsageError, printable


@click.command(cls=Command, short_help="Send rejected hits again.")
@click.argument("file", type=click.Path(path_type=Path))
@group(
    "Replay",
    option(
        "--uncertain", is_flag=True, help="Also hits that the server may have recorded: it may hold them twice then."
    ),
    journal_option,
    in_doubt_option,
)
@server
@connecting
@sending
@messages
def replay(
    file: Path, journal: Path | None, in_doubt: str, site: int | None, progress: str, summary: str, **options: Any
) -> None:
    """Send the hits in the rejects FILE again; what fails again stays in it.

    Requests to a tracker in the log of its server are no rejects: `piwik-import --replay-tracking LOG` sends those.
    """
    from piwik_import.importer import Settings
    from piwik_import.journal import default_path
    from piwik_import.rejects import REPLAYED, taken_away

    if not file.exists() and not file.with_name(file.name + REPLAYED).exists():
        raise UsageError(f"{printable(str(file))}: there is no such file.")
    way = connection(options)
    with taken_away(file) as away:
        settings = Settings(
            logs=[str(away)],
            connection=way,
            policy=taken_policy(options, bulk=way.bulk, in_doubt=in_doubt),
            check=False,
            site=site or 1,
            journal=journal or default_path(),
            skip_doubts=in_doubt == "skip",
            rejects=file,
            replay=True,
            **options,
        )
        code = carry_out(settings, None, progress, summary, str)
    _forget(settings.journal, away)
    sys.exit(code)


def _forget(path: Path | None, away: Path) -> None:
    """Strike a file out of the journal that has been replayed to its end, and is there no more."""
    from piwik_import.journal import Journal
    from piwik_import.rotation import place

    assert path is not None
    with Journal(path) as journal:
        for stored in journal.stored():
            if stored.path == place(str(away)):
                journal.forget(stored)
