"""The TOML of a file that describes a format or a wrapper: read, and its keys checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from piwik_import.errors import FormatError


def read(path: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return the table of a file: each key is one of `kinds`, its value of that type. Raises FormatError."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(path.name, str(error)) from None
    if unknown := table.keys() - kinds:
        raise FormatError(path.name, f"unknown key {', '.join(sorted(unknown))}; known are {', '.join(sorted(kinds))}")
    for key, value in table.items():
        if not isinstance(value, kinds[key]):
            raise FormatError(path.name, f"`{key}` is no {kinds[key].__name__}")
    return table
