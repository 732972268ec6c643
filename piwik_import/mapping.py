"""What of a log becomes which parameter of a hit: the ``[hit]`` table of a format file, --map and --set.

    [hit]
    map = { uid = "account|lower", action_name = "{section} / {title}" }
    set = { lang = "en" }

    [[hit.case]]                                    # the first case that fits a line counts
    when = { event = ["click", "tap"], area = "~^nav" }
    map = { e_c = "area", e_a = "event", e_n = "label" }

`map` gives a parameter the value of a field, with conversions after ``|``, or a template of fields; where a field is
absent the parameter is not set. `set` gives it a constant. What comes later counts: the case over the table's own,
the command line over the file.

A rule is checked when it is read: that there is such a parameter, that a constant keeps its rule, that the conversions
exist. Parameters that no hit may carry, as the token, are refused. This module knows nothing of records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from piwik_import.kinds import NOT_IN_BULK, SECRET
from piwik_import.parameters import fault, parameter

Value = str | int | float
Read = Callable[[str], Any]
"""The name of a field → its value in one line, as the log or its JSON has it; None if the line lacks it."""

LONGEST = 4096
"""Characters of a field that an expression of a condition is tried on: it is the user's, and may be slow."""


class Piece(NamedTuple):
    """A field in a source, and what is done with its value."""

    field: str
    conversions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What parameters are given, and when."""

    map: Mapping[str, str] = field(default_factory=dict)
    """Parameter → source: ``field``, ``field|conversion`` or a template as ``{method} {path}``."""
    set: Mapping[str, Value] = field(default_factory=dict)
    when: Mapping[str, Any] = field(default_factory=dict)
    """Field → value, ``~expression``, or a list of these; all must hold."""


@dataclass(frozen=True, slots=True)
class HitTable:
    """A ``[hit]`` table. Holds data only, so it travels to other processes."""

    always: Rules = field(default_factory=Rules)
    cases: tuple[Rules, ...] = ()

    @property
    def fields(self) -> set[str]:
        """Name the fields that it reads."""
        rules = (self.always, *self.cases)
        sources = {piece.field for one in rules for text in one.map.values() for piece in _pieces(text)}
        return sources | {name for one in rules for name in one.when}

    @property
    def hashes(self) -> bool:
        """Whether it makes an ID of anything."""
        rules = (self.always, *self.cases)
        return any("hash" in piece.conversions for one in rules for text in one.map.values() for piece in _pieces(text))

    @property
    def parameters(self) -> set[str]:
        """Name the parameters that it gives."""
        return {name for one in (self.always, *self.cases) for name in (*one.map, *one.set)}


def read_table(table: Mapping[str, Any]) -> HitTable:
    """Read a ``[hit]`` table. Raises ValueError, which says where."""
    cases = table.get("case", [])
    if not isinstance(cases, list):
        raise ValueError("`hit.case` is no list of tables: write [[hit.case]]")
    always = {key: value for key, value in table.items() if key != "case"}
    if "when" in always:
        raise ValueError("`hit` has a `when`: conditions stand in [[hit.case]]")
    return HitTable(
        _rules("hit", always), tuple([_rules(f"hit.case {number}", one) for number, one in enumerate(cases, 1)])
    )


def _rules(place: str, table: object) -> Rules:
    if not isinstance(table, dict):
        raise ValueError(f"`{place}` is no table")
    if unknown := table.keys() - {"map", "set", "when"}:
        raise ValueError(
            f"`{place}` has an unknown key {', '.join(sorted(unknown))}; known are case, map, set, when. "
            "A parameter stands in map or set."
        )
    for key, value in table.items():
        if not isinstance(value, dict):
            raise ValueError(f"`{place}` {key}: is no table")
    try:
        return checked(Rules(table.get("map", {}), table.get("set", {}), table.get("when", {})))
    except ValueError as error:
        raise ValueError(f"`{place}` {error}") from None


def checked(rules: Rules) -> Rules:
    """Return `rules` if they can be. Raises ValueError."""
    for name, source in rules.map.items():
        _check_parameter("map", name)
        if not isinstance(source, str):
            raise ValueError(f"map {name}: {source!r} is no field; a constant stands in set")
        try:
            [*_pieces(source)]
        except ValueError as error:
            raise ValueError(f"map {name}: {error}") from None
    for name, value in rules.set.items():
        _check_parameter("set", name)
        if not isinstance(value, str | int | float):
            raise ValueError(f"set {name}: {value!r} is neither a text nor a number")
        if wrong := fault(name, text_of(value)):
            raise ValueError(f"set {wrong}")
    for name, wanted in rules.when.items():
        try:
            _condition(name, wanted)
        except (ValueError, re.error) as error:
            raise ValueError(f"when {name}: {error}") from None
    return rules


def _check_parameter(key: str, name: str) -> None:
    row = parameter(name)
    if row is None:
        raise ValueError(f"{key} {fault(name, '')}; `piwik-import params` lists them")
    if row.kind in (SECRET, NOT_IN_BULK):
        raise ValueError(f"{key} {name}: is {row.rule}")


class Mapper:
    """A `HitTable` at work. `hashed` makes an ID of a text."""

    def __init__(self, table: HitTable, hashed: Callable[[str], str]) -> None:
        self._always = _filler(table.always, hashed)
        self._cases = [(_conditions(one.when), _filler(one, hashed)) for one in table.cases]

    def __call__(self, read: Read) -> dict[str, Value]:
        """Return the parameters that a line's fields give."""
        found = self._always(read)
        for holds, fill in self._cases:
            if holds(read):
                return found | fill(read)
        return found


