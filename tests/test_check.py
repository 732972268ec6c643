"""Trying a server: each step says what is so or what to do, nothing is recorded, and a bad token costs one login."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme
from conftest import AS_MATOMO, PAGE, Reply, server_context, tracking

from piwik_import.check import steps, trial
from piwik_import.client import Client
from piwik_import.connection import Connection
from piwik_import.errors import RefusedError
from piwik_import.sandbox import Sandbox

TOKENS = {"admins": "admin", "writers": "write", "viewers": "view"}
MISSING = Reply(body={"result": "error", "message": "The method 'x' does not exist or is not available in the module."})


@pytest.fixture
def sandbox():
    with Sandbox(tokens=TOKENS, sites={1: "http://example.org", 2: "http://two.example"}) as it:
        yield it


def tried(url, token="sandbox", site=1, **options):
    """Return the steps by name, and the exit code."""
    found = list(steps(Connection(url=url, token=token, request_timeout=5.0, **options), site))
    assert [step.name for step in found if step.exit_code] == [step.name for step in found[-1:] if step.exit_code]
    assert all(step.said.isprintable() for step in found)
    return {step.name: step for step in found}, found[-1].exit_code


ORDER = ["resolves", "connects", "TLS", "redirect", "answers", "token", "rights", "site", "hits", "clock", "limit"]


def test_a_good_server_is_good_at_every_step_and_records_nothing(sandbox):
    found, code = tried(sandbox.url)
    assert list(found) == ORDER
    assert {step.state for step in found.values()} <= {"ok", "skipped"}
    assert code == 0
    assert "127.0.0.1" in found["resolves"].said
    assert "5.2.0" in found["token"].said
    assert "http://example.org" in found["site"].said
    assert sandbox.hits() == []
    assert sandbox.report().invalid == 0


@pytest.mark.parametrize(("token", "role"), [("sandbox", "superuser"), ("admins", "admin"), ("writers", "write")])
def test_the_rights_of_the_token_are_told(sandbox, token, role):
    found, code = tried(sandbox.url, token, 2)
    assert found["rights"].said.startswith(role)
    assert code == 0


def test_a_token_that_may_only_view_is_told_what_it_needs(sandbox):
    found, code = tried(sandbox.url, "viewers")
    assert (list(found)[-1], code) == ("rights", 4)
    assert "write access" in found["rights"].said


def test_a_wrong_token_is_a_failed_login_once_and_no_more(sandbox):
    for _ in range(20):
        found, code = tried(sandbox.url, "wrong")
        assert (list(found)[-1], code) == ("token", 4)
    assert tried(sandbox.url)[1] == 0  # from the 21st failed login on the server would shut us out


def test_a_site_that_is_not_there_is_said_not_to_be(sandbox):
    found, code = tried(sandbox.url, "sandbox", 7)
    assert (list(found)[-1], code) == ("site", 4)
    found, code = tried(sandbox.url, "admins", 7)
    assert (list(found)[-1], code) == ("rights", 4)
    assert "1, 2" in found["rights"].said


def test_statistics_that_are_switched_off_are_found():
    with Sandbox(record_statistics=False) as sandbox:
        found, code = tried(sandbox.url)
    assert (list(found)[-1], code) == ("hits", 4)
    assert "record_statistics" in found["hits"].said


def test_a_limit_of_the_body_is_found():
    with Sandbox(max_body=1024 * 1024) as sandbox:
        found, code = tried(sandbox.url)
    assert "client_max_body_size" in found["limit"].said
    assert code == 0


def test_hits_that_go_one_by_one_are_tried_one_by_one(sandbox):
    found, code = tried(sandbox.url, bulk=False)
    assert (found["hits"].state, code) == ("ok", 0)
    assert sandbox.hits() == []


def test_a_server_that_is_not_there_is_not(nowhere):
    found, code = tried(nowhere)
    assert (list(found)[-1], code) == ("connects", 75)


def test_a_name_that_is_not_there_is_not():
    found, code = tried("http://stats.invalid")
    assert (list(found), code) == (["resolves"], 75)


def test_a_server_that_does_not_answer_has_connected(raw_server):
    found, code = tried(raw_server(()).url)
    assert (list(found)[-1], code) == ("answers", 75)
    assert found["connects"].state == "ok"


PAGES = {
    "not there": (404, 4, "--tracker-endpoint-path"),
    "forbidden": (403, 4, "refuses"),
    "for a password": (401, 4, "--auth-user"),
    "in trouble": (502, 75, "502"),
}


@pytest.mark.parametrize(("status", "code", "word"), PAGES.values(), ids=PAGES)
def test_a_page_that_is_no_tracker_is_told(tracker, status, code, word):
    tracker.page = Reply(status, b"<p>\x1b[2JNo</p>")
    found, got = tried(tracker.url, tracker.token)
    assert (list(found)[-1], got) == ("answers", code)
    assert word in found["answers"].said


def test_a_page_of_something_else_is_a_warning(tracker):
    tracker.page = Reply(200, b"<p>Welcome to nginx</p>")
    found, _ = tried(tracker.url, tracker.token)
    assert found["answers"].state == "warning"


NO_API = {
    "no page": Reply(404, b"<p>Not found</p>"),
    "a page": Reply(200, b"<p>Hello</p>"),
    "forbidden": Reply(403, b"<p>Forbidden</p>"),
    "trouble": Reply(503, {"result": "error", "message": "Maintenance"}),
    "hung up": Reply(hang_up=True),
    "no such methods": MISSING,
}


@pytest.mark.parametrize("api", NO_API.values(), ids=NO_API)
def test_a_server_without_a_reporting_api_is_tried_by_a_hit_alone(tracker, api):
    tracker.api = api
    found, code = tried(tracker.url, tracker.token)
    assert (found["token"].state, found["hits"].state, code) == ("skipped", "ok", 0)
    found, code = tried(tracker.url, "wrong")
    assert (list(found)[-1], code) == ("hits", 4)
    assert len(tracker.bulks) == 3  # two of the good run, of which one is large, and the refused one


def test_an_old_server_has_fewer_methods_and_that_is_no_failure(tracker):
    tracker.methods = {
        "API.getMatomoVersion": MISSING,
        "API.getPiwikVersion": Reply(body={"value": "1.12"}),
        "UsersManager.hasSuperUserAccess": MISSING,
        "SitesManager.getSitesIdWithWriteAccess": MISSING,
        "SitesManager.getSitesIdWithAdminAccess": Reply(body=[{"idsite": "3"}, {"idsite": "1"}]),
    }
    found, code = tried(tracker.url, tracker.token)
    assert "1.12" in found["token"].said
    assert "admin of site 1" in found["rights"].said
    assert code == 0


def test_a_server_that_does_not_tell_rights_is_tried_all_the_same(tracker):
    tracker.methods = {"API.getMatomoVersion": Reply(body={"value": "1.12"})}
    tracker.api = MISSING
    tracker.methods["SitesManager.getSiteFromId"] = AS_MATOMO._replace(body=[{"main_url": "http://a.b"}])
    found, code = tried(tracker.url, tracker.token)
    assert (found["rights"].state, found["hits"].state, code) == ("skipped", "ok", 0)


@pytest.mark.parametrize(("seconds", "word"), [(-600, "behind"), (600, "ahead")])
def test_a_clock_that_is_wrong_is_a_warning(raw_server, seconds, word):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nConnection: close\r\nContent-Length: 6\r\n\r\n"
    good = json.dumps({"status": "success", "tracked": 1, "invalid": 0})
    hit = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(good)}\r\n\r\n{good}"
    no_api = "HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    found, _ = tried(raw_server(*[(text.encode(),) for text in (head + "Matomo", no_api, hit)]).url)
    assert found["clock"].state == "warning"
    assert word in found["clock"].said


def test_a_redirect_elsewhere_ends_the_check_before_the_token_is_told(tracker):
    tracker.page = Reply(301, headers={"Location": "https://stats.example.org/piwik.php"})
    found, code = tried(tracker.url)
    assert (list(found)[-1], code) == ("redirect", 4)
    assert not tracker.calls
    assert not tracker.bulks


def test_a_certificate_is_described_and_a_redirect_to_it_advised(tracker, tmp_path):
    authority = trustme.CA(organization_name="Our own CA")
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with tracking(server_context(authority)) as secure:
        tracker.page = Reply(301, headers={"Location": secure.url + "piwik.php"})
        url = tracker.url.replace("127.0.0.1", "localhost")
        found, _ = tried(url, secure.token, ca_file=ca_file)
        assert found["redirect"].state == "warning"
        assert found["TLS"].state == "ok"
        assert "localhost" in found["TLS"].said
        assert "Our own CA" in found["TLS"].said
        assert tried(secure.url, secure.token, insecure=True)[0]["TLS"].state == "warning"
        found, code = tried(secure.url, secure.token)
        assert (list(found)[-1], code) == ("TLS", 75)
    soon = server_context(authority, not_after=datetime.now(UTC) + timedelta(days=5))
    with tracking(soon) as secure:
        found, _ = tried(secure.url, secure.token, ca_file=ca_file)
        assert found["TLS"].state == "warning"


def test_a_socket_needs_no_name(tmp_path):
    path = tmp_path / "tracker.sock"
    with tracking(path=path) as tracker:
        found, code = tried(tracker.url, tracker.token, unix_socket=path)
    assert (found["resolves"].state, found["hits"].state, code) == ("skipped", "ok", 0)


@pytest.mark.parametrize(
    "body", [b"DEBUG: token_auth is authenticated!", b"This resource is part of Matomo.", b"Hello"]
)
def test_an_answer_without_counts_is_a_failure_where_they_were_asked_for(tracker, body):
    tracker.answers(200, body)
    found, code = tried(tracker.url, tracker.token)
    assert list(found)[-1] == "hits"
    assert code == (75 if body == b"Hello" else 4)


def test_what_the_tracker_says_that_it_does_is_shown_though_its_counts_are_missing(tracker, capsys):
    tracker.answers(200, b"DEBUG: token_auth is authenticated!")
    found, code = tried(tracker.url, tracker.token, debug=True)
    assert (found["hits"].state, code) == ("warning", 0)
    assert "DEBUG: token_auth is authenticated!" in capsys.readouterr().err


# ---- before an import


def test_a_trial_that_is_refused_says_how_to_learn_more(sandbox, nowhere):
    with (
        Client(Connection(url=sandbox.url, token="viewers")) as client,
        pytest.raises(RefusedError, match="not recorded"),
    ):
        trial(client, 1)
    for url, token in ((sandbox.url, "writers"), (nowhere, "writers")):
        with Client(Connection(url=url, token=token)) as client:
            trial(client, 1)  # a server in trouble is waited for by the import
    assert sandbox.hits() == []


@pytest.fixture(scope="module")
def large_log(tmp_path_factory):
    """A log of just over 10 MiB, of which almost all is one line that is no request."""
    path = tmp_path_factory.mktemp("large") / "access.log"
    lines = [
        f'198.18.0.1 - - [05/Mar/2026:10:00:0{n} +0000] "GET /{n} HTTP/1.1" 200 1 "-" "Firefox"\n' for n in range(9)
    ]
    filler = f'198.18.0.1 - - [05/Mar/2026:10:00:10 +0000] "GET /{"x" * 4000}.png HTTP/1.1" 200 1 "-" "Firefox"\n'
    path.write_text("".join(lines) + filler * (10 * 1024 * 1024 // len(filler) + 1))
    return path


def test_before_the_first_import_of_a_large_log_the_server_is_tried(run_import, tracker, large_log):
    assert run_import(large_log, "--base-url", "http://a.b").code == 0
    assert "rec" not in tracker.hits[0]
    assert sum("rec" not in hit for hit in tracker.hits) == 1
    with large_log.open("a") as file:
        file.write('198.18.0.1 - - [05/Mar/2026:10:01:00 +0000] "GET /n HTTP/1.1" 200 1 "-" "Firefox"\n')
    assert run_import(large_log, "--base-url", "http://a.b").code == 0
    assert sum("rec" not in hit for hit in tracker.hits) == 1


@pytest.mark.parametrize("log", ["small", "large"])
def test_no_server_is_tried_for_little_or_if_one_does_not_want_it(run_import, make_log, tracker, large_log, log):
    arguments = [make_log(lines=9)] if log == "small" else [large_log, "--no-check"]
    assert run_import(*arguments, "--base-url", "http://a.b").code == 0
    assert all("rec" in hit for hit in tracker.hits)


def test_a_trial_that_is_refused_ends_the_import(run_import, tracker, large_log):
    outcome = run_import(large_log, "--base-url", "http://a.b", env={"PIWIK_TOKEN": "wrong-one"})
    assert outcome.code == 4
    assert "--token-auth" in outcome.stderr
    assert len(tracker.bulks) == 1
    assert outcome.summary["hits"]["sent"] == 0


# ---- the command


def test_the_command_prints_a_line_for_each_step(run_program, sandbox):
    outcome = run_program("check", "--url", sandbox.url, "--idsite", 1, env={"PIWIK_TOKEN": "sandbox"})
    assert outcome.code == 0
    assert [line.split()[1] for line in outcome.stdout.splitlines()] == ORDER
    assert "\x1b" not in outcome.stdout
    assert outcome.stderr == ""


def test_the_command_speaks_json_too(run_program, sandbox):
    outcome = run_program("check", "--json", "--url", sandbox.url, "--idsite", 1, env={"PIWIK_TOKEN": "wrong"})
    assert outcome.code == 4
    said = json.loads(outcome.stdout)
    assert not said["ok"]
    assert [step["name"] for step in said["steps"]] == ORDER[:6]
    assert all(step.keys() == {"name", "state", "said"} for step in said["steps"])


def test_the_command_needs_what_an_import_needs(run_program):
    for arguments in (["--url", "a.b", "--token", "x"], ["--url", "a.b", "--idsite", 1], ["--idsite", 1]):
        outcome = run_program("check", *arguments)
        assert outcome.code == 2
        assert outcome.stderr.count("\n") == 1


def test_the_configuration_of_an_import_serves_the_command(run_program, sandbox, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(f'url = "{sandbox.url}"\nidsite = 1\ntoken = "sandbox"\nenable-bots = true\nrecorders = 3\n')
    path.chmod(0o600)
    assert run_program("check", "--config", path).code == 0


def test_pages_are_judged_by_what_trackers_show(tracker):
    tracker.page = PAGE
    assert tried(tracker.url, tracker.token)[0]["answers"].said.startswith("a tracker")
