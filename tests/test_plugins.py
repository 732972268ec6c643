"""Formats that other packages bring: one that pip has installed, and all that can be wrong with one."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import tomllib
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

import piwik_import
from piwik_import.errors import FormatError, UsageError
from piwik_import.hints import Hints
from piwik_import.parsers import wrappers
from piwik_import.parsers.catalogue import known
from piwik_import.parsers.plugin import found
from piwik_import.parsers.record import BadLine, OtherLine, Record
from piwik_import.parsers.registry import Registry
from piwik_import.parsers.request import from_line

EXAMPLE = Path(__file__).parent / "example_plugin"
ROOT = Path(piwik_import.__file__).parent.parent
LINES = """\
time=2026-11-21T08:15:02Z ip=192.0.2.1 method=GET path="/a?b=c" status=200 bytes=512 agent="Mozilla/5.0 (X11)" shop=b-7
level=info msg="worker started"
ms=17 path=/caf\u00e9 method=GET ip=192.0.2.2 time=2026-11-21T09:15:03+01:00 agent="Mozilla/5.0 (X11)"
ip=192.0.2.3 path=/late
time=yesterday ip=192.0.2.4 method=GET path=/odd
"""


def wheel(folder: Path) -> Path:
    """Make a wheel of the example, as setuptools would: it may be missing where there is no network."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))
    name, version = project["project"]["name"].replace("-", "_"), project["project"]["version"]
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: piwik-import\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "".join(
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
            for group, points in project["project"]["entry-points"].items()
        ),
    }
    for module in project["tool"]["setuptools"]["py-modules"]:
        files[f"{module}.py"] = (EXAMPLE / f"{module}.py").read_text("utf-8")
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"]))
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder into which pip has installed the example."""
    folder = tmp_path_factory.mktemp("site")
    command = ["pip", "install", "--isolated", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    command += ["--target", str(folder / "packages"), str(wheel(folder))]
    subprocess.run([sys.executable, "-m", *command], check=True, timeout=50, stdin=subprocess.DEVNULL)
    return folder / "packages"


@pytest.fixture
def env(installed):
    """The environment in which the example is installed beside the program."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(installed)])}


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "app.log"
    path.write_text(LINES, "utf-8")
    return path


@pytest.mark.parametrize("options", [[], ["--format", "logfmt"]], ids=["recognised", "named"])
def test_a_log_is_imported_by_the_parser_of_an_installed_package(options, env, log, run_import, run_program, tracker):
    outcome = run_import(*options, "--map", "dimension1=shop", log, env=env)
    assert outcome.code == 3
    assert outcome.summary["sources"][0]["format"] == "logfmt"
    lines = outcome.summary["lines"]
    assert (lines["read"], lines["imported"], lines["invalid"], lines["filtered"]["other"]) == (5, 2, 2, 1)
    first, second = sorted(tracker.recorded, key=lambda hit: hit["cdt"])
    assert first["url"].endswith("/a?b=c")
    assert (first["cip"], first["cdt"], first["dimension1"]) == ("192.0.2.1", "2026-11-21 08:15:02", "b-7")
    assert second["url"].endswith("/caf\u00e9")
    assert (second["cdt"], second["pf_srv"]) == ("2026-11-21 08:15:03", "17")
    shown = run_program("--dry-run", *options, log, env=env).stdout
    assert "plug-in logfmt: ValueError: Invalid isoformat string: 'yesterday'" in shown


def test_what_a_plug_in_finds_in_a_line_is_explained(env, log, run_program):
    shown = run_program("explain", log, "--map", "dimension1=shop", env=env).stdout
    assert [line.split() for line in shown.splitlines() if line.endswith(("  cip", "  url"))][:2] == [
        ["192.0.2.1", "ip", "cip"],
        ["GET", "/a?b=c", "request", "url"],
    ]
    assert "  dimension1      b-7" in shown
    assert "line 4  invalid: there is no time=\n" in shown


