"""The user's own formats and wrappers: files in a folder, found, named, listed and checked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from piwik_import import proof
from piwik_import.errors import FormatError, FormatStringError, UsageError
from piwik_import.parsers import catalogue, formatfile, tables, wrappers
from piwik_import.parsers.record import Record
from piwik_import.parsers.registry import Registry

SHOP = """\
title = "The log of our shop"
aliases = ["laden", "common"]
pattern = '{time:iso8601} | {ip} | {method} {target} | {status} | {*basket}'

[hit]
map = { dimension1 = "basket" }

[[sample]]
line = '2026-11-21T08:15:02Z | 192.0.2.1 | GET /a?b=1 | 200 | b-17'
ip = "192.0.2.1"
path = "/a"
status = 200
"""
LINES = """\
2026-11-21T08:15:02Z | 192.0.2.1 | GET /a?b=1 | 200 | b-17
2026-11-21T08:15:03Z | 192.0.2.2 | GET /b | 200 | -
"""
BOX = """\
title = "Our box"
regex = '<<(?P<time>\\S+)>> (?P<message>.*)'

[[sample]]
line = '<<2026-11-21T08:15:02Z>> hello'
message = 'hello'
"""
COMBINED = (tables.folder() / "combined.toml").read_text("utf-8")


class Own:
    """The user's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "config" / "piwik-import" / "formats"
        self.warnings: list[str] = []
        (self.folder / "wrappers").mkdir(parents=True)

    def add(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, "utf-8", "surrogateescape")
        return path

    def registry(self) -> Registry:
        return Registry(self.folder, self.warnings.append)


@pytest.fixture
def own(tmp_path):
    return Own(tmp_path)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "shop.log"
    path.write_text(LINES)
    return path


@pytest.mark.parametrize(
    "options", [[], ["--format", "shop"], ["--format", "laden"]], ids=["recognised", "name", "alias"]
)
def test_who_puts_one_file_into_the_folder_imports_logs_in_its_format(options, own, log, run_import, tracker):
    own.add("shop.toml", SHOP)
    outcome = run_import(*options, log)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.summary["sources"][0]["format"] == "shop"
    first, second = sorted(tracker.recorded, key=lambda hit: hit["cdt"])
    assert (first["url"].partition("example.org")[2], first["dimension1"]) == ("/a?b=1", "b-17")
    assert second["cip"] == "192.0.2.2"


def test_a_file_that_is_put_into_the_shipped_folder_is_tested_by_being_there(tmp_path):
    for name in ("piwik_import", "formats"):
        shutil.copytree(tables.folder().parent / name, tmp_path / name)
    shutil.copy(Path(__file__).parent / "test_formats.py", tmp_path)
    right = SHOP[SHOP.index("[[sample]]") :]
    (tmp_path / "formats" / "shop.toml").write_text(SHOP + right.replace('"/a"', '"/b"'))
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "shop-", "test_formats.py"]
    run = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    failed = "FAILED test_formats.py::test_every_sample_of_every_format_file_parses_to_what_the_file_says[shop-2]"
    assert failed in run.stdout
    assert "1 failed, 3 passed" in run.stdout


def test_a_format_of_the_users_own_goes_before_the_shipped_one_of_its_name_and_that_is_said(own, make_log, run_here):
    path = own.add("combined.toml", COMBINED + '[hit]\nset = { dimension7 = "mine" }\n')
    for options in ([], ["--format", "combined"], ["--format", path]):
        outcome = run_here("--dry-run", *options, make_log(lines=3))
        assert f"Note: format combined is that of {path}, not the one that comes along\n" in outcome.stdout
        hits = run_here("--dry-run", "--output", "-", *options, make_log(lines=3)).stdout
        assert hits.count('"dimension7": "mine"') == 3
    assert "Note: format" not in run_here("--dry-run", "--format", "common", make_log(lines=3)).stdout
    listed = run_here("formats").stdout
    assert listed.count("combined  ") == 2  # of which one is vhost_combined
    assert f"({path}, in place of the one that comes along)" in listed


def test_names_go_before_aliases_and_the_users_before_shipped_ones(own):
    own.add("shop.toml", SHOP.replace('"laden"', '"nginx"'))
    registry = own.registry()
    assert registry.called("common") == [catalogue.known()["common"]]
    assert [one.name for one in registry.called("nginx")] == ["shop"]
    assert [one.name for one in registry.called("apache")] == ["combined"]
    assert [*registry.formats][:2] == ["shop", "akamai_datastream2"]


