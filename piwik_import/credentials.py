"""Where a token comes from that was not given itself: a file, or an install of the server on this machine.

An install keeps no token that could be read, but has scripts that know: the way is that of its own cron jobs. Very old
ones have a superuser in the configuration, and his token follows from it.

Source: https://developer.matomo.org/api-reference/reporting-api (token_auth), misc/cron/updatetoken.php of an install
"""

from __future__ import annotations

import re
import subprocess
from configparser import ConfigParser
from configparser import Error as IniError
from hashlib import md5
from pathlib import Path

from piwik_import.errors import UsageError, printable

PATIENCE = 60
"""Seconds that PHP may take."""

TOKEN = re.compile("[0-9A-Za-z]{32,64}")


def token_in(path: Path) -> str:
    """Return the token that a file holds, and nothing else. Raises UsageError, which does not show it."""
    try:
        with path.open("rb") as file:
            text = file.read(4096).decode("ascii").strip()
    except OSError as error:
        raise UsageError(f"--token-file {printable(str(path))}: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    if not text or len(text.split()) != 1 or not text.isprintable():
        raise UsageError(f"--token-file {printable(str(path))}: there must be one token in it, on one line")
    return text


def token_of_install(config: Path, php: str, host: str) -> str:
    """Return the superuser's token of the install whose config.ini.php is `config`.

    Args:
        php: the PHP to run its script with.
        host: the server's name: one install may serve many.

    Raises:
        UsageError: there is no such install, or no PHP, or it does not tell.
    """
    name = f"--config {printable(str(config))}"
    token = _old_token(config, name)
    if token is not None:
        return token
    script = config.resolve().parent.parent / "misc" / "cron" / "updatetoken.php"
    if not script.is_file():
        raise UsageError(f"{name}: not of an install of Piwik or Matomo: there is no {printable(str(script))}")
    try:
        # The two names of one option; a script ignores the one that it does not know.
        command = [php, "-q", str(script), f"--matomo-domain={host}", f"--piwik-domain={host}"]
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
    except FileNotFoundError:
        raise UsageError(
            f"{name}: the token is not fetched, for there is no {printable(php)} to run (--php-binary);"
            " set PIWIK_TOKEN instead"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{name}: {printable(php)} does not run: {_reason(error)}; set PIWIK_TOKEN instead") from None
    return _fetched(run, script, name)


def _fetched(run: subprocess.CompletedProcess[bytes], script: Path, name: str) -> str:
    """Return the token from the file that the script names at the end of its output."""
    said = run.stdout.decode("utf-8", "replace").strip()
    place = Path(said.splitlines()[-1].strip()) if said else None
    try:
        found = TOKEN.findall(place.read_text("ascii", "replace")) if place is not None else []
    except (OSError, ValueError):
        found = []
    if run.returncode or not found:
        # Only the first line of its errors: what PHP prints below it might hold what is secret.
        lines = run.stderr.decode("utf-8", "replace").strip().splitlines() or ["it names no file with a token"]
        error = TOKEN.sub("***", lines[0])
        raise UsageError(
            f"{name}: {printable(str(script))} gives no token (exit {run.returncode}: {printable(error)});"
            " run it as the web server's user, or set PIWIK_TOKEN"
        )
    return str(found[-1])


def _old_token(config: Path, name: str) -> str | None:
    """Return the token of the superuser in a configuration of Piwik 2.0 and before; None if there is none in it."""
    parser = ConfigParser(interpolation=None, strict=False, allow_no_value=True, comment_prefixes=(";", "#"))
    try:
        parser.read_string(config.read_text("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    except IniError:
        raise UsageError(f"{name}: not a configuration of Piwik or Matomo") from None
    user = parser.items("superuser") if parser.has_section("superuser") else ()
    values: dict[str, str] = {key: (value or "").strip("\"' ") for key, value in user}
    if values.get("token_auth"):
        return values["token_auth"]
    if values.get("login") and values.get("password"):  # the password is an MD5 there
        return md5((values["login"] + values["password"]).encode(), usedforsecurity=False).hexdigest()
    return None


def _reason(error: OSError | subprocess.TimeoutExpired) -> str:
    return f"no end after {PATIENCE} s" if isinstance(error, subprocess.TimeoutExpired) else error.strerror or "error"
