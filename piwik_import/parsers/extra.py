"""Fields of a log that no word of `FIELDS` covers: taken out of a line only where somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from piwik_import.parsers import paths

Extra = dict[str, Any]


def extra_of_texts(names: Sequence[str], decode: Callable[[str], str]) -> Callable[[tuple[str | None, ...]], Extra]:
    """Return the function from the texts of the pieces `names`, as the log has them, to those that are present."""

    def extra(texts: tuple[str | None, ...]) -> Extra:
        return {name: decode(text) for name, text in zip(names, texts, strict=True) if text not in ABSENT and text}

    return extra


def extra_of_object(names: Sequence[str]) -> Callable[[dict[str, Any]], Extra]:
    """Return the function from a JSON object to what it holds under the keys, or at the paths, `names`."""
    finders = [(name, _finder(name)) for name in names]

    def extra(values: dict[str, Any]) -> Extra:
        return {name: value for name, find in finders if (value := find(values)) not in ABSENT}

    return extra


def _finder(name: str) -> paths.Find:
    """Return the function that finds a value by its key, however that is written, else by its path."""
    try:
        steps, form = paths.split(name)
    except ValueError:
        steps, form = [name], ""
    find = paths.finder([name] if form else steps)
    return lambda values: values[name] if name in values else find(values)


ABSENT = (None, "", "-")