def test_the_users_formats_are_listed_and_shown_with_their_files(own, run_here):
    path, around = own.add("shop.toml", SHOP), own.add("wrappers/box.toml", BOX)
    listed = run_here("formats").stdout
    assert f"Your own formats:\n\nshop                 The log of our shop  ({path})\n" in listed
    assert listed.endswith(f"Your own wrappers:\n\nbox                  Our box  ({around})\n")
    shown = run_here("formats", "shop", "box").stdout
    assert f"shop: The log of our shop\n  {path}\n  also called laden, common\n" in shown
    assert '\n  [hit]\n  map = { dimension1 = "basket" }\n' in shown
    assert f"\n\nbox: Our box\n  {around}\n" in shown
    assert run_here("formats", path).stdout in shown


def test_a_wrapper_of_the_users_own_is_recognised_and_named(own, log, run_here):
    own.add("shop.toml", SHOP)
    own.add("wrappers/box.toml", BOX)
    log.write_text("".join(f"<<2026-11-21T08:15:02Z>> {line}\n" for line in LINES.splitlines()))
    for options in ([], ["--wrapper", "box"], ["--wrapper", own.folder / "wrappers" / "box.toml", "--format", "shop"]):
        outcome = run_here("--dry-run", "--summary", "json", *options, log)
        assert outcome.summary["sources"][0]["format"] == "shop in box"
        assert outcome.summary["lines"]["imported"] == 2


def test_a_wrapper_of_the_users_own_goes_before_the_shipped_one_of_its_name_and_that_is_said(own, make_log, run_here):
    path = own.add("wrappers/cri.toml", BOX)
    log = make_log(lines=3)
    log.write_text("".join(f"<<2026-11-21T08:15:02Z>> {line}\n" for line in log.read_text().splitlines()))
    outcome = run_here("--dry-run", log)
    assert f"Note: wrapper cri is that of {path}, not the one that comes along\n" in outcome.stdout
    assert own.registry().wrapper("cri").file == str(path)
    assert own.registry().wrapper("compose") is wrappers.known()["compose"]
    with pytest.raises(UsageError, match=r"^--wrapper sylog: .* cri, aws_logs_tail"):
        own.registry().wrapper("sylog")