def test_the_formats_of_plug_ins_are_listed_shown_and_checked(env, run_program):
    listed = run_program("formats", env=env).stdout
    assert "Formats of plug-ins:\n\nlogfmt " in listed
    assert "(piwik_import_logfmt:Logfmt of piwik_import_logfmt 1.0)" in listed
    shown = run_program("formats", "logfmt", env=env).stdout
    assert "read by piwik_import_logfmt:Logfmt" in shown
    assert "      path             /a\n" in shown
    checked = run_program("formats", "--check", "logfmt", env=env)
    assert (checked.code, checked.stdout) == (0, "logfmt: format logfmt\n  sample 1: right\n  sample 2: right\n")


def test_what_is_around_the_lines_of_a_plug_in_is_taken_off(env, log, run_program):
    log.write_text("".join(f"<190>Nov 21 09:15:02 web1 app[42]: {line}\n" for line in LINES.splitlines()[:3]))
    outcome = run_program("--dry-run", "--summary", "json", log, env=env)
    assert outcome.summary["sources"][0]["format"] == "logfmt in syslog_3164"
    assert outcome.summary["lines"]["imported"] == 2


# What can be wrong.

CODE = """
from datetime import UTC, datetime
from piwik_import.parsers.record import BadLine, Record, Request
title, fields, samples = "A format", ("ip", "time", "path"), [{"line": "a"}]
def parse(line):
    WHAT
"""
RECORD = 'Record("192.0.2.1", datetime(2026, 11, 21, tzinfo=UTC), Request("GET", "/" + line))'


def well(what):
    """A parser that is right but for what its function does."""
    return CODE.replace("WHAT", what)


