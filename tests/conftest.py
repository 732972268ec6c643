"""Real servers to import into, logs to import, and the program itself. All traffic stays on 127.0.0.1."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest
import trustme
from hypothesis import HealthCheck, settings

import piwik_import
from piwik_import import delivery, pace
from piwik_import.cli import main
from piwik_import.client import Answer, Client

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run the suite: a third of its time is spent waiting for servers and for processes."""
    return (os.cpu_count() or 1) * 3 // 2 + 1


TOKEN = "5f3c9d0be1a2467788aa00ffc0ffee42"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
START = datetime(2026, 3, 5, 10, 0, 0, tzinfo=UTC)


class Reply(NamedTuple):
    """What the tracker is told to do with one request. Without a body it answers as Matomo would."""

    status: int = 200
    body: object = None
    delay: float = 0.0
    hang_up: bool = False
    headers: Mapping[str, str] = {}


AS_MATOMO = Reply()
PAGE = Reply(body=b"This resource is part of Matomo.")


@dataclass
class Bulk:
    """One bulk request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    hits: list[dict[str, str]]
    token: object
    arrived: float
    port: int
    """Of the client's end of the connection."""
    answered: float = 0.0
    recorded: bool = False


@dataclass
class Tracker:
    """A tracking server on loopback: by script first (`answers`), then as Matomo does."""

    url: str = ""
    token: str = TOKEN
    site_url: str = "http://example.org"
    bulks: list[Bulk] = field(default_factory=list)
    """In the order in which they came."""
    calls: list[dict[str, str]] = field(default_factory=list)
    """Calls of the Reporting API: query and form together."""
    targets: list[str] = field(default_factory=list)
    """The request line's target of every request."""
    api: Reply = AS_MATOMO
    methods: dict[str, Reply] = field(default_factory=dict)
    """What calls of some methods are answered, whatever `api` says."""
    page: Reply = PAGE
    """What a browser is shown."""
    usually: Reply = AS_MATOMO
    most_at_once: int = 0
    script: deque[Reply] = field(default_factory=deque)
    poison: Callable[[Mapping[str, str]], bool] = lambda _: False
    """Which hits its database cannot take: their whole bulk fails."""
    most_bytes: float = float("inf")
    """Bytes of the largest body that the web server before it lets through."""
    timezone: str = "UTC"
    pause: Callable[[], float] = lambda: 0.0
    """How long the next answer takes, besides what the script says."""
    closing: threading.Event = field(default_factory=threading.Event)
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _came: threading.Condition = field(default_factory=threading.Condition)

    def answers(self, status: int = 200, body: object = None, *, times: int = 1, **more: Any) -> None:
        """Answer the next bulk so, or the next few."""
        self.script.extend([Reply(status, body, **more)] * times)

    @property
    def hits(self) -> list[dict[str, str]]:
        """Every hit that came, recorded or not."""
        return [hit for bulk in self.bulks for hit in bulk.hits]

    @property
    def recorded(self) -> list[dict[str, str]]:
        return [hit for bulk in self.bulks if bulk.recorded for hit in bulk.hits]

    def wait_for_bulks(self, count: int, timeout: float = 20.0) -> None:
        """Wait until so many bulk requests have come."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.bulks) >= count, timeout), f"{len(self.bulks)} bulks came"

    def take(self, path: str, headers: Mapping[str, str], body: bytes, port: int = 0) -> Reply:
        """Note a bulk request, wait as long as its answer is to take, and return that."""
        document = json.loads(body)
        queries = [text.removeprefix("?") for text in document["requests"]]
        hits = [dict(parse_qsl(query, True, errors="surrogateescape")) for query in queries]
        bulk = Bulk(path, headers, body, hits, document.get("token_auth"), monotonic(), port)
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.bulks.append(bulk)
            reply = self.script.popleft() if self.script else self.usually
        with self._came:
            self._came.notify_all()
        self.closing.wait(reply.delay + self.pause())
        with self._lock:
            self._now -= 1
            bulk.answered = monotonic()
            if reply == AS_MATOMO:
                reply = self._trouble_with(bulk) or reply
            if reply.status == 200 and reply.body is None and not reply.hang_up:
                bulk.recorded = bulk.token == self.token
                counts = (len(hits), 0, []) if bulk.recorded else (0, len(hits), list(range(len(hits))))
                names = ("tracked", "invalid", "invalid_indices")
                reply = reply._replace(body={"status": "success"} | dict(zip(names, counts, strict=True)))
        return reply

    def _trouble_with(self, bulk: Bulk) -> Reply | None:
        """Return the answer to a bulk that cannot be taken."""
        if len(bulk.body) > self.most_bytes:
            return Reply(413, b"<h1>Request entity too large</h1>")
        for place, hit in enumerate(bulk.hits):
            if self.poison(hit):
                return Reply(500, {"status": "error", "tracked": place, "invalid": 0})
        return None

    def call(self, fields: dict[str, str]) -> Reply:
        """Note a call of the Reporting API and return the answer."""
        self.calls.append(fields)
        if fields.get("method") in self.methods:
            return self.methods[fields["method"]]
        self.closing.wait(self.api.delay)
        if self.api.body is not None or self.api.status != 200 or self.api.hang_up:
            return self.api
        if fields.get("token_auth") != self.token:
            return Reply(401, {"result": "error", "message": "Unable to authenticate with the provided token."})
        return Reply(body=[{"idsite": fields.get("idSite"), "main_url": self.site_url, "timezone": self.timezone}])


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close() waits for them
    request_queue_size = 64
    tracker: Tracker

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that a client hung up is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True
    timeout = 30

    def do_GET(self) -> None:
        self.answer(self.server.tracker.page)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        tracker = self.server.tracker
        tracker.targets.append(self.path)
        path, _, query = self.path.partition("?")
        if path.endswith("/index.php"):
            reply = tracker.call(dict(parse_qsl(query)) | dict(parse_qsl(body.decode())))
        else:
            reply = tracker.take(
                self.path, dict(self.headers), body, self.client_address[1] if self.client_address else 0
            )
        self.answer(reply)

    def answer(self, reply: Reply) -> None:
        if reply.hang_up:
            self.close_connection = True
            return
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        data = b"" if reply.body is None else data
        self.send_response(reply.status)
        kind = "text/html; charset=utf-8" if isinstance(reply.body, bytes) else "application/json"
        for name, value in {"Content-Type": kind, **reply.headers}.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def server_context(authority: trustme.CA, host: str = "localhost", **options: Any) -> ssl.SSLContext:
    """Return what a server needs to speak TLS as `host`, with a certificate of `authority`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host, **options).configure_cert(context)
    return context


