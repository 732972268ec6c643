"""The way to the server: TLS, proxies, sockets, redirects, time, and answers that are packed or have no end."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import select
import socket
import ssl
import threading
import tracemalloc
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

import pytest
import trustme
from conftest import bulk, server_context, tracking

from piwik_import.client import Client, Failed, Recorded, Refused
from piwik_import.connection import Connection
from piwik_import.errors import UsageError

QUERIES = ["idsite=1&rec=1&url=http://example.org/1", "idsite=1&rec=1&url=http://example.org/2"]
GOOD = json.dumps({"status": "success", "tracked": 2, "invalid": 0}).encode()
TOKEN = "5f3c9d0be1a2467788aa00ffc0ffee42"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """No proxy but those of the test."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def send(url, **options):
    """Send two hits, and return the answer."""
    with Client(Connection(url=url, **({"token": TOKEN} | options))) as client:
        return bulk(client, QUERIES)


# ---- TLS


@pytest.fixture(scope="session")
def authority():
    """An authority for certificates that nobody knows."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def test_a_server_whose_authority_is_given_is_trusted(authority, ca_file):
    with tracking(server_context(authority)) as tracker:
        assert isinstance(send(tracker.url, ca_file=ca_file), Recorded)


CERTIFICATES = {
    "of an unknown authority": ({}, False, ["authority", "--ca-file"]),
    "for another host": ({"host": "stats.example.org"}, True, ["another host", "--url"]),
    "that has expired": ({"not_after": datetime.now(UTC) - timedelta(days=1)}, True, ["expired"]),
    "that is not valid yet": ({"not_before": datetime.now(UTC) + timedelta(days=1)}, True, ["clocks"]),
}


@pytest.mark.parametrize(("certificate", "known", "words"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_certificate_that_is_not_accepted_is_said_to_be_and_no_time_would_help(
    authority, ca_file, certificate, known, words
):
    with tracking(server_context(authority, **certificate)) as tracker:
        answer = send(tracker.url, ca_file=ca_file if known else None)
        assert isinstance(answer, Failed)
        assert answer.unsent
        assert answer.lasting
        assert not answer.in_doubt
        assert all(word in answer.reason for word in words)
        assert not tracker.bulks
        assert isinstance(send(tracker.url, insecure=True), Recorded)


def test_a_certificate_that_signed_itself_is_given_as_the_authority(tmp_path):
    own = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    own.cert_pem.write_to_path(str(tmp_path / "cert.pem"))
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with tracking(context) as tracker:
        answer = send(tracker.url)
    assert isinstance(answer, Failed)
    assert "--ca-file" in answer.reason


def test_a_port_without_tls_is_said_to_be_one(tracker):
    answer = send(tracker.url.replace("http://", "https://"))
    assert isinstance(answer, Failed)
    assert answer.unsent
    assert "http://" in answer.reason


@pytest.fixture
def guarded(authority):
    """What a server needs to ask for certificates."""
    context = server_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("apart", [False, True], ids=["with its key", "and its key apart"])
def test_our_certificate_is_shown_where_it_is_asked_for(authority, ca_file, guarded, tmp_path, apart):
    ours, cert, key = authority.issue_cert("importer"), tmp_path / "cert.pem", tmp_path / "key.pem"
    ours.private_key_and_cert_chain_pem.write_to_path(str(cert))
    if apart:
        ours.cert_chain_pems[0].write_to_path(str(cert))
        ours.private_key_pem.write_to_path(str(key))
    with tracking(guarded) as tracker:
        answer = send(tracker.url, ca_file=ca_file, client_cert=cert, client_key=key if apart else None)
    assert isinstance(answer, Recorded)


def test_a_certificate_of_ours_that_is_missing_is_asked_for(ca_file, guarded):
    with tracking(guarded) as tracker:
        answer = send(tracker.url, ca_file=ca_file)
    assert isinstance(answer, Failed)
    assert not answer.in_doubt or "reset" in answer.reason  # the server may hang up before its alert is read
    assert "--client-cert" in answer.reason or "reset" in answer.reason


@pytest.mark.parametrize("option", ["ca_file", "client_cert"])
@pytest.mark.parametrize("text", [None, "nonsense"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_file_that_holds_no_certificate_is_named(tmp_path, option, text, scheme):
    path = tmp_path / "some.pem"
    if text:
        path.write_text(text)
    with pytest.raises(UsageError, match=r"some\.pem") as caught:
        Client(Connection(url=f"{scheme}://localhost:1", **{option: path}))
    assert f"--{option.replace('_', '-')}" in str(caught.value)


def test_an_import_over_tls_ends_at_once_if_the_server_is_not_trusted(run_program, authority, ca_file, make_log):
    arguments = ["--idsite", 1, "--no-journal", "--summary", "json", make_log(lines=9)]
    with tracking(server_context(authority)) as tracker:
        server = {"PIWIK_URL": tracker.url, "PIWIK_TOKEN": tracker.token, "PIWIK_IMPORT_BASE_URL": "http://a"}
        refused = run_program(*arguments, env=server)
        assert (refused.code, len(tracker.bulks)) == (75, 0)
        assert "--ca-file" in refused.stderr
        assert "tries: 1" in refused.stderr
        assert refused.summary["hits"]["sent"] == 0
        imported = run_program(*arguments, "--ca-file", ca_file, env=server)
        assert (imported.code, imported.summary["hits"]["tracked"]) == (0, 9)


def test_an_import_whose_server_redirects_to_https_says_so(run_program, authority, ca_file, make_log, tracker):
    with tracking(server_context(authority)) as secure:
        location = {"Location": secure.url + "piwik.php"}
        tracker.usually = tracker.usually._replace(status=301, headers=location, body=b"")
        tracker.api = tracker.api._replace(status=301, headers={"Location": secure.url + "index.php"}, body=b"")
        url = tracker.url.replace("127.0.0.1", "localhost")
        arguments = ["--url", url, "--idsite", 1, "--ca-file", ca_file, "--summary", "json", make_log(lines=9)]
        outcome = run_program(*arguments, "--chunk-size", 2, env={"PIWIK_TOKEN": secure.token})
        assert (outcome.code, outcome.summary["hits"]["tracked"]) == (0, 9)
        assert len(secure.calls) == len(tracker.bulks) == 1
        [note] = outcome.summary["notes"]
        assert "redirects to https" in note


# ---- proxies


class Proxy:
    """Takes requests for other servers, as CONNECT or whole, and takes them all to `there`."""

    def __init__(self, there, credentials=None):
        self.there = there
        self.wanted = credentials and b"Basic " + base64.b64encode(credentials.encode())
        self.heads = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                with client:
                    self.converse(client)

    def converse(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(65_536)
            if not part:
                return
            head += part
        self.heads.append(head)
        if self.wanted and self.wanted not in head:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(self.there) as server:
            if head.startswith(b"CONNECT"):
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                server.sendall(head)
            while ready := select.select([client, server], [], [], 10)[0]:
                for one, other in ((client, server), (server, client)):
                    if one in ready:
                        part = one.recv(65_536)
                        if not part:
                            return
                        other.sendall(part)

    def close(self):
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join()


@pytest.fixture
def proxy_to():
    """Return a function that starts a `Proxy` to a tracker."""
    proxies = []

    def start(tracker, **options):
        port = int(tracker.url.rpartition(":")[2].strip("/"))
        proxies.append(Proxy(("127.0.0.1", port), **options))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


def test_a_proxy_that_is_named_is_used_even_to_this_machine(tracker, proxy_to):
    proxy = proxy_to(tracker)
    assert isinstance(send(tracker.url, proxy=f"http://127.0.0.1:{proxy.port}"), Recorded)
    assert proxy.heads[0].startswith(b"POST http://127.0.0.1")


def test_a_proxy_needs_no_scheme(tracker, proxy_to):
    proxy = proxy_to(tracker)
    assert isinstance(send(tracker.url, proxy=f"127.0.0.1:{proxy.port}"), Recorded)
    assert len(proxy.heads) == 1


def test_a_proxy_of_the_environment_stands_before_other_machines(tracker, proxy_to, monkeypatch):
    proxy = proxy_to(tracker)
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
    assert isinstance(send("http://stats.example.org/"), Recorded)
    assert b"Host: stats.example.org" in proxy.heads[0]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_proxy_of_the_environment_does_not_stand_before_this_machine(tracker, nowhere, monkeypatch, name):
    monkeypatch.setenv("http_proxy", nowhere)
    assert isinstance(send(tracker.url.replace("127.0.0.1", name)), Recorded)


def test_no_proxy_stands_before_what_no_proxy_names(nowhere, monkeypatch):
    monkeypatch.setenv("http_proxy", nowhere)
    monkeypatch.setenv("no_proxy", ".invalid")
    answer = send("http://stats.invalid/")
    assert "cannot be resolved" in answer.reason  # so it was tried without


def test_https_goes_through_a_proxy_as_a_tunnel(authority, ca_file, proxy_to):
    with tracking(server_context(authority, "stats.example.org")) as tracker:
        proxy = proxy_to(tracker)
        answer = send("https://stats.example.org/", ca_file=ca_file, proxy=f"http://127.0.0.1:{proxy.port}")
        assert isinstance(answer, Recorded)
        assert proxy.heads[0].startswith(b"CONNECT stats.example.org:443")
        proxy.close()


def test_a_proxy_is_told_user_and_password(tracker, proxy_to):
    proxy = proxy_to(tracker, credentials="me:s3cret")
    assert isinstance(send(tracker.url, proxy=f"http://me:s3cret@127.0.0.1:{proxy.port}"), Recorded)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password_is_said_to(tracker, proxy_to, scheme):
    proxy = proxy_to(tracker, credentials="me:s3cret")
    answer = send(f"{scheme}://stats.example.org/", proxy=f"http://me:wr0ng@127.0.0.1:{proxy.port}")
    assert "--proxy" in answer.reason
    assert "wr0ng" not in answer.reason
    assert not getattr(answer, "in_doubt", False)
    assert not tracker.bulks


def test_a_proxy_that_is_not_there_has_let_nothing_through(tracker, nowhere):
    answer = send(tracker.url, proxy=nowhere)
    assert isinstance(answer, Failed)
    assert answer.unsent


@pytest.mark.parametrize(
    "proxy", ["ftp://me:s3cret@127.0.0.1", "http://me:s3cret@127.0.0.1:eighty", "http://me:s3cret@["]
)
def test_what_is_no_proxy_is_refused_without_its_password(tracker, proxy):
    with pytest.raises(UsageError, match="--proxy") as caught:
        send(tracker.url, proxy=proxy)
    assert "s3cret" not in str(caught.value)


# ---- sockets, IPv6


def test_a_server_at_a_socket_is_called_by_its_name(tmp_path):
    path = tmp_path / "tracker.sock"
    with tracking(path=path) as tracker:
        assert isinstance(send(tracker.url, unix_socket=path), Recorded)
    assert tracker.bulks[0].headers["Host"] == "stats.example.org"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpcore forgets to close it
def test_a_socket_that_is_not_there_is_said_not_to_be(tmp_path):
    answer = send("http://stats.example.org", unix_socket=tmp_path / "nothing")
    assert isinstance(answer, Failed)
    assert answer.unsent
    assert "--unix-socket" in answer.reason


def test_a_server_may_have_an_address_of_ipv6():
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listening:
        port = listening.getsockname()[1]
        answers = []
        thread = threading.Thread(target=lambda: answers.append(send(f"http://[::1]:{port}/")))
        thread.start()
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as file:
            head = b"".join(iter(file.readline, b"\r\n"))
        thread.join()
    assert b"Host: [::1]:%d\r\n" % port in head
    assert isinstance(answers[0], Failed)  # it hung up


# ---- what is done while the server is at work


@pytest.fixture(params=["http", "https"])
def served(request, tracker, authority, ca_file):
    """A tracking server, and the way to it."""
    if request.param == "http":
        yield tracker, Connection(url=tracker.url, token=tracker.token, request_timeout=5)
    else:
        with tracking(server_context(authority)) as secure:
            yield secure, Connection(url=secure.url, token=secure.token, request_timeout=5, ca_file=ca_file)


def test_something_else_is_done_while_the_server_has_a_request_each_time(served):
    server, way = served
    done = threading.Semaphore(0)
    server.pause = lambda: 0.0 if done.acquire(timeout=10) else 10.0
    with Client(way) as client:
        body = client.encode(QUERIES)
        assert [client.send(body, 2, done.release) for _ in range(3)] == [Recorded()] * 3


def test_what_that_takes_is_none_of_the_servers_time(served):
    server, way = served
    with Client(replace(way, request_timeout=0.5)) as client:
        assert client.send(client.encode(QUERIES), 2, lambda: sleep(0.7)) == Recorded()
        server.pause = lambda: 3.0
        assert isinstance(client.send(client.encode(QUERIES), 2, lambda: sleep(0.7)), Failed)


def test_what_goes_wrong_there_is_told_and_spoils_no_other_request(served):
    _, way = served

    def fail():
        raise KeyError("what")

    with Client(way) as client:
        with pytest.raises(KeyError):
            client.send(client.encode(QUERIES), 2, fail)
        assert bulk(client, QUERIES) == Recorded()


# ---- who we are


def test_user_and_password_and_headers_go_with_every_request(tracker):
    options = {"auth_user": "me", "auth_password": "s3cret ü", "headers": {"X-Site": "1"}, "token": tracker.token}
    with Client(Connection(url=tracker.url, **options)) as client:
        bulk(client, QUERIES)
    headers = tracker.bulks[0].headers
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode() == "me:s3cret ü"
    assert headers["X-Site"] == "1"
    assert headers["User-Agent"].startswith("piwik-import/")


def test_a_header_of_the_user_takes_the_place_of_ours_however_it_is_written(raw_server):
    server = raw_server(())
    send(server.url, headers={"user-agent": "mine", "AUTHORIZATION": "Bearer x"}, auth_user="me")
    head = server.requests[0].lower()
    assert b"user-agent: mine\r\n" in head
    assert b"authorization: basic " in head
    assert head.count(b"user-agent") == head.count(b"authorization") == 1


# ---- redirects


def test_a_redirect_to_https_of_the_same_host_is_followed_for_all_requests_and_said_once(authority, ca_file, tracker):
    notes = []
    with tracking(server_context(authority)) as secure:
        location = secure.url + "piwik.php"
        tracker.usually = tracker.usually._replace(status=301, headers={"Location": location}, body=b"")
        way = Connection(url=tracker.url.replace("127.0.0.1", "localhost"), token=TOKEN, ca_file=ca_file)
        with Client(way, note=notes.append) as client:
            answers = [bulk(client, QUERIES) for _ in range(3)]
        assert all(isinstance(answer, Recorded) for answer in answers)
        assert (len(tracker.bulks), len(secure.bulks), len(notes)) == (1, 3, 1)
        assert "https" in notes[0]
        assert client.url == location


ELSEWHERE = {
    "another host": "https://elsewhere.example.org/piwik.php",
    "www": "https://www.127.0.0.1/piwik.php",
    "the same place": "/piwik.php",
    "another path": "/other.php",
    "nothing": "",
    "no address": "http://[",
    "another scheme": "ftp://127.0.0.1/",
}


@pytest.mark.parametrize("location", ELSEWHERE.values(), ids=ELSEWHERE)
def test_no_other_redirect_is_followed(tracker, location):
    tracker.usually = tracker.usually._replace(status=302, headers={"Location": location}, body=b"")
    answer = send(tracker.url)
    assert isinstance(answer, Refused)
    assert "--url" in answer.reason
    assert len(tracker.bulks) == 1


def test_a_redirect_from_https_in_a_circle_ends(authority, ca_file, tracker):
    with tracking(server_context(authority)) as secure:
        for one, location in ((tracker, secure.url), (secure, tracker.url.replace("127.0.0.1", "localhost"))):
            one.usually = one.usually._replace(status=301, headers={"Location": location + "piwik.php"}, body=b"")
        answer = send(tracker.url.replace("127.0.0.1", "localhost"), ca_file=ca_file)
        assert isinstance(answer, Refused)
        assert (len(tracker.bulks), len(secure.bulks)) == (1, 1)


# ---- time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
SLOW = {
    "the head": (b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n", 0.05] * 200),
    "the body": (HEAD, *[b" ", 0.05] * 200),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\n \r\n", 0.05] * 200),
    "one reply that is none after another": [b"HTTP/1.1 102 Processing\r\n\r\n", 0.05] * 200,
}


@pytest.mark.parametrize("steps", SLOW.values(), ids=SLOW)
def test_a_server_that_sends_a_little_now_and_then_does_not_hold_us(raw_server, steps):
    server = raw_server(steps)
    start = monotonic()
    answer = send(server.url, request_timeout=0.5)
    assert 0.4 < monotonic() - start < 5
    assert isinstance(answer, Failed)
    assert answer.in_doubt
    assert "in time" in answer.reason


def test_a_request_that_took_too_long_leaves_room_for_the_next(raw_server):
    good = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD)
    server = raw_server(*[SLOW[name] for name in ("the head", "the body", "chunks")], (good,))
    with Client(Connection(url=server.url, request_timeout=0.2)) as client:
        answers = [bulk(client, QUERIES) for _ in range(5)]
    assert [type(answer) for answer in answers] == [Failed] * 3 + [Recorded] * 2


def test_a_server_that_does_not_read_does_not_hold_us():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        start = monotonic()
        with Client(Connection(url=f"http://127.0.0.1:{listening.getsockname()[1]}", request_timeout=0.5)) as client:
            answer = bulk(client, ["idsite=1&url=" + "x" * 20_000_000])
    assert monotonic() - start < 5
    assert isinstance(answer, Failed)


def test_a_slow_handshake_does_not_hold_us_and_is_no_doubt():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        start = monotonic()
        answer = send(f"https://127.0.0.1:{listening.getsockname()[1]}", request_timeout=0.5)
    assert monotonic() - start < 5
    assert isinstance(answer, Failed)
    assert answer.unsent


def test_each_thread_has_a_connection_of_its_own_and_keeps_it(tracker):
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        turns = threading.Barrier(4)

        def send_some(thread):
            for _ in range(20):
                bulk(client, [f"idsite=1&rec=1&url=http://example.org/{thread}"])
            turns.wait()  # a port that is let go of is given out again

        threads = [threading.Thread(target=send_some, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    ways = {(sent.hits[0]["url"], sent.port) for sent in tracker.bulks}
    assert len(ways) == len({url for url, _ in ways}) == len({port for _, port in ways}) == 4


def test_each_request_has_its_own_time(tracker):
    tracker.usually = tracker.usually._replace(delay=0.3)
    with Client(Connection(url=tracker.url, token=tracker.token, request_timeout=2.0)) as client:
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.extend(bulk(client, QUERIES) for _ in range(8))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [type(answer) for answer in answers] == [Recorded] * 16  # 2.4 s each thread


# ---- answers

RAW_DEFLATE = zlib.compressobj(wbits=-15)
PACKED = {
    "gzip": ("gzip", gzip.compress(GOOD)),
    "in capitals": ("GZIP", gzip.compress(GOOD)),
    "deflate": ("deflate", zlib.compress(GOOD)),
    "deflate without a header": ("deflate", RAW_DEFLATE.compress(GOOD) + RAW_DEFLATE.flush()),
    "identity": ("identity", GOOD),
}


@pytest.mark.parametrize(("encoding", "body"), PACKED.values(), ids=PACKED)
def test_an_answer_may_be_packed(tracker, encoding, body):
    tracker.answers(200, body, headers={"Content-Encoding": encoding})
    assert isinstance(send(tracker.url), Recorded)


BOMBS = {
    "packed": ("gzip", gzip.compress(bytes(300_000_000), 1)),
    "plain": ("identity", b" " * 5_000_000),
}


@pytest.mark.parametrize(("encoding", "body"), BOMBS.values(), ids=BOMBS)
def test_an_answer_without_end_does_not_fill_our_memory(tracker, encoding, body):
    tracker.answers(200, body, headers={"Content-Encoding": encoding})
    tracemalloc.start()
    answer = send(tracker.url)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(answer, Failed)
    assert answer.in_doubt
    assert peak < len(body) + 10_000_000  # the server's copy lies in the same process


def test_an_answer_that_is_cut_and_one_that_follows_do_not_mix(tracker):
    tracker.answers(200, b" " * 5_000_000)
    with Client(Connection(url=tracker.url, token=tracker.token)) as client:
        answers = [bulk(client, QUERIES) for _ in range(3)]
    assert [type(answer) for answer in answers] == [Failed, Recorded, Recorded]
