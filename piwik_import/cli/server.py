"""Options that say which server, and how it is reached."""

from __future__ import annotations

import click

from piwik_import.cli.options import group, option

server = group(
    "Server",
    option("--url", env="PIWIK_URL", metavar="URL", help="The server: https://stats.example.org, or its piwik.php."),
    option(
        "--token-auth",
        "--token",
        "token",
        env="PIWIK_TOKEN",
        metavar="TOKEN",
        help="API token of a user with write access; better set as PIWIK_TOKEN.",
    ),
    option(
        "--idsite",
        "--site",
        "site",
        env="PIWIK_SITE",
        type=click.IntRange(1),
        metavar="ID",
        help="The site that the hits belong to.",
    ),
    option(
        "--base-url",
        metavar="URL",
        help="Where the pages are of a log that names no host.  [default: the site's URL on the server]",
    ),
)