class Site:
    """A folder of packages that `sys.path` begins with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warnings: list[str] = []

    def add(self, name: str, code: str, where: str = "") -> None:
        """Install a package with a parser, as pip lays it down."""
        module = re.sub(r"\W", "_", f"{name}_{self.folder.parent.name}")
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: of-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[piwik_import.parsers]\n{name} = {where or module}\n")

    def registry(self) -> Registry:
        return Registry(self.folder / "formats", self.warnings.append, plugins=True)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A `Site` of this process."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return Site(folder)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param("1 / 0", "cannot be loaded: ZeroDivisionError: division by zero", id="raises"),
        pytest.param("import sys; sys.exit(3)", "cannot be loaded: SystemExit: 3", id="leaves"),
        pytest.param("import no_such_module", "cannot be loaded: ModuleNotFoundError: No module", id="lacks a module"),
        pytest.param("def (", "cannot be loaded: SyntaxError", id="no Python"),
        pytest.param("", "needs a text `title` and a function `parse`", id="nothing"),
        pytest.param("title = 1\ndef parse(line): pass", "needs a text `title`", id="a number for a title"),
        pytest.param("title, parse = 'A', print", "`fields` of the plug-in .* must be names of", id="no fields"),
        pytest.param("title, parse, fields = 'A', print, ['tim']", "`fields` .* must be names", id="unknown field"),
        pytest.param(
            "title, parse, fields = 'A', print, ['time']", "must have time, and request or path", id="no path"
        ),
        pytest.param(
            "title, parse, fields = 'A', print, ['time', 'path']", "`samples` of .* must be mappings", id="no samples"
        ),
        pytest.param(well("pass") + "samples = [{}]", "mappings with a `line`", id="sample without line"),
        pytest.param(well("pass") + "aliases = 'a'", "`aliases` of .* must be texts", id="aliases a text"),
    ],
)
def test_a_plug_in_that_is_none_is_left_out_and_said_and_stops_only_those_who_name_it(site, code, reason):
    site.add("mine", code)
    registry = site.registry()
    assert {*registry.formats} == {*known()}
    assert "combined" in {one.name for one in registry.recognisable()}
    (warning,) = site.warnings
    assert warning.startswith("left out: format mine: ")
    with pytest.raises(FormatError, match=rf"^format mine: .*{reason}.* \(package of-mine 1\.0\)$"):
        registry.called("mine")[0]


@pytest.mark.parametrize("where", ["m.no.such", "no_such_module", "json:nothing", "not a name", ""])
def test_an_entry_point_that_names_nothing_is_said(site, where):
    site.add("mine", "", where or "json:")
    with pytest.raises(FormatError, match=r"^format mine: the plug-in .*of-mine 1\.0"):
        site.registry().called("mine")[0]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        pytest.param("raise KeyError('time')", "plug-in mine: KeyError: 'time'", id="raises"),
        pytest.param("return line[0], 1 / 0", "plug-in mine: ZeroDivisionError: division by zero", id="divides"),
        pytest.param("return parse(line)", "plug-in mine: RecursionError", id="calls itself"),
        pytest.param("raise SystemExit('bye')", "plug-in mine: SystemExit: bye", id="leaves"),
        pytest.param("raise BadLine('so bad')", "so bad", id="says why"),
        pytest.param("return BadLine('so bad')", "so bad", id="returns why"),
        pytest.param("return None", r"plug-in mine: TypeError: parse\(\) returned None, which is no Record", id="None"),
        pytest.param("return (1, 2)", r"parse\(\) returned \(1, 2\), which is no Record", id="a tuple"),
        pytest.param(f"return {RECORD}._replace(ip=7)", "TypeError: ip is 7", id="address is a number"),
        pytest.param(f"return {RECORD}._replace(ip='1.2.3')", "'1.2.3' is no address", id="no address"),
        pytest.param(f"return {RECORD}._replace(time=None)", "TypeError: time is None", id="no time"),
        pytest.param(f"return {RECORD}._replace(time=datetime(2026, 1, 1))", "without a zone", id="no zone"),
        pytest.param(f"return {RECORD}._replace(request='/a')", "TypeError: request is '/a'", id="request is a text"),
        pytest.param(f"return {RECORD}._replace(request=Request('GET', None))", "request is Request", id="no path"),
        pytest.param(f"return {RECORD}._replace(request=Request('GET', 'a'))", "not begin with a slash", id="no slash"),
        pytest.param(
            f"return {RECORD}._replace(request=Request(problem='x'))", "request is Request", id="unheard problem"
        ),
        pytest.param(f"return {RECORD}._replace(status='200')", "TypeError: status is '200'", id="status is a text"),
        pytest.param(f"return {RECORD}._replace(extra=[1])", r"TypeError: extra is \[1\]", id="extra is a list"),
        pytest.param(
            f"return {RECORD}._replace(time=datetime.max.replace(tzinfo=__import__('datetime').timezone.min))",
            "plug-in mine: OverflowError",
            id="no time in UTC",
        ),
    ],
)
def test_a_line_that_a_plug_in_fails_on_is_an_invalid_one_that_names_it(site, what, reason):
    site.add("mine", well(what))
    parse = site.registry().called("mine")[0].compile()
    with pytest.raises(BadLine, match=f"^(plug-in mine: .*)?{reason}"):
        parse("a\x1b]0;")


def test_what_a_plug_in_raises_shows_nothing_that_a_terminal_would_obey(site):
    site.add("mine", well("raise ValueError(line)"))
    with pytest.raises(BadLine) as caught:
        site.registry().called("mine")[0].compile()("\x1b]0;title\x07")
    assert str(caught.value) == r"plug-in mine: ValueError: \x1b]0;title\x07"


def test_no_line_is_lost_where_a_plug_in_fails_on_some(site, tmp_path, run_program):
    site.add("mine", well(f"return {RECORD} if line[0] == 'a' else None.x"))
    log = tmp_path / "odd.log"
    log.write_text("".join(f"{'ab'[number % 2]}{number}\n" for number in range(1000)))
    outcome = run_program(
        "--dry-run", "--summary", "json", log, env={"PYTHONPATH": os.pathsep.join([str(ROOT), str(site.folder)])}
    )
    assert outcome.code == 3
    assert "Traceback" not in outcome.stderr
    lines = outcome.summary["lines"]
    assert (lines["read"], lines["imported"], lines["invalid"]) == (1000, 500, 500)


def test_a_record_of_a_plug_in_gets_a_bare_address_and_a_time_in_utc(site):
    east = "__import__('datetime').timezone.min"
    change = f"ip='[2001:db8::1]:443', time=datetime(2026, 1, 1, tzinfo={east}), extra={{'a': 1}}"
    site.add("mine", well(f"return {RECORD}._replace({change})"))
    record = site.registry().called("mine")[0].compile(["a"])("caf\xc3\xa9 \xff")
    assert record == Record(
        "2001:db8::1",
        datetime(2026, 1, 1, tzinfo=timezone.min).astimezone(UTC),
        from_line("GET /caf\u00e9 \udcff HTTP/1.1"),
        extra={"a": 1},
    )
    assert record.time.utcoffset() == timedelta(0)


def test_the_users_word_on_proxies_reaches_the_addresses_of_a_plug_in_and_that_on_fields_is_refused(site):
    site.add("mine", well(f"return {RECORD}._replace(ip=line)"))
    known = site.registry().called("mine")[0]
    line = "192.0.2.1, 198.51.100.7, 10.0.0.1"
    assert known.compile()(line).ip == "198.51.100.7"
    trusted = known.read_as(Hints(trusted_proxies=("198.51.100.0/24", "10.0.0.0/8")))
    assert trusted.compile()(line).ip == "192.0.2.1"
    assert known.read_as(Hints(fields={"ip": ("client",)}, timezone="Europe/Berlin")) == known


def test_field_is_refused_for_a_log_that_a_plug_in_reads(site, run_here, tmp_path):
    site.add("mine", well(f"return {RECORD}"))
    (tmp_path / "a.log").write_text("a\nb\n")
    outcome = run_here("--dry-run", "--field", "ip=client", tmp_path / "a.log")
    assert outcome.code == UsageError.exit_code
    assert "--field is not for the format mine" in outcome.stderr


def test_a_definition_of_a_plug_in_crosses_to_another_process(site):
    site.add("mine", well(f"return {RECORD}"))
    known = site.registry().called("mine")[0].within(wrappers.known()["cri"])
    assert pickle.loads(pickle.dumps(known)) == known


def test_a_plug_in_takes_nobodys_name_and_its_code_is_not_loaded_then(site):
    site.add("combined", "raise SystemExit")
    site.add("twice", well(f"return {RECORD}"))
    (site.folder / "formats").mkdir()
    (site.folder / "formats" / "twice.toml").write_text("pattern = '{ip} {time:iso8601} {path}'")
    registry = site.registry()
    assert registry.formats["combined"] is known()["combined"] is registry.called("combined")[0]
    assert registry.formats["twice"].file.endswith("twice.toml")
    assert sorted(site.warnings) == [
        "left out: plug-in combined of of-combined 1.0: a format that is no plug-in has this name, and goes before it",
        "left out: plug-in twice of of-twice 1.0: a format that is no plug-in has this name, and goes before it",
    ]


def test_only_the_plug_in_that_is_named_is_loaded(site):
    site.add("good", well(f"return {RECORD}") + "aliases = ['well']\n")
    site.add("bad", "raise SystemExit")
    registry = site.registry()
    assert registry.called("good")[0].compile()("a").path == "/a"
    assert registry.called("nginx")[0].name == "combined"
    assert site.warnings == []
    assert registry.called("well")[0].name == "good"  # which all have to be asked for
    assert len(site.warnings) == 1


def test_a_class_is_made_an_object_and_a_module_is_one(site):
    body = well(f"return {RECORD}")
    site.add("module", body)
    code = "class A:\n    title, fields, samples = 'A', ('time', 'path'), ()\n    def parse(self, line): return line\n"
    (site.folder / "with_a_class.py").write_text(code)
    site.add("class", "", "with_a_class:A")
    registry = site.registry()
    assert registry.called("class")[0].title == "A"
    assert registry.called("module")[0].fields == ("ip", "time", "path")


def test_a_plug_in_may_say_that_a_line_tells_of_no_request(installed, monkeypatch):
    monkeypatch.syspath_prepend(installed)
    parse = Registry(plugins=True).called("logfmt")[0].compile()
    with pytest.raises(OtherLine):
        parse(LINES.splitlines()[1])


def test_packages_are_not_even_looked_for_where_none_has_a_parser(tmp_path, make_log):
    script = (
        "import json, sys\n"
        "from piwik_import.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code or 0\n"
        "else: code = 0\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, "--dry-run", str(make_log())],
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        timeout=40,
        check=True,
    )
    code, modules = json.loads(run.stderr.decode().splitlines()[-1])
    assert code == 0
    assert "piwik_import.parsers.plugin" in modules
    if not [*found()]:  # on this machine
        assert "importlib.metadata" not in modules
