"""The table of modules, enforced: who imports whom, what is loaded when, and how long a module may be."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

import piwik_import

PACKAGE = Path(piwik_import.__file__).parent

# In the order of the data; `parsers` is one module here. A module imports what its row names, and all of it stands
# above. Only `importer` knows the whole path.
MAY_IMPORT = {
    "errors": "",
    "memo": "",
    "kinds": "memo",
    "parameters": "kinds",
    "mapping": "kinds parameters",
    "tracking": "memo parameters",
    "reference": "parameters tracking",
    "clock": "memo errors",
    "stream": "errors",
    "source": "errors stream",
    "hints": "",
    "parsers": "errors memo mapping clock hints",
    "filters": "memo parsers",
    "hits": "memo tracking parsers filters",
    "variables": "memo kinds mapping tracking",
    "searches": "memo tracking",
    "visitors": "memo mapping tracking",
    "segment": "memo kinds parameters mapping tracking clock parsers filters hits",
    "tracker_requests": "memo kinds parameters mapping tracking parsers hits",
    "shaping": "errors memo mapping tracking parsers filters hits variables searches visitors segment tracker_requests",
    "proof": "errors parsers shaping",
    "overview": "parsers",
    "express": "memo tracking parsers filters hits",
    "framing": "source parsers",
    "translate": "errors memo tracking source parsers filters hits segment shaping express framing",
    "lanes": "translate",
    "connection": "",
    "address": "errors connection",
    "policy": "",
    "pace": "policy",
    "days": "memo translate",
    "chunk": "translate",
    "evidence": "pace chunk",
    "rejects": "errors parsers tracking translate",
    "replay": "parsers hits source tracking translate rejects",
    "client": "errors tracking address connection",
    "report": "errors filters translate",
    "summary": "errors filters report",
    "identity": "source",
    "journal": "errors segment translate identity",
    "ledger": "errors journal",
    "acknowledged": "segment translate lanes identity journal",
    "rotation": "errors source",
    "resume": "errors source report identity journal rotation",
    "jobs": "errors source hints parsers framing identity journal resume",
    "settlement": "errors translate chunk rejects client report acknowledged",
    "delivery": "errors translate lanes policy pace chunk evidence rejects client report acknowledged settlement",
    "check": "errors connection address client",
    "credentials": "errors",
    "interrupt": "errors",
    "keyring": "errors shaping report journal jobs",
    "importer": "errors address connection policy source hints parsers filters hits segment shaping translate lanes"
    " client report identity journal acknowledged resume jobs pace days rejects replay delivery check interrupt"
    " keyring",
    "progress": "errors report",
    "explain": "errors tracking source hints parsers filters hits shaping framing translate jobs",
    "sandbox": "errors memo parameters tracking",
    "cli": "errors parameters mapping reference address connection policy source hints parsers hits variables searches"
    " visitors segment tracker_requests shaping proof overview report summary journal rotation ledger check credentials"
    " rejects jobs importer progress explain sandbox",
    "__main__": "cli",
}

ONLY_IN = {
    "httpx": {"client"},
    "rich": {"progress", "explain"},
    "click": {"cli"},
    "sqlite3": {"sandbox", "journal"},
    "dateutil": {"clock"},
    "crawleruseragents": {"filters"},
    "http": {"sandbox"},
    "signal": {"interrupt", "cli"},
}

LIMIT = 320
"""Lines of a module."""

MODULES = [
    pytest.param(path, id=".".join(path.relative_to(PACKAGE).with_suffix("").parts))
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent.name != "formats"
]


def noun(path):
    """Return the row of `MAY_IMPORT` that a module belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """Return the full names of what a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(path):
    """Return the rows that a module imports from, besides its own."""
    found = {name.split(".")[1] for name in imports(path) if name.startswith("piwik_import.")}
    return found - {"__version__", noun(path)}


@pytest.mark.parametrize("path", MODULES)
def test_a_module_imports_only_what_the_table_allows(path):
    if path.parent == PACKAGE and path.stem == "__init__":
        assert not imports(path)
        return
    assert noun(path) in MAY_IMPORT, "a new module needs a row in the table"
    assert ours(path) <= set(MAY_IMPORT[noun(path)].split())


def test_the_table_is_in_the_order_of_the_data():
    above = set()
    for name, allowed in MAY_IMPORT.items():
        assert set(allowed.split()) <= above
        above.add(name)


def test_every_package_is_installed():
    config = ConfigParser()
    config.read(PACKAGE.parent / "setup.cfg", "utf-8")
    listed = set(config["options"]["packages"].split()) - {"piwik_import.formats"}  # data: formats/ under another name
    assert listed == {".".join(path.parent.relative_to(PACKAGE.parent).parts) for path in PACKAGE.rglob("__init__.py")}


@pytest.mark.parametrize("path", MODULES)
def test_a_library_is_known_to_one_module(path):
    roots = {name.partition(".")[0] for name in imports(path)} - {"piwik_import", "__future__"}
    assert all(noun(path) in ONLY_IN[root] for root in roots & ONLY_IN.keys())


@pytest.mark.parametrize("path", MODULES)
def test_a_module_says_what_it_is_and_is_not_too_long(path):
    text = path.read_text("utf-8")
    assert path.stem == "__main__" or not text.strip() or ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= LIMIT


def loaded_by(*arguments, tmp_path):
    """Run the program and return its exit code and the libraries that it has loaded."""
    script = (
        "import json, sys\n"
        "from piwik_import.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    code = end.code\n"
        "else:\n"
        "    code = 0\n"
        "print(json.dumps([code, sorted({name.partition('.')[0] for name in sys.modules})]), file=sys.stderr)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={"PYTHONPATH": str(PACKAGE.parent), "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=40,
        check=True,
    )
    code, libraries = json.loads(run.stderr.decode().splitlines()[-1])
    return code or 0, set(libraries)


HEAVY = {"httpx", "rich", "sqlite3", "dateutil", "http", "asyncio", "ssl"}


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_nothing_that_is_heavy(argument, tmp_path):
    code, libraries = loaded_by(argument, tmp_path=tmp_path)
    assert code == 0
    assert not libraries & (HEAVY | {"crawleruseragents", "importlib_metadata"})


def test_a_dry_run_loads_nothing_that_it_does_not_need(make_log, tmp_path):
    code, libraries = loaded_by("--dry-run", make_log(), tmp_path=tmp_path)
    assert code == 0
    assert "crawleruseragents" in libraries
    assert not libraries & HEAVY
