"""The documents say what is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from piwik_import.clock import FORMS
from piwik_import.errors import EXIT_CODES
from piwik_import.filters import REASONS
from piwik_import.parsers.definition import folder, read
from piwik_import.parsers.fields import FIELDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
FORMATS = (folder() / "README.md").read_text("utf-8")
TABLE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def output_of(*command):
    """Return what the program prints in an environment that holds no settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIWIK_", "XDG_"))}
    program = [sys.executable, "-m", "piwik_import", *command]
    return subprocess.run(program, cwd=ROOT, env=clean, capture_output=True, text=True, check=True).stdout


def help_of(*command):
    return output_of(*command, "--help")


def test_readme_lists_the_exit_codes():
    assert "\n".join(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()) in README


def test_readme_shows_what_its_first_command_prints():
    command = blocks(README, "sh")[0].split(" && ")[-1].split()
    assert command[0].endswith("/piwik-import")
    timeless = re.compile(r"in [\d.,]+ s \([\d,]+ lines/s\)")
    shown, printed = blocks(README, "text")[0], output_of(*command[1:])
    assert timeless.sub("in T", printed.strip()) == timeless.sub("in T", shown.strip())


def test_every_option_that_readme_names_exists():
    known = set(re.findall(r"--[a-z][a-z-]+", help_of() + help_of("journal") + help_of("sandbox")))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert named - known <= {"--quiet", "--editable", "--now"}  # of pip and systemctl


def test_the_configuration_in_readme_is_one(tmp_path):
    (example,) = blocks(README, "toml")
    assert tomllib.loads(example)
    config = tmp_path / "config.toml"
    config.write_text(example)
    log = ROOT / "tests" / "data" / "sample.log"
    command = ["--config", config, "--dry-run", "--summary", "none", log]
    assert subprocess.run([sys.executable, "-m", "piwik_import", *command], cwd=ROOT, check=False).returncode == 0


def test_the_readme_of_formats_lists_all_fields_and_forms_of_time():
    for name, field in FIELDS.items():
        assert f"| `{name}` | {field.meaning} |" in FORMATS
    for form in FORMS:
        assert f"`{form}`" in FORMATS


def test_the_example_in_the_readme_of_formats_is_a_format(tmp_path):
    example = tmp_path / "my.toml"
    example.write_text(blocks(FORMATS, "toml")[0])
    definition = read(example)
    parse = definition.compile()
    for sample in definition.samples:
        record = parse(sample["line"])
        assert {name: getattr(record, name) for name in sample if name != "line"} == {
            name: value for name, value in sample.items() if name != "line"
        }


def test_every_module_stands_in_the_table_of_contributing():
    named = set(re.findall(r"`([a-z_]+)`", "\n".join(line for line in TABLE.splitlines() if line.startswith("| `"))))
    found = {path.stem for path in (ROOT / "piwik_import").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert found - {"__init__", "__main__", "__pycache__", "formats"} <= named


def test_every_reason_to_leave_a_line_out_is_told_to_people():
    source = "".join(path.read_text("utf-8") for path in (ROOT / "piwik_import").rglob("*.py"))
    used = set(re.findall(r'problem="([a-z_]+)"', source)) | set(re.findall(r'return "([a-z]+)"\n', source))
    assert used & REASONS.keys() == REASONS.keys() - {"blank", "other"}


@pytest.mark.parametrize("command", [(), ("import",), ("formats",), ("journal",), ("sandbox",)], ids=str)
def test_help_says_what_a_command_is_for(command):
    assert len(help_of(*command).splitlines()) > 4