def _filler(rules: Rules, hashed: Callable[[str], str]) -> Callable[[Read], dict[str, Value]]:
    sources = [(name, _source(text, hashed)) for name, text in rules.map.items()]

    def fill(read: Read) -> dict[str, Value]:
        found = dict(rules.set)
        for name, take in sources:
            if (value := take(read)) is not None:
                found[name] = value
        return found

    return fill


# Sources

TOKEN = re.compile(r"\{([^{}]*)\}")


def _pieces(source: str) -> Iterator[Piece]:
    """Yield the fields of a source. Raises ValueError."""
    for part in TOKEN.findall(source) if "{" in source or "}" in source else [source]:
        name, *conversions = (word.strip() for word in part.split("|"))
        if not name:
            raise ValueError(f"'{source}' names no field")
        for conversion in conversions:
            if conversion not in CONVERSIONS:
                raise ValueError(f"there is no conversion '{conversion}'; known are {', '.join(CONVERSIONS)}")
        yield Piece(name, tuple(conversions))
    if set("{}") & set(TOKEN.sub("", source)):
        raise ValueError(f"'{source}' has a brace without its other one")


def _source(source: str, hashed: Callable[[str], str]) -> Callable[[Read], Value | None]:
    """Return the function that takes the value of a source."""
    takes = [_taker(piece, hashed) for piece in _pieces(source)]
    if "{" not in source:
        return takes[0]
    texts = TOKEN.split(source)[::2]

    def fill(read: Read) -> str | None:
        values = [take(read) for take in takes]
        if None in values:
            return None
        return texts[0] + "".join(
            [text_of(value) + text for value, text in zip(values, texts[1:], strict=True) if value is not None]
        )

    return fill


def _taker(piece: Piece, hashed: Callable[[str], str]) -> Callable[[Read], Value | None]:
    steps = [hashed_of(hashed) if name == "hash" else CONVERSIONS[name][1] for name in piece.conversions]

    def take(read: Read) -> Value | None:
        value = read(piece.field)
        if value is None or value == "":
            return None
        for step in steps:
            value = step(value)
        return _plain(value)

    return take


def _plain(value: Any) -> Value | None:
    """Return what a hit can hold: an array or object of JSON becomes its text; nothing is None."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list | dict):
        return text_of(value)
    return None if value == "" else value


SURROGATES = re.compile("[\\ud800-\\udfff]")


def text_of(value: Any) -> str:
    """Return a value as text: true is 1, a whole number has no point, a list or an object is JSON.

    Raises ValueError for what is nested too deeply, or a number of thousands of digits.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list | dict):  # PHP reads no JSON that holds bytes which are not UTF-8
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        except RecursionError:
            raise ValueError("a field is nested too deeply") from None
        return SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _milliseconds(value: Any) -> Any:
    try:
        return round(float(value) * 1000)
    except (ValueError, TypeError, OverflowError):  # then it breaks the rule of whatever it is given to
        return value


ITEM = ("sku", "name", "category", "price", "quantity")


def _items(value: Any) -> Any:
    """Return items that are objects as the arrays that ``ec_items`` is made of."""
    if not isinstance(value, list):
        return value
    return [
        [item.get(key, default) for key, default in zip(ITEM, ("", "", "", 0, 1), strict=True)]
        if isinstance(item, dict)
        else item
        for item in value
    ]


def hashed_of(hashed: Callable[[str], str]) -> Callable[[Any], str]:
    """Return the conversion that makes an ID of a value."""
    return lambda value: hashed(text_of(value))


CONVERSIONS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "ms": ("seconds → milliseconds", _milliseconds),
    "upper": ("upper case", lambda value: text_of(value).upper()),
    "lower": ("lower case", lambda value: text_of(value).lower()),
    "hash": ("16 hexadecimal digits, the same for the same text, made with the key of --visitor-id-key", text_of),
    "items": (f"objects with {', '.join(ITEM)} → the arrays of ec_items", _items),
}
"""Name → what it does, and how; ``hash`` is given its key later."""


# Conditions


def _conditions(when: Mapping[str, Any]) -> Callable[[Read], bool]:
    tests = [(name, _condition(name, wanted)) for name, wanted in when.items()]
    return lambda read: all(holds(text_of(read(name))) for name, holds in tests)


def _condition(name: str, wanted: Any) -> Callable[[str], bool]:
    """Return the test of a field's text. Raises ValueError, or re.error."""
    if not name:
        raise ValueError("names no field")
    if isinstance(wanted, list):
        return _any([_condition(name, one) for one in wanted])
    if not isinstance(wanted, str | int | float):
        raise ValueError("must be a text, a number, true, false, or a list of these")
    if isinstance(wanted, str) and wanted.startswith("~"):
        search = re.compile(wanted[1:]).search
        return lambda text: search(text[:LONGEST]) is not None
    return text_of(wanted).__eq__


def _any(tests: Sequence[Callable[[str], bool]]) -> Callable[[str], bool]:
    return lambda text: any(holds(text) for holds in tests)
