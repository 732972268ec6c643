"""The documents say what is so."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from piwik_import.clock import FORMS
from piwik_import.errors import EXIT_CODES
from piwik_import.filters import REASONS
from piwik_import.mapping import CONVERSIONS
from piwik_import.parameters import PARAMETERS
from piwik_import.parsers.catalogue import KEYS, read
from piwik_import.parsers.fields import FIELDS
from piwik_import.parsers.plugin import PROBLEMS
from piwik_import.parsers.tables import folder
from piwik_import.segment.identities import PLACES, ROOM
from piwik_import.shaping import STANDARD
from piwik_import.tracker_requests import OURS, PROTECTED
from piwik_import.visitors import CHOICES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
FORMATS = (ROOT / "docs" / "format-files.md").read_text("utf-8")
HOW_TO = (folder() / "README.md").read_text("utf-8")
MAPPING = (ROOT / "docs" / "mapping.md").read_text("utf-8")
SEGMENT = (ROOT / "docs" / "segment.md").read_text("utf-8")
REPLAY_TRACKING = (ROOT / "docs" / "replay-tracking.md").read_text("utf-8")
PAGE = (ROOT / "docs" / "parameters.md").read_text("utf-8")
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
    varying = re.compile(r"in [\d.,]+ s \([\d,]+ lines/s\)|requests: \d+")  # which depend on the machine
    shown, printed = blocks(README, "text")[0], output_of(*command[1:])
    assert varying.sub("…", printed.strip()) == varying.sub("…", shown.strip())


def test_readme_shows_what_explain_prints_of_a_log_that_is_not_recognised():
    commands = [shlex.split(block) for block in blocks(README, "console") if block.startswith("piwik-import explain")]
    first, second = (
        subprocess.run([sys.executable, "-m", "piwik_import", *words[1:]], cwd=ROOT, capture_output=True, check=False)
        for words in commands
    )
    assert (first.returncode, first.stdout.decode()) == (2, blocks(README, "text")[1])
    assert second.returncode == 0
    assert b"gt_ms = 207" in second.stdout


def test_every_option_that_readme_names_exists():
    commands = ("explain", "check", "replay", "journal", "sandbox", "params", "formats")
    known = set(re.findall(r"--[a-z][a-z-]+", help_of() + "".join(map(help_of, commands))))
    pages = README + MAPPING + SEGMENT + REPLAY_TRACKING + PAGE + FORMATS + HOW_TO
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", pages))
    assert named - known <= {"--quiet", "--editable", "--now"}  # of pip and systemctl


def test_the_configuration_in_readme_is_one(tmp_path):
    (example,) = blocks(README, "toml")
    assert tomllib.loads(example)
    config = tmp_path / "config.toml"
    config.write_text(example)
    log = ROOT / "tests" / "data" / "sample.log"
    command = ["--config", config, "--dry-run", "--summary", "none", log]
    assert subprocess.run([sys.executable, "-m", "piwik_import", *command], cwd=ROOT, check=False).returncode == 0


VARYING = re.compile(r"in [\d.,]+ s \([\d,]+ lines/s\)|requests: \d+")


def test_the_worked_example_of_mapping_is_what_the_program_does():
    files = [blocks(MAPPING, "toml")[-1], *blocks(MAPPING, "json")[0].splitlines()]
    assert files[0] == (ROOT / "docs" / "app.toml").read_text("utf-8")
    assert {*files[1:]} <= {*(ROOT / "docs" / "app.log").read_text("utf-8").splitlines()}
    command = blocks(MAPPING, "sh")[1].split()
    shown, printed = blocks(MAPPING, "text")[-1], output_of(*command[1:])
    assert VARYING.sub("", printed.strip()) == VARYING.sub("", shown.strip())


def test_the_example_of_replay_tracking_is_what_the_program_does():
    command = blocks(REPLAY_TRACKING, "sh")[0].split()
    shown, printed = blocks(REPLAY_TRACKING, "text")[0], output_of(*command[1:])
    assert VARYING.sub("", printed.strip()) == VARYING.sub("", shown.strip())


def test_the_page_on_replay_tracking_names_what_is_not_believed_and_not_sent():
    for name in PROTECTED | OURS:
        assert f"`{name}`" in REPLAY_TRACKING


def test_the_other_examples_of_mapping_are_right_too(tmp_path):
    log = ROOT / "tests" / "data" / "sample.log"
    first = shlex.split(blocks(MAPPING, "sh")[0])
    vhost = tmp_path / "access.log"
    vhost.write_text("".join(f"shop.example {line}" for line in log.read_text().splitlines(True)))
    assert output_of(*first[1:-1], "--dry-run", "--output", "-", str(vhost)).count('"dimension3": 200') > 600
    config = tmp_path / "config.toml"
    config.write_text(blocks(MAPPING, "toml")[0])
    assert '"cs": "utf-8"' in output_of("--dry-run", "--output", "-", "--config", str(config), str(log))
    case = tmp_path / "app.toml"
    case.write_text(blocks(MAPPING, "toml")[-1] + blocks(MAPPING, "toml")[1])
    assert read(case).hit.cases[-1].set == {"e_v": 1}


def test_the_example_of_the_page_on_segment_is_what_the_program_does():
    assert {*blocks(SEGMENT, "json")[0].splitlines()} <= {*(ROOT / "docs" / "segment.ndjson").read_text().splitlines()}
    command = shlex.split(blocks(SEGMENT, "sh")[1])
    shown, printed = blocks(SEGMENT, "text")[0], output_of(*command[1:])
    assert VARYING.sub("", printed.strip()) == VARYING.sub("", shown.strip())


def test_the_other_commands_and_settings_of_the_page_on_segment_are_right_too(tmp_path):
    config, log = tmp_path / "config.toml", str(ROOT / "docs" / "segment.ndjson")
    config.write_text(blocks(SEGMENT, "toml")[0])
    folder = tmp_path / "segment-logs" / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "1.gz").write_bytes(gzip.compress((ROOT / "docs" / "segment.ndjson").read_bytes()))
    first = shlex.split(blocks(SEGMENT, "sh")[0])
    assert output_of(*first[1:-1], "--dry-run", "--output", "-", str(tmp_path / first[-1])).count('"e_a"') == 3
    assert '"idgoal": 3' in output_of("--dry-run", "--output", "-", "--config", str(config), log)
    for option in re.findall(r"`(--(?:map|dimension) \S+)`", SEGMENT):
        output_of("--dry-run", *option.split(), log)
    assert f"{PLACES * ROOM:,} anonymous ids, in {PLACES:,} places of {ROOM} each" in SEGMENT


def test_the_page_on_mapping_lists_all_fields_conversions_and_choices():
    for name in STANDARD:
        assert f"`{name}`" in MAPPING
    for name, (meaning, _) in CONVERSIONS.items():
        assert f"| `{name}` | {meaning} |" in MAPPING
    for name in CHOICES:
        assert f"| `{name}` |" in MAPPING


def test_the_page_on_parameters_is_made_of_the_table():
    assert output_of("params", "--markdown") == (ROOT / "docs" / "parameters.md").read_text("utf-8")


def test_the_table_of_parameters_is_shown_whole_or_by_one():
    shown = output_of("params").splitlines()
    assert [line.split()[0] for line in shown[1:]] == [*PARAMETERS]
    for name in ("e_c", "dimension3", "dimensionN"):
        assert output_of("params", name).startswith(f"{name}: ")


def test_the_page_on_format_files_lists_all_keys_fields_and_forms_of_time():
    rows = re.findall(
        r"^\| `(\w+)` \| (.+) \|$", FORMATS.partition("## Fields\n")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert dict(rows) == {name: field.meaning for name, field in FIELDS.items()}
    for form in [*FORMS, *PROBLEMS - {None}]:
        assert f"`{form}`" in FORMATS
    for key in KEYS:
        assert re.search(rf"[`\[]{key}\b", FORMATS)


def test_how_to_write_a_format_stands_on_one_screen():
    assert len(HOW_TO.splitlines()) <= 60
    assert max(map(len, HOW_TO.splitlines())) <= 130


def test_how_to_write_a_format_shows_what_checking_one_prints(tmp_path):
    (shown,) = blocks(HOW_TO, "console")
    line = shown.splitlines()[5].strip()
    (tmp_path / "my.toml").write_text(f"{blocks(HOW_TO, 'toml')[0]}\n[[sample]]\nline = '{line}'\n")
    program = [sys.executable, "-m", "piwik_import", "formats", "--check", "my.toml"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(program, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, shown.partition("\n")[2])


def test_the_page_on_formats_is_made_of_their_files():
    assert output_of("formats", "--markdown") == (ROOT / "docs" / "formats.md").read_text("utf-8"), "run `make docs`"


def test_links_between_pages_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("formats/*.md")]:
        text = page.read_text("utf-8")
        for path, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text):
            target = page.parent / path if path else page
            assert target.exists(), f"{page.name}: {path}"
            if heading:
                heads = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
                assert heading in [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads]


def test_the_example_in_the_readme_of_formats_is_a_format(tmp_path):
    example = tmp_path / "my.toml"
    example.write_text(blocks(HOW_TO, "toml")[0])
    definition = read(example)
    parse = definition.compile()
    for sample in definition.samples:
        record = parse(sample["line"])
        assert {name: getattr(record, name) for name in sample if name != "line"} == {
            name: value for name, value in sample.items() if name != "line"
        }


def test_every_example_of_a_format_compiles(tmp_path):
    for number, text in enumerate([*blocks(HOW_TO, "toml"), *blocks(FORMATS, "toml")]):
        if text.startswith("[project"):
            continue  # of a package
        example = tmp_path / f"my{number}.toml"
        example.write_text(text + "[json]\ntime = 't'\npath = 'p'\n" if text.startswith("only") else text)
        assert read(example).compile()
    (columns,) = [text for text in blocks(FORMATS, "toml") if "[columns]" in text]
    example.write_text(columns)
    (record,) = read(example).records(["2026-11-21\t08:15:02\twww.example.org/a?b=1"])
    assert (record.host, record.path, record.query) == ("www.example.org", "/a", "b=1")


def test_the_regular_expression_in_the_page_on_format_files_is_a_format(tmp_path):
    (example,) = (block for block in blocks(FORMATS, "toml") if block.startswith("regex"))
    (tmp_path / "my.toml").write_text(example)
    record = read(tmp_path / "my.toml").compile()("192.0.2.1 [2026-11-21 09:15:02 +0100] /a?b=c 200 2500")
    assert (record.path, record.query, record.generation_time, record.time.hour) == ("/a", "b=c", 2, 8)


def test_every_module_stands_in_the_table_of_contributing():
    named = set(re.findall(r"`([a-z_]+)`", "\n".join(line for line in TABLE.splitlines() if line.startswith("| `"))))
    found = {path.stem for path in (ROOT / "piwik_import").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert found - {"__init__", "__main__", "__pycache__", "formats"} <= named


def test_every_reason_to_leave_a_line_out_is_told_to_people():
    source = "".join(path.read_text("utf-8") for path in (ROOT / "piwik_import").rglob("*.py"))
    used = set(re.findall(r'problem="([a-z_]+)"', source)) | set(re.findall(r'(?:return|else) "([a-z]+)"\n', source))
    used |= {
        name for raised in re.findall(r"raise LeftOut\((.*)\)\n", source) for name in re.findall('"([a-z_]+)"', raised)
    }
    assert used & REASONS.keys() == REASONS.keys() - {"header"}


@pytest.mark.parametrize("command", ["", *"import explain replay check formats params journal sandbox".split()])
def test_help_says_what_a_command_is_for(command):
    assert len(help_of(*command.split()).splitlines()) > 4
