"""How the server is reached: what the user says about it, in plain data. `client` makes the connection.

What is secret is left out of the repr, which ends up in tracebacks and test reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TRACKER = "/piwik.php"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The way to one server."""

    url: str
    """The server as the user wrote it: see `address.tracker_url`."""
    token: str | None = field(default=None, repr=False)
    request_timeout: float = 300.0
    """Seconds that a request may take from its beginning to the last byte of the answer."""
    tracker_path: str = TRACKER
    """Where the tracker is below `url`, if that names no script."""
    unix_socket: Path | None = None
    """The socket to connect to in place of the host's."""
    proxy: str | None = field(default=None, repr=False)
    """URL of a proxy, with its password; None takes the environment's."""
    ca_file: Path | None = None
    """Certificates to trust in place of the system's."""
    client_cert: Path | None = None
    client_key: Path | None = None
    """Key of `client_cert`; None if it is in the same file."""
    insecure: bool = False
    """Whether any certificate will do."""
    auth_user: str | None = None
    auth_password: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers of every request."""
    bulk: bool = True
    """Whether hits travel many in a request, or each in its own."""
    suffix: str = ""
    """What to add to the query of every URL."""
    debug: bool = False
    """Whether to ask the tracker what it does, and to show it."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, not even if the server says it."""
        proxy = (self.proxy or "").rpartition("@")[0].rpartition(":")[2]
        headers = [text for name, text in self.headers.items() if name.lower() in ("authorization", "cookie")]
        return tuple(secret for secret in (self.token, self.auth_password, proxy, *headers) if secret)
