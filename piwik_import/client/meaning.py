"""What the server's answer to hits means.

HTTP 200 does not mean recorded. A bulk request counts only if the status is 200, the body is JSON, its ``status`` is
``success`` and ``tracked + invalid`` is the number of hits sent; what is missing there is ``unknown``. A hit in a
request of its own is answered with an image, or with nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from piwik_import.client.answer import Answer, Failed, Recorded, Refused, TooLarge
from piwik_import.client.transport import Reply
from piwik_import.errors import printable

LATER = (408, 425, 429, 503)
"""Statuses by which a server says that it has not even begun with a request."""

DEBUG = "DEBUG: |Debug enabled"
"""What a tracker's account of itself is known by, as a regular expression."""

ADVICE = {
    "plain HTTP request was sent to HTTPS port": "the address is https://, not http://",
    "No required SSL certificate": "the server asks for a --client-cert",
    "SSL certificate error": "the server does not accept our certificate: check --client-cert",
    "This resource is part of (Matomo|Piwik)|free/libre web analytics": "the hits were lost on the way: a redirect or a"
    " proxy may drop the body of requests",
    DEBUG: "the tracker prints what it does in place of its counts: switch debug off under [Tracker]"
    " in its config.ini.php",
}
"""What some pages say, as regular expressions, and what is to be done then."""


def of_bulk(reply: Reply, sent: int, debug: bool = False) -> Answer:
    """Tell what the answer to a bulk request of `sent` hits means; where `debug` was asked for, counts may end it.

    Source: https://developer.matomo.org/api-reference/tracking-api#bulk-tracking
    """
    found = document(reply)
    if found is None and debug:
        found = _last(reply)
    answer = found if isinstance(found, dict) else {}
    if reply.status == 200 and answer.get("status") == "success":
        counted = _counted(answer, sent)
        if isinstance(counted, Recorded) and counted.rejected + counted.unknown:
            return replace(counted, said=shown(reply))
        return counted
    if reply.status >= 500 and reply.status not in LATER:
        # An error of the tracker itself says that its transaction was rolled back; one of a proxy says nothing. The
        # tracker's, with every hit counted, failed in the commit or after it: what came of that nobody can tell.
        tracked = answer.get("tracked") if answer.get("status") == "error" else None
        place = tracked if type(tracked) is int and 0 <= tracked <= sent else None
        rolled_back = place is not None and place < sent
        return _failed(reply, in_doubt=not rolled_back, rolled_back=rolled_back, tracked=place)
    if reply.status == 400 and not advice(reply):
        return Refused(
            f"{shown(reply)} is no answer of a tracker that takes bulk requests: check --url, and whether the server's"
            " plugin BulkTracking is active; --disable-bulk-tracking does without it"
        )
    if debug and reply.status == 200:
        return Refused(
            "the tracker tells what it does, but not what it recorded: to import, run without --debug-tracker",
            in_doubt=True,
        )
    return _other(reply)


def of_single(reply: Reply, debug: bool = False) -> Answer:
    """Tell what the answer to a hit in a request of its own means: an image or nothing is good, 400 a bad hit.

    Source: https://developer.matomo.org/api-reference/tracking-api, send_image
    """
    image = not reply.body or reply.body.startswith(b"GIF8") or (debug and re.search(DEBUG, reply.text[:4000]))
    if reply.status == 204 or (reply.status == 200 and image):
        return Recorded()
    if reply.status == 400 and not advice(reply):
        return Recorded(1, (0,), f"it is invalid ({shown(reply)})")
    if reply.status >= 500 and reply.status not in LATER:
        return _failed(reply, in_doubt=True)
    return _other(reply)


def _other(reply: Reply) -> Answer:
    """Tell what an answer means that is none of a tracker."""
    status = reply.status
    if status in LATER:
        return _failed(reply, in_doubt=False)
    if status == 413:
        return TooLarge(f"a request is too large for the server ({shown(reply)}): lower --recorder-max-payload-size")
    if 300 <= status < 400:
        target = printable(reply.hidden(reply.headers.get("Location", "nowhere")))
        return Refused(f"the server redirects ({status}) to {target}: the token does not go there unless you say so,"
                       " with that address as --url")  # fmt: skip
    if 400 <= status < 500:
        return Refused(
            f"{shown(reply)}: {advice(reply) or STATUSES.get(status, 'no answer of a tracker: check --url')}"
        )
    known = advice(reply)
    if known is not None:  # so the next try would end as this one, and may record the hits once more
        return Refused(f"{shown(reply)} is no answer of a tracker: {known}", in_doubt=True)
    hint = "check --url, and what stands before the server: a portal or a proxy"
    return Failed(f"{shown(reply)} is no answer of a tracker: {hint}", in_doubt=True, status=status)


STATUSES = {
    401: "the server, or what stands before it, wants a user and a password: --auth-user, --auth-password",
    403: "the server, or what stands before it, refuses us: check the token, and rules for our address",
    404: "there is no tracker at this address: check --url, or say --tracker-endpoint-path",
    407: "the proxy wants a user and a password: --proxy http://USER:PASSWORD@HOST",
}
"""What a status means where no page says it better."""


def _failed(reply: Reply, in_doubt: bool, rolled_back: bool = False, tracked: int | None = None) -> Failed:
    return Failed(
        f"the server says {shown(reply)}",
        in_doubt=in_doubt,
        retry_after=_retry_after(reply),
        status=reply.status,
        rolled_back=rolled_back,
        tracked=tracked,
    )


def _counted(answer: dict[str, Any], sent: int) -> Answer:
    """Read the counts of an answer that says success."""
    tracked, invalid = answer.get("tracked"), answer.get("invalid", 0)
    if (
        not isinstance(tracked, int)
        or not isinstance(invalid, int)
        or min(tracked, invalid, sent - tracked - invalid) < 0
    ):
        return Refused("the server counts other hits than it was sent: what it recorded is not known", in_doubt=True)
    if tracked + invalid == 0:
        return Refused(
            "the server answers success, but records nothing: its statistics are switched off (record_statistics under"
            " [Tracker] in its config.ini.php)",
            is_empty=True,
        )
    named = answer.get("invalid_indices")
    places = (
        tuple(place for place in named if type(place) is int and 0 <= place < sent) if isinstance(named, list) else ()
    )
    unknown = sent - tracked - invalid
    reason = ""
    if unknown:
        reason = f"{unknown} of them it neither recorded nor named"
    elif invalid:
        reason = "it is invalid" if places else "it calls them invalid"
    return Recorded(invalid, places if len(places) == invalid else (), reason, unknown)


def document(reply: Reply) -> Any:
    """Return what an answer says in JSON; None if it is no JSON."""
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        return None


def _last(reply: Reply) -> Any:
    """Return the JSON at the end of an answer that says other things before it."""
    try:
        return json.loads(reply.body[reply.body.rindex(b'{"status"') :])
    except (ValueError, RecursionError):
        return None


def shown(reply: Reply) -> str:
    """Show an answer in few words: status, type, first words."""
    kind = reply.headers.get("Content-Type", "no type").partition(";")[0]
    words = " ".join(reply.text[:400].split())
    return f"{reply.status} {printable(kind)}: {printable(words, 80)}" if words else f"{reply.status}, empty"


def advice(reply: Reply) -> str | None:
    """Return what is to be done about a page that we know."""
    return next((words for page, words in ADVICE.items() if re.search(page, reply.text[:4000])), None)


def _retry_after(reply: Reply) -> float | None:
    """Return the seconds that the server asks for, as a number or as a date."""
    text = reply.headers.get("Retry-After", "")
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None
