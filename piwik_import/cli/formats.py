"""The command that lists formats, shows one, makes one of a server's format string, or checks one by its samples."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from piwik_import.cli.options import Command, group, option
from piwik_import.cli.reading import goaccess, users_registry
from piwik_import.errors import UsageError, printable

if TYPE_CHECKING:
    from piwik_import.parsers.registry import Registry


@click.command(cls=Command)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@group(
    "Checking a format",
    option(
        "--check",
        is_flag=True,
        help="Try formats and wrappers, named or as files (FILE.toml), by the samples in them; all of your own if none "
        "is given. Exit code 2 if a sample does not become what it says.",
    ),
)
@group(
    "Making a format",
    option(
        "--make",
        metavar="STRING",
        help="Print the format file for a server's format string (see import --log-format), with samples if a log is "
        "named too.",
    ),
    *goaccess,
    option(
        "--log-format-from",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="List the log formats in a configuration of nginx or Apache; make those of them that are named.",
    ),
)
@group(
    "Table",
    option("--markdown", is_flag=True, help="As a page of Markdown, which is docs/formats.md."),
)
def formats(
    names: tuple[str, ...],
    check: bool,
    make: str | None,
    date_format: str | None,
    time_format: str | None,
    datetime_format: str | None,
    log_format_from: Path | None,
    markdown: bool,
) -> None:
    """List the known formats and wrappers, or show those that are named; check one; make one.

    Your own are TOML files in ~/.config/piwik-import/formats, and in wrappers in it: docs/format-files.md.
    """
    from piwik_import import overview
    from piwik_import.parsers import choice, formatfile, goaccess

    wanted = {"--check": check, "--make": make, "--log-format-from": log_format_from, "--markdown": markdown}
    given = [name for name, value in wanted.items() if value not in (None, False)]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are different things to do: choose one.")
    if make is None and (date_format, time_format, datetime_format) != (None, None, None):
        raise UsageError("--date-format, --time-format and --datetime-format belong to --make: add it.")
    registry = users_registry()
    if make is not None:
        if ours := goaccess.ours(make):
            shown = f"`piwik-import formats {ours[0]}` shows it"
            raise UsageError(f"--make: {make} is the format {' or '.join(ours)}, which comes along: {shown}.")
        wanted_format = choice.Choice(
            log_format=make, date_format=date_format, time_format=time_format, datetime_format=datetime_format
        )
        (made,) = wanted_format.formats(registry)
        samples = [*formatfile.samples(made, _lines(names))]
        if names and not samples:
            shown = ", ".join(map(printable, names))
            click.echo(f"piwik-import: no line of {shown} is what the string says, so there are no samples", err=True)
        click.echo(formatfile.text(made, samples), nl=False)
    elif log_format_from is not None and not names:
        click.echo("\n".join(choice.listing(log_format_from)))
    elif log_format_from is not None:
        for name in names:
            (made,) = choice.from_configuration(log_format_from, name)
            click.echo(formatfile.text(made), nl=False)
    elif check:
        sys.exit(_check(names, registry))
    elif markdown:
        click.echo(overview.markdown(), nl=False)
    elif names:
        click.echo("\n\n".join(_shown(name, registry) for name in names))
    else:
        click.echo(overview.listing(registry))


def _shown(name: str, registry: Registry) -> str:
    """Return a text that shows the wrapper or the formats called `name`."""
    from piwik_import.parsers import catalogue, wrappers
    from piwik_import.parsers.wrappers import Wrapper

    described = (
        wrappers.describe(one) if isinstance(one, Wrapper) else catalogue.describe(one) for one in registry.either(name)
    )
    return "\n\n".join(map("\n".join, described))


def _check(names: Sequence[str], registry: Registry) -> int:
    """Show what the samples of formats and wrappers prove, and return the exit code."""
    from piwik_import import proof

    names = names or [*map(str, registry.files())]
    if not names:
        raise UsageError(f"--check: name a file: there are none of your own in {printable(str(registry.folder))}.")
    code = 0
    for name in names:
        try:
            for found in [proof.of(one, registry) for one in registry.either(name)]:
                click.echo(str(found))
                code = code if found.is_right else UsageError.exit_code
        except UsageError as error:
            click.echo(str(error))
            code = error.exit_code
    return code


def _lines(logs: Sequence[str]) -> list[str]:
    """Return the first lines of logs."""
    from piwik_import import source
    from piwik_import.parsers import detection

    return [line for one in source.find(logs) for line in detection.lines_of(one.head())] if logs else []
