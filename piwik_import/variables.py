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
from piwik_import.memo import Memo
from piwik_import.tracking import Hit

LIMIT = 5
"""Custom variables that Piwik has room for in each scope, if nobody has changed that."""


@dataclass(frozen=True, slots=True)
class VariableSettings:
    """Which variables there are: fields and names, in the order of their numbers from 1 on."""

    visit: tuple[tuple[str, str], ...] = ()
    page: tuple[tuple[str, str], ...] = ()
    status_and_bots: bool = False
    """Whether the first of the page is HTTP-code, and the first of the visit Bot or Not-Bot with the user agent."""
    limit: int = LIMIT

    @property
    def wanted(self) -> bool:
        """Whether there are any."""
        return bool(self.visit or self.page or self.status_and_bots)

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
        self._scopes = [
            self._scope("_cvar", "user_agent" if settings.status_and_bots else None, settings.visit),
            self._scope("cvar", "status" if settings.status_and_bots else None, settings.page),
        ]
        self.over: Counter[tuple[str, str]] = Counter()
        """Variables of a mapped ``_cvar`` or ``cvar`` that were over the limit: parameter and number → hits."""

    def __call__(self, read: Read, hit: Hit) -> None:
        """Set the variables in `hit`; those that a mapping gave it keep the numbers that are free."""
        for parameter, fields, memo in self._scopes:
            ours = memo[tuple([text_of(read(field)) for field in fields])] if fields else ""
            if parameter in hit:
                ours = self._merged(parameter, hit.pop(parameter), ours)
            if ours:
                hit[parameter] = ours

    def _scope(
        self, parameter: str, first: str | None, wanted: Sequence[tuple[str, str]]
    ) -> tuple[str, list[str], Memo[tuple[str, ...], str]]:
        """Return the parameter of a scope, the fields it needs, and the memo of their texts → its JSON."""
        fields = ([first] if first else []) + [field for field, _ in wanted]
        labels = ([""] if first else []) + [name for _, name in wanted]

        def written(texts: tuple[str, ...]) -> str:
            ours = {
                str(number): [label or self._label(parameter, text), SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)]
                for number, (label, text) in enumerate(zip(labels, texts, strict=False), 1)
                if text
            }
            return _json(ours) if ours else ""

        return parameter, fields[: self._limit], Memo(written)

    def _label(self, parameter: str, text: str) -> str:
        """Return the name of the first variable of a scope, as Piwik's importer calls it."""
        if parameter == "cvar":
            return "HTTP-code"
        return "Bot" if self._is_bot(text) else "Not-Bot"

    def _merged(self, parameter: str, given: object, ours: str) -> str:
        """Return `ours` and those of the `given` ones whose numbers are free and within the limit."""
        if not _is_good(given):
            return str(given)  # encode says what is wrong with it
        theirs = json.loads(str(given))
        for number in [number for number in theirs if int(number) > self._limit]:
            self.over[parameter, number] += 1
            del theirs[number]
        both = theirs | (json.loads(ours) if ours else {})
        return _json(both) if both else ""


def _json(variables: Mapping[str, object]) -> str:
    return json.dumps(variables, ensure_ascii=False, separators=(",", ":"))


def _is_good(given: object) -> bool:
    try:
        return bool(VARIABLES.accepts(str(given)))
    except ValueError:
        return False
