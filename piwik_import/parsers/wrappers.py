"""What stands around the lines of a log that passed through something else on its way: syslog, Docker, Kubernetes.

A wrapper is one TOML file in formats/wrappers: a regular expression with the groups ``message`` and, where the lines
have it, ``time`` and ``stream``; or ``[json]`` with the paths of these. A message may be spread over several lines:
`goes_on` is what the group ``part`` holds in a line that is not the last of its message, `ends` is what the last one
ends in.

What a wrapper says of the time counts only where the line within has none. Something may be around a wrapper in turn:
the layers are taken off one after another, and the time is that of the innermost layer that names it with its year.
Where a time is optional, as in compose's, it may have been that of the next layer, which is then tried with it too.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from piwik_import.clock import split_form
from piwik_import.errors import FormatError, FormatStringError
from piwik_import.parsers import json_lines, paths, tables
from piwik_import.parsers.encoding import latin1
from piwik_import.parsers.messages import Unwrap, Unwrapped, next_layer, unwrapper
from piwik_import.parsers.record import BadLine, OtherLine, Parser, Record, Stranger
from piwik_import.parsers.regex import compiled

KEYS = {"title": str, "source": str, "regex": str, "json": dict, "time": str, "goes_on": str, "ends": str}
KEYS |= {"sample": list}

NAMES = {"message", "time", "stream", "part"}
"""What a wrapper's groups may be called, and but for ``part`` the keys of its ``[json]``; other groups are only for the
reader."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """One wrapper as its file describes it. Holds data only, so it travels to other processes."""

    name: str
    title: str = ""
    source: str = ""
    """The page of its maker."""
    regex: str | None = None
    json: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    time: str = "iso8601"
    """The form of its time, for `regex`."""
    goes_on: str = ""
    ends: str = ""
    samples: tuple[Mapping[str, Any], ...] = ()
    file: str = ""
    """Where it is described, if that is none of the files that come along."""
    outer: Wrapper | None = None
    """What is around it in turn."""

    @property
    def layers(self) -> list[Wrapper]:
        """It and what is around it, the outermost first."""
        return [self] if self.outer is None else [*self.outer.layers, self]

    @property
    def label(self) -> str:
        """What people are told, and may say."""
        return self.name if self.outer is None else f"{self.name} in {self.outer.label}"

    @property
    def has_parts(self) -> bool:
        """Whether a message may be spread over several lines."""
        return any(one.goes_on or one.ends for one in self.layers)

    def may_have_parts(self, data: bytes) -> bool:
        """Tell whether any line in `data` might go on in another: looking costs a thousandth of unwrapping."""
        if self.outer is not None and (self.ends or self.outer.may_have_parts(data)):
            return True  # where the text that ends a message is within another's, who knows how it is written
        if self.goes_on:
            return f" {self.goes_on} ".encode() in data
        ends = self.ends.encode("unicode_escape") + b'"'
        return bool(self.ends) and data.count(ends) < data.count(b"\n")

    @property
    def detail(self) -> int:
        """How much it may say of a line: of two that say as much, the one that could say no more is meant."""
        return sum(len(one.json) if one.regex is None else one.regex.count("(?P<") for one in self.layers)

    @property
    def time_form(self) -> str | None:
        """The form of its time; None if it has none."""
        if self.outer is not None:
            forms = [one.time_form for one in self.timed]
            return None if not forms else forms[-1] if len({*forms}) == 1 else "any"
        if self.regex is not None:
            return self.time if "(?P<time>" in self.regex else None
        return "any" if "time" in self.json else None

    @property
    def timed(self) -> list[Wrapper]:
        """The layers, each for itself, whose times count: those with a year, and of forms that go together."""
        alone = [replace(one, outer=None) for one in self.layers]
        forms = {one.name: split_form(form)[0] for one in alone if (form := one.time_form) is not None}
        timed = [one for one in alone if one.name in forms]
        dated = [one for one in timed if forms[one.name] != "syslog"] or timed[-1:]
        return dated if all(forms[one.name] in ("iso8601", "any") for one in dated) else dated[-1:]

    def compile(self) -> Unwrap:
        """Return the function that takes a line out of it, and of what is around it. Raises FormatError.

        If it has parts, the function takes a message out of all its lines too, as `messages` makes one text of them.
        """
        timed = {one.name for one in self.timed}
        of_line = self._compile_for_lines(timed)
        if not self.has_parts:
            return of_line
        of_several = unwrapper([(one.compile_layer(), one.name in timed) for one in self.layers])
        return lambda text: of_several(text) if "\n" in text else of_line(text)

    def _compile_for_lines(self, timed: Set[str]) -> Unwrap:
        """As `compile`, for single lines; `timed` names the layers whose times count."""
        own, tells = self.compile_layer(), self.name in timed
        if self.outer is None:
            return own
        outer = self.outer._compile_for_lines(timed)
        is_outer_parted, is_parted = self.outer.has_parts, bool(self.goes_on or self.ends)
        is_outer_timed = self.outer.outer is not None or self.outer.name in timed

        def unwrap(line: str) -> Unwrapped | None:
            around = outer(line)
            within = None if around is None else next_layer(own, around)
            if around is None or within is None:
                return around if around is None or is_outer_timed else around._replace(time=None)
            # Where parts are what is around, only the first of them holds what is within.
            is_part = around.goes_on or (is_outer_parted and not is_parted)
            streams = [one for one in (around.stream, None if is_part else within.stream) if one is not None]
            time = (within.time if tells else None) or (around.time if is_outer_timed else None)
            return Unwrapped(within.message, time, " ".join(streams) or None, around.goes_on or within.goes_on)

        return unwrap

    def compile_layer(self) -> Unwrap:
        """As `compile`, without what is around it."""
        try:
            return self._compile_regex(self.regex) if self.regex is not None else self._compile_json()
        except (ValueError, FormatStringError) as error:
            raise FormatError(self.name, str(error)) from None

    def _compile_regex(self, regex: str) -> Unwrap:
        fullmatch = compiled(regex + r"\r?", re.DOTALL).fullmatch
        goes_on, has = self.goes_on, NAMES & compiled(regex).groupindex.keys()
        if "message" not in has:
            raise ValueError("the regex has no group `message`")

        def unwrap(line: str) -> Unwrapped | None:
            found = fullmatch(line)
            if found is None:
                return None
            time = found["time"] if "time" in has else None
            stream = found["stream"] if "stream" in has else None
            return Unwrapped(found["message"] or "", time, stream, "part" in has and found["part"] == goes_on)

        return unwrap

    def _compile_json(self) -> Unwrap:
        if not {"message"} <= self.json.keys() <= NAMES - {"part"}:
            raise ValueError("`json` needs a `message`, and knows besides `time` and `stream`")
        get = {name: _first(specs) for name, specs in self.json.items()}
        ends = self.ends

        def unwrap(line: str) -> Unwrapped | None:
            if not line.lstrip().startswith("{"):
                return None
            try:
                values = json_lines.load_json(line)
            except BadLine:
                return None
            message = _text(get["message"](values))
            if message is None:
                return None
            time = get["time"](values) if "time" in get else None
            stream = get["stream"](values) if "stream" in get else None
            goes_on = bool(ends) and not message.endswith(ends)
            return Unwrapped(
                message if goes_on else message.rstrip("\r\n"),
                None if time is None else str(time),
                None if stream is None else str(stream),
                goes_on,
            )

        return unwrap


def _first(specs: str | Sequence[str]) -> paths.Find:
    """Return the function that takes the first value that is there."""
    finders = [paths.finder(paths.split(spec)[0]) for spec in paths.several(specs)]
    return lambda values: next((value for find in finders if (value := find(values)) is not None), None)


def _text(value: Any) -> str | None:
    """Return the bytes of a message as characters (Latin-1); journald writes bytes that are no text as a list."""
    if isinstance(value, str):
        return latin1(value)
    if isinstance(value, list) and value and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return bytes(value).decode("latin-1")
    return None


def around(
    wrapper: Wrapper,
    parse: Parser,
    *,
    give_time: Callable[[str, str], str] | None = None,
    is_other: Callable[[str], bool] = lambda _: False,
) -> Parser:
    """Return the parser of wrapped lines, of which `parse` reads what is within.

    `give_time` joins the wrapper's time and a line that `parse` could not read without; `is_other` knows the line
    itself if it tells of no request. What does not even begin as the lines of the log do is another program's, and no
    invalid line. Lines that are not wrapped are read as they are.

    Raises FormatError.
    """
    unwrap = wrapper.compile()

    def parse_within(text: str) -> Record:
        found, time = unwrap(text), None
        if found is not None:
            text, time = found.message, found.time
            if not text.strip():
                raise OtherLine("there is nothing within")
        whole = text
        if give_time is not None:
            if time is None:
                raise OtherLine("neither the line nor what is around it says the time")
            whole = give_time(time, text)
        try:
            return parse(whole)
        except Stranger as error:
            raise OtherLine(str(error)) from None
        except BadLine:
            if is_other(text):
                raise OtherLine("the line tells of no request") from None
            raise

    return parse_within


def folder() -> Path:
    """Return the folder of the wrappers' files, beside those of the formats."""
    return tables.folder() / "wrappers"


