"""A tracking server that reads what it is sent, counts the hits and records nothing.

The bench wants to know what an importer costs, so the server must cost little: one process, one thread, and a
bulk request is counted by looking for the beginnings of its items, not by parsing them. It answers as Matomo
does, keeps connections open, and knows the few calls that importers make before they begin: that of Piwik and
Matomo (SitesManager.getSiteFromId) and those of Piwik PRO (an OAuth token, an app). ``GET /count`` tells what
has come since it was last asked, so that the bench can check that each importer really sent its hits.

    python bench/reading_server.py      prints the address it listens on: a free port of 127.0.0.1
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter

SITE = {"idsite": 1, "name": "bench", "main_url": "http://www.example.org", "timezone": "UTC"}
TOKEN = {"token_type": "Bearer", "access_token": "bench", "expires_in": 86_400}
APP = {"data": {"id": "1", "attributes": {"urls": [SITE["main_url"]]}}}


class Reader(asyncio.Protocol):
    """One connection: requests in, answers out, in order."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self.received = bytearray()
        self.length = 0
        """Bytes of the request at the front of `received`; 0 while its head is not complete."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while self.complete():
            request = bytes(self.received[: self.length])
            del self.received[: self.length]
            self.length = 0
            self.answer(request)

    def complete(self) -> bool:
        """Learn from the head of the next request how long it is; say whether all of it is here."""
        if not self.length:
            head, end, _ = bytes(self.received[:65_536]).partition(b"\r\n\r\n")
            if not end:
                return False
            _, _, after = head.lower().partition(b"\r\ncontent-length:")
            self.length = len(head) + len(end) + int(after.split(b"\r\n", 1)[0] or 0)
        return len(self.received) >= self.length

    def answer(self, request: bytes) -> None:
        """Answer a whole request, and hang up if its sender wanted that."""
        head, _, body = request.partition(b"\r\n\r\n")
        content = json.dumps(self.content(head.split(b" ", 2)[1], body)).encode()
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(content), content)
        )
        if b"\r\nconnection: close" in head.lower():
            self.transport.close()

    def content(self, target: bytes, body: bytes) -> object:
        """Say what a call wants to hear."""
        if target == b"/count":
            counts = dict(self.counts)
            self.counts.clear()
            return counts
        if target.startswith(b"/auth/token"):
            return TOKEN
        if target.startswith(b"/api/apps/"):
            return APP
        if target.startswith(b"/index.php"):
            return SITE
        # A hit is a string that begins with ?, or (from the peer) an object with a "rec". Neither can stand
        # inside a value: there a quote is escaped.
        hits = body.count(b'"?') or body.count(b'"rec"')
        self.counts += Counter(hits=hits, bulks=1, bytes=len(body))
        return {"status": "success", "tracked": hits, "invalid": 0, "invalid_indices": []}


async def serve() -> None:
    """Listen until killed."""
    counts: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Reader(counts), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