class _UnixHandler(_Handler):
    disable_nagle_algorithm = False  # it is TCP's


class _UnixServer(_Server):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's would look for a port


def bulk(client: Client, queries: Sequence[str]) -> Answer:
    """Send hits in one request, and return what its answer means."""
    return client.send(client.encode(queries), len(queries))


@contextmanager
def tracking(tls: ssl.SSLContext | None = None, path: Path | None = None):
    """Serve a `Tracker` until the end of the block: on a port, with TLS or without, or on a socket at `path`."""
    with _Server(("127.0.0.1", 0), _Handler) if path is None else _UnixServer(str(path), _UnixHandler) as server:
        url = "http://stats.example.org/"
        if path is None:
            url = f"{'https' if tls else 'http'}://localhost:{server.server_address[1]}/"
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.tracker = tracker = Tracker(url.replace("http://localhost", "http://127.0.0.1"))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield tracker
        finally:
            tracker.closing.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def tracker():
    """A tracking server that does as it is told, and notes what it was sent."""
    with tracking() as server:
        yield server


class RawServer:
    """Plays `answers`, one a connection and the last again and again, after it has read the request.

    An answer is a row of steps: bytes are sent, a number is waited for. After the last step the connection is
    closed, so that an empty row hangs up.
    """

    def __init__(self, *answers: tuple[bytes | float, ...]) -> None:
        self.requests: list[bytes] = []
        self._answers = deque(answers)
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if self._closing.is_set():
                connection.close()
                return
            answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
            thread = threading.Thread(target=self._converse, args=(connection, answer))
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: socket.socket, answer: tuple[bytes | float, ...]) -> None:
        with connection, suppress(OSError):
            connection.settimeout(10)
            with connection.makefile("rb") as file:
                head = b"".join(iter(file.readline, b"\r\n"))
                headers = dict(line.lower().split(b": ", 1) for line in head.splitlines()[1:])
                length = int(headers.get(b"content-length", 0))
                self.requests.append(head + b"\r\n" + file.read(length))
            for step in answer:
                if isinstance(step, bytes):
                    connection.sendall(step)
                else:
                    self._closing.wait(step)

    def close(self) -> None:
        self._closing.set()
        with suppress(OSError), socket.create_connection(self._socket.getsockname(), 1):
            pass  # wakes accept()
        for thread in self._threads:
            thread.join()
        self._socket.close()


@pytest.fixture
def raw_server():
    """Return a function that starts a `RawServer`: for answers that no HTTP library would give."""
    servers = []

    def start(*answers: tuple[bytes | float, ...]) -> RawServer:
        servers.append(RawServer(*answers))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def nowhere():
    """The address of a server that is not there."""
    with socket.socket() as taken:  # bound, but not listening: nobody else gets the port meanwhile
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"


def line_of(page: object, ip: str = "198.18.0.1", time: datetime = START, *, status: int = 200) -> str:
    """Return a line of combined log, as a browser makes it."""
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{ip} - - [{stamp}] "GET /{page} HTTP/1.1" {status} 512 "-" "{BROWSER}"\n'


@pytest.fixture
def make_log(tmp_path):
    """Return a function that writes a combined log: line 7 of shop.log asks for /shop/7. A .gz is packed."""

    def make(
        name: str = "access.log", *, lines: int = 100, visitors: int = 10, seed: int = 0, start: datetime = START
    ) -> Path:
        dice = random.Random(seed)
        folder, time, text = name.partition(".")[0], start, []
        for number in range(1, lines + 1):
            visitor = dice.randrange(visitors)
            text.append(line_of(f"{folder}/{number}", f"198.18.{visitor >> 8}.{visitor & 255}", time))
            time += timedelta(seconds=dice.randrange(3))
        data = "".join(text).encode()
        path: Path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        os.utime(path, (START.timestamp(), START.timestamp()))
        return path

    return make


