"""One request and what its answer means; the addresses that people write; where the token goes."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from conftest import bulk

from piwik_import.address import api_url, tracker_url
from piwik_import.client import Client, Failed, Recorded, Refused, TooLarge
from piwik_import.connection import Connection
from piwik_import.errors import RefusedError, UnavailableError, UsageError

QUERIES = ["idsite=1&rec=1&url=http://example.org/1", "idsite=1&rec=1&url=http://example.org/2", "idsite=1&rec=1"]
TOKEN = "5f3c9d0be1a2467788aa00ffc0ffee42"
PAGE = b"<!DOCTYPE html><title>Proxy</title>\x1b[2J<p>Something else</p>"


def counts(status="success", **numbers):
    return {"status": status, **numbers}


def lost(status, tracked=None):
    """What came of the hits nobody can tell."""
    return Failed("", in_doubt=True, status=status, tracked=tracked)


def rolled_back(tracked):
    return Failed("", in_doubt=False, status=500, rolled_back=True, tracked=tracked)


# What the server does with a bulk of three hits (design.md, section 5), and what that means.
ANSWERS = [
    ("all fine, superuser", 200, counts(tracked=3, invalid=0, invalid_indices=[]), Recorded()),
    ("all fine, admin", 200, counts(tracked=3, invalid=0), Recorded()),
    ("bad authentication", 200, counts(tracked=0, invalid=3), Recorded(3)),
    ("one is invalid, and named", 200, counts(tracked=2, invalid=1, invalid_indices=[1]), Recorded(1, (1,))),
    ("one is invalid, but not named", 200, counts(tracked=2, invalid=1), Recorded(1)),
    ("one lost to a row lock", 200, counts(tracked=2, invalid=0, invalid_indices=[]), Recorded(0, unknown=1)),
    ("one lost, one invalid", 200, counts(tracked=1, invalid=1, invalid_indices=[0]), Recorded(1, (0,), unknown=1)),
    ("all but one lost", 200, counts(tracked=1, invalid=0), Recorded(unknown=2)),
    ("a value that SQL refuses", 500, counts("error", tracked=1, invalid=0), rolled_back(1)),
    ("a deadlock at the very end", 500, counts("error", tracked=3, invalid=0), lost(500, tracked=3)),
    ("an error that counts too many", 500, counts("error", tracked=4, invalid=0), lost(500)),
    ("an error without counts", 500, counts("error"), lost(500)),
    ("an error with odd counts", 500, counts("error", tracked=True, invalid=0), lost(500)),
    ("a deadlock told in HTML", 200, b"Error:There is no active transaction", lost(200)),
    ("broken JSON, or statistics off", 200, counts(tracked=0, invalid=0), Refused("", is_empty=True)),
    ("no bulk requests here", 400, PAGE, Refused("")),
    ("too large", 413, PAGE, TooLarge("")),
    ("locked out", 500, counts("error", tracked=0, invalid=0), rolled_back(0)),
    ("PHP is away", 500, PAGE, lost(500)),
    ("PHP is away behind a proxy", 502, PAGE, lost(502)),
    ("PHP took too long for a proxy", 504, PAGE, lost(504)),
    ("in maintenance", 503, PAGE, Failed("", in_doubt=False, status=503)),
    ("asked too often", 429, PAGE, Failed("", in_doubt=False, status=429)),
    ("no content", 204, None, lost(204)),
    ("not authenticated for a proxy", 401, PAGE, Refused("")),
    ("forbidden", 403, PAGE, Refused("")),
    ("not there", 404, PAGE, Refused("")),
    ("elsewhere", 301, PAGE, Refused("")),
    ("an empty 200", 200, b"", lost(200)),
    ("a tracker's account of itself", 200, b"DEBUG: Debug enabled", Refused("", in_doubt=True)),
    ("a tracker without a body", 200, b"This resource is part of Matomo.", Refused("", in_doubt=True)),
    ("a portal's page", 200, PAGE, lost(200)),
    ("JSON, but no object", 200, [1, 2], lost(200)),
    ("JSON, but of something else", 200, {"ok": True}, lost(200)),
    ("more than was sent", 200, counts(tracked=4, invalid=0), Refused("", in_doubt=True)),
    ("less than nothing", 200, counts(tracked=-1, invalid=3), Refused("", in_doubt=True)),
    ("no counts", 200, counts(), Refused("", in_doubt=True)),
    ("counts in words", 200, counts(tracked="three", invalid=0), Refused("", in_doubt=True)),
    ("names that are none", 200, counts(tracked=2, invalid=1, invalid_indices=7), Recorded(1)),
    ("names out of range", 200, counts(tracked=2, invalid=1, invalid_indices=[3]), Recorded(1)),
    ("JSON without end", 200, b"[" * 100_000, lost(200)),
]


@pytest.mark.parametrize(("status", "body", "meaning"), [pytest.param(*row, id=name) for name, *row in ANSWERS])
def test_an_answer_means(tracker, status, body, meaning):
    tracker.answers(status, body)
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        answer = bulk(client, QUERIES)
    facts = {name: getattr(answer, name) for name in answer.__slots__ if name not in ("reason", "said")}
    assert type(answer) is type(meaning)
    assert facts == {name: getattr(meaning, name) for name in facts}
    if isinstance(answer, Recorded):
        assert bool(answer.said) is bool(answer.rejected or answer.unknown)
    else:
        assert answer.reason.isprintable()
        assert answer.reason
        assert tracker.token not in answer.reason


ADVICE = {
    "statistics": (200, counts(tracked=0, invalid=0), "record_statistics"),
    "no such place": (404, PAGE, "--tracker-endpoint-path"),
    "a password is wanted": (401, PAGE, "--auth-user"),
    "forbidden": (403, PAGE, "token"),
    "a proxy wants a password": (407, PAGE, "--proxy"),
    "no bulk requests": (400, PAGE, "BulkTracking"),
    "https at this port": (400, b"<h1>The plain HTTP request was sent to HTTPS port</h1>", "https://"),
    "a certificate is wanted": (400, b"<h1>No required SSL certificate was sent</h1>", "--client-cert"),
    "a lost body": (200, b"This resource is part of Matomo. Keep full control of your data", "redirect"),
    "debug": (200, b"DEBUG: Debug enabled - Input parameters: array ()", "switch debug off"),
    "a portal": (200, PAGE, "200 text/html: <!DOCTYPE html>"),
}


@pytest.mark.parametrize(("status", "body", "word"), ADVICE.values(), ids=ADVICE)
def test_a_reason_says_what_to_do(tracker, status, body, word):
    tracker.answers(status, body)
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        assert word in bulk(client, QUERIES).reason


def test_a_page_that_repeats_the_request_does_not_make_us_show_the_token(tracker):
    for length in range(60, 100):
        tracker.answers(502, b"x" * length + tracker.token.encode())
    tracker.answers(301, b"", headers={"Location": f"http://elsewhere.invalid/?token_auth={tracker.token}"})
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        reasons = [bulk(client, QUERIES).reason for _ in range(41)]
    assert not any(tracker.token[:4] in reason for reason in reasons)


SINGLES = [
    ("an image", 200, b"GIF89a...", Recorded()),
    ("nothing", 204, None, Recorded()),
    ("an empty 200", 200, b"", Recorded()),
    ("a bad hit", 400, b"<p>Bad request</p>", Recorded(1, (0,))),
    ("a page", 200, PAGE, lost(200)),
    ("PHP is away", 502, PAGE, lost(502)),
    ("maintenance", 503, PAGE, Failed("", in_doubt=False, status=503)),
    ("too large", 413, PAGE, TooLarge("")),
    ("forbidden", 403, PAGE, Refused("")),
    ("elsewhere", 301, PAGE, Refused("")),
    ("a portal's 400", 400, b"No required SSL certificate was sent", Refused("")),
]


@pytest.fixture
def singles():
    """A server that takes hits one by one, by script; and the forms that it was sent."""
    forms, script = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            forms.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status, body = script.pop(0) if len(script) > 1 else script[0]
            self.send_response(status)
            if body is not None:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", forms, script
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "body", "meaning"), [pytest.param(*row, id=name) for name, *row in SINGLES])
def test_the_answer_to_a_hit_of_its_own_means(singles, status, body, meaning):
    url, forms, script = singles
    script.append((status, body))
    with Client(Connection(url=url, token=TOKEN, bulk=False)) as client:
        answer = bulk(client, QUERIES[:1])
    facts = {name: getattr(answer, name) for name in answer.__slots__ if name not in ("reason", "said")}
    assert type(answer) is type(meaning)
    assert facts == {name: getattr(meaning, name) for name in facts}
    assert len(forms) == 1


def test_without_bulk_requests_each_hit_goes_in_its_own_with_the_token_in_the_body(singles):
    url, forms, script = singles
    script.append((204, None))
    with Client(Connection(url=url, token=TOKEN, bulk=False)) as client:
        assert [bulk(client, [query]) for query in QUERIES] == [Recorded()] * 3
    assert forms == [f"{query}&token_auth={TOKEN}" for query in QUERIES]


def test_what_the_tracker_says_that_it_does_is_shown_once_and_escaped(tracker, capsys):
    debug = f"DEBUG: token {tracker.token}\n\x1b[2JDEBUG: done\n".encode()
    tracker.answers(200, debug + json.dumps(counts(tracked=3, invalid=0)).encode(), times=2)
    with Client(Connection(url=tracker.url, token=tracker.token, debug=True, suffix="a=1")) as client:
        answers = [bulk(client, QUERIES) for _ in range(2)]
    assert answers == [Recorded()] * 2
    shown = capsys.readouterr().err
    assert shown.count("DEBUG: done") == 1
    assert "\x1b" not in shown
    assert tracker.token not in shown
    assert tracker.targets == ["/piwik.php?debug=1&a=1"] * 2


def test_a_tracker_that_tells_what_it_does_but_not_what_it_recorded_leaves_that_in_doubt(tracker):
    tracker.answers(200, b"DEBUG: Visit is known\nDEBUG: done")
    with Client(Connection(url=tracker.url, token=tracker.token, debug=True)) as client:
        answer = bulk(client, QUERIES)
    assert isinstance(answer, Refused)
    assert answer.in_doubt
    assert "--debug-tracker" in answer.reason


def test_a_tracker_that_tells_nothing_of_what_it_does_is_said_to(tracker, capsys):
    with Client(Connection(url=tracker.url, token=tracker.token, debug=True)) as client:
        bulk(client, QUERIES)
    assert "debug_on_demand" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 0.0),
        ("Thu, 99 Jan 2026 00:00:00 GMT", None),
        ("0", 0.0),
        ("soon", None),
        ("-3", None),
        ("1e9", None),
    ],
    ids=str,
)
def test_the_seconds_that_the_server_asks_for_are_read(tracker, value, seconds):
    tracker.answers(429, b"slow down", headers={"Retry-After": value})
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        assert bulk(client, QUERIES).retry_after == seconds


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n"
RAW = {
    "hung up without a word": (),
    "hung up in the head": (HEAD[:20],),
    "hung up in the body": (HEAD + b'{"status"',),
    "no HTTP at all": (b"SSH-2.0-OpenSSH_9.2\r\n",),
    "bytes that are not gzip": (HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + b"x" * 39,),
    "nothing in time": (3.0,),
    "half an answer in time": (HEAD + b'{"status"', 3.0),
}


@pytest.mark.parametrize("steps", RAW.values(), ids=RAW)
def test_whatever_happens_after_the_request_has_left_is_in_doubt(raw_server, steps):
    server = raw_server(steps)
    with Client(Connection(url=server.url, token=TOKEN, request_timeout=0.5)) as client:
        answer = bulk(client, QUERIES)
    assert isinstance(answer, Failed)
    assert answer.in_doubt
    assert not answer.unsent
    assert answer.reason.isprintable()
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_has_recorded_nothing(nowhere):
    with Client(Connection(url=nowhere, token=TOKEN)) as client:
        answer = bulk(client, QUERIES)
    assert isinstance(answer, Failed)
    assert answer.unsent
    assert not answer.in_doubt


def test_the_connection_is_kept(tracker):
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        for _ in range(3):
            bulk(client, QUERIES)
    assert {bulk.headers.get("Connection", "keep-alive") for bulk in tracker.bulks} == {"keep-alive"}
    assert all(bulk.headers["User-Agent"].startswith("piwik-import/") for bulk in tracker.bulks)


def test_the_token_is_in_the_body_alone(tracker):
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        bulk(client, QUERIES)
        client.main_url(1)
        shown = repr(client) + str(client)
    [sent] = tracker.bulks
    assert json.loads(sent.body) == {"requests": ["?" + query for query in QUERIES], "token_auth": tracker.token}
    assert tracker.calls[0]["token_auth"] == tracker.token
    assert not any(tracker.token in target for target in tracker.targets)
    assert tracker.token not in str(sent.headers)
    assert tracker.token not in shown


URLS = [
    ("stats.example.org", "http://stats.example.org/piwik.php"),
    ("stats.example.org:8080/", "http://stats.example.org:8080/piwik.php"),
    ("http://stats.example.org", "http://stats.example.org/piwik.php"),
    ("https://stats.example.org/", "https://stats.example.org/piwik.php"),
    ("HTTPS://Stats.example.org/", "https://stats.example.org/piwik.php"),
    ("https://example.org/piwik", "https://example.org/piwik/piwik.php"),
    ("https://example.org/piwik//", "https://example.org/piwik/piwik.php"),
    ("https://example.org/matomo.php", "https://example.org/matomo.php"),
    ("https://example.org/a/b.php", "https://example.org/a/b.php"),
    ("https://example.org/@me/", "https://example.org/@me/piwik.php"),
    (" http://127.0.0.1:80 ", "http://127.0.0.1:80/piwik.php"),
    ("http://[::1]:8080", "http://[::1]:8080/piwik.php"),
    ("[::1]", "http://[::1]/piwik.php"),
]


@pytest.mark.parametrize(("written", "meant"), URLS, ids=[written for written, _ in URLS])
def test_an_address_is_made_whole(written, meant):
    assert tracker_url(written) == meant


PATHS = [
    ("https://example.org/piwik", "/track", "https://example.org/piwik/track", "https://example.org/piwik/index.php"),
    ("https://example.org/", "js/tracker.php", "https://example.org/js/tracker.php", "https://example.org/index.php"),
    ("https://example.org/a/matomo.php", "/b", "https://example.org/a/matomo.php", "https://example.org/a/index.php"),
]


@pytest.mark.parametrize(("written", "path", "tracker", "api"), PATHS)
def test_a_tracker_may_be_elsewhere_than_the_reporting_api(written, path, tracker, api):
    assert tracker_url(written, path) == tracker
    assert api_url(written) == api


NO_URLS = [
    "",
    "  ",
    "http://",
    "http:///piwik.php",
    "ftp://example.org",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http://[::1",
    "http://example.org:0",
    "http://example.org:99999",
    "http://example.org:eighty",
    "http://exa mple.org",
    "http://a..b",
    "http://" + "a" * 300,
    "http://example.org\x1b[2J",
    "::1",
    "http://user@example.org",
    "http://user:s3cret@example.org",
    "http://:s3cret@example.org",
    "http://user:s3cret@example.org:eighty",
    "http://example.org/?token_auth=s3cret",
    "http://example.org:eighty/?token_auth=s3cret",
    "http://example.org/#s3cret",
]


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_address_is_refused_in_one_line_without_what_may_be_secret(url):
    with pytest.raises(UsageError) as caught:
        tracker_url(url)
    message = str(caught.value)
    assert message.startswith("--url")
    assert message.isprintable()
    assert "s3cret" not in message


def test_the_url_of_a_site_is_asked_for_beside_the_tracker(tracker):
    with Client(Connection(url=tracker.url + "piwik/matomo.php", token=tracker.token)) as client:
        assert client.main_url(3) == "http://example.org"
    assert tracker.targets[0].startswith("/piwik/index.php?")
    assert tracker.calls[0]["idSite"] == "3"


SITES = [
    ("no such site", 200, {"result": "error", "message": "An unexpected website was found"}, RefusedError),
    ("an error with an escape sequence", 200, {"result": "error", "message": "\x1b[2J"}, RefusedError),
    ("nothing found", 200, [], RefusedError),
    ("a site without an address", 200, [{"idsite": 3, "main_url": ""}], RefusedError),
    ("an address that is none", 200, [{"idsite": 3, "main_url": None}], RefusedError),
    ("a page", 200, PAGE, UnavailableError),
    ("a number", 200, 7, RefusedError),
    ("not found", 404, PAGE, RefusedError),
    ("maintenance told in JSON", 503, {"result": "error", "message": "Maintenance"}, UnavailableError),
    ("PHP is away", 502, PAGE, UnavailableError),
]


@pytest.mark.parametrize(("status", "body", "error"), [pytest.param(*row, id=name) for name, *row in SITES])
def test_no_url_of_a_site_is_an_error_that_says_why(tracker, status, body, error):
    tracker.api = tracker.api._replace(status=status, body=body)
    with Client(Connection(url=tracker.url, token=tracker.token)) as client, pytest.raises(error) as caught:
        client.main_url(3)
    assert tracker.token not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_wrong_token_is_refused_by_the_reporting_api(tracker):
    with (
        Client(Connection(url=tracker.url, token="wrong")) as client,
        pytest.raises(RefusedError, match="token") as caught,
    ):
        client.main_url(1)
    assert "wrong" not in str(caught.value)


def test_no_answer_of_the_reporting_api_is_a_server_that_cannot_be_reached(nowhere):
    with Client(Connection(url=nowhere, token=TOKEN)) as client, pytest.raises(UnavailableError, match="refused"):
        client.main_url(1)
