"""Where a value lies in a JSON object.

    status                              a key
    httpRequest.requestUrl              a key of an object within
    request.headers["User-Agent"][0]    a key in quotes, for it might hold anything, and the place in a list

A key that holds the dots itself wins over the way: ``log.level`` is first the key ``log.level``, then the key
``level`` of the object ``log``. What follows the path after a colon is the form of the value; a colon that a key
begins with (``:authority``) belongs to the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

Find = Callable[[dict[str, Any]], Any]
"""An object → the value that lies there; None if there is none."""

STEP = re.compile(
    r"""(?P<key>:?[^.\[\]:"']++)|\[(?:(?P<at>\d{1,9})|"(?P<quoted>(?:[^"\\]|\\.)*+)"|'(?P<raw>[^']*+)')]"""
)


def split(text: str) -> tuple[list[str | int], str]:
    """Read ``path`` or ``path:form``: return the steps of the path, and the form. Raises ValueError."""
    steps: list[str | int] = []
    at = 0
    while found := STEP.match(text, at):
        if found["at"] is not None:
            steps.append(int(found["at"]))
        elif found["quoted"] is not None:
            steps.append(re.sub(r"\\(.)", r"\1", found["quoted"]))
        else:
            steps.append(found["raw"] if found["key"] is None else found["key"])
        at = found.end()
        if at == len(text) or text[at] == ":":
            return steps, text[at + 1 :]
        if text[at] == "." and text[at + 1 : at + 2] not in ("", "["):
            at += 1
        elif text[at] != "[":
            break
    raise ValueError(f"'{text}' is no path: it goes wrong at column {at + 1}")


def joined(steps: Sequence[str | int]) -> str:
    """Write a path as `split` reads it."""
    return "".join(map(_step, steps)).removeprefix(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if re.fullmatch(r"""[^.\[\]:"'\\]+""", step):
        return f".{step}"
    return '["' + re.sub(r'(["\\])', r"\\\1", step) + '"]'


def several(specs: str | Sequence[str]) -> Sequence[str]:
    """Return the places of a value, of which there may be but one."""
    return (specs,) if isinstance(specs, str) else specs


def finder(steps: Sequence[str | int]) -> Find:
    """Return the function that takes the value at `steps` out of an object."""
    if len(steps) == 1 and isinstance(key := steps[0], str):
        return lambda values: values.get(key)
    ways = [_ways(steps, at) for at in range(len(steps))]
    length = len(steps)

    def find(values: Any) -> Any:
        at = 0
        while at < length:
            if isinstance(values, dict):
                for key, after in ways[at]:
                    if key in values:
                        values, at = values[key], after
                        break
                else:
                    return None
            elif isinstance(values, list) and isinstance(step := steps[at], int) and step < len(values):
                values, at = values[step], at + 1
            else:
                return None
        return values

    return find


def _ways(steps: Sequence[str | int], at: int) -> list[tuple[str, int]]:
    """Return the keys that may lead on from step `at`, the longest first, each with the step that follows it."""
    keys: list[str] = []
    for step in steps[at:]:
        if isinstance(step, int):
            break
        keys.append(step)
    return [(".".join(keys[:number]), at + number) for number in range(len(keys), 0, -1)]
