"""The formats and wrappers that a log may have: those that come along, the user's own, and those of plug-ins.

The user's own are files in a folder. Where one is called as one that comes along, the user's is meant; a plug-in takes
nobody's name. Files and plug-ins that cannot be used are told of, once, and stop nothing but what needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from piwik_import import clock
from piwik_import.errors import FormatError, FormatStringError, UsageError, printable
from piwik_import.parsers import catalogue, forms, plugin, tables, wrappers
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.plugin import Installed, Plugin
from piwik_import.parsers.wrappers import Wrapper

S = TypeVar("S", Path, Installed)
T = TypeVar("T", Definition, Wrapper)

Warn = Callable[[str], None]


class Registry:
    """Finds formats and wrappers. Reads a file, and loads a plug-in, when it is first asked for.

    `folder` is that of the user's own; without it, and without `plugins`, there are only those that come along.
    """

    def __init__(self, folder: Path | None = None, warn: Warn = lambda _: None, *, plugins: bool = False) -> None:
        self.folder = folder
        self._around = None if folder is None else folder / "wrappers"
        self._warn = warn
        self._plugins = plugins
        self._broken: dict[tuple[type, str], UsageError] = {}

    @cached_property
    def own(self) -> Mapping[str, Definition]:
        """The user's formats that can be used, by name."""
        return self._usable(Definition, _files(self.folder), read)

    @cached_property
    def plugged(self) -> Mapping[str, Definition]:
        """Those of plug-ins, by name. The code of one whose name is taken is not even loaded."""
        taken = {*_files(self.folder), *catalogue.known()}
        for one in self._installed.values():
            if one.name in taken:
                self._leave_out(one, "a format that is no plug-in")
        free = {name: one for name, one in self._installed.items() if name not in taken}
        return self._usable(Definition, free, _definition)

    @cached_property
    def formats(self) -> Mapping[str, Definition]:
        """All of them, by name: the user's first, which so go before others that fit a log alike."""
        return {**self.own, **without(catalogue.known(), self.own), **self.plugged}

    @cached_property
    def own_wrappers(self) -> Mapping[str, Wrapper]:
        """The user's wrappers that can be used, by name."""
        return self._usable(Wrapper, _files(self._around), read_wrapper)

    @property
    def wrappers(self) -> Mapping[str, Wrapper]:
        """All of them, by name."""
        return {**self.own_wrappers, **without(wrappers.known(), self.own_wrappers)}

    def recognisable(self) -> list[Definition]:
        """Return the formats that are tried on a log of which nobody has said what it is."""
        return [one for one in self.formats.values() if one.recognised]

    def called(self, name: str) -> Sequence[Definition]:
        """Return the format called `name`, or that the file `name` describes; or all that have it as an alias.

        Of the aliases the user's own go before those that come along, and these before those of plug-ins.

        Raises UsageError.
        """
        path = Path(name) if name.endswith(".toml") else _files(self.folder).get(name)
        if path is not None:
            return [read(path)]
        if name in catalogue.known():
            return [catalogue.known()[name]]
        if name in self._installed:
            return [_definition(self._installed[name])]
        for several in self._in_turn():
            if found := [one for one in several.values() if name in one.aliases]:
                return found
        if "/" in name or Path(name).is_file():
            raise FormatError(name, "no such format; the name of a file that describes one ends in .toml.")
        return [catalogue.named(name)]

    def wrapper(self, name: str) -> Wrapper:
        """Return the wrapper called `name`, or that the file `name` describes; ``a in b`` is `a` with `b` around it.

        Raises UsageError.
        """
        inner, is_nested, outer = name.partition(" in ")
        if is_nested and not Path(name).is_file():
            return replace(self.wrapper(inner.strip()), outer=self.wrapper(outer.strip()))
        path = Path(name) if name.endswith(".toml") else _files(self._around).get(name)
        if path is not None:
            return read_wrapper(path)
        if name in wrappers.known():
            return wrappers.known()[name]
        names = ", ".join(self.wrappers)
        raise UsageError(f"--wrapper {printable(name)}: there is no such wrapper; there are {names}; or none.")

    def either(self, name: str) -> Sequence[Definition | Wrapper]:
        """Return the wrapper, or as `called` the formats, of that name. Raises UsageError."""
        if name.endswith(".toml"):
            is_wrapper = wrappers.describes_one(Path(name))
        else:
            is_wrapper = name in wrappers.known() or name in _files(self._around)
        return [self.wrapper(name)] if is_wrapper else self.called(name)

    def files(self) -> list[Path]:
        """Return the files of the user's own, be they right or wrong."""
        return [*_files(self.folder).values(), *_files(self._around).values()]

    def check(self, definition: Definition) -> None:
        """Raise UsageError if the user has a file of that format, or of what is around it, that cannot be used.

        What came along would be taken in its place, and is not what the user wants.
        """
        around = [] if definition.wrapper is None else definition.wrapper.layers
        for kind, name in (Definition, definition.name), *((Wrapper, one.name) for one in around):
            if (kind, name) in self._broken:
                raise self._broken[kind, name]

    def _in_turn(self) -> Iterator[Mapping[str, Definition]]:
        """Yield the user's formats, those that come along, and those of plug-ins only if nobody has stopped before."""
        yield self.own
        yield catalogue.known()
        yield self.plugged

    @cached_property
    def _installed(self) -> Mapping[str, Installed]:
        """What packages say of their plug-ins, by name; of several with one name the first."""
        installed: dict[str, Installed] = {}
        for one in plugin.found() if self._plugins else ():
            if installed.setdefault(one.name, one) is not one:
                self._leave_out(one, f"that of {printable(installed[one.name].package)}")
        return installed

    def _leave_out(self, one: Installed, other: str) -> None:
        shown = f"plug-in {printable(one.name)} of {printable(one.package)}"
        self._warn(f"left out: {shown}: {other} has this name, and goes before it")

    def _usable(self, kind: type[T], found: Mapping[str, S], make: Callable[[S], T]) -> dict[str, T]:
        """Return what can be made of what was found, by name, and warn of the rest."""
        usable = {}
        for name, one in found.items():
            try:
                usable[name] = make(one)
            except UsageError as error:
                self._broken[kind, name] = error
                self._warn(f"left out: {error}")
        return usable