# What can be wrong.


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        pytest.param("title = 'x'\npattern = \n", "", r"Invalid value \(at line 2, column 11\)", id="no TOML"),
        pytest.param("title = '\udcff'", "", "codec can't decode byte 0xff in position 9", id="no UTF-8"),
        pytest.param("title = 'x'\n\npattern = 1", ", line 3", "`pattern` is no str", id="a number"),
        pytest.param("\npatern = ''", ", line 2", "unknown key patern; known are", id="unknown key"),
        pytest.param("\npattern = '{time} {agent}'", ", line 2", "no such field: agent", id="unknown field"),
        pytest.param("\npattern = '{path} {time:clock}'", ", line 2", "unknown form 'clock'", id="unknown form"),
        pytest.param("[json]\npath = 'p'\ntime = 't:clock'", ", line 3", "unknown form 'clock'", id="of JSON"),
        pytest.param("[json]\npath = 'a..b'\ntime = 't'", ", line 2", "'a..b' is no path", id="no path"),
        pytest.param("[json]\npath = 'p'\n[hit]\nset = { nosuch = 1 }", ", line 3", "nosuch", id="unknown parameter"),
        pytest.param(
            "pattern = '{ip} {path}'\naliases = [1]", ", line 2", "`aliases` holds what is no text", id="alias"
        ),
        pytest.param("pattern = '{ip} {time}'", "", "needs one of {request}", id="no request"),
        pytest.param("", "", "it needs one of `pattern`, `json`", id="nothing"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_place_and_stops_only_those_who_name_it(own, text, place, reason):
    path = own.add("mine.toml", text)
    registry = own.registry()
    for _ in range(2):
        assert {one.name for one in registry.recognisable()} == {one.name for one in catalogue.recognisable()}
    (warning,) = own.warnings
    with pytest.raises(FormatError, match=rf"^format {path}{place}: .*{reason}") as caught:
        registry.called("mine")
    assert warning == f"left out: {caught.value}"
    assert [one.name for one in registry.called("combined")] == ["combined"]
    with pytest.raises(FormatError, match=reason):
        registry.called(str(path))


def test_a_regular_expression_that_is_none_is_pointed_at_in_its_file(own):
    path = own.add("mine.toml", "regex = '(?P<ip>['")
    with pytest.raises(FormatStringError, match=rf"^format {path}: no regular .*\n    \(\?P<ip>\[\n           \^$"):
        own.registry().called("mine")
    assert "mine" not in own.registry().formats


@pytest.mark.parametrize(
    "text",
    ["regex = '(?P<msg>.*)'", "regex = '('", "json = {message = 1}", "regex = '(?P<message>.*)(?P<time>)'\ntime = 'x'"],
)
def test_a_wrapper_that_cannot_be_used_is_told_too(own, text):
    path = own.add("wrappers/mine.toml", text)
    registry = own.registry()
    assert {*registry.wrappers} == {*registry.wrappers} == {*wrappers.known()}
    (warning,) = own.warnings
    assert warning.startswith(f"left out: format {path}")
    with pytest.raises(FormatError, match=f"^format {path}"):
        registry.wrapper("mine")


def test_an_import_that_does_not_need_a_broken_file_goes_on_with_one_warning(own, make_log, run_here):
    path = own.add("mine.toml", "pattern = 1")
    outcome = run_here("--dry-run", make_log(lines=3), make_log("other.log", lines=3))
    assert outcome.code == 0
    assert outcome.stderr == f"piwik-import: left out: format {path}, line 1: `pattern` is no str\n"
    assert run_here("--dry-run", "--format", "combined", make_log(lines=3)).stderr == ""


def test_an_import_that_needs_a_broken_file_is_refused_rather_than_made_with_the_shipped_one(own, make_log, run_here):
    path = own.add("combined.toml", "pattern = 1")
    outcome = run_here("--dry-run", make_log(lines=3))
    assert outcome.code == 2
    assert outcome.stderr.endswith(f"piwik-import: format {path}, line 1: `pattern` is no str\n")
    assert run_here("--dry-run", "--format", "combined", make_log(lines=3)).code == 2
    path.unlink()
    path = own.add("wrappers/cri.toml", "regex = 1")
    log = make_log(lines=3)
    log.write_text("".join(f"2026-11-21T08:15:02Z stdout F {line}\n" for line in log.read_text().splitlines()))
    outcome = run_here("--dry-run", log)
    assert outcome.code == 2
    assert outcome.stderr.endswith(f"piwik-import: format {path}, line 1: `regex` is no str\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.toml", "format missing.toml: No such file or directory"),
        ("folder.toml", "format folder.toml: Is a directory"),
        ("./odd/../none.toml", "format odd/../none.toml, line 1: `pattern` is no str"),
        ("shop.log", "format shop.log: no such format; the name of a file that describes one ends in .toml."),
        ("odd/shop", "format odd/shop: no such format; the name of a file that describes one ends in .toml."),
        ("sopp", "format sopp: no such format; `piwik-import formats` lists those there are."),
    ],
)
def test_a_format_that_cannot_be_had_is_refused_with_the_reason(name, message, log, run_here, tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "none.toml").write_text("pattern = 1")
    outcome = run_here("--dry-run", "--format", name, log)
    assert (outcome.code, outcome.stderr) == (2, f"piwik-import: {message}\n")


def test_a_file_may_lie_anywhere_and_needs_no_samples(log, run_here, tmp_path):
    (tmp_path / "odd folder").mkdir()
    (tmp_path / "odd folder" / "shop.toml").write_text(SHOP[: SHOP.index("[[sample]]")])
    for name in ("odd folder/shop.toml", "./odd folder/shop.toml", tmp_path / "odd folder" / "shop.toml"):
        outcome = run_here("--dry-run", "--summary", "json", "--format", name, log)
        assert outcome.summary["lines"]["imported"] == 2


def test_what_lies_in_the_folder_besides_is_passed_over(own):
    for name in (".#shop.toml", "shop.toml~", "README.md", "wrappers/.box.toml.swp"):
        own.add(name, "nothing")
    (own.folder / "shop").mkdir()
    assert not own.registry().own
    assert not own.registry().own_wrappers
    assert not own.warnings


def test_an_unchanged_log_has_no_format_file_read(own, make_log, run_import):
    log = make_log(lines=3)
    assert run_import(log).code == 0
    own.add("mine.toml", "pattern = 1")
    outcome = run_import(log)
    assert (outcome.code, outcome.stderr) == (0, "")


# Checking one by its samples.


def checked(own, text, name="mine.toml"):
    registry = own.registry()
    (one,) = registry.either(str(own.add(name, text)))
    return proof.of(one, registry)


def sample(line, rest=""):
    return f"[[sample]]\nline = '{line}'\n{rest}\n"


BASE = SHOP[: SHOP.index("[[sample]]")]
LINE = LINES.splitlines()[0]


