"""What keeps us from a server, in words that say what to do."""

from __future__ import annotations

import socket
import ssl
from typing import NamedTuple

import httpx

from piwik_import.errors import printable


class Trouble(NamedTuple):
    """Why there is no answer."""

    reason: str
    lasting: bool = False
    """Whether trying again in some minutes would not help."""
    unsent: bool = False
    """Whether it shows by itself that the server has nothing of the request."""


CERTIFICATES = {
    "certificate has expired": "the server's certificate has expired: have it renewed",
    "certificate is not yet valid": "the server's certificate is not valid yet: check the clocks of both machines",
    "self-signed certificate": "the server's certificate is self-signed: give it as --ca-file",
    "self signed certificate": "the server's certificate is self-signed: give it as --ca-file",  # OpenSSL 1.1
    "self-signed certificate in certificate chain": "no known authority has signed the server's certificate:"
    " give the authority's as --ca-file",
    "self signed certificate in certificate chain": "no known authority has signed the server's certificate:"
    " give the authority's as --ca-file",
    "unable to get local issuer certificate": "no known authority has signed the server's certificate, or the server"
    " leaves out an intermediate one: give the authority's as --ca-file",
    "unable to get issuer certificate": "the authority of --ca-file is itself signed by one that is not in the file",
    "Hostname mismatch": "the server's certificate is for another host: check --url",
    "IP address mismatch": "the server's certificate is for another host: check --url",
}
"""What OpenSSL says of a certificate, and what it means: the beginning of its ``verify_message``."""

HANDSHAKES = {
    "WRONG_VERSION_NUMBER": "no TLS is spoken at this port: give another port, or http:// in place of https://",
    "HTTP_REQUEST": "no TLS is spoken at this port: give another port, or http:// in place of https://",
    "CERTIFICATE_REQUIRED": "the server asks for a certificate: --client-cert",
    "BAD_CERTIFICATE": "the server does not accept our certificate: check --client-cert",
    "UNKNOWN_CA": "the server does not know the authority of our certificate: check --client-cert",
    "HANDSHAKE_FAILURE": "the server breaks the TLS handshake off: it may want a --client-cert",
    "PROTOCOL_VERSION": "the server speaks only versions of TLS that are no longer safe",
}
"""Parts of what OpenSSL calls its errors, and what they mean."""


def trouble(error: BaseException) -> Trouble:
    """Say what kept a request from its answer."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Trouble(_certificate(cause), lasting=True, unsent=True)
        if isinstance(cause, ssl.SSLError):
            known = (words for part, words in HANDSHAKES.items() if part in (cause.reason or ""))
            said = next(known, None)
            return Trouble(
                said or f"TLS: {printable(cause.reason or str(cause))}",
                lasting=said is not None,
                unsent=said is not None,
            )
        if isinstance(cause, socket.gaierror):
            return Trouble(f"its name cannot be resolved ({printable(cause.strerror or str(cause))}): check --url")
        if isinstance(cause, ConnectionRefusedError):
            return Trouble("connection refused: check that the server runs, and its port")
        if isinstance(cause, FileNotFoundError):
            return Trouble("there is no such socket: check --unix-socket", lasting=True)
        if isinstance(cause, PermissionError):
            return Trouble("the socket may not be used by this user: check --unix-socket", lasting=True)
    if isinstance(error, httpx.ProxyError):
        said = printable(str(error))
        if said.startswith("407"):
            return Trouble(
                "the proxy wants a user and a password: --proxy http://USER:PASSWORD@HOST", lasting=True, unsent=True
            )
        return Trouble(f"the proxy does not connect us: {said}", lasting=said.startswith("403"), unsent=True)
    if isinstance(error, httpx.ConnectTimeout):
        return Trouble("no connection in time: check --url, and firewalls")
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return Trouble("no answer in time (--request-timeout)")
    return Trouble(printable(str(error)) or type(error).__name__)


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    said = error.verify_message or str(error)
    # The longest, for one message begins as another does.
    words = max((key for key in CERTIFICATES if said.startswith(key)), key=len, default="")
    return CERTIFICATES.get(words) or f"the server's certificate is not accepted: {printable(said)}"


def _causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and what it came from: the library wraps what the system said twice."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found[::-1]
