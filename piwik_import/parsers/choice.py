"""What the user has said of the lines of his logs → the formats that they may have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from piwik_import.errors import FormatStringError, UsageError, printable
from piwik_import.parsers import forms, goaccess, logformat, serverconf
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.regex import AROUND, compile_regex, groups_of
from piwik_import.parsers.registry import Registry


@dataclass(frozen=True, slots=True)
class Choice:
    """The options that describe the lines, as given."""

    format: str | None = None
    """Name of a format, or of several; a file that describes one; or the name of one in `log_format_from`."""
    log_format: str | None = None
    log_format_from: Path | None = None
    log_format_regex: str | None = None
    log_date_format: str | None = None
    date_format: str | None = None
    time_format: str | None = None
    datetime_format: str | None = None

    def formats(self, registry: Registry | None = None) -> tuple[Definition, ...]:
        """Return the formats to choose among; none if the user has said nothing. Raises UsageError.

        `registry` knows the names; without it they are those of the formats that come along.
        """
        self._check()
        called = (registry or Registry()).called
        if names := goaccess.ours(self.log_format or ""):
            if self._times != goaccess.USUAL:
                raise UsageError(f"--log-format {self.log_format} knows its times: leave out what describes them.")
            return tuple([one for name in names for one in called(name)])
        if self.log_format is not None:
            made = logformat.read(self.log_format, times=self._times)
            forms.try_out(made)
            return (made,)
        if self.log_format_regex is not None:
            return (from_regex(self.log_format_regex, self.log_date_format or ""),)
        if self.log_format_from is not None:
            return from_configuration(self.log_format_from, self.format)
        if self.format is not None:
            return tuple(called(self.format))
        return ()

    def _check(self) -> None:
        """Raise UsageError for options that say two things, or one that belongs to another that is missing."""
        ways = {
            "--format": self.format if self.log_format_from is None else None,
            "--log-format": self.log_format,
            "--log-format-from": self.log_format_from,
            "--log-format-regex": self.log_format_regex,
        }
        given = [name for name, value in ways.items() if value is not None]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} both say what the lines are: leave one out.")
        if self.log_date_format is not None and self.log_format_regex is None:
            raise UsageError("--log-date-format belongs to --log-format-regex: add it, or leave it out.")
        if self._times != goaccess.USUAL and self.log_format is None:
            raise UsageError(
                "--date-format, --time-format and --datetime-format belong to GoAccess's --log-format: add it."
            )

    @property
    def _times(self) -> goaccess.Times:
        return goaccess.Times(self.date_format, self.time_format, self.datetime_format)


def from_regex(regex: str, time: str) -> Definition:
    """Return the definition of a regular expression with named groups. Raises UsageError.

    One that has no time counts on what is around the lines.
    """
    try:
        has_time = "time" in groups_of(regex)
        if time and not has_time:
            raise ValueError("there is no group `date` (or `time`) in the expression that could be written so")
        compile_regex(regex, time, told={} if has_time else {AROUND: "time"})
    except KeyError as error:
        raise UsageError(f"--log-date-format: there is no form {error}; give a pattern of strptime.") from None
    except ValueError as error:
        raise UsageError(f"--log-format-regex or --log-date-format: {error}") from None
    return Definition(
        name="regex",
        title=f"Regular expression: {regex if len(regex) <= 60 else f'{regex[:60]}…'}",
        source="https://docs.python.org/3/library/re.html#regular-expression-syntax",
        regex=regex,
        time=time,
    )


def from_configuration(path: Path, name: str | None) -> tuple[Definition, ...]:
    """Return the formats of a server's configuration that can be read, or the one called `name`.

    Raises UsageError, which lists what was found.
    """
    found = serverconf.formats_in(path)
    if name is not None:
        wanted = [one for one in found if one.name == name]
        if not wanted:
            names = ", ".join(printable(one.name) for one in found) or "none"
            raise UsageError(
                f"{printable(str(path))}: there is no log format {printable(name)} in it. Found were: {names}."
            )
        return (_made(wanted[0]),)
    usable, refused = [], []
    for one in found:
        try:
            usable.append(_made(one))
        except FormatStringError as error:
            refused.append(f"    {printable(one.name)}: {error.reason.rstrip(':')}")
    if not usable:
        raise UsageError(
            "\n".join([f"{printable(str(path))}: there is no log format in it that can be read.", *refused])
        )
    return tuple(usable)


def _made(one: serverconf.Named) -> Definition:
    """Return the definition of a format in a configuration. Raises FormatStringError."""
    try:
        made = logformat.read(one.string, one.name, one.escape)
        forms.try_out(made)
    except FormatStringError as error:
        raise FormatStringError(error.text, error.at, error.reason, f"{one.where}: {one.name}") from None
    return replace(made, title=f"{one.name} of {one.where}" if one.where else made.title)


def listing(path: Path) -> Iterator[str]:
    """Yield lines that name the formats of a configuration, and what of each cannot be read."""
    for one in serverconf.formats_in(path):
        try:
            _made(one)
            trouble = ""
        except FormatStringError as error:
            trouble = f"  ({error.reason.rstrip(':')})"
        yield f"{one.name}{trouble}"
