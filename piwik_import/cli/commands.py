"""The commands beside the import: params, journal, sandbox."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from piwik_import.cli.options import Command, group, option, read_config
from piwik_import.errors import UsageError, printable

if TYPE_CHECKING:
    from piwik_import.journal import Journal


@click.command(cls=Command, short_help="List the parameters of the Tracking API.")
@click.argument("name", required=False)
@group(
    "Table",
    option("--markdown", is_flag=True, help="As a page of Markdown, which is docs/parameters.md."),
)
def params(name: str | None, markdown: bool) -> None:
    """List the parameters of the Tracking API that a hit can have, or show one."""
    from piwik_import import parameters, reference

    if name is None:
        click.echo(reference.markdown() if markdown else reference.table())
        return
    row = parameters.parameter(name) or parameters.PARAMETERS.get(name)
    if row is None:
        raise UsageError(f"{printable(name)}: is no parameter of the Tracking API; `piwik-import params` lists them.")
    click.echo(reference.describe(row))


@click.group(invoke_without_command=True, short_help="Show or forget what was imported.")
@group(
    "Journal",
    option(
        "--journal",
        "path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The journal.  [default: ~/.local/state/piwik-import/journal.db]",
    ),
    option("--json", "as_json", is_flag=True, help="As JSON."),
    option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=read_config,
        metavar="FILE",
        help="TOML file of options, as for an import.",
    ),
)
@click.pass_context
def journal(ctx: click.Context, path: Path | None, as_json: bool) -> None:
    """List what has been imported, and how far; show or forget a source."""
    from piwik_import import ledger
    from piwik_import.journal import Journal, default_path

    path = path or default_path()
    if not path.exists():
        raise UsageError(f"journal {printable(str(path))}: there is none yet; the first import begins it.")
    ctx.obj = ctx.with_resource(Journal(path))
    if ctx.invoked_subcommand is None:
        click.echo(ledger.listing(ctx.obj.stored(), as_json=as_json))


@journal.command("show")
@click.argument("source")
@group("Journal", option("--json", "as_json", is_flag=True, help="As JSON."))
@click.pass_obj
def journal_show(journal: Journal, source: str, as_json: bool) -> None:
    """Show all that is known of SOURCE: its name, the end of its name, or its number."""
    from piwik_import import ledger

    click.echo(ledger.details(ledger.find(journal, source), as_json=as_json))


@journal.command("forget")
@click.argument("source")
@click.pass_obj
def journal_forget(journal: Journal, source: str) -> None:
    """Forget SOURCE, so that the next import begins at its beginning."""
    from piwik_import import ledger

    for stored in ledger.find(journal, source):
        journal.forget(stored)
        click.echo(f"Forgotten: {printable(stored.name)} to {printable(stored.destination)}")


@click.command(cls=Command)
@group(
    "Sandbox",
    option("--port", type=click.IntRange(0, 65535), default=8080, help="Port on 127.0.0.1; 0 takes a free one."),
    option("--db", metavar="FILE", help="SQLite file that keeps the hits.  [default: in memory]"),
    option("--token", default="sandbox", help="The token that it accepts."),
)
def sandbox(port: int, db: str | None, token: str) -> None:
    """Serve a small strict tracker on this machine, to try things out."""
    from piwik_import.sandbox import Sandbox

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tracker = Sandbox(port=port, db=db or ":memory:", token=token)
    click.echo(f"Tracker at {tracker.url} with token {token}; Ctrl-C ends it and shows what it recorded.", err=True)
    try:
        tracker.serve_forever()
    except KeyboardInterrupt:
        click.echo(str(tracker.report()))
    finally:
        tracker.stop()