def test_samples_that_are_right_are_said_to_be(own, run_here):
    path = own.add("shop.toml", SHOP)
    around = own.add("wrappers/box.toml", BOX)
    outcome = run_here("formats", "--check", path, around)
    assert outcome.code == 0
    assert outcome.stdout == (
        f"{path}: format shop\n  sample 1 (line 8): right\n{around}: wrapper box\n  sample 1 (line 4): right\n"
    )
    assert run_here("formats", "--check").stdout == outcome.stdout
    assert run_here("formats", "--check", "shop", "box").stdout == outcome.stdout


def test_without_any_of_ones_own_there_is_nothing_to_check(run_here, tmp_path):
    outcome = run_here("formats", "--check")
    assert outcome.code == 2
    assert (
        f"--check: name a file: there are none of your own in {tmp_path}/config/piwik-import/formats" in outcome.stderr
    )


@pytest.mark.parametrize("time", ["2026-11-21T08:15:02Z", "'2026-11-21T08:15:02Z'", "'2026-11-21 09:15:02+01:00'"])
def test_the_time_of_a_sample_may_be_a_text_as_well(time, own):
    assert checked(own, BASE + sample(LINE, f"time = {time}")).is_right


@pytest.mark.parametrize(
    ("rest", "faults"),
    [
        ("ip = '192.0.2.2'", ['ip: expected "192.0.2.2", found "192.0.2.1"']),
        ("status = '200'", ['status: expected "200", found 200']),
        ("status = true", ["status: expected true, found 200"]),
        ("referrer = 'a'\npath = '/'", ['referrer: expected "a", found nothing', 'path: expected "/", found "/a"']),
        (
            "time = 2026-11-21T08:15:02",
            [
                "time: expected 2026-11-21T08:15:02, found 2026-11-21T08:15:02Z; "
                "the time needs a zone: write Z behind it for UTC"
            ],
        ),
    ],
)
def test_what_is_not_as_a_sample_says_is_shown_beside_it(own, rest, faults):
    proof = checked(own, BASE + sample(LINE, rest))
    assert proof.faults == [faults]
    assert not proof.is_right


def test_a_sample_that_names_no_field_gets_the_names_there_are(own):
    ((fault,),) = checked(own, BASE + sample(LINE, "agent = 'x'")).faults
    assert fault.startswith("agent: there is no such field; a sample may name ip, time, method, path, query, problem")


def test_a_sample_may_name_whatever_a_record_has(own):
    assert {*Record._fields} - {*formatfile.FIELDS} == {"request", "extra"}
    timed = "pattern = '{ip} {duration:s} [{time}] {path}'\n"
    line = "192.0.2.1 12 [21/Nov/2026:08:15:02 +0000] /a"
    assert checked(own, f"{timed}{sample(line, 'duration = 12000')}").faults == [[]]


@pytest.mark.parametrize(
    ("text", "line", "reason", "column"),
    [
        pytest.param(BASE, LINE.replace(".1 |", ".1"), "column 33: expected ' | '", 33, id="pattern"),
        pytest.param(BASE, LINE[:20], "the line ends where ' | ' should follow", 21, id="end"),
        pytest.param(BASE, "caf\u00e9" + LINE, "time: 'café2026-11-21T08:15:02Z' is no time", 1, id="bytes"),
        pytest.param(BASE, LINE.replace("2026-11-21T", "today "), "time: 'today 08:15:02Z' is no time", 1, id="value"),
        pytest.param("[json]\ntime = 't'\npath = 'p'\n", '{"t":1', "the line is no JSON", 7, id="JSON"),
        pytest.param("regex = '(?P<date>a) (?P<path>b)'\n", "b a", "the regular expression does not", None, id="regex"),
    ],
)
def test_a_line_that_cannot_be_read_is_pointed_at(own, text, line, reason, column):
    ((fault, shown, *caret),) = checked(own, text + sample(line)).faults
    assert fault.startswith(reason)
    assert shown == f"    {line}"
    assert caret == ([] if column is None else [f"    {' ' * (column - 1)}^"])


@pytest.mark.parametrize("line", ["", "\\n", f"{LINE}\\n{LINE}"])
def test_a_sample_is_one_line_of_a_log(own, line):
    text = BASE + f'[[sample]]\nline = "{line}"\n'
    ((fault,),) = checked(own, text).faults
    assert fault.startswith(f"its `line` holds {2 * (len(line) > 2)} lines of a log")


def test_a_file_without_samples_proves_nothing(own):
    proof = checked(own, BASE)
    assert not proof.is_right
    assert "it has no [[sample]], so nothing could be tried" in str(proof)


