"""Options from flags, environment and files; messages of one line; the other commands."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import urllib.request

import click
import pytest
from conftest import line_of

from piwik_import import __version__
from piwik_import.cli.main import cli
from piwik_import.errors import EXIT_CODES
from piwik_import.parsers import catalogue, tables, wrappers


def assert_one_line(outcome, code, *words):
    assert outcome.code == code
    assert outcome.stderr.startswith("piwik-import: ")
    assert outcome.stderr.count("\n") == 1
    assert "Traceback" not in outcome.stderr
    for word in words:
        assert word in outcome.stderr


@pytest.fixture
def config(tmp_path):
    """Return a function that writes the configuration file of the user."""

    def write(text, name="config/piwik-import/config.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.fixture
def settings():
    """Return a function that parses arguments as the import does, and returns the parameters."""

    def parse(*arguments):
        command = cli.commands["import"]
        with command.make_context("import", list(arguments)) as context:
            return context.params

    return parse


# ---- where settings come from


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No setting but those of the test."""
    for name in ("PIWIK_URL", "PIWIK_TOKEN", "PIWIK_SITE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


SOURCES = [
    ("default", None, None, None, 4),
    ("file over default", None, None, "recorders = 5", 5),
    ("environment over file", None, "6", "recorders = 5", 6),
    ("flag over environment", "7", "6", "recorders = 5", 7),
    ("flag over default", "7", None, None, 7),
]


@pytest.mark.parametrize(
    ("flag", "environment", "file", "wanted"), [pytest.param(*row, id=name) for name, *row in SOURCES]
)
def test_a_flag_wins_over_the_environment_over_the_file(settings, config, monkeypatch, flag, environment, file, wanted):
    if environment:
        monkeypatch.setenv("PIWIK_IMPORT_RECORDERS", environment)
    if file:
        config(file)
    assert settings("a.log", *(["--recorders", flag] if flag else []))["recorders"] == wanted


ALIASES = [
    ("site", ["--idsite", "7"], "PIWIK_SITE", "site = 7", 7),
    ("site", ["--site", "7"], "PIWIK_IMPORT_SITE", "idsite = 7", 7),
    ("token", ["--token-auth", "s"], "PIWIK_TOKEN", "token-auth = 's'", "s"),
    ("token", ["--token", "s"], "PIWIK_IMPORT_TOKEN_AUTH", "token = 's'", "s"),
    ("url", ["--url", "a.b"], "PIWIK_URL", "url = 'a.b'", "a.b"),
    ("format", ["--log-format-name", "x"], "PIWIK_IMPORT_LOG_FORMAT_NAME", "log-format-name = 'x'", "x"),
    ("format", ["--format", "x"], "PIWIK_IMPORT_FORMAT", "format = 'x'", "x"),
    ("recorders", ["--recorders", "3"], "PIWIK_IMPORT_RECORDERS", "recorders = 3", 3),
    ("recorders", ["--concurrency", "3"], "PIWIK_IMPORT_CONCURRENCY", "concurrency = 3", 3),
    ("chunk_size", ["--recorder-max-payload-size", "9"], "PIWIK_IMPORT_CHUNK_SIZE", "chunk-size = 9", 9),
    ("chunk_size", ["--chunk-size", "9"], "PIWIK_IMPORT_CHUNK_SIZE", "recorder_max_payload_size = 9", 9),
    ("bots", ["--enable-bots"], "PIWIK_IMPORT_ENABLE_BOTS", "enable-bots = true", True),
    ("bots", ["--bots"], "PIWIK_IMPORT_BOTS", "bots = true", True),
    ("static", ["--enable-static"], "PIWIK_IMPORT_ENABLE_STATIC", "enable-static = true", True),
    ("errors", ["--enable-http-errors"], "PIWIK_IMPORT_ENABLE_HTTP_ERRORS", "enable-http-errors = true", True),
    (
        "redirects",
        ["--enable-http-redirects"],
        "PIWIK_IMPORT_ENABLE_HTTP_REDIRECTS",
        "enable_http_redirects = true",
        True,
    ),
    ("insecure", ["--accept-invalid-ssl-certificate"], "PIWIK_IMPORT_INSECURE", "insecure = true", True),
    (
        "tracker_path",
        ["--tracker-endpoint-path", "/a"],
        "PIWIK_IMPORT_TRACKER_ENDPOINT_PATH",
        "tracker-endpoint-path = '/a'",
        "/a",
    ),
    ("single", ["--disable-bulk-tracking"], "PIWIK_IMPORT_DISABLE_BULK_TRACKING", "disable-bulk-tracking = true", True),
    ("suffix", ["--request-suffix", "a=1"], "PIWIK_IMPORT_REQUEST_SUFFIX", "request-suffix = 'a=1'", "a=1"),
    ("auth_password", ["--auth-password", "s"], "PIWIK_IMPORT_AUTH_PASSWORD", "auth-password = 's'", "s"),
    ("dry_run", ["--dry-run"], "PIWIK_IMPORT_DRY_RUN", "dry-run = true", True),
    ("output", ["--output", "f"], "PIWIK_IMPORT_OUTPUT", "output = 'f'", "f"),
    ("summary", ["--summary", "json"], "PIWIK_IMPORT_SUMMARY", "summary = 'json'", "json"),
]


@pytest.mark.parametrize(
    ("name", "flag", "variable", "line", "wanted"), ALIASES, ids=[row[1][0].lstrip("-") for row in ALIASES]
)
def test_every_name_of_an_option_is_a_flag_a_variable_and_a_key(
    settings, config, monkeypatch, name, flag, variable, line, wanted
):
    assert settings("a.log", *flag)[name] == wanted
    with monkeypatch.context() as patch:
        patch.setenv(variable, "1" if wanted is True else str(wanted))
        assert settings("a.log")[name] == wanted
    config(line)
    assert settings("a.log")[name] == wanted


def test_the_file_of_config_is_taken_instead_of_the_users(settings, config, monkeypatch):
    config("recorders = 5")
    other = config("recorders = 6", "other.toml")
    assert settings("a.log", "--config", str(other))["recorders"] == 6
    monkeypatch.setenv("PIWIK_IMPORT_CONFIG", str(other))
    assert settings("a.log")["recorders"] == 6


CONFIGS = [
    ("an unknown key", "recoders = 3", ["recoders"]),
    ("an unknown key that gives orders", '"\\u001b[2J" = 3', ["there is no option"]),
    ("no TOML", "recorders: 3", ["config.toml"]),
    ("no UTF-8", None, ["config.toml"]),
    ("a value of another kind", "recorders = 'many'", ["recorders"]),
    ("a value out of range", "recorders = 0", ["recorders"]),
    ("a table", "[url]\nx = 1", ["url"]),
]


@pytest.mark.parametrize(("text", "words"), [pytest.param(*row, id=name) for name, *row in CONFIGS])
def test_what_is_wrong_with_a_file_is_said_in_one_line(run_program, config, text, words):
    path = config(text or "")
    if text is None:
        path.write_bytes(b"url = '\xff'")
    assert_one_line(run_program("--dry-run", "a.log"), 2, *words)


def test_a_file_that_is_missing_is_named(run_program):
    assert_one_line(run_program("--config", "nothing.toml", "--dry-run", "a.log"), 2, "nothing.toml")


# ---- usage

SERVER = ["--url", "a.b", "--token", "x", "--site", "1"]
HTTPS = ["--url", "https://a.b", "--token", "x", "--site", "1", "--base-url", "http://a"]
MISTAKES = [
    ("a mistyped option", ["--recoders", "3", "a.log"], ["--recoders", "--recorders"]),
    ("no such choice", ["--summary", "xml", "a.log"], ["json"]),
    ("no number", ["--recorders", "x", "a.log"], ["--recorders"]),
    ("too many", ["--recorders", "65", "a.log"], ["64"]),
    ("no log", ["--dry-run"], ["Missing LOG"]),
    ("no server", ["a.log"], ["--url", "PIWIK_URL", "--dry-run"]),
    ("no token", ["--url", "a.b", "--site", "1", "a.log"], ["PIWIK_TOKEN"]),
    ("no site", ["--url", "a.b", "--token", "x", "a.log"], ["--idsite"]),
    (
        "no address",
        ["--url", "ftp://a", "--token", "x", "--site", "1", "--base-url", "http://a", "access.log"],
        ["--url"],
    ),
    ("a password of nobody", [*SERVER, "--auth-password", "s3cret", "a.log"], ["--auth-user"]),
    ("a user with a colon", [*SERVER, "--auth-user", "me:s3cret", "a.log"], ["colon"]),
    ("a key of nothing", [*SERVER, "--client-key", "a.pem", "a.log"], ["--client-cert"]),
    ("two ways", [*SERVER, "--unix-socket", "a", "--proxy", "http://b", "a.log"], ["choose one"]),
    ("a path with a query", [*SERVER, "--tracker-endpoint-path", "/a?b=c", "a.log"], ["--tracker-endpoint-path"]),
    ("a suffix with a fragment", [*SERVER, "--request-suffix", "a#b", "a.log"], ["--request-suffix"]),
    ("a header without a value", [*SERVER, "--header", "X-A", "a.log"], ["Name: value"]),
    ("a header of two lines", [*SERVER, "--header", "X-A: b\r\nX-B: c", "a.log"], ["one line"]),
    ("a header with a name of two lines", [*SERVER, "--header", "X-A\r\nX-B: c", "a.log"], ["Name: value"]),
    ("a header that is ours", [*SERVER, "--header", "Content-Length: 3", "a.log"], ["Content-Length is not for you"]),
    ("another header that is ours", [*SERVER, "--header", "host: a", "a.log"], ["host is not for you"]),
    ("an authority that is not there", [*HTTPS, "--ca-file", "no.pem", "access.log"], ["--ca-file no.pem"]),
    ("a certificate that is not there", [*HTTPS, "--client-cert", "no.pem", "access.log"], ["--client-cert no.pem"]),
    ("a proxy that is none", [*SERVER, "--base-url", "http://a", "--proxy", "ftp://a", "access.log"], ["--proxy"]),
    ("an output of a real run", ["--output", "x", "a.log"], ["--dry-run"]),
    ("both ways to try out", ["--dry-run", "--sandbox", "a.log"], ["choose"]),
    ("an unknown format", ["--format", "nonsense", "--dry-run", "access.log"], ["nonsense", "piwik-import formats"]),
    ("a format file that is missing", ["--format", "nothing.toml", "--dry-run", "access.log"], ["nothing.toml"]),
    ("too much for params", ["params", "a", "b"], ["b"]),
    ("an unknown format to show", ["formats", "nonsense"], ["nonsense"]),
    ("a store in no folder", ["sandbox", "--port", "0", "--db", "no/where"], ["no/where"]),
]


@pytest.mark.parametrize(("arguments", "words"), [pytest.param(*row, id=name) for name, *row in MISTAKES])
def test_a_mistake_gets_one_line_that_says_what_to_do(run_program, make_log, arguments, words):
    make_log()
    assert_one_line(run_program(*arguments), 2, *words)


def test_headers_come_from_flags_from_lines_of_the_environment_and_from_a_list(run_import, make_log, config, tracker):
    def sent(*arguments, env=()):
        assert run_import("--no-journal", "--base-url", "http://a", *arguments, make_log(lines=1), env=env).code == 0
        return {name: text for name, text in tracker.bulks[-1].headers.items() if name.startswith("X-")}

    assert sent("--header", "X-A: 1", "--header", "X-B:two words ") == {"X-A": "1", "X-B": "two words"}
    assert sent(env={"PIWIK_IMPORT_HEADER": "X-A: 1\nX-B: 2"}) == {"X-A": "1", "X-B": "2"}
    config("header = ['X-A: 1, 2', 'X-B: 2']")
    assert sent() == {"X-A": "1, 2", "X-B": "2"}
    config("header = 'X-A: 1'")
    assert sent() == {"X-A": "1"}


def test_no_certificate_is_checked_without_a_warning(run_import, make_log):
    outcome = run_import("--no-journal", "--insecure", "--base-url", "http://a", make_log(lines=1))
    assert outcome.code == 0
    assert outcome.stderr.startswith("piwik-import: --insecure: ")


def test_requests_go_where_one_says_with_what_one_adds(run_import, make_log, tracker):
    run_import("--no-journal", "--tracker-endpoint-path", "/t.php", "--request-suffix", "?a=1&b=%20", make_log(lines=1))
    assert [target.partition("?")[0] for target in tracker.targets] == ["/index.php", "/t.php"]
    assert all(target.endswith(("?a=1&b=%20", "&a=1&b=%20")) for target in tracker.targets)


def test_without_bulk_requests_every_hit_is_recorded_by_itself(run_program, make_log):
    outcome = run_program("--sandbox", "--disable-bulk-tracking", "--summary", "json", make_log(lines=30))
    assert outcome.code == 0
    assert '"tracked": 30' in outcome.stdout
    assert '"bulk": 30' in outcome.stdout


def test_a_port_that_is_taken_is_said_to_be(run_program, tracker):
    port = tracker.url.rpartition(":")[2].strip("/")
    assert_one_line(run_program("sandbox", "--port", port), 2, port)


def test_without_arguments_the_help_is_shown_as_usage(run_program):
    outcome = run_program()
    assert outcome.code == 2
    assert outcome.stderr.startswith("Usage: piwik-import")
    assert outcome.stderr.rstrip().endswith("interrupted")


def test_import_is_the_default_command(run_program, make_log):
    log = make_log(lines=3)
    outcomes = [run_program(*arguments) for arguments in (["import", "--dry-run", log], [log, "--dry-run"])]
    assert [outcome.code for outcome in outcomes] == [0, 0]
    assert all("3  would be imported" in outcome.stdout for outcome in outcomes)


def test_the_version_is_told(run_program):
    assert run_program("--version").stdout == f"piwik-import {__version__}\n"


def test_the_help_names_every_option_with_its_topic_and_every_exit_code(run_program):
    text = run_program("--help").stdout
    for parameter in cli.commands["import"].params:
        if isinstance(parameter, click.Option):
            assert all(name in text for name in parameter.opts)
            assert parameter.help
            assert parameter.topic + ":" in text
    for code, meaning in EXIT_CODES.items():
        assert f"{code} " in text
        assert meaning.split(",")[0] in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("command", [*cli.commands])
def test_every_command_has_help(run_program, command):
    outcome = run_program(command, "--help")
    assert outcome.code == 0
    assert outcome.stdout.startswith(f"Usage: piwik-import {command}")


# ---- formats


def test_formats_lists_every_format_and_every_wrapper(run_program):
    formats, between, around = run_program("formats").stdout.split("\n\n")
    assert [line.split()[0] for line in formats.splitlines()] == [*catalogue.known()]
    assert between.startswith("Wrappers")
    assert [line.split()[0] for line in around.splitlines()] == [*wrappers.known()]


def test_formats_shows_a_wrapper_with_its_samples(run_program):
    outcome = run_program("formats", "cri")
    assert outcome.code == 0
    for sample in wrappers.known()["cri"].samples:
        assert sample["line"] in outcome.stdout


def test_formats_shows_one_with_its_samples(run_program):
    outcome = run_program("formats", "combined")
    assert outcome.code == 0
    for sample in catalogue.named("combined").samples:
        assert sample["line"] in outcome.stdout


STRING = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
NGINX = """http { log_format main '$remote_addr - $remote_user [$time_local] "$request" '
    '$status $body_bytes_sent "$http_referer" "$http_user_agent"'; log_format other '$status'; }
"""


def test_a_log_is_read_by_the_string_of_its_server(run_program, make_log):
    log = make_log()
    by_itself = json.loads(run_program("--dry-run", "--summary", "json", log).stdout)
    outcome = run_program("--dry-run", "--summary", "json", "--log-format", STRING, log)
    read = json.loads(outcome.stdout)
    assert outcome.code == 0
    assert read["sources"][0]["format"] == "apache"
    assert read["lines"] == by_itself["lines"]


def test_a_log_is_read_by_the_configuration_of_its_server(run_program, make_log, tmp_path):
    conf = tmp_path / "nginx.conf"
    conf.write_text(NGINX)
    outcome = run_program("--dry-run", "--summary", "json", "--log-format-from", conf, make_log())
    assert json.loads(outcome.stdout)["sources"][0]["format"] == "combined"
    assert "log formats to choose among: combined, main\n" in outcome.stderr
    outcome = run_program("--dry-run", "--summary", "json", "--log-format-from", conf, "--format", "main", make_log())
    assert json.loads(outcome.stdout)["sources"][0]["format"] == "main"
    broken = run_program("--dry-run", "--log-format-from", conf, "--format", "other", make_log())
    assert broken.code == 2
    assert "nginx.conf:2: other: There is no request in it" in broken.stderr
    other = tmp_path / "other.log"
    other.write_text("nothing\nof it\n")
    refused = run_program("--dry-run", "--log-format-from", conf, other)
    assert refused.code == 2
    assert "none of the formats combined, main fits this log" in refused.stderr


def test_a_log_is_read_by_a_regular_expression(run_program, make_log):
    regex = r'(?P<ip>\S+) \S+ \S+ \[(?P<date>.*?)\] "\S+ (?P<path>\S+) \S+" (?P<status>\d+) .* "(?P<user_agent>[^"]*)"$'
    outcome = run_program("--dry-run", "--summary", "json", "--log-format-regex", regex, make_log())
    assert json.loads(outcome.stdout)["sources"][0]["format"] == "regex"
    assert json.loads(outcome.stdout)["lines"]["invalid"] == 0


def test_a_string_that_fits_nothing_says_where_it_stops(run_program, make_log):
    outcome = run_program("--dry-run", "--log-format", "%h %t %U", make_log())
    assert outcome.code == 2
    assert "format apache fits none of its first" in outcome.stderr
    assert "which does not fit: column" in outcome.stderr


def test_a_wrong_string_is_pointed_at(run_program, make_log):
    outcome = run_program("--dry-run", "--log-format", "%h %t %y", make_log())
    assert outcome.code == 2
    assert outcome.stderr.endswith("\n    %h %t %y\n          ^\n")


def test_formats_makes_a_file_of_a_string_and_a_log(run_program, make_log, tmp_path):
    made = run_program("formats", "--make", STRING, make_log())
    assert made.code == 0
    path = tmp_path / "mine.toml"
    path.write_text(made.stdout)
    assert len(catalogue.read(path).samples) == 2
    outcome = run_program("--dry-run", "--summary", "json", "--format", path, make_log())
    assert json.loads(outcome.stdout)["lines"]["invalid"] == 0


def test_formats_makes_a_file_of_goaccess_objects_that_reads_as_the_string_does(run_program, tmp_path):
    log, path = tmp_path / "objects.log", tmp_path / "mine.toml"
    log.write_text('{"ts":1795248902.5,"client":{"ip":"192.0.2.1"},"req":"GET /a?b=c HTTP/1.1","status":200}\n' * 2)
    string = '{"ts":"%x","client":{"ip":"%h"},"req":"%r","status":"%s"}'
    form = ("--datetime-format", "%s")
    made = run_program("formats", "--make", string, *form, log)
    assert (made.code, made.stderr) == (0, "")
    path.write_text(made.stdout)
    assert run_program("formats", "--check", path).code == 0
    imports = [("--log-format", string, *form), ("--format", path)]
    hits = [run_program("--dry-run", "--output", "-", *options, log).stdout.splitlines()[:2] for options in imports]
    assert hits[0] == hits[1]
    assert json.loads(hits[0][0])["cdt"] == "2026-11-21 08:15:02"


def test_formats_says_if_a_log_is_not_what_the_string_says(run_program, make_log):
    made = run_program("formats", "--make", "%v %h %t %U", make_log())
    assert (made.code, "[[sample]]" in made.stdout) == (0, False)
    assert "access.log is what the string says, so there are no samples" in made.stderr


def test_formats_lists_and_makes_those_of_a_configuration(run_program, tmp_path):
    conf = tmp_path / "nginx.conf"
    conf.write_text(NGINX)
    listed = run_program("formats", "--log-format-from", conf).stdout.splitlines()
    assert listed == ["combined", "main", "other  (There is no request in it: neither a request line nor a path)"]
    made = run_program("formats", "--log-format-from", conf, "main")
    assert 'pattern = \'{ip} - {user} [{time}] "{request}" {status}' in made.stdout


def test_a_format_may_be_named_and_may_be_a_file(run_program, make_log):
    log = make_log(lines=3)
    path = tables.folder() / "combined.toml"
    for name in ("combined", path):
        assert "3  would be imported" in run_program("--dry-run", "--format", name, log).stdout


def test_other_downloads_are_those_that_one_names(run_program, tmp_path):
    (tmp_path / "access.log").write_text(line_of("a.zip") + line_of("a.xyz") + line_of("a.html"))

    def downloads(*options):
        outcome = run_program("--dry-run", "--output", "-", *options, tmp_path / "access.log")
        return ["download" in json.loads(line) for line in outcome.stdout.splitlines()]

    assert downloads() == [True, False, False]
    assert downloads("--download-extensions", "xyz") == [False, True, False]
    assert downloads("--add-download-extensions", ".XYZ, html") == [True, True, True]


# ---- sandbox


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_the_sandbox_serves_until_it_is_stopped_and_then_tells_what_came(
    start_program, run_program, make_log, tmp_path, number
):
    sandbox = start_program("sandbox", "--port", 0, "--db", tmp_path / "hits.db", "--token", "let-me-in")
    url = sandbox.stderr.readline().split()[2].decode()
    env = {"PIWIK_URL": url, "PIWIK_TOKEN": "let-me-in", "PIWIK_SITE": "1"}
    assert run_program(make_log(lines=30), "--summary", "json", env=env).summary["hits"]["tracked"] == 30
    with urllib.request.urlopen(url + "piwik.php") as answer:
        assert answer.status == 200
    sandbox.send_signal(number)
    stdout, stderr = sandbox.communicate(timeout=10)
    assert (sandbox.returncode, stderr) == (0, b"")
    assert b"30  page views" in stdout
    database = sqlite3.connect(tmp_path / "hits.db")
    assert database.execute("SELECT count(*) FROM hits").fetchone() == (30,)
    database.close()


def test_the_program_is_a_module_too(start_program):
    process = start_program("--version", stdin=subprocess.DEVNULL)
    assert process.communicate(timeout=10)[0].startswith(b"piwik-import ")


ODD = '{"when":"2026-07-01 10:00:00","who":{"addr":["203.0.113.1,198.51.100.9,192.0.2.5"]},"what":"/a?b","took":"0.25"}'


def test_a_log_that_no_format_knows_is_read_as_the_options_say(run_program, tmp_path):
    log = tmp_path / "odd.ndjson"
    log.write_text(f"{ODD}\n{ODD}\n")
    fields = ("time=when:any", "ip=who.addr[0]", "target=what", "generation_time=took:s")
    options = [text for one in fields for text in ("--field", one)]
    options += ["--timezone", "Europe/Berlin", "--trusted-proxy", "192.0.2.0/24,10.0.0.0/8"]
    outcome = run_program("--dry-run", "--output", "-", *options, log)
    hit = json.loads(outcome.stdout.splitlines()[0])
    assert (hit["cip"], hit["cdt"], hit["gt_ms"]) == ("198.51.100.9", "2026-07-01 08:00:00", 250)
    assert hit["url"] == "http://localhost/a?b"


def test_objects_that_are_about_no_request_are_left_out_of_a_log_in_generic_json(run_program, tmp_path):
    log = tmp_path / "app.ndjson"
    asked = '{"time":"2026-01-01T00:00:00Z","path":"/a","status":200,"remote_addr":"203.0.113.4"}'
    log.write_text(f'{asked}\n{{"time":"2026-01-01T00:00:01Z","level":"info","msg":"started"}}\n{asked}\n')
    outcome = run_program("--dry-run", "--summary", "json", log)
    summary = json.loads(outcome.stdout)
    assert (outcome.code, summary["lines"]["invalid"], summary["lines"]["filtered"]["other"]) == (0, 0, 1)


def test_options_that_may_be_repeated_are_lists_in_the_configuration(run_program, tmp_path):
    log = tmp_path / "odd.ndjson"
    log.write_text(f"{ODD}\n")
    config = tmp_path / "config.toml"
    config.write_text('field = ["time=when", "target=what", "ip=who.addr[0]"]\ntrusted-proxy = "192.0.2.0/24"')
    outcome = run_program("--config", config, "--dry-run", "--output", "-", log)
    assert json.loads(outcome.stdout.splitlines()[0])["cip"] == "198.51.100.9"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--timezone", "Mars"), "--timezone: there is no time zone 'Mars'"),
        (("--trusted-proxy", "10.0.0.0/99"), "--trusted-proxy: '10.0.0.0/99' is no network"),
        (("--field", "time"), "--field time: write it as NAME=PATH"),
        (("--field", "agent=ua"), "--field: no such field: agent"),
        (("--field", "ip=a..b"), "--field: 'a..b' is no path"),
        (("--field", "time=when:foo"), "--field: time: there is no form 'foo'"),
        (("--field", "generation_time=took:min"), "--field: generation_time: there is no form 'min'"),
        (("--field", "ip=nope"), "--field ip: the format combined has no piece nope; it has none."),
        (("--wrapper", "dockr"), "--wrapper dockr: there is no such wrapper; there are aws_logs_tail"),
    ],
    ids=str,
)
def test_what_cannot_be_read_as_asked_is_said_in_one_message(option, message, run_program, make_log):
    outcome = run_program("--dry-run", *option, make_log())
    assert (outcome.code, outcome.stderr.count("\n")) == (2, 1)
    assert outcome.stderr.startswith(f"piwik-import: {message}")


def test_host_names_in_place_of_addresses_are_told_in_the_summary(run_program, tmp_path, make_log):
    log = tmp_path / "names.log"
    log.write_text(make_log(lines=3).read_text().replace("198.18.0.", "client.example."))
    outcome = run_program("--dry-run", log)
    assert "Note: 3 hits have a host name where their client's address should be" in outcome.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--make", "%h", "--log-format-from", "nginx.conf"), "--make and --log-format-from are different things"),
        (("--check", "--markdown"), "--check and --markdown are different things"),
        (("--time-format", "%T", "combined"), "belong to --make"),
        (("--datetime-format", "%T", "combined"), "belong to --make"),
        (("--make", "squid"), "--make: squid is the format squid, which comes along"),
        (("--make", "W3C"), "--make: W3C is the format iis or w3c_extended, which comes along"),
    ],
)
def test_of_formats_no_option_is_passed_over_in_silence(run_here, options, said):
    outcome = run_here("formats", *options)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert said in outcome.stderr
