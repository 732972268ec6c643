"""Options that say which server, how it is reached, and who we are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click
from click.core import ParameterSource
from click.types import StringParamType

from piwik_import.address import tracker_url
from piwik_import.cli.argv import hide
from piwik_import.cli.options import INSTALL, group, option, taken, warn_if_public
from piwik_import.connection import TRACKER, Connection
from piwik_import.errors import UsageError

FILE = click.Path(path_type=Path)

OURS = frozenset(
    "host content-length content-type content-encoding transfer-encoding accept-encoding connection keep-alive"
    " proxy-connection expect upgrade te trailer".split()
)
"""Headers that say how a request travels: another value would break it."""


class Header(StringParamType):
    """``Name: value``; in the environment one a line."""

    name = "header"
    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name, colon, text = str(value).partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            self.fail("it must read 'Name: value'.", param, ctx)
        if name.lower() in OURS:
            self.fail(f"{name} is not for you to set: it says how the request itself travels.", param, ctx)
        if not text.strip().isprintable() or not text.isascii():
            self.fail(f"the value of {name} must be printable ASCII on one line.", param, ctx)
        return f"{name}: {text.strip()}"


def secret(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Hide an option's value from `ps`, at once."""
    if value and ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
        texts = [text.partition(": ")[2] for text in value] if parameter.multiple else [value]
        # Of a proxy's address only one with a password is secret.
        hidden = [hide(text) for text in texts if text and (parameter.name != "proxy" or "@" in text)]
        if not all(hidden):
            name = parameter.opts[0]
            click.echo(f"piwik-import: all users see {name} in the list of processes: set the environment", err=True)
    return value


site = option(
    "--idsite",
    "--site",
    "--site-id",
    "site",
    env="PIWIK_SITE",
    type=click.IntRange(1),
    metavar="ID",
    help="The site that the hits belong to.",
)

base = option(
    "--base-url",
    metavar="URL",
    help="Where the pages are of a log that names no host.  [default: the site's URL on the server]",
)

server = group(
    "Server",
    option("--url", env="PIWIK_URL", metavar="URL", help="The server: https://stats.example.org, or its piwik.php."),
    option(
        "--token-auth",
        "--token",
        "token",
        env="PIWIK_TOKEN",
        metavar="TOKEN",
        callback=secret,
        help="API token of a user with write access; better set as PIWIK_TOKEN.",
    ),
    option("--token-file", type=FILE, metavar="FILE", help="A file that holds the token, and nothing else."),
    site,
    option(
        "--tracker-endpoint-path",
        "tracker_path",
        metavar="PATH",
        default=TRACKER,
        help="Where the tracker is below the --url.",
    ),
    option(
        "--php-binary",
        metavar="PHP",
        default="php",
        help="What fetches the token of the install that --config names.",
    ),
    option("--disable-bulk-tracking", "single", is_flag=True, help="Each hit in a request of its own: slow."),
    option("--request-suffix", "suffix", metavar="QUERY", default="", help="Add this to the query of every URL."),
    option(
        "--debug-tracker",
        "debug",
        is_flag=True,
        help="Show on stderr what the tracker says that it does with the first request; best in `piwik-import check`.",
    ),
)

pages = group(
    "Server",
    base,
    option(
        "--no-check",
        is_flag=True,
        help="Do not try the server with a request that records nothing before the first import of a large log.",
    ),
)

connecting = group(
    "Connection",
    option("--ca-file", type=FILE, metavar="FILE", help="Certificates (PEM) to trust in place of the system's."),
    option("--client-cert", type=FILE, metavar="FILE", help="Our certificate (PEM), with its key or without."),
    option("--client-key", type=FILE, metavar="FILE", help="The key of our certificate."),
    option(
        "--insecure",
        "--accept-invalid-ssl-certificate",
        "insecure",
        is_flag=True,
        help="Trust any certificate: whoever stands in between can read the token.",
    ),
    option(
        "--proxy",
        metavar="URL",
        callback=secret,
        help="A proxy, as http://user:password@host:port.  [default: HTTPS_PROXY, HTTP_PROXY, NO_PROXY]",
    ),
    option("--unix-socket", type=FILE, metavar="FILE", help="Connect to this socket in place of the URL's host."),
    option("--auth-user", metavar="NAME", help="User for HTTP Basic authentication."),
    option(
        "--auth-password",
        metavar="PASSWORD",
        callback=secret,
        help="Password for it; better set as PIWIK_IMPORT_AUTH_PASSWORD.",
    ),
    option(
        "--header",
        "headers",
        type=Header(),
        multiple=True,
        metavar="'NAME: VALUE'",
        callback=secret,
        help="Send this header too; may be repeated.",
    ),
)


