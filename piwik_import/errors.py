"""Every error that ends the program and is shown to a person.

    PiwikImportError                1   something that should not have happened
    ├── UsageError                  2   an option, a setting or a file is wrong
    │   ├── SourceError                 a log cannot be read
    │   ├── UnknownFormat               no format fits a log
    │   ├── WrongFormat                 the format that was named does not fit
    │   ├── FormatError                 a format file is wrong
    │   └── FormatStringError           a server's format string cannot be read
    ├── RefusedError                4   the server refuses the token or the site
    ├── UnavailableError           75   the server cannot be reached; try again later
    └── Interrupted               130   Ctrl-C or SIGTERM

A message says where, what, and what to do next. What can be skipped (a bad line, a refused hit) is no
exception here but a count in the report; what can be retried never leaves `delivery`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

EXIT_CODES = {
    0: "everything was imported",
    1: "internal error",
    2: "wrong usage or configuration",
    3: "finished, but some lines or hits were refused",
    4: "the server refuses the token or the site; nothing more was sent",
    75: "the server could not be reached, or another import of this source is running; run again",
    130: "interrupted",
}


class PiwikImportError(Exception):
    """The root: carries the exit code that the command line ends with."""

    exit_code = 1


class UsageError(PiwikImportError):
    """An option, a setting or a file that the user named is wrong."""

    exit_code = 2


class SourceError(UsageError):
    """A log cannot be found or read."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{printable(name)}: {reason}")


class UnknownFormat(UsageError):
    """No known format fits a source."""

    def __init__(self, name: str, line: str, tried: int, given: Sequence[str] = ()) -> None:
        command = "-" if name == "stdin" else printable(name)
        those = f"formats {', '.join(map(printable, given))}" if given else f"{tried} known formats"
        super().__init__(
            f"{printable(name)}: none of the {those} fits this log. It begins with\n"
            f"    {printable(without_tokens(line))}\n"
            f"See which come near with `piwik-import explain {command}`. Name the format with --format (list them with "
            "`piwik-import formats`), or describe it in a file: see formats/README.md."
        )


class WrongFormat(UsageError):
    """The format that the user named fits nothing of a source."""

    def __init__(self, name: str, form: str, line: str, tried: int, reason: str = "") -> None:
        super().__init__(
            f"{printable(name)}: format {printable(form)} fits none of its first {tried} lines. It begins with\n"
            f"    {printable(without_tokens(line))}\n"
            f"{f'which does not fit: {reason}. ' if reason else ''}"
            "Leave --format or --log-format out to have the format recognised; with `piwik-import explain` in place of "
            "`piwik-import` they show where the lines stop fitting."
        )


class FormatError(UsageError):
    """A format file cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"format {printable(name, LONGEST_PATH)}: {reason}")
        self.reason = reason


class FormatStringError(UsageError):
    """A server's format string, or a regular expression, cannot be used; `at` is the character that says why."""

    def __init__(self, text: str, at: int, reason: str, where: str = "") -> None:
        lead = f"{printable(where, LONGEST_PATH)}: " if where else ""
        super().__init__(f"{lead}{reason}\n{pointed(text, at)}")
        self.text, self.at, self.reason = text, at, reason


def pointed(text: str, at: int) -> str:
    """Return two lines that show `text` and point at one of its characters."""
    start = max(0, at - BEFORE_CARET)
    return f"    {printable(text[start:])}\n    {' ' * len(printable(text[start:at]))}^"


LONGEST_PATH = 4096
"""Characters of a path that are shown: the name of a file stands at its end."""

BEFORE_CARET = 100
"""Characters of a text that are shown before the one that is pointed at."""


class RefusedError(PiwikImportError):
    """The server will not take anything from us as we are: token, site or address is wrong."""

    exit_code = 4


class UnavailableError(PiwikImportError):
    """The server cannot be reached or is in trouble; the same command may work later."""

    exit_code = 75


class Interrupted(PiwikImportError):
    """The user or the system asked us to stop."""

    exit_code = 130


def printable(text: str, limit: int = 160) -> str:
    """Return `text` so that a terminal shows it and obeys nothing in it, cut to `limit` characters.

    A log holds whatever strangers sent: an escape sequence in a user agent could retitle the window
    or hide lines (CWE-150).
    """
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text[:limit]
    )
    return shown if len(text) <= limit else shown + "…"


def _letter(letter: str) -> str:
    """Return the expression of a letter as it is, or as a query or JSON may write it."""
    codes = f"{ord(letter):02x}|{ord(letter.upper()):02x}"
    return rf"(?:{letter}|%(?:{codes})|\\x(?:{codes})|\\u00(?:{codes}))"


BETWEEN = r"(?:[_.+ \[]|%(?:5f|2e|20|5b|2b)|\\x(?:5f|5b)|\\u00(?:5f|2e|20|5b|2b))"
TOKEN = (
    f"(?is)({''.join(map(_letter, 'token'))}{BETWEEN}{''.join(map(_letter, 'auth'))})"
    r"""(?:(?! HTTP/)(?:\\.|[^&"]))*(?:"\s*:\s*[^,}\s]*)?"""
)
"""`re` compiles it when it is first used, and remembers it: that takes 1 ms, which --help need not wait for."""


def without_tokens(text: str) -> str:
    """Return a text of a log without the tokens in it: values of ``token_auth``, in a query or in JSON.

    It goes too far rather than not far enough: to the next ``&`` or quote.
    """
    return re.sub(TOKEN, r"\1=***", text)


def masked(text: str) -> str:
    """Return a text as `without_tokens` does, but as long as it was, so that its pieces stand where they stood."""
    return re.sub(TOKEN, lambda found: found[1] + "*" * (len(found[0]) - len(found[1])), text)
