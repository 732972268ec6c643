"""The time by which a request must have ended, whatever the server does.

A time-out of the HTTP library is one of each read: a server that sends a byte now and then holds a lane for ever. So
every socket is wrapped here, and each read and write is given only what is left of the request's own time. Each
request lives in one thread, which is how a socket knows whose time counts. It costs about a microsecond a request.

How far a request has come is noted on the way: only of what failed before it left is it certain that the server has
nothing of it. And once it has left, the thread may do something else while the server is at work.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

CONNECT, TLS, SENT = "connect", "tls", "sent"
"""How far a request has come: at the socket, at the handshake, or on its way."""


class Course(threading.local):
    """The course of the request that this thread is making."""

    until = 0.0
    stage = CONNECT
    meanwhile: Callable[[], object] | None = None

    def begin(self, seconds: float, meanwhile: Callable[[], object] | None = None) -> None:
        """Begin a request that may take so many seconds; once it is out, and before the answer is read, do more."""
        self.until = monotonic() + seconds
        self.stage = CONNECT
        self.meanwhile = meanwhile

    def pass_time(self) -> None:
        """Do what is to be done while the server is at work. What that takes is none of the server's time."""
        if self.meanwhile is not None:
            meanwhile, self.meanwhile, before = self.meanwhile, None, monotonic()
            meanwhile()
            self.until += monotonic() - before

    def left(self, timeout: float | None) -> float:
        """Return the seconds that may be waited for. Raises TimeoutError if there are none left."""
        seconds = self.until - monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds if timeout is None else min(seconds, timeout)


class Sockets:
    """What opens sockets for the HTTP library (an httpcore.NetworkBackend), with deadlines."""

    def __init__(self, backend: Any, course: Course) -> None:
        self._backend = backend
        self._course = course

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Socket:
        self._course.stage = CONNECT
        seconds = self._course.left(timeout)
        return Socket(self._backend.connect_tcp(host, port, timeout=seconds, **options), self._course)

    def connect_unix_socket(self, path: str, timeout: float | None = None, **options: Any) -> Socket:
        self._course.stage = CONNECT
        seconds = self._course.left(timeout)
        return Socket(self._backend.connect_unix_socket(path, timeout=seconds, **options), self._course)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class Socket:
    """A socket (an httpcore.NetworkStream) that keeps to the deadline of the thread that uses it.

    The first thing written after an answer, which is a request's head, goes out along with the next, its body: in two
    pieces they would wake the server twice.
    """

    def __init__(self, stream: Any, course: Course) -> None:
        self._stream = stream
        self._course = course
        self._begun = False
        self._head = b""
        self.close = stream.close
        self.get_extra_info = stream.get_extra_info

    def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        if self._head:
            self.write(b"", timeout)
        if self._begun:
            self._begun = False
            self._course.pass_time()
        return self._stream.read(max_bytes, timeout=self._course.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not self._begun:
            self._begun, self._head = True, buffer
            return
        buffer, self._head = self._head + buffer, b""
        self._course.stage = SENT
        self._stream.write(buffer, timeout=self._course.left(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Socket:
        self._course.stage = TLS
        seconds = self._course.left(timeout)
        return Socket(self._stream.start_tls(ssl_context, server_hostname, timeout=seconds), self._course)
