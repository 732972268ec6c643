"""Custom variables, of the visit (``_cvar``) and of the page (``cvar``): a number, a name and a value each.

A server has room for few, five if nobody changed that, and drops the others without a word. So each variable that was
asked for has a number of its own, the same in every hit; what is over the limit is not sent, and that is said.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from piwik_import.kinds import VARIABLES
from piwik_import.mapping import SURROGATES, Read, text_of
from piwik_import.tracking import Hit

LIMIT = 5
"""Custom variables that Piwik has room for in each scope, if nobody has changed that."""

SCOPES = {"_cvar": "visit", "cvar": "page"}


@dataclass(frozen=True, slots=True)
class VariableSettings:
    """Which variables there are: fields and names, in the order of their numbers from 1 on."""

    visit: tuple[tuple[str, str], ...] = ()
    page: tuple[tuple[str, str], ...] = ()
    status_and_bots: bool = False
    """Whether the first of the page is HTTP-code, and the first of the visit Bot or Not-Bot with the user agent."""
    limit: int = LIMIT

    @property
    def fields(self) -> set[str]:
        """Name the fields that are needed."""
        return {field for field, _ in (*self.visit, *self.page)}

    def excess(self) -> Iterator[str]:
        """Say what is over the limit."""
        for scope, wanted in (("visit", self.visit), ("page", self.page)):
            names = ["HTTP-code" if scope == "page" else "Bot"] * self.status_and_bots + [name for _, name in wanted]
            if over := names[self.limit :]:
                yield (
                    f"custom variables of the {scope}: the server has room for {self.limit}, so not sent: "
                    f"{', '.join(over)} (--custom-variable-limit)"
                )


class Variables:
    """Gives hits their custom variables."""

    def __init__(self, settings: VariableSettings, is_bot: Callable[[str], bool]) -> None:
        self._limit = settings.limit
        self._is_bot = is_bot
        self._both = settings.status_and_bots
        self._wanted = {"_cvar": settings.visit, "cvar": settings.page}
        self.over: Counter[tuple[str, str]] = Counter()
        """Variables of a mapped ``_cvar`` or ``cvar`` that were over the limit: parameter and number → hits."""

    def __call__(self, read: Read, hit: Hit) -> None:
        """Set the variables in `hit`; those that a mapping gave it keep the numbers that are free."""
        for parameter, wanted in self._wanted.items():
            ours = self._of(parameter, wanted, read)
            given = hit.get(parameter)
            if given is None and not ours:
                continue
            if given is not None:
                if not _is_good(given):
                    continue  # encode says what is wrong with it
                theirs = json.loads(str(given))
                for number in [number for number in theirs if int(number) > self._limit]:
                    self.over[parameter, number] += 1
                    del theirs[number]
                ours = theirs | ours
            if ours:
                hit[parameter] = json.dumps(ours, ensure_ascii=False, separators=(",", ":"))
            else:
                hit.pop(parameter, None)

    def _of(self, parameter: str, wanted: Sequence[tuple[str, str]], read: Read) -> Mapping[str, list[str]]:
        pairs = [(name, text_of(read(field))) for field, name in wanted]
        if self._both:
            agent = text_of(read("user_agent"))
            first = ("Bot" if self._is_bot(agent) else "Not-Bot", agent)
            pairs.insert(0, ("HTTP-code", text_of(read("status"))) if parameter == "cvar" else first)
        return {
            str(number): [name, SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)]
            for number, (name, text) in enumerate(pairs[: self._limit], 1)
            if text
        }


def _is_good(given: object) -> bool:
    try:
        return bool(VARIABLES.accepts(str(given)))
    except ValueError:
        return False
