"""Lanes × client: every chunk is sent until its fate is known, or until it is clear that it will not be.

Each lane has one thread and one request in flight; when it may go out is a matter of `pace`. While the server is at
work on it, the lane's next chunk is made ready, so that little passes between an answer and the next request. Policy,
in one place:

    answer                  what happens
    Recorded                settled; hits that the server did not record are counted, kept as rejects, not sent again
    Refused                 everything stops: the token, the site or the address is wrong
    TooLarge                the same hits in two halves, and no larger requests from now on; a hit by itself is rejected
    Failed, rolled back     the tracker failed and took all back: the same again, and then in parts, until the hit is
                            found that it fails on while it takes others; that one is rejected. See below
    Failed, in doubt        it may have been recorded: the same again (`Policy.resend`), or left in doubt
    Failed                  the same again when the door opens, until patience or tries are used up: then all stops

Several hits that are all invalid are a refusal too, whenever it comes: a token loses its rights, a site is deleted.

A hit that has nothing to be compared with, the only one or one of several that all fail, is rejected if the Reporting
API says that the server works (`evidence`); else the server is waited for, and in the end it is left for another run. A
few hits are believed to be all invalid in the same way, once others were recorded.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic

from piwik_import.acknowledged import Acknowledged
from piwik_import.chunk import Chunk, Part
from piwik_import.client import Answer, Client, Failed, Recorded, Refused, TooLarge
from piwik_import.errors import PiwikImportError, RefusedError, UnavailableError
from piwik_import.evidence import Evidence
from piwik_import.lanes import Lanes
from piwik_import.pace import FIRST_PAUSE, Pace
from piwik_import.policy import Policy
from piwik_import.rejects import Rejects
from piwik_import.report import Report
from piwik_import.settlement import Settlement
from piwik_import.translate import Entry

QUIET = 0.2
"""Seconds without a chunk after which what was settled is written down, rather than along with the next."""

LEAST_BYTES = 1000
"""Bytes that every server takes: where fewer are too large, it is not because of them."""


class Delivery:
    """The threads that empty the lanes. `error` is why they gave up, if they did.

    `is_well` asks the server in another way whether it works, and knows the token.
    """

    def __init__(
        self,
        lanes: Lanes,
        client: Client,
        report: Report,
        policy: Policy,
        acknowledged: Acknowledged | None = None,
        rejects: Rejects | None = None,
        is_well: Callable[[], bool] = lambda: False,
    ) -> None:
        self.error: PiwikImportError | None = None
        self._lanes = lanes
        self._client = client
        self._report = report
        self._policy = policy
        self._acknowledged = acknowledged or Acknowledged(None, [], lanes)
        self._settlement = Settlement(report, rejects or Rejects(None), self._acknowledged)
        self._pace = Pace(policy)
        self._stopping = threading.Event()
        self._places_hold = True  # whether the tracker names the hit that it failed on
        self._evidence = Evidence(self._pace, is_well)
        lanes.chunk_size = self._pace.size
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"lane {lane}", daemon=True)
            for lane in range(len(lanes))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_welcome(self) -> bool:
        """Whether the server has recorded something."""
        return self._pace.successes > 0

    def wait_for_welcome(self, timeout: float) -> bool:
        """Wait until the server has recorded something; False if `timeout` seconds were not enough."""
        return self._pace.wait_for_success(timeout)

    def stop(self) -> None:
        """Let the requests in flight end, and send nothing more."""
        self._stopping.set()
        self._pace.stop()
        self._lanes.abandon()

    def join(self, timeout: float) -> bool:
        """Wait until every lane has ended; False if `timeout` seconds were not enough."""
        end = monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, lane: int) -> None:
        """Send one lane's chunks in their order."""
        try:
            chunk = self._next(lane)
            while chunk is not None:
                self._deliver(chunk)
                chunk = chunk.following or self._next(lane)
        finally:
            self._acknowledged.drop(lane)

    def _next(self, lane: int) -> Chunk | None:
        """Wait for the next chunk of a lane, with what was settled before safely written down."""
        entries = self._lanes.take(lane, QUIET)
        if entries == []:  # else what was settled is written down along with it
            try:
                self._acknowledged.flush()
            except PiwikImportError as error:
                self._give_up(error)
            entries = self._lanes.take(lane)
        return None if entries is None else self._chunk(lane, entries)

    def _chunk(self, lane: int, entries: list[Entry]) -> Chunk:
        return Chunk(lane, entries, self._policy.chunk_size, self._lanes.chunk_bytes)

    def _prepare(self, chunk: Chunk) -> None:
        """Make ready what follows a chunk, if it is there: encode it, and write it down."""
        if chunk.following is not None or not self.is_welcome or self._stopping.is_set():
            return
        start = monotonic()
        entries = self._lanes.take_ahead(chunk.lane)
        if entries is not None:
            chunk.following = following = self._chunk(chunk.lane, entries)
            with suppress(Exception):  # which is met again when it is sent: it must not cost this chunk its answer
                following.body = self._encoded(following.parts[0])
                following.is_prepared = self._acknowledged.prepare(chunk.lane, entries)
        chunk.away = monotonic() - start

    def _encoded(self, part: Part) -> bytes:
        return self._client.encode([entry.query for entry in part.entries])

    def _deliver(self, chunk: Chunk) -> None:
        """Send one chunk; if it cannot be settled, stop all lanes."""
        try:
            while chunk.parts and not self._stopping.is_set():
                self._send(chunk)
        except PiwikImportError as error:
            self._give_up(error)
        except BaseException as error:
            # Not its repr: that of a UnicodeEncodeError holds the whole body, and so the token.
            self._give_up(PiwikImportError(f"internal error: {type(error).__name__}: {error}"))
            raise
        finally:
            self._report.troubles.pop(chunk.lane, None)
            if chunk.parts:
                self._leave(chunk)
            else:
                self._settlement.done(chunk)
                if not chunk.tracked:
                    self._pace.shut()  # all lanes may have waited for it to be the first of its day
                self._lanes.done(chunk.lane)

    def _leave(self, chunk: Chunk) -> None:
        """Have a chunk counted that is not settled, even if the journal does not work any more."""
        try:
            self._settlement.leave(chunk)
        except PiwikImportError as error:
            self._give_up(error)

    def _give_up(self, error: PiwikImportError) -> None:
        self.error = self.error or error
        self.stop()

    def _send(self, chunk: Chunk) -> None:
        """Send the first part of a chunk once, and do what the answer asks for. Raises PiwikImportError."""
        if not chunk.is_begun and self._lanes.chunk_bytes < chunk.most_bytes:
            chunk.fit(self._lanes.chunk_bytes)  # what was taken before the server called a request too large
        part = chunk.parts[0]
        turn = self._pace.enter(len(part))
        if turn is None:
            return
        if not chunk.is_begun:
            self._acknowledged.begin(chunk.lane, chunk.entries, is_prepared=chunk.is_prepared)
            chunk.is_begun = True
        body, chunk.body = chunk.body or self._encoded(part), None
        self._report.sending(part.entries, retry=part.is_again)
        start, chunk.away = monotonic(), 0.0
        try:
            answer = self._judged(self._client.send(body, len(part), partial(self._prepare, chunk)), len(part))
        except PiwikImportError:  # the client cannot do what it is told: nothing was recorded
            raise
        except BaseException:
            part.in_doubt = True  # whatever it is that broke, the request may have been out
            raise
        finally:
            self._report.answered(part.entries)
        part.tries += 1
        part.is_again = True
        if isinstance(answer, Recorded):
            if answer.rejected + answer.unknown < len(part):
                self._pace.recorded(len(part), monotonic() - start - chunk.away)
                self._lanes.chunk_size = self._pace.size
            else:
                self._pace.answered()
            if part.is_named and not part.failures:
                self._places_hold = False
            self._settlement.record(chunk, answer)
        elif isinstance(answer, Failed):
            self._after_failure(chunk, part, answer, turn)
        elif isinstance(answer, TooLarge):
            self._pace.answered()
            self._after_too_large(chunk, part, answer)
        else:
            part.in_doubt |= answer.in_doubt
            raise RefusedError(f"{self._client.url}: {answer.reason}")

    def _judged(self, answer: Answer, sent: int) -> Answer:
        """Take it for a refusal if every hit is called invalid, unless they are few and others have been recorded.

        And for the loss of a hit if it is the only one, others were recorded, and the server counts none.
        """
        if isinstance(answer, Refused) and answer.is_empty and sent == 1 and self.is_welcome:
            return Recorded(reason="it neither recorded nor named it", unknown=1, said="success, and no hit counted")
        if not isinstance(answer, Recorded) or answer.rejected < sent:
            return answer
        if not self.is_welcome or (sent > 1 and not self._evidence.is_vouched(sent)):
            return Refused(
                "the server calls every hit invalid. Either the token is not that of a user with write access to the"
                " site (check --token-auth), or there is no such site (check --idsite)."
            )
        return answer

    def _after_too_large(self, chunk: Chunk, part: Part, answer: TooLarge) -> None:
        """Send no more bytes at once than the server may take; a hit that is too large by itself is rejected."""
        size = part.size
        if size < LEAST_BYTES:
            raise RefusedError(f"{self._client.url}: {answer.reason}; it takes not even {size} bytes")
        if len(part) == 1:
            self._settlement.reject(chunk, "it is too large by itself", answer.reason)
            return
        self._lanes.chunk_bytes = min(self._lanes.chunk_bytes, size // 2)
        chunk.halve(is_cut=False)

    def _after_failure(self, chunk: Chunk, part: Part, answer: Failed, turn: int) -> None:
        """Have a part sent again, in one way or another, or leave it. Raises UnavailableError when it is time to."""
        part.in_doubt |= answer.in_doubt
        if answer.rolled_back and answer.tracked is not None and answer.retry_after is None:
            self._after_rollback(chunk, part, answer, answer.tracked, turn)
            return
        if answer.in_doubt and not self._policy.resend:
            self._settlement.skip(chunk, answer.reason)
        self._wait_at_door(chunk, part, answer, turn)

    def _after_rollback(self, chunk: Chunk, part: Part, answer: Failed, place: int, turn: int) -> None:
        """Try again, and then in parts, until it is one hit that the tracker fails on."""
        part.failures += 1
        if part.failures == 1:
            part.seen = self._pace.successes
            if not part.is_cut:
                self._pace.clashed()
        if self._evidence.is_suspect(part):
            self._judge(chunk, part, answer, turn)
            return
        self._pace.answered()
        if self._evidence.is_to_cut(part):
            chunk.cut_out(place) if self._places_hold else chunk.halve()
        else:
            self._report.troubles[chunk.lane] = answer.reason
            self._stopping.wait(FIRST_PAUSE * part.failures * random.uniform(0.5, 1.0))

    def _judge(self, chunk: Chunk, part: Part, answer: Failed, turn: int) -> None:
        """Reject a suspect if it is not the server that fails, and try to find out."""
        if part.is_probe:
            chunk.restore()  # the suspect that it went before is not the only hit that the server fails on
        elif not self._evidence.is_against(part) and chunk.let_next_go_first():
            self._pace.answered()
            return
        suspect = chunk.parts[0]
        if self._evidence.is_against(suspect) or self._evidence.is_vouched():
            self._pace.answered()
            self._settlement.reject(chunk, "the tracker fails on this hit", answer.reason)
        else:
            self._wait_at_door(chunk, suspect, answer, turn)

    def _wait_at_door(self, chunk: Chunk, part: Part, answer: Failed, turn: int) -> None:
        """Close the door for a while. Raises UnavailableError if it is not to be opened again."""
        wait = None if answer.lasting else self._pace.failed(turn, answer.retry_after)
        if wait is None:
            raise UnavailableError(f"{self._client.url}: {answer.reason}. Gave up; tries: {part.tries}.")
        self._report.troubles[chunk.lane] = f"{answer.reason}; next try in {wait:.0f} s"
