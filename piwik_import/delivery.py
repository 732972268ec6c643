"""Lanes × client: every chunk is sent until its fate is known, or until it is clear that it will not be.

Each lane has one thread and one request in flight. Policy, in one place:

    answer      what happens
    Recorded    the chunk is settled; rejected hits are counted, and not sent again
    Refused     everything stops: the token, the site or the address is wrong
    TooLarge    the same
    Failed      the same chunk again after a pause that doubles, until `Policy.retry_for` seconds have passed

Several hits that are all invalid are a refusal too, whenever it comes: a token loses its rights, a site is deleted.

The very first chunk goes alone. A server counts each bulk with a bad token as a failed login, and after some
twenty of them it shuts us out for an hour: one is enough to learn it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from time import monotonic

from piwik_import.acknowledged import Acknowledged
from piwik_import.client import Answer, Client, Failed, Recorded, Refused, TooLarge
from piwik_import.errors import PiwikImportError, RefusedError, UnavailableError
from piwik_import.lanes import Lanes
from piwik_import.policy import Policy
from piwik_import.report import Report
from piwik_import.translate import Entry

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0

QUIET = 0.2
"""Seconds without a chunk after which what was settled is written down, rather than along with the next."""


class Pauses:
    """How long to wait before each further try: ever longer, and never the same, or all lanes would return at once."""

    def __init__(self, patience: float) -> None:
        self._until = monotonic() + patience
        self._pause = FIRST_PAUSE

    def next(self, asked: float | None = None) -> float | None:
        """Return the seconds to wait, at least as many as were `asked` for; None if patience would not last."""
        wait = max(asked or 0.0, self._pause * random.uniform(0.5, 1.0))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return wait if monotonic() + wait <= self._until else None


class Delivery:
    """The threads that empty the lanes. `error` is why they gave up, if they did."""

    def __init__(
        self,
        lanes: Lanes,
        client: Client,
        report: Report,
        policy: Policy,
        acknowledged: Acknowledged | None = None,
    ) -> None:
        self.error: PiwikImportError | None = None
        self._lanes = lanes
        self._client = client
        self._report = report
        self._acknowledged = acknowledged or Acknowledged(None, [], lanes)
        self._policy = policy
        self._stopping = threading.Event()
        self._welcome = threading.Event()  # some chunk was recorded: the token is good
        self._first = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"lane {lane}", daemon=True)
            for lane in range(len(lanes))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the requests in flight end, and send nothing more."""
        self._stopping.set()
        self._lanes.abandon()

    def join(self, timeout: float) -> bool:
        """Wait until every lane has ended; False if `timeout` seconds were not enough."""
        end = monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, lane: int) -> None:
        """Send one lane's chunks in their order."""
        while (chunk := self._next(lane)) is not None:
            with self._first:  # one lane tries the door; the others wait behind it until it has given up, if it does
                alone = not self._welcome.is_set()
                if alone:
                    self._deliver(lane, chunk)
            if not alone:
                self._deliver(lane, chunk)

    def _next(self, lane: int) -> list[Entry] | None:
        """Wait for the next chunk of a lane, with what was settled before safely written down."""
        chunk = self._lanes.take(lane, QUIET)
        if chunk is None or chunk:
            return chunk  # and what was settled is written down along with it
        try:
            self._acknowledged.flush()
        except PiwikImportError as error:
            self._give_up(error)
        return self._lanes.take(lane)

    def _deliver(self, lane: int, chunk: Sequence[Entry]) -> None:
        """Send one chunk; if it cannot be settled, stop all lanes."""
        try:
            self._send(lane, chunk)
        except PiwikImportError as error:
            self._give_up(error)
        except BaseException as error:
            # Not its repr: that of a UnicodeEncodeError holds the whole body, and so the token.
            self._give_up(PiwikImportError(f"internal error: {type(error).__name__}: {error}"))
            raise

    def _give_up(self, error: PiwikImportError) -> None:
        self.error = self.error or error
        self.stop()

    def _send(self, lane: int, chunk: Sequence[Entry]) -> None:
        """Send one chunk until it is settled. Raises RefusedError, UnavailableError."""
        queries = [entry.query for entry in chunk]
        pauses, in_doubt, tries = Pauses(self._policy.retry_for), False, 0
        if self._stopping.is_set():
            return
        self._acknowledged.begin(lane, chunk)
        while not self._stopping.is_set():
            self._report.sending(chunk, retry=tries > 0)
            try:
                answer = self._judged(self._client.send(queries), len(chunk))
            finally:
                self._report.answered(chunk)
            tries += 1
            if isinstance(answer, Failed):
                in_doubt = in_doubt or answer.in_doubt
                wait = pauses.next(answer.retry_after)
                if wait is None:
                    self._leave(lane, chunk, in_doubt)
                    raise UnavailableError(f"{self._client.url}: {answer.reason}. Gave up; tries: {tries}.")
                self._report.troubles[lane] = f"{answer.reason}; next try in {wait:.0f} s"
                self._stopping.wait(wait)
                continue
            self._report.troubles.pop(lane, None)
            if isinstance(answer, Refused | TooLarge):
                self._leave(lane, chunk, in_doubt or (isinstance(answer, Refused) and answer.in_doubt))
                raise RefusedError(f"{self._client.url}: {answer.reason}")
            lost = answer.rejected + answer.unknown
            self._report.settle(chunk, lost, answer.reason, () if answer.unknown else answer.named)
            self._acknowledged.settle(lane, chunk, len(chunk) - lost)
            self._lanes.done(lane)
            self._welcome.set()
            if in_doubt:
                self._report.note(
                    f"sent again after an answer was lost, so the server may hold them twice: {self._named(chunk)}"
                )
            return
        self._leave(lane, chunk, in_doubt)

    def _judged(self, answer: Answer, sent: int) -> Answer:
        """Take it for a refusal if every hit is called invalid; of a single hit only if none was ever recorded."""
        refused = isinstance(answer, Recorded) and answer.rejected == sent
        if refused and (sent > 1 or not self._welcome.is_set()):
            return Refused(
                "the server calls every hit invalid. Either the token is not that of a user with write access to the"
                " site (check --token-auth), or there is no such site (check --idsite)."
            )
        return answer

    def _leave(self, lane: int, chunk: Sequence[Entry], in_doubt: bool) -> None:
        """Count a chunk that is not sent again in this run."""
        if in_doubt:
            self._report.doubt(chunk)
            self._report.note(f"in doubt: {self._named(chunk)}")
        else:
            self._acknowledged.withdraw(lane)

    def _named(self, chunk: Sequence[Entry]) -> str:
        """Name a chunk by its source and lines."""
        first, last = chunk[0], chunk[-1]
        return f"{self._report.sources[first.source].name}, lines {first.line} to {last.line} ({len(chunk)} hits)"
