"""What a server and a network can do to an import, at its beginning, in its middle and at its end.

Each row of `ROWS` is one way in which a request goes wrong, on a real socket. It is tried on the first, the middle and
the last chunk of a log, once with a server that recovers while the program tries again, and once with one that stays as
it is until the program has given up; then it is mended, and the same command run again. Whatever happens, each hit is
received once, or is named by the summary as in doubt or rejected; the sums add up, and the exit code tells the truth.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from conftest import AS_MATOMO, Outcome, Reply

from piwik_import.cli import main

pytestmark = pytest.mark.usefixtures("quick")

CHUNK, CHUNKS = 6, 3
LINES = CHUNK * CHUNKS
POSITIONS = {"first": 1, "middle": 2, "last": 3}
RESET = "reset"
"""The step after which the connection is not closed but broken off."""

Step = bytes | float | str
Answer = Callable[[bytes], tuple[Step, ...]]
"""What the server does in place of an answer, given the one that it would make of a good day."""


def http(status: int, body: object = b"", *headers: str) -> bytes:
    """Return an answer as it goes over the wire."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if isinstance(body, bytes) else "application/json"
    head = [f"HTTP/1.1 {status} Some", f"Content-Type: {kind}", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode() + data


def says(status: int, body: object = b"", *headers: str) -> Answer:
    return lambda _: (http(status, body, *headers),)


def success(tracked: int, invalid: int, *named: int, is_superuser: bool = True) -> Answer:
    counts = {"status": "success", "tracked": tracked, "invalid": invalid}
    return says(200, counts | ({"invalid_indices": list(named)} if is_superuser else {}))


def error(tracked: int) -> Answer:
    return says(500, {"status": "error", "tracked": tracked, "invalid": 0, "message": "SQLSTATE"})


@dataclass(frozen=True)
class Row:
    """One way in which a request goes wrong, and what becomes of the import."""

    answer: Answer
    recorded: int = 0
    """How many hits of the chunk the server keeps nevertheless."""
    code: int = 0
    """How the run ends if the server recovers, or if there is nothing to recover from."""
    code_if_it_stays: int | None = 75
    """How the run ends if the server stays so; None if the import goes on anyway."""
    rejected: int = 0
    in_doubt: bool = False
    """Whether nobody can tell what the server has recorded."""
    api: Reply = AS_MATOMO
    """What the Reporting API says from then on."""
    before_body: bool = False
    """Whether the server does this before it has read the request."""


REFUSAL: dict[str, Any] = {"code": 4, "code_if_it_stays": 4}
DOUBT: dict[str, Any] = {"in_doubt": True}
LOST: dict[str, Any] = DOUBT | {"recorded": CHUNK}
"""The server has recorded the hits, but its answer was lost."""
AWAY = Reply(503, b"<h1>Away</h1>")
DENIED = Reply(401, {"result": "error", "message": "Unable to authenticate with the provided token."})
INVALID = success(0, CHUNK, *range(CHUNK))
PAGE = b"<html><h1>Something</h1></html>"

ROWS = {
    # design.md, section 5
    "the token is no longer valid": Row(INVALID, **REFUSAL, api=DENIED),
    "nothing is recorded without a token in the body": Row(
        success(0, CHUNK, is_superuser=False), **REFUSAL, api=DENIED
    ),
    "a hit is invalid and named": Row(success(5, 1, 3), 5, 3, None, rejected=1),
    "a hit is invalid and not named": Row(success(5, 1, is_superuser=False), 5, 3, None, rejected=1),
    "a row lock times out on a hit": Row(success(5, 0), 5, 3, None, rejected=1),
    "a deadlock": Row(error(0), api=AWAY),
    "a deadlock that loses the transaction": Row(says(200, b"Error:There is no active transaction"), **DOUBT),
    "a deadlock in the commit": Row(error(CHUNK), **LOST),
    "the tracker counts what it cannot have": Row(success(CHUNK + 1, 0), CHUNK, 4, 4, **DOUBT),
    "statistics are switched off": Row(success(0, 0), **REFUSAL),
    "no bulk requests": Row(says(400, PAGE), **REFUSAL),
    "a body over the limit": Row(says(413, PAGE), code_if_it_stays=4),
    "locked out for failed logins": Row(error(0), api=DENIED),
    "PHP fails": Row(says(500, PAGE), **DOUBT),
    "bad gateway": Row(says(502, PAGE), **DOUBT),
    "maintenance": Row(says(503, PAGE)),
    "gateway time-out": Row(says(504, PAGE), **LOST),
    "too many requests": Row(says(429, b"", "Retry-After: 0")),
    "an image in place of counts": Row(says(204), **LOST),
    "a proxy's page": Row(says(200, PAGE), **DOUBT),
    "forbidden": Row(says(403, PAGE), **REFUSAL),
    "not found": Row(says(404, PAGE), **REFUSAL),
    "moved to another host": Row(says(301, b"", "Location: https://198.51.100.1/piwik.php"), **REFUSAL),
    # networks
    "reset before the body": Row(lambda _: (RESET,), before_body=True, **DOUBT),
    "reset after the body": Row(lambda _: (RESET,), **DOUBT),
    "reset after recording": Row(lambda _: (RESET,), **LOST),
    "closed after recording": Row(lambda _: (), **LOST),
    "half a head": Row(lambda good: (good[:20],), **LOST),
    "half an answer": Row(lambda good: (good[:-9],), **LOST),
    "half an answer and a reset": Row(lambda good: (good[:-9], RESET), **LOST),
    "never answering": Row(lambda _: (60.0,), **LOST),
    "stopping in the middle": Row(lambda good: (good[:-9], 60.0), **LOST),
    "a length that is too large": Row(lambda good: (re.sub(rb"Length: ", b"Length: 9", good),), **LOST),
    "a length that is too small": Row(lambda good: (re.sub(rb"Length: \d+", b"Length: 9", good),), **LOST),
    "a length that is none": Row(lambda good: (re.sub(rb"Length: \d+", b"Length: x", good),), **LOST),
    "no HTTP": Row(lambda _: (b"SSH-2.0-OpenSSH_9.7\r\n",), **DOUBT),
}


class Server:
    """A tracker behind a socket that misbehaves at request number `at`: once, or until it is mended."""

    def __init__(self, tracker: Any, row: Row, at: int, stays: bool, tls: ssl.SSLContext | None = None) -> None:
        self.tracker, self.row, self.at, self.stays, self.tls = tracker, row, at, stays, tls
        self.count = 0
        self.is_mended = False
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._port = 0
        self.listen()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._port}/"

    def listen(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", self._port))
        self._port = self._socket.getsockname()[1]
        self._spawn(self._accept, self._socket)

    def refuse(self) -> None:
        """Refuse connections until `listen`."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._socket.close()

    def close(self) -> None:
        self._closing.set()
        self.refuse()
        for thread in self._threads:
            thread.join()

    def _spawn(self, work: Callable[..., None], *arguments: Any) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments))
        self._threads[-1].start()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                self._spawn(self._converse, listening.accept()[0])

    def _converse(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(10)
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as file:
                for step in self._answer(file):
                    if isinstance(step, bytes):
                        connection.sendall(step)
                    elif isinstance(step, float):
                        self._closing.wait(step)
                    else:
                        linger = struct.pack("ii", 1, 0)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def _answer(self, file: Any) -> tuple[Step, ...]:
        path = file.readline().split()[1].decode()
        headers = dict(line.decode().rstrip().lower().split(": ", 1) for line in iter(file.readline, b"\r\n"))
        length, row = int(headers["content-length"]), self.row
        if "index.php" in path:
            file.read(length)
            usual = self.tracker.call({"token_auth": self.tracker.token, "idSite": "1"})
            reply = usual if row.api == AS_MATOMO or self.count < self.at or self.is_mended else row.api
            return (http(reply.status, reply.body),)
        with self._lock:
            self.count += 1
            is_bad = not self.is_mended and (self.count == self.at or (self.stays and self.count > self.at))
        if is_bad and row.before_body:
            return row.answer(b"")
        body = file.read(length)
        good = b""
        if not is_bad or row.recorded:
            good = http(200, self.tracker.take(path, headers, body).body)
            bulk = self.tracker.bulks[-1]
            bulk.hits[:] = bulk.hits[: row.recorded] if is_bad else bulk.hits
        return row.answer(good) if is_bad else (good,)


@pytest.fixture
def serve(tracker):
    """Return a function that puts a `Server` before the tracker."""
    servers = []

    def start(*arguments, **options):
        servers.append(Server(tracker, *arguments, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def import_log(capfd, monkeypatch, tmp_path, make_log, tracker):
    """Return a function that imports a log, always the same, and checks what is so whatever happens."""
    for name, value in {"XDG_STATE_HOME": "state", "HOME": ".", "XDG_CONFIG_HOME": "config"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("PIWIK_TOKEN", tracker.token)
    log = make_log(lines=LINES)

    def run(url, *arguments):
        options = ["--summary", "json", "--progress", "none", "--recorders", 1, "--chunk-size", CHUNK, "--url", url]
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in [*options, "--idsite", 1, "--request-timeout", 0.3, *arguments, log]])
        outcome = Outcome(end.value.code or 0, *capfd.readouterr())
        lines, hits = outcome.summary["lines"], outcome.summary["hits"]
        skipped = sum(lines["filtered"].values())
        assert lines["read"] == lines["imported"] + lines["invalid"] + lines["already_imported"] + skipped
        assert hits["sent"] == hits["tracked"] + hits["rejected"] + hits["in_doubt"]
        assert tracker.token not in outcome.stdout + outcome.stderr
        return outcome

    return run


def received(tracker):
    return Counter(int(hit["url"].rpartition("/")[2]) for hit in tracker.recorded)


def lines_of(at):
    """Return the lines of chunk number `at`."""
    return set(range((at - 1) * CHUNK + 1, at * CHUNK + 1))


def said(outcome):
    """Return the lines that the notes of a run name."""
    named = re.findall(r"lines (\d+) to (\d+)", " ".join(outcome.summary["notes"]))
    return {line for first, last in named for line in range(int(first), int(last) + 1)}


CELLS = [
    pytest.param(row, at, id=f"{name}-{position}") for name, row in ROWS.items() for position, at in POSITIONS.items()
]
STAYING = [cell for cell in CELLS if cell.values[0].code_if_it_stays is not None]
LOSING = [cell for cell in CELLS if cell.values[0].in_doubt and cell.values[0].code == 0]


@pytest.mark.parametrize(("row", "at"), CELLS)
def test_a_fault_that_passes_loses_nothing_and_doubles_only_what_is_named(serve, import_log, tracker, row, at):
    server = serve(row, at, stays=False)
    outcome = import_log(server.url)
    assert outcome.code == row.code, outcome.stderr
    counts, hits = received(tracker), outcome.summary["hits"]
    if row.code == 4:
        assert counts == Counter(dict.fromkeys(set().union(*map(lines_of, range(1, at))), 1)) + Counter(
            dict.fromkeys(lines_of(at) if row.recorded else (), 1)
        )
        assert (hits["tracked"], hits["rejected"]) == ((at - 1) * CHUNK, 0)
        assert server.count == at
        return
    again = lines_of(at) if row.in_doubt and row.recorded else set()
    assert {line for line, count in counts.items() if count > 1} == again
    assert counts.keys() <= set(range(1, LINES + 1))
    assert len(counts) == LINES - row.rejected == hits["tracked"]
    assert hits["rejected"] == row.rejected
    assert said(outcome) == (lines_of(at) if row.in_doubt else set())
    assert import_log(server.url).summary["requests"]["bulk"] == 0


@pytest.mark.parametrize(("row", "at"), STAYING)
def test_after_a_fault_that_stays_the_same_command_goes_on_where_it_came_to_an_end(serve, import_log, tracker, row, at):
    server = serve(row, at, stays=True)
    outcome = import_log(server.url, "--retry-max-attempts", 1)
    assert outcome.code == row.code_if_it_stays, outcome.stderr
    hits, before = outcome.summary["hits"], (at - 1) * CHUNK
    assert (hits["tracked"], hits["rejected"]) == (before, 0)
    assert hits["in_doubt"] == (CHUNK if row.in_doubt else 0)
    server.is_mended = True
    after = import_log(server.url)
    assert after.code == 0, after.stderr
    assert (after.summary["hits"]["tracked"], after.summary["hits"]["in_doubt"]) == (LINES - before, 0)
    again = lines_of(at) if row.in_doubt and row.recorded else set()
    assert received(tracker) == Counter(range(1, LINES + 1)) + Counter(again)
    assert said(after) == (lines_of(at) if row.in_doubt else set())
    assert import_log(server.url).summary["requests"]["bulk"] == 0


@pytest.mark.parametrize(("row", "at"), LOSING)
def test_what_is_in_doubt_is_not_sent_again_if_so_asked(serve, import_log, tracker, row, at):
    server = serve(row, at, stays=False)
    outcome = import_log(server.url, "--in-doubt", "skip")
    assert outcome.code == 3
    hits = outcome.summary["hits"]
    assert (hits["tracked"], hits["rejected"], hits["in_doubt"]) == (LINES - CHUNK, 0, CHUNK)
    assert said(outcome) == lines_of(at)
    lost = set() if row.recorded else lines_of(at)
    assert received(tracker) == Counter(set(range(1, LINES + 1)) - lost)
    with open(outcome.summary["rejects"]["file"]) as file:
        assert {json.loads(line)["line"] for line in [*file][1:]} == lines_of(at)
    assert import_log(server.url, "--in-doubt", "skip").summary["requests"]["bulk"] == 0


@pytest.mark.parametrize("at", POSITIONS.values(), ids=POSITIONS)
@pytest.mark.parametrize("place", [0, 3, CHUNK - 1])
def test_a_hit_that_the_database_cannot_take_is_rejected_and_all_others_are_recorded_once(
    import_log, tracker, at, place
):
    bad = sorted(lines_of(at))[place]
    tracker.poison = lambda hit: hit["url"].endswith(f"/{bad}")
    outcome = import_log(tracker.url)
    assert outcome.code == 3, outcome.stderr
    assert received(tracker) == Counter(set(range(1, LINES + 1)) - {bad})
    assert (outcome.summary["hits"]["tracked"], outcome.summary["hits"]["rejected"]) == (LINES - 1, 1)
    with open(outcome.summary["rejects"]["file"]) as file:
        assert [json.loads(line)["line"] for line in [*file][1:]] == [bad]
    assert import_log(tracker.url).summary["requests"]["bulk"] == 0


@pytest.mark.parametrize("at", POSITIONS.values(), ids=POSITIONS)
@pytest.mark.parametrize("stays", [False, True], ids=["it comes back", "restart"])
def test_a_server_that_refuses_connections_costs_nothing(serve, import_log, tracker, at, stays):
    server = serve(ROWS["maintenance"], at + CHUNKS, stays=False)
    pause = tracker.take

    def take(*arguments):
        reply = pause(*arguments)
        if len(tracker.bulks) == at - 1:
            server.refuse()
            if not stays:
                threading.Timer(0.2, server.listen).start()
        return reply

    tracker.take = take
    if at == 1:
        server.refuse()
        if not stays:
            threading.Timer(0.2, server.listen).start()
    outcome = import_log(server.url, *(["--retry-max-attempts", 1] if stays else []))
    assert outcome.code == (75 if stays else 0), outcome.stderr
    if stays:
        hits = outcome.summary["hits"]
        assert (hits["tracked"], hits["in_doubt"]) == ((at - 1) * CHUNK, 0)
        tracker.take = pause
        server.listen()
        assert import_log(server.url).code == 0
    assert received(tracker) == Counter(range(1, LINES + 1))


@pytest.mark.parametrize("at", POSITIONS.values(), ids=POSITIONS)
def test_an_answer_that_comes_byte_by_byte_is_an_answer(serve, import_log, tracker, at):
    row = Row(lambda good: tuple(step for byte in good for step in (bytes([byte]), 0.0005)), CHUNK)
    assert import_log(serve(row, at, stays=False).url).code == 0
    assert received(tracker) == Counter(range(1, LINES + 1))


def has_option(name):
    from piwik_import.cli.main import cli

    return any(name in option.opts for command in cli.commands.values() for option in command.params)


@pytest.mark.skipif(not has_option("--ca-file"), reason="no bound on the whole of an answer")
@pytest.mark.parametrize("at", POSITIONS.values(), ids=POSITIONS)
def test_an_answer_that_never_ends_is_not_waited_for(serve, import_log, tracker, at):
    row = Row(lambda _: (b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n", 0.05] * 200), CHUNK, in_doubt=True)
    server = serve(row, at, stays=True)
    outcome = import_log(server.url, "--retry-max-attempts", 1)
    assert outcome.code == 75
    assert outcome.summary["hits"]["in_doubt"] == CHUNK
    server.is_mended = True
    assert import_log(server.url).code == 0
    assert received(tracker) == Counter(range(1, LINES + 1)) + Counter(lines_of(at))


CERTIFICATES = {
    "unknown CA": ("127.0.0.1", {}, False),
    "expired": ("127.0.0.1", {"not_after": datetime.now(UTC) - timedelta(days=1)}, True),
    "another host's": ("stats.example.org", {}, True),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_server_that_is_not_the_one_it_should_be_gets_nothing(serve, import_log, tmp_path, name):
    host, options, is_known = CERTIFICATES[name]
    if is_known and not has_option("--ca-file"):
        pytest.skip("no --ca-file to make the CA known")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, **options).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = serve(ROWS["maintenance"], 1, stays=False, tls=context)
    known = ["--ca-file", tmp_path / "ca.pem"] if is_known else []
    outcome = import_log(server.url, "--retry-max-attempts", 1, "--base-url", "http://example.org", *known)
    assert outcome.code == 75
    assert "certificate" in outcome.stderr.lower()
    assert (server.count, outcome.summary["hits"]["sent"], outcome.summary["lines"]["left"]) == (0, 0, LINES)
