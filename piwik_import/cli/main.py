"""The group of commands, and how every error ends: one message on stderr, and the exit code of its class."""

from __future__ import annotations

import io
import sys

import click

from piwik_import import __version__
from piwik_import.cli.checking import check
from piwik_import.cli.commands import journal, params, sandbox
from piwik_import.cli.explaining import explain
from piwik_import.cli.formats import formats
from piwik_import.cli.importing import import_
from piwik_import.cli.options import DefaultGroup
from piwik_import.cli.replaying import replay
from piwik_import.errors import PiwikImportError, UsageError


@click.group(
    cls=DefaultGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="piwik-import", message="%(prog)s %(version)s")
def cli() -> None:
    """Import web-server logs into a Piwik or Matomo server.

    \b
    piwik-import --sandbox access.log       try it out: nothing leaves this machine
    piwik-import explain access.log         see how it is read, and what becomes of its lines
    piwik-import --dry-run access.log       see what would be imported
    piwik-import --url https://stats.example.org --idsite 1 /var/log/nginx/access.log*

    LOG is a file, a folder, a pattern, or - for standard input; compressed or not. The token is best given in
    the environment as PIWIK_TOKEN. Every option can also be set in the environment (--idsite as
    PIWIK_IMPORT_IDSITE) and in a TOML file (idsite = 1).
    """


for command in (import_, explain, replay, check, formats, params, journal, sandbox):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. Every error is one message on stderr, and the exit code is its class's."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a log may hold what a terminal cannot show
    try:
        cli.main(arguments, prog_name="piwik-import", standalone_mode=False)
    except PiwikImportError as error:
        click.echo(f"piwik-import: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(f"piwik-import: {error.format_message()} See piwik-import --help.", err=True)
        sys.exit(UsageError.exit_code)
    except OSError as error:
        click.echo(f"piwik-import: {error.strerror or error}", err=True)
        sys.exit(PiwikImportError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
