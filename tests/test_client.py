"""One request and what its answer means; the addresses that people write; where the token goes."""

from __future__ import annotations

import gzip
import json

import pytest

from piwik_import.address import tracker_url
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
    ("broken JSON, or statistics off", 200, counts(tracked=0, invalid=0), Refused("")),
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
        answer = client.send(QUERIES)
    facts = {name: getattr(answer, name) for name in answer.__slots__ if name != "reason"}
    assert type(answer) is type(meaning)
    assert facts == {name: getattr(meaning, name) for name in facts}
    if not isinstance(answer, Recorded):
        assert answer.reason.isprintable()
        assert answer.reason
        assert tracker.token not in answer.reason


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), ("-3", None), ("1e9", None)], ids=str
)
def test_the_seconds_that_the_server_asks_for_are_read(tracker, value, seconds):
    tracker.answers(429, b"slow down", headers={"Retry-After": value})
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        assert client.send(QUERIES).retry_after == seconds


def test_a_redirect_is_not_followed_for_the_token_would_go_there_too(tracker):
    tracker.answers(302, b"", headers={"Location": "http://127.0.0.1:1/"})
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        answer = client.send(QUERIES)
    assert isinstance(answer, Refused)
    assert "http://127.0.0.1:1/" in answer.reason
    assert "--url" in answer.reason
    assert len(tracker.bulks) == 1


def test_an_answer_may_be_packed(tracker):
    body = gzip.compress(json.dumps(counts(tracked=3, invalid=0)).encode())
    tracker.answers(200, body, headers={"Content-Encoding": "gzip"})
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        answer = client.send(QUERIES)
    assert isinstance(answer, Recorded)
    assert answer.rejected == 0


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
        answer = client.send(QUERIES)
    assert isinstance(answer, Failed)
    assert answer.in_doubt
    assert not answer.unsent
    assert answer.reason.isprintable()
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_has_recorded_nothing(nowhere):
    with Client(Connection(url=nowhere, token=TOKEN)) as client:
        answer = client.send(QUERIES)
    assert isinstance(answer, Failed)
    assert answer.unsent
    assert not answer.in_doubt


def test_the_connection_is_kept(tracker):
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        for _ in range(3):
            client.send(QUERIES)
    assert {bulk.headers.get("Connection", "keep-alive") for bulk in tracker.bulks} == {"keep-alive"}
    assert all(bulk.headers["User-Agent"].startswith("piwik-import/") for bulk in tracker.bulks)


def test_the_token_is_in_the_body_alone(tracker):
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        client.send(QUERIES)
        client.main_url(1)
        shown = repr(client) + str(client)
    [bulk] = tracker.bulks
    assert json.loads(bulk.body) == {"requests": ["?" + query for query in QUERIES], "token_auth": tracker.token}
    assert tracker.calls[0]["token_auth"] == tracker.token
    assert not any(tracker.token in target for target in tracker.targets)
    assert tracker.token not in str(bulk.headers)
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