def connection(options: dict[str, Any]) -> Connection:
    """Take the options of the groups above out of `options`; return the way that they describe. Raises UsageError."""
    if options["url"] is None:
        raise UsageError(
            "Missing --url: the address of the server (or PIWIK_URL). An import without one: --sandbox or --dry-run."
        )
    host = urlsplit(tracker_url(options["url"])).hostname or ""
    options["token"] = _token(options, host)
    _agree(options)
    if options["insecure"]:
        click.echo(
            "piwik-import: --insecure: no certificate is checked, so whoever stands in between can read the token",
            err=True,
        )
    return unconnected(options)


def unconnected(options: dict[str, Any]) -> Connection:
    """As `connection`, where nothing is connected to: no token is looked for, and no address needed."""
    del options["token_file"], options["php_binary"]
    options["url"] = options["url"] or ""
    options["headers"] = dict(text.split(": ", 1) for text in options["headers"])
    options["bulk"] = not options.pop("single")
    options["suffix"] = options["suffix"].lstrip("?&")
    return taken(Connection, options)


def _token(options: dict[str, Any], host: str) -> str:
    """Return the token from where it was said most loudly: command line, environment, configuration file, install."""
    from piwik_import.credentials import token_in, token_of_install  # subprocess and more: not for --help

    context = click.get_current_context()
    for source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP):
        given = [name for name in ("token", "token_file") if context.get_parameter_source(name) is source]
        given = [name for name in given if options[name]]
        if len(given) > 1:
            raise UsageError("--token-auth and --token-file both give the token: choose one.")
        if given == ["token"]:
            token = str(options["token"]).strip()
            if not token or not token.isascii() or not token.isprintable() or " " in token:
                raise UsageError("--token-auth: not a token: letters and digits without a space.")
            return token
        if given:
            token = token_in(options["token_file"])
            warn_if_public(options["token_file"])
            return token
    if INSTALL in context.meta:
        return token_of_install(context.meta[INSTALL], options["php_binary"], host)
    raise UsageError("Missing the API token: set PIWIK_TOKEN, or give --token-file or --token-auth.")


def _agree(options: dict[str, Any]) -> None:
    """Raise UsageError if options contradict each other, or say what cannot be."""
    if options["auth_password"] is not None and options["auth_user"] is None:
        raise UsageError("--auth-password needs --auth-user.")
    if ":" in (options["auth_user"] or ""):
        raise UsageError("--auth-user: there is no colon in a user's name; the password is --auth-password.")
    if options["client_key"] is not None and options["client_cert"] is None:
        raise UsageError("--client-key is the key of a --client-cert.")
    if options["unix_socket"] is not None and options["proxy"] is not None:
        raise UsageError("--unix-socket and --proxy are two ways: choose one.")
    path, suffix = options["tracker_path"], options["suffix"]
    if not path.isascii() or not path.isprintable() or set("?# ") & set(path):
        raise UsageError("--tracker-endpoint-path: a path such as /piwik.php, without a query (--request-suffix).")
    if not suffix.isascii() or not suffix.isprintable() or set("# ") & set(suffix):
        raise UsageError("--request-suffix: not part of a query, such as a=1&b=2; what is special must be written %XX.")
    plain = unquote(suffix)
    if "token_auth" in plain.lower() or options["token"] in plain:
        raise UsageError("--request-suffix: URLs end up in logs, so the token may not be in it.")
