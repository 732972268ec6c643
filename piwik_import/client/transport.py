"""Bytes to the server and back: connections that are kept alive, TLS, proxies, sockets, time.

Each thread has a connection of its own. A pool of httpcore that threads share may close one on which another thread
is just waiting for its answer (https://github.com/encode/httpcore/issues/1110), whose hits are in doubt then: that was
one request in some 20,000 on a busy machine.

An answer is read up to `LONGEST` bytes, packed or not, so that no server can fill our memory.
"""

from __future__ import annotations

import re
import ssl
import threading
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx

from piwik_import import __version__
from piwik_import.address import is_loopback
from piwik_import.client.deadline import SENT, Course, Sockets
from piwik_import.client.words import trouble
from piwik_import.connection import Connection
from piwik_import.errors import UsageError, printable

CONNECT_TIMEOUT = 30.0
LONGEST = 1024 * 1024
"""Bytes of an answer that are read. That to a bulk of 10,000 hits that are all invalid has 70,000."""

ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1)

HEADERS = {"User-Agent": f"piwik-import/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    headers: httpx.Headers
    body: bytes
    """Unpacked, and cut after `LONGEST` bytes."""
    certificate: Mapping[str, Any] | None = None
    """What is known of the server's certificate, if asked for: see `ssl.SSLSocket.getpeercert`. None without TLS."""
    _secrets: tuple[str, ...] = field(default=(), repr=False)

    def hidden(self, text: str) -> str:
        """Return `text` without the secrets that it may repeat: some error pages show the whole request."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    @property
    def text(self) -> str:
        """The body, to show: without secrets."""
        return self.hidden(self.body.decode("utf-8", "replace"))


class NoReply(Exception):
    """No answer came."""

    def __init__(self, error: Exception, stage: str) -> None:
        found = trouble(error)
        super().__init__(found.reason)
        self.reason = found.reason
        self.lasting = found.lasting
        """Whether trying again in some minutes would not help."""
        self.stage = stage
        """How far the request had come: see `deadline`."""
        self.unsent = found.unsent or stage != SENT
        """Whether the server has nothing of it."""


class Transport:
    """The connections to one server; safe to use from several threads, each of which makes one request at a time.

    Raises:
        UsageError: a certificate or a proxy cannot be used.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        timeout = connection.request_timeout
        # Its parts bound one read or write each; the whole request is bounded by `deadline`.
        bounds = httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT), pool=None)
        self._extensions = {"timeout": bounds.as_dict()}
        self._course = Course()
        self._threads = threading.local()  # each thread's way to the server, by scheme
        self._ways: list[httpx.HTTPTransport] = []  # all of them
        self._opening = threading.Lock()
        self._authorization = _authorization(connection)
        self._secrets = (*connection.secrets, *self._authorization.values())
        # Files that were named are read now, where an error is the user's: a lane has written hits down by then.
        named = connection.ca_file is not None or connection.client_cert is not None
        self._context = _context(connection) if named else None

    def close(self) -> None:
        """Close all connections."""
        for way in self._ways:
            way.close()

    def headers(self, url: httpx.URL, content_type: str) -> httpx.Headers:
        """Return the headers of requests for `url`: the user's own count more, however he writes their names."""
        headers = httpx.Headers({"Host": url.netloc.decode("ascii"), "Content-Type": content_type} | HEADERS)
        headers.update(dict(self._connection.headers))
        headers.update(self._authorization)
        return headers

    def send(
        self,
        method: str,
        url: httpx.URL,
        headers: httpx.Headers,
        body: bytes = b"",
        *,
        certificate: bool = False,
        meanwhile: Callable[[], object] | None = None,
    ) -> Reply:
        """Make a request and return the answer, whatever it says, if asked for with the server's certificate.

        `meanwhile` is called while the server is at work. Raises NoReply, UsageError, and what `meanwhile` raises.
        """
        way = self.open(url)
        request = httpx.Request(method, url, headers=headers, content=body, extensions=self._extensions)
        course = self._course
        course.begin(self._connection.request_timeout, meanwhile)
        try:
            response = way.handle_request(request)
            try:
                body = b"".join(_unpacked(response))
                shown = _certificate(response) if certificate else None
            finally:
                response.close()
        except (httpx.HTTPError, TimeoutError, zlib.error) as error:
            raise NoReply(error, course.stage) from error
        return Reply(response.status_code, response.headers, body, shown, self._secrets)

    def open(self, url: httpx.URL) -> httpx.HTTPTransport:
        """Return this thread's way to the server by the scheme of `url`; nobody connects yet. Raises UsageError."""
        mine: dict[str, httpx.HTTPTransport] = self._threads.__dict__
        if url.scheme not in mine:
            with self._opening:
                mine[url.scheme] = self._way(url)
                self._ways.append(mine[url.scheme])
        return mine[url.scheme]

    def _way(self, url: httpx.URL) -> httpx.HTTPTransport:
        said = self._connection
        proxy = proxy_for(said, url)
        if url.scheme == "https" or (proxy is not None and proxy.scheme == "https"):
            # To read the authorities' certificates takes 30 ms, which http does without.
            context = self._context = self._context or _context(said)
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        by = None if proxy is None else httpx.Proxy(proxy, ssl_context=context if proxy.scheme == "https" else None)
        try:
            way = httpx.HTTPTransport(
                verify=context,
                limits=ONE,
                proxy=by,
                uds=None if said.unix_socket is None else str(said.unix_socket),
            )
        except ImportError:
            raise UsageError("--proxy: a SOCKS proxy needs the package socksio: pip install 'httpx[socks]'") from None
        # httpx has no parameter for what opens its sockets; httpcore, by which it connects, has. Sockets does all that
        # a NetworkBackend of httpcore does, but is none by name: that package is httpx's affair, and not one of ours.
        way._pool._network_backend = Sockets(way._pool._network_backend, self._course)  # type: ignore[assignment]
        return way


