"""The configuration of nginx or Apache → the log formats that it names.

Read as those servers read it: comments, quotes, lines that go on, files that are included, with ``*`` in their
names. nginx includes relative to the folder of its main file, Apache relative to its ServerRoot. Conditions such as
``<IfModule>`` are taken as true, and what cannot be included is passed over.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import NamedTuple

from piwik_import.errors import UsageError, printable


class Named(NamedTuple):
    """A log format of a configuration."""

    name: str
    string: str
    escape: str = ""
    """nginx's ``escape=``."""
    where: str = ""
    """File and line."""


def formats_in(path: Path) -> list[Named]:
    """Return the log formats that a configuration names, each once, in their order. Raises UsageError."""
    text = _read(path)
    found = _Apache(path).formats(text) if _is_apache(text) else _Nginx(path).formats(text)
    return list({one.name: one for one in found}.values())


def pasted(string: str) -> Named | None:
    """Return the format of a directive that was copied whole, ``LogFormat "…" name`` or ``log_format name '…';``."""
    if found := re.match(r"\s*(?:LogFormat|TransferLog|CustomLog)\s", string, re.IGNORECASE):
        return next(_Apache(Path()).formats(string), None)
    if found := re.fullmatch(r'\s*(?:log-format\s+)?"((?:[^"\\]|\\.)*)"\s*', string):  # HAProxy's, or quotes alone
        return Named("", found[1].replace('\\"', '"'))
    if found := re.fullmatch(r"\s*log-format\s+(\S.*)", string, re.DOTALL):  # GoAccess's, or HAProxy's without quotes
        return Named("", found[1])
    if re.match(r"\s*log_format\s", string):
        string = f"{string.rstrip(' ;')};"  # which is easily left out
        return next((one for one in _Nginx(Path()).formats(string) if one.where), None)
    if found := re.fullmatch(r"\s*(?:escape=(?:default|json|none)\s+)?(?:'[^']*'\s*)+;?\s*", string):  # the parts alone
        string = f"log_format nginx {found[0].rstrip(' ;')};"
        return next((one for one in _Nginx(Path()).formats(string) if one.where), None)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise UsageError(f"{printable(str(path))}: {error.strerror}") from None


def _is_apache(text: str) -> bool:
    """Tell Apache's configuration, a directive a line, from nginx's, in which each ends in a semicolon or a brace."""
    code = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return sum(line.endswith((";", "{", "}")) for line in code) < len(code) / 4


class _Reader(ABC):
    """What both have in common: files in files, each read once in a circle."""

    def __init__(self, path: Path) -> None:
        self._main = path
        self._reading = [path.resolve()]

    @abstractmethod
    def formats(self, text: str, path: Path | None = None) -> Iterator[Named]:
        """Yield the formats in `text`, the content of `path`, and in what it includes."""

    def _of_file(self, path: Path) -> Iterator[Named]:
        """Yield the formats of a file that is included, unless it is the one that includes it, near or far."""
        if os.path.isfile(path) and path.resolve() not in self._reading:
            self._reading.append(path.resolve())
            yield from self.formats(_read(path), path)
            self._reading.pop()


class _Apache(_Reader):
    """Reads a configuration of Apache: https://httpd.apache.org/docs/2.4/configuring.html."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._root = path.parent
        self._variables: dict[str, str] = {}

    def formats(self, text: str, path: Path | None = None) -> Iterator[Named]:
        path = path or self._main
        for number, line in self._lines(text):
            name, _, rest = line.partition(" ") if " " in line else line.partition("\t")
            words = [self._expanded(word) for word in self._words(rest)]
            directive, where = name.lower(), f"{path}:{number}"
            if directive == "serverroot" and words:
                root = Path(words[0])
                # Path.is_dir() fails for a name that is too long for one.
                self._root = root if root.is_absolute() and os.path.isdir(root) else self._root
            elif directive == "define" and len(words) == 2:
                self._variables[words[0]] = words[1]
            elif directive in ("include", "includeoptional") and words:
                for included in self._included(words[0]):
                    yield from self._of_file(included)
            elif directive == "logformat" and words:
                yield Named(words[1] if len(words) > 1 else "TransferLog", words[0], where=where)
            elif directive in ("customlog", "globallog") and len(words) > 1 and "%" in words[1]:
                yield Named(f"CustomLog {words[0]}", words[1], where=where)

    def _included(self, pattern: str) -> Iterator[Path]:
        place = Path(pattern) if Path(pattern).is_absolute() else self._root / pattern
        for name in sorted(glob(str(place))):
            found = Path(name)
            yield from sorted(found.rglob("*")) if found.is_dir() else [found]  # Apache takes a folder for all in it

    def _expanded(self, word: str) -> str:
        return re.sub(r"\$\{(\w+)\}", lambda found: self._variables.get(found[1], found[0]), word)

    @staticmethod
    def _lines(text: str) -> Iterator[tuple[int, str]]:
        """Yield the lines that are no comments, those that end in a backslash joined with the next."""
        whole, first = "", 0
        for number, line in enumerate(text.splitlines(), 1):
            first = first or number
            if line.endswith("\\") and not line.endswith("\\\\"):
                whole += line[:-1]
                continue
            whole = (whole + line).strip()
            if whole and not whole.startswith("#"):
                yield first, whole
            whole, first = "", 0

    @staticmethod
    def _words(text: str) -> list[str]:
        """Cut arguments: in quotes a backslash stands before a quote or a backslash of the same kind."""
        words = []
        for quoted, other, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|(\S+)', text):
            words.append(re.sub(r"\\([\"'\\])", r"\1", quoted or other) if quoted or other else plain)
        return words


class _Nginx(_Reader):
    """Reads a configuration of nginx: https://nginx.org/en/docs/beginners_guide.html#conf_structure."""

    TOKEN = re.compile(
        r"""\s+|\#[^\n]*|(?P<sign>[;{}])|"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'"""
        r"""|(?P<word>(?:\$\{|\\.|[^\s;{}])+)""",
        re.DOTALL,
    )

    def formats(self, text: str, path: Path | None = None) -> Iterator[Named]:
        if path is None:
            from piwik_import.parsers.nginx import COMBINED

            yield Named("combined", COMBINED)
        path = path or self._main
        words: list[str] = []
        line = 1
        for found in self.TOKEN.finditer(text):
            line_here, line = line, line + found[0].count("\n")
            if found["sign"]:
                yield from self._directive(words, f"{path}:{line_here}")
                words = []
            elif found["word"] is not None:
                words.append(re.sub(r"\\(.)", r"\1", found["word"]) if words else found["word"])
            elif found["double"] is not None or found["single"] is not None:
                inside = found["double"] if found["double"] is not None else found["single"]
                words.append(re.sub(r"\\(?:([tnr])|([\"'\\]))", self._escaped, inside))

    def _directive(self, words: list[str], where: str) -> Iterator[Named]:
        if words[:1] == ["log_format"] and len(words) > 2:
            name, *parts = words[1:]
            escape = parts.pop(0).removeprefix("escape=") if parts[0].startswith("escape=") else ""
            yield Named(name, "".join(parts), escape, where)
        elif words[:1] == ["include"] and len(words) > 1:
            for included in self._included(words[1]):
                yield from self._of_file(included)

    def _included(self, pattern: str) -> Iterator[Path]:
        place = Path(pattern) if Path(pattern).is_absolute() else self._main.parent / pattern
        return map(Path, sorted(glob(str(place))))

    @staticmethod
    def _escaped(found: re.Match[str]) -> str:
        return {"t": "\t", "n": "\n", "r": "\r"}[found[1]] if found[1] else found[2]
