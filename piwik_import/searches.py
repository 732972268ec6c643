"""Site searches, for servers that leave it to the client to see them: the keyword is in the query of the URL."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_plus

from piwik_import.memo import Memo
from piwik_import.tracking import SUBJECTS, Hit


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Parameters of the site's own URLs."""

    keywords: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class Searches:
    """Makes site searches of pages whose URL asks for something."""

    def __init__(self, settings: SearchSettings) -> None:
        self._keywords = [name.lower() for name in settings.keywords]
        self._categories = [name.lower() for name in settings.categories]
        self._found: Memo[str, dict[str, str]] = Memo(self._find)

    def __call__(self, query: str | None, hit: Hit) -> None:
        """Make `hit` a site search, if it is a page and `query` has a keyword."""
        if query and SUBJECTS.isdisjoint(hit):
            hit.update(self._found[query])

    def _find(self, query: str) -> dict[str, str]:
        """Return the parameters of a search; names are compared without case, as the server does."""
        asked: dict[str, str] = {}
        for part in query.split("&"):
            name, _, text = part.partition("=")
            asked.setdefault(_unquoted(name).lower(), _unquoted(text).strip())
        keyword = next((asked[name] for name in self._keywords if asked.get(name)), None)
        if keyword is None:
            return {}
        category = next((asked[name] for name in self._categories if asked.get(name)), None)
        return {"search": keyword} | ({} if category is None else {"search_cat": category})


def _unquoted(text: str) -> str:
    return unquote_plus(text, errors="surrogateescape")
