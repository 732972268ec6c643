"""A sandbox over HTTP: from sockets to the tracker and back."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RD, socket
from typing import Any, Self

from piwik_import.errors import UsageError, printable
from piwik_import.sandbox.reporting import WHOLE
from piwik_import.sandbox.store import Report, Store
from piwik_import.sandbox.tracker import BAD_REQUEST, Answer, Tracker

TOO_LARGE = Answer(413, b"<p>The body is too large.</p>")


class Sandbox:
    """A tracking server on a port of its own, with its store.

    Args:
        host: the address to listen at.
        port: 0 takes a free one; `url` says which.
        db: path of the SQLite file to write and go on with; in memory if not given.
        token: token of the superuser.
        tokens: more tokens, and whose they are: superuser, admin, write or view.
        sites: main URL by idsite; an `EverySite` has any.
        goals: the goals that there are; if not given, any.
        record_statistics: False is a server whose tracking is switched off.
        max_body: bytes of a body that are taken; nginx takes 1 MiB if not told otherwise.
        clock: the server's time.

    Raises:
        UsageError: the port is taken, or `db` cannot be used.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        db: str = ":memory:",
        token: str = "sandbox",
        tokens: Mapping[str, str] | None = None,
        sites: Mapping[int, str] | None = None,
        goals: Iterable[int] | None = None,
        record_statistics: bool = True,
        max_body: int = 128 * 1024 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._thread: threading.Thread | None = None
        with contextlib.ExitStack() as opened:
            try:
                self._store = opened.enter_context(contextlib.closing(Store(db)))
                self._tracker = Tracker(
                    self._store,
                    tokens={token: "superuser", **(tokens or {})},
                    sites={1: "http://localhost"} if sites is None else sites,
                    goals=goals,
                    record_statistics=record_statistics,
                    clock=clock,
                )
                self._server = opened.enter_context(_Server((host, port), self._tracker, max_body))
            except (OSError, OverflowError, sqlite3.Error) as error:
                raise UsageError(f"sandbox on {host}:{port} with {printable(db)}: {error}") from error
            self._opened = opened.pop_all()

    @property
    def url(self) -> str:
        """Where it is, with a slash at the end."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/"

    def start(self) -> Self:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Serve in this thread until Ctrl-C, and finish the requests in flight; there is still a report after that."""
        try:
            self._server.serve_forever()
        finally:
            self._server.server_close()

    def stop(self) -> None:
        """Finish the requests in flight and close; there is no report after that."""
        if self._thread:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._opened.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def hits(self) -> list[dict[str, Any]]:
        """Return every stored hit in the order of arrival: the columns of `store.Row`, with id and visit."""
        return self._store.hits()

    def report(self) -> Report:
        """Return what was recorded; its text is for people."""
        return self._tracker.report()


class _Server(ThreadingHTTPServer):
    """A thread a connection. Each connection is known, for an idle one must be woken when the server stops."""

    daemon_threads = False  # server_close() waits for the requests in flight
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], tracker: Tracker, max_body: int) -> None:
        self.tracker = tracker
        self.max_body = max_body
        self.connections: set[socket] = set()
        self.is_closing = False
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        self.is_closing = True
        for connection in self.connections.copy():
            with contextlib.suppress(OSError):  # closed just now by its own thread
                connection.shutdown(SHUT_RD)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # that a client hung up is no news
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "piwik-import-sandbox"
    protocol_version = "HTTP/1.1"
    timeout = 60
    wbufsize = -1  # head and body leave together; apart, a delayed acknowledgement may cost 40 ms
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._respond(None)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not WHOLE.fullmatch(length):
            self.close_connection = True
            self._send(BAD_REQUEST)
        elif int(length) > self.server.max_body:
            left = int(length)
            while left and (part := self.rfile.read(min(left, 65_536))):  # unread, it would reset the connection
                left -= len(part)
            self._send(TOO_LARGE)
        elif len(body := self.rfile.read(int(length))) == int(length):  # else the client hung up half-way
            self._respond(body)

    def _respond(self, body: bytes | None) -> None:
        answer = self.server.tracker.answer(
            self.path.encode("latin-1").decode("utf-8", "surrogateescape"),
            body,
            form=self.headers.get_content_type() == "application/x-www-form-urlencoded",
            address=self.client_address[0],
            agent=self.headers.get("User-Agent", ""),
        )
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.close_connection |= self.server.is_closing
        self.send_response(answer.status)
        if answer.status != 204:  # it has no body, so no length of it
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def handle_expect_100(self) -> bool:
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on

    def log_message(self, *_: object) -> None:
        """Say nothing; the report does."""