def test_a_parameter_that_is_given_a_field_that_there_is_not_is_found(own):
    proof = checked(own, SHOP.replace('"basket"', '"baskt"'))
    assert not proof.is_right
    assert "wrong: [hit]: it has no field baskt; it has ip, method" in str(proof)


def test_a_format_whose_lines_another_one_takes_is_said_to_be_lost(own):
    line = '203.0.113.9 - - [10/Oct/2026:13:55:36 -0700] "GET /a HTTP/1.1" 200 2326 "-" "curl/8.9"'
    text = "pattern = '{ip} {*} {*} [{time}] \"{request}\" {status} {length}{...}'\n" + sample(line)
    proof = checked(own, text)
    assert not proof.is_right
    assert "it is read, but a log of such lines would be taken for one in the format combined;" in str(proof)
    proof = checked(own, "recognised = false\n" + text)
    assert proof.is_right
    assert "it has to be named with --format" in str(proof)


def test_a_format_that_takes_the_lines_of_others_is_right_and_it_is_said(own):
    own.add("shop.toml", SHOP)
    proof = checked(own, SHOP.replace("{*basket}", "{*basket}{...}"))
    assert proof.is_right
    assert "note: shop would read its samples too, but mine goes before\n" in str(proof)
    assert str(proof).endswith("note: logs in the format shop would be taken for it, as of its sample 1")


def test_a_time_of_the_end_of_which_nothing_can_be_taken_off_is_remarked_upon(own):
    remark = "no field says how long a request took"
    for text, is_told in ((SHOP, False), (f'time_is = "end"\n{SHOP}', True)):
        assert (remark in str(checked(own, text))) is is_told
    timed = SHOP.replace("{*basket}", "{duration:s}").replace("b-17", "0.017").replace('"basket"', '"ip"')
    assert remark not in str(checked(own, f'time_is = "end"\n{timed}'))


def test_a_format_that_only_a_wrapper_gives_a_time_is_tried_with_one(own):
    text = "pattern = '{ip} {*} {*} \"{request}\" {status} {*}'\n"
    assert checked(own, text + sample('192.0.2.1 - - "GET /a HTTP/1.1" 200 65508', "path = '/a'")).is_right
    assert not checked(own, text + sample('192.0.2.1 - - "GET /a HTTP/1.1" 200 65508', "path = '/b'")).is_right


@pytest.mark.parametrize(
    ("line", "rest", "fault"),
    [
        ("<<2026-11-21T08:15:02Z>> hello", "message = 'hallo'", 'message: expected "hallo", found "hello"'),
        ("<<2026-11-21T08:15:02Z>> hello", "goes_on = true", "goes_on: expected true, found false"),
        ("<2026-11-21T08:15:02Z>> hello", "message = 'hello'", "nothing of this wrapper is around the line"),
        ("a\nb", "message = 'hello'", "its `line` holds 2 lines of a log; there must be one"),
    ],
)
def test_a_sample_of_a_wrapper_that_is_wrong_is_found(own, line, rest, fault):
    text = BOX[: BOX.index("[[sample]]")] + f"[[sample]]\nline = '''{line}'''\n{rest}\n"
    for name in ("mine.toml", "wrappers/mine.toml"):
        proof = checked(own, text, name)
        assert proof.title.endswith("wrapper mine")
        assert proof.faults[0][0] == fault


def test_a_wrapper_whose_lines_another_one_takes_is_said_to_be_lost(own):
    cri = (wrappers.folder() / "cri.toml").read_text("utf-8").replace("(?P<stream>stdout|stderr)", "stdout")
    cri = cri[: cri.index("stream = ")]
    assert "would be taken for one in combined as if they were in cri" in str(checked(own, cri, "wrappers/mine.toml"))


def test_all_that_is_wrong_is_shown_in_one_go_and_ends_with_code_2(own, run_here):
    own.add("broken.toml", "pattern = 1")
    own.add("shop.toml", SHOP.replace('"/a"', '"/b"'))
    own.add("wrappers/box.toml", BOX)
    outcome = run_here("formats", "--check")
    assert outcome.code == 2
    assert "broken.toml, line 1: `pattern` is no str" in outcome.stdout
    assert '    path: expected "/b", found "/a"\n' in outcome.stdout
    assert outcome.stdout.endswith("sample 1 (line 4): right\n")


@pytest.mark.parametrize("name", [*catalogue.known(), *wrappers.known()])
def test_all_that_comes_along_is_right(name):
    registry = Registry()
    (one,) = registry.either(name)
    assert proof.of(one, registry).is_right