def read(path: Path) -> Definition:
    """Read a file of the user's, and see that a parser can be made of it.

    Raises FormatError or FormatStringError, which name the file as the user does.
    """
    try:
        definition = replace(catalogue.read(path), file=str(path))
        forms.try_out(definition)
    except FormatError as error:
        raise _placed(path, error.reason) from None
    except FormatStringError as error:
        raise FormatStringError(error.text, error.at, error.reason, f"format {path}") from None
    return definition


def read_wrapper(path: Path) -> Wrapper:
    """As `read`, for a wrapper."""
    try:
        wrapper = replace(wrappers.read(path), file=str(path))
        wrapper.compile()
        clock.reader(wrapper.time_form or "any")
    except FormatError as error:
        raise _placed(path, error.reason) from None
    except (KeyError, ValueError) as error:
        raise _placed(path, f"time: there is no form {error}") from None
    return wrapper


def _placed(path: Path, reason: str) -> FormatError:
    return FormatError(f"{path}{tables.place(path, reason)}", reason)


def remarks(definition: Definition) -> Iterator[str]:
    """Say where a format, or what is around it, comes from if it has the name of one that comes along."""
    if definition.file and definition.name in catalogue.known():
        yield f"format {definition.name} is that of {definition.file}, not the one that comes along"
    for around in [] if definition.wrapper is None else definition.wrapper.layers:
        if around.file and around.name in wrappers.known():
            yield f"wrapper {around.name} is that of {around.file}, not the one that comes along"


def _files(folder: Path | None) -> dict[str, Path]:
    """Return the files of a folder that describe formats, or wrappers, by the names of these."""
    paths = () if folder is None else sorted(folder.glob("*.toml"))
    return {path.stem: path for path in paths if not path.name.startswith(".")}  # an editor's own


def _definition(one: Installed) -> Definition:
    """Return the format whose lines a plug-in reads. Raises FormatError."""
    try:
        parser = plugin.load(one.where)
        fields = plugin.checked(parser, one.where)
    except ValueError as error:
        raise FormatError(one.name, f"{error} (package {one.package})") from None
    return Definition(
        name=one.name,
        title=parser.title,
        source=str(getattr(parser, "source", "")),
        aliases=tuple(getattr(parser, "aliases", ())),
        plugin=Plugin(one.where, fields, one.package),
        recognised=bool(getattr(parser, "recognised", True)),
        samples=tuple(map(dict, parser.samples)),
    )


def without(shipped: Mapping[str, T], own: Mapping[str, T]) -> dict[str, T]:
    """Return those that come along, but those in whose place the user has his own."""
    return {name: one for name, one in shipped.items() if name not in own}
