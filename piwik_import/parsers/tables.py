"""The TOML of a file that describes a format or a wrapper: read, and its keys checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from piwik_import.errors import FormatError


def folder() -> Path:
    """Return the folder of the files that come along: installed beside this package, in a checkout at the top."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "formats"
    return installed if installed.is_dir() else package.parent / "formats"


def read(path: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return the table of a file: each key is one of `kinds`, its value of that type. Raises FormatError.

    Paths in objects are texts, and samples have a line, in all kinds of files.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise FormatError(path.name, error.strerror or str(error)) from None
    except ValueError as error:  # which says the line and column
        raise FormatError(path.name, str(error)) from None
    if unknown := table.keys() - kinds:
        raise FormatError(path.name, f"unknown key {', '.join(sorted(unknown))}; known are {', '.join(sorted(kinds))}")
    for key, value in table.items():
        if not isinstance(value, kinds[key]):
            raise FormatError(path.name, f"`{key}` is no {kinds[key].__name__}")
    for kind in ("json", "cef"):
        if not all(_is_specs(specs) for specs in table.get(kind, {}).values()):
            raise FormatError(path.name, f"`{kind}` holds what is no name of a key")
    if not all(isinstance(sample, dict) and isinstance(sample.get("line"), str) for sample in table.get("sample", [])):
        raise FormatError(path.name, "a `sample` has no line")
    return table


def place(path: Path, reason: str) -> str:
    """Return ``, line 7`` for the first line of a file that holds what `reason` names, if it does not say where."""
    words = [] if "(at " in reason else [first or second for first, second in NAMED.findall(reason)]
    lines = enumerate(path.read_text("utf-8", "replace").splitlines(), 1) if words and path.is_file() else ()
    return next((f", line {number}" for number, line in lines if any(word in line for word in words)), "")


NAMED = re.compile(r"""[`']([^`']+)[`']|(?:key|field:|separator:|piece of the pattern is called) \{?\*?([^\s;,.}]+)""")
"""What an error quotes of a file, or names."""


def _is_specs(specs: object) -> bool:
    several = specs if isinstance(specs, list) and specs else [specs]
    return all(isinstance(one, str) for one in several)