def _authorization(connection: Connection) -> dict[str, str]:
    if connection.auth_user is None:
        return {}
    pair = f"{connection.auth_user}:{connection.auth_password or ''}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _certificate(response: httpx.Response) -> Mapping[str, Any] | None:
    """Return what is known of the server's certificate; None without TLS."""
    tls = response.extensions["network_stream"].get_extra_info("ssl_object")
    return None if tls is None else tls.getpeercert() or {}


def proxy_for(connection: Connection, url: httpx.URL) -> httpx.URL | None:
    """Return the proxy on the way to `url`. None of the environment stands between this machine and itself.

    Raises:
        UsageError: what is named is none; its password is not shown.
    """
    proxy = connection.proxy
    if proxy is None and connection.unix_socket is None and not is_loopback(url.host):
        proxies = getproxies()
        proxy = proxies.get(url.scheme) or proxies.get("all")
        if proxy is None or proxy_bypass(url.netloc.decode("ascii")):
            return None
    if proxy is None:
        return None
    try:
        way = httpx.URL(proxy if "://" in proxy else f"http://{proxy}")
    except httpx.InvalidURL:
        way = None
    if (
        way is None
        or not re.fullmatch(r"[\w.:-]+", way.host)
        or way.scheme not in ("http", "https", "socks5", "socks5h")
    ):
        raise UsageError("--proxy: not the address of a proxy, such as http://proxy.example.org:3128") from None
    return way


def _context(connection: Connection) -> ssl.SSLContext:
    """Return what decides whom we trust, and who we are."""
    if connection.ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=str(connection.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise _unusable("--ca-file", connection.ca_file, error) from None
    else:
        context = httpx.create_ssl_context()
        context.load_default_certs()  # the system's too: a company's own authority is known there alone
    if connection.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if connection.client_cert is not None:
        try:
            # A password is asked for on the terminal, if none is given here: cron has none.
            context.load_cert_chain(connection.client_cert, connection.client_key, password=lambda: "")
        except (OSError, ssl.SSLError) as error:
            raise _unusable("--client-cert", connection.client_cert, error) from None
    return context


def _unusable(option: str, path: object, error: OSError) -> UsageError:
    if isinstance(error, ssl.SSLError) or error.strerror is None:
        said = getattr(error, "reason", error)
        reason = f"no certificate in PEM form that could be used, or no key that fits it ({said})"
    else:
        reason = error.strerror
    return UsageError(f"{option} {printable(str(path))}: {printable(reason)}")


def _unpacked(response: httpx.Response) -> Iterator[bytes]:
    """Yield what an answer holds, `LONGEST` bytes at most. What is packed as we did not ask for stays packed."""
    packed = response.headers.get("Content-Encoding", "").strip().lower()
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if packed in ("gzip", "x-gzip", "deflate") else None
    left = LONGEST
    assert isinstance(response.stream, httpx.SyncByteStream)
    for part in response.stream:
        if unpack is not None:
            try:
                part = unpack.decompress(part, left)
            except zlib.error:
                if packed != "deflate" or left < LONGEST:
                    raise
                unpack = zlib.decompressobj(-zlib.MAX_WBITS)  # some mean by it what has no header (RFC 9110, 8.4.1.2)
                part = unpack.decompress(part, left)
        yield part[:left]
        left -= len(part)
        if left <= 0:
            return