class Outcome(NamedTuple):
    """What became of a run of the program."""

    code: int
    stdout: str
    stderr: str

    @property
    def summary(self) -> dict[str, Any]:
        """The summary of a run with --summary json."""
        summary: dict[str, Any] = json.loads(self.stdout)
        return summary


@pytest.fixture
def start_program(tmp_path):
    """Return a function that starts the program as a process of its own, in an environment without our settings."""
    processes = []
    clean = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(piwik_import.__file__).parent.parent),
        "PYTHONWARNINGS": "error",
        "PYTHONUTF8": "1",
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }

    def start(
        *arguments: object, env: Mapping[str, str] = {}, stdin: Any = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "piwik_import", *map(str, arguments)],
            env=clean | dict(env),
            cwd=tmp_path,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        with process:
            process.kill()


@pytest.fixture
def run_program(start_program):
    """Return a function that runs the program to its end."""

    def run(
        *arguments: object, env: Mapping[str, str] = {}, stdin: bytes | None = None, timeout: float = 40
    ) -> Outcome:
        process = start_program(*arguments, env=env, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE)
        stdout, stderr = process.communicate(stdin, timeout)
        return Outcome(process.returncode, stdout.decode(), stderr.decode())

    return run


@pytest.fixture
def server(tracker):
    """The environment that names our tracker."""
    return {"PIWIK_URL": tracker.url, "PIWIK_TOKEN": tracker.token, "PIWIK_SITE": "1"}


@pytest.fixture
def run_import(run_program, server):
    """Return a function that imports into the tracker and returns the outcome, with the summary as JSON."""

    def run(*arguments, env=(), **options):
        return run_program("--summary", "json", *arguments, env=server | dict(env), **options)

    return run


@pytest.fixture
def import_broken_off(run_import, tracker):
    """Return a function that imports a log in two runs, for the server fails; the numbers of the pages recorded."""

    def run(log: Path, *, after: int, chunk_size: int, recorders: int) -> list[int]:
        os.utime(log, (1, 1))
        settings = ("--chunk-size", chunk_size, "--recorders", recorders, "--retry-for", 0, log)
        tracker.answers(200, times=after)
        tracker.answers(503, times=recorders)
        assert run_import(*settings).code == 75
        tracker.script.clear()
        assert run_import(*settings).code == 0
        return sorted(int(hit["url"].rpartition("/")[2]) for hit in tracker.recorded)

    return run


@pytest.fixture
def quick(monkeypatch):
    """Make the pauses before further tries short, in this process."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(pace, "FIRST_PAUSE", 0.01)


@pytest.fixture
def run_here(capfd, monkeypatch, tmp_path):
    """Return a function that runs the program in this process, which is quicker than a new one for each run."""
    monkeypatch.chdir(tmp_path)
    for name in ("home", "config", "state"):
        monkeypatch.setenv("HOME" if name == "home" else f"XDG_{name.upper()}_HOME", str(tmp_path / name))

    def run(*arguments: object, env: Mapping[str, str] = {}) -> Outcome:
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            capfd.readouterr()
            broken_pipe = signal.getsignal(signal.SIGPIPE)  # --output - has it end the process: not that of the tests
            try:
                main(list(map(str, arguments)))
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                signal.signal(signal.SIGPIPE, broken_pipe)
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def dry_run(monkeypatch):
    """Return a function that reads a log as a dry run does, in blocks of about `size` bytes: report and entries."""
    from piwik_import import framing, jobs, source
    from piwik_import.filters import FilterSettings
    from piwik_import.hints import Hints
    from piwik_import.hits import HitSettings
    from piwik_import.parsers import catalogue
    from piwik_import.report import Report, SourceReport
    from piwik_import.translate import Plan, Translator

    def read(
        log: Path, *, size: int = 1 << 20, form: str | None = None, offset: int = 0, line: int = 1, **hints: object
    ):
        monkeypatch.setattr(source.Source.blocks, "__kwdefaults__", {"size": size, "limit": source.LINE_LIMIT})
        monkeypatch.setattr(framing, "BLOCK_SIZE", size)
        (job,) = jobs.prepare([str(log)], [catalogue.named(form)] if form else [], "time", None, hints=Hints(**hints))
        job.offset, job.line = offset, line
        report = Report(dry_run=True, sources=[SourceReport(str(log))])
        filters = FilterSettings(bots=True, static=True, errors=True, redirects=True)
        translate = Translator(Plan(0, job.definition, filters, HitSettings(1, "http://example.org"), keep_hits=True))
        entries, before = [], offset
        for block in job.blocks():
            assert before <= block.offset < block.end
            before = block.end
            batch = translate(block)
            report.add_batch(0, batch)
            assert batch.lines == len(batch.entries) + len(batch.bad) + batch.filtered.total()
            entries += batch.entries
        return report, entries

    return read
