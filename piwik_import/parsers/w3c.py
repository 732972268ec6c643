"""What the user knows of the columns of a log, and its header does not say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from piwik_import.errors import UsageError, printable
from piwik_import.parsers.columns import Columns
from piwik_import.parsers.definition import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class W3C:
    """Settings for all formats that have columns. The options' names are those of Matomo's importer."""

    w3c_fields: str | None = None
    """The header of a log that has none: ``#Fields: date time …``."""
    w3c_map_field: tuple[str, ...] = ()
    """``CUSTOM=STANDARD``: a column, and the one that formats know which it stands for."""
    w3c_field_regex: tuple[str, ...] = ()
    """``NAME=REGEX``: a column, and an expression whose named groups are fields."""
    w3c_time_taken_millisecs: bool = False
    """The unit of how long the server took, whatever it is in the format."""
    w3c_time_taken_secs: bool = False

    def adapted(self, definitions: Sequence[Definition]) -> list[Definition]:
        """Return formats as these settings make them.

        Raises UsageError for a setting that cannot be meant, or that concerns none of them.
        """
        if self == W3C():
            return [*definitions]
        if self.w3c_time_taken_millisecs and self.w3c_time_taken_secs:
            raise UsageError("--w3c-time-taken-millisecs and --w3c-time-taken-secs: choose one.")
        known = [one.columns.fields_of.keys() for one in definitions if one.columns is not None]
        if not known:
            names = ", ".join(one.name for one in definitions)
            raise UsageError(f"--w3c-… options are for logs with columns, and the format {printable(names)} has none.")
        standard = sorted({name for names in known for name in names})
        for _, name in self._mapped():
            if name not in standard:
                raise UsageError(f"--w3c-map-field: no column is called {printable(name)}; try {', '.join(standard)}.")
        return [one if one.columns is None else replace(one, columns=self._adapted(one.columns)) for one in definitions]

    def _adapted(self, columns: Columns) -> Columns:
        fields_of = {own: columns.fields_of[name] for own, name in self._mapped() if name in columns.fields_of}
        fields_of |= {name: fields for name, fields in columns.fields_of.items() if name not in fields_of}
        if self.w3c_time_taken_millisecs or self.w3c_time_taken_secs:
            word, unit = "generation_time", "ms" if self.w3c_time_taken_millisecs else "s"
            fields_of = {
                name: [f"{word}:{unit}" if one.partition(":")[0] == word else one for one in fields]
                for name, fields in fields_of.items()
            }
        default = re.sub(r"^\s*#?\s*fields:", "", self.w3c_fields or columns.default, flags=re.IGNORECASE).strip()
        return replace(columns, fields_of=fields_of, default=default, regexes=dict(self._regexes()))

    def _mapped(self) -> list[tuple[str, str]]:
        return [_pair("--w3c-map-field CUSTOM=STANDARD", text.lower()) for text in self.w3c_map_field]

    def _regexes(self) -> list[tuple[str, str]]:
        pairs = [_pair("--w3c-field-regex NAME=REGEX", text) for text in self.w3c_field_regex]
        for _, expression in pairs:
            try:
                groups = re.compile(expression).groupindex
            except re.error as error:
                raise UsageError(f"--w3c-field-regex {printable(expression)}: {error}.") from None
            if not groups:
                raise UsageError(f"--w3c-field-regex {printable(expression)}: it needs a named group, (?P<name>…).")
        return [(name.lower(), expression) for name, expression in pairs]


def _pair(option: str, text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (sign and name.strip() and value.strip()):
        raise UsageError(f"{option}: '{printable(text)}' is no such pair.")
    return name.strip(), value.strip()