@cache
def known() -> Mapping[str, Wrapper]:
    """Read every wrapper that comes with the program; by name."""
    return {path.stem: read(path) for path in sorted(folder().glob("*.toml"))}


def read(path: Path) -> Wrapper:
    """Read a wrapper's file. Raises FormatError."""
    table = tables.read(path, KEYS)
    if ("regex" in table) == ("json" in table):
        raise FormatError(path.name, "it needs one of `regex` and `json`")
    samples = tuple(table.pop("sample", ()))
    return Wrapper(name=path.stem, samples=samples, **table)


def describes_one(path: Path) -> bool:
    """Tell whether a file looks like that of a wrapper, and not like that of a format."""
    if path.resolve().parent.name == "wrappers":
        return True
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    names = [*table.get("json", ()), *re.findall(r"\(\?P?<(\w+)>", str(table.get("regex", "")))]
    return "message" in names or not table.keys().isdisjoint({"goes_on", "ends"})


def describe(wrapper: Wrapper) -> Iterator[str]:
    """Yield the lines of a text that shows a wrapper with its samples."""
    yield f"{wrapper.name}: {wrapper.title}"
    yield from (f"  {one}" for one in (wrapper.source, wrapper.file) if one)
    yield ""
    if wrapper.regex is not None:
        yield f"  {wrapper.regex}"
    for name, specs in wrapper.json.items():
        yield f"  {name:8} {', else '.join(paths.several(specs))}"
    for sample in wrapper.samples:
        yield ""
        yield f"  {sample['line']}"
        yield from (f"      {name:8} {value}" for name, value in sample.items() if name != "line")
