"""Options for trying out, and for what is shown."""

from __future__ import annotations

from pathlib import Path

import click

from piwik_import.cli.options import group, option, read_config

config = option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    metavar="FILE",
    help="TOML file of options, or the config.ini.php of an install on this machine, for its token."
    "  [default: ~/.config/piwik-import/config.toml, else /etc/piwik-import.toml]",
)

trying = group(
    "Trying out",
    option("--dry-run", is_flag=True, help="Read and count, but send nothing."),
    option("--output", metavar="FILE", help="With --dry-run: write every hit as a line of JSON; - is stdout."),
    option("--sandbox", is_flag=True, help="Import into an embedded tracker and show what it recorded."),
    option(
        "--db",
        metavar="FILE",
        help="With --sandbox: keep its hits in this file, and the progress in FILE.journal.",
    ),
)

messages = group(
    "Messages",
    option(
        "--progress",
        type=click.Choice(["auto", "bar", "plain", "none"]),
        default="auto",
        help="Progress on stderr: bars on a terminal, else a line now and then.",
    ),
    option(
        "--summary",
        type=click.Choice(["text", "json", "none"]),
        default="text",
        help="The summary on stdout at the end.",
    ),
    config,
)
