"""The parameters of the Tracking HTTP API: what each is called, means and takes.

`PARAMETERS` is the whole API as a table, a row a parameter; the checks, the encoding and the documentation are read
from it. What a value must be is its `Kind`; what parameters need of each other is in `tracking`.

Source: https://developer.matomo.org/api-reference/tracking-api
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from piwik_import.kinds import (
    ADDRESS,
    BYTES,
    CHARSET,
    COOKIE,
    COUNT,
    COUNTRY,
    FLAG,
    HEX16,
    HOUR,
    ITEMS,
    LATITUDE,
    LONGITUDE,
    MILLISECONDS,
    MINUTE,
    MODE,
    MOMENT,
    MONEY,
    NAME,
    NOT_IN_BULK,
    OBJECT,
    ONE,
    ORDER,
    PAGE_VIEW,
    REGION,
    SECONDS,
    SECRET,
    SITE,
    SIZE,
    STATUS,
    TEXT,
    URL,
    VARIABLES,
    Kind,
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the Tracking API."""

    name: str
    kind: Kind
    meaning: str
    since: str = "Piwik 2"
    """The first server that knows it, as far as its documentation says; the table begins with Piwik 2."""
    needs_token: bool = False
    decides: bool = False
    """Whether it decides what the hit is, whose it is, or when: one that breaks its rule makes the hit invalid. Any
    other is left out, and the hit is sent without it."""

    @property
    def rule(self) -> str:
        """What a value must be, in words."""
        return self.kind.rule


TABLE: Mapping[str, tuple[Parameter, ...]] = {
    "Required or recommended": (
        Parameter("idsite", SITE, "the site's ID", decides=True),
        Parameter("rec", ONE, "record this request", decides=True),
        Parameter("url", URL, "the action's full URL", decides=True),
        Parameter("action_name", TEXT, "the page's title; slashes make categories"),
        Parameter("_id", HEX16, "the visitor's ID, which recognition may go by"),
        Parameter("rand", TEXT, "a random text against caches"),
        Parameter("r", TEXT, "as rand; the JavaScript tracker calls it so"),
        Parameter("apiv", ONE, "version of the API", decides=True),
    ),
    "The visitor": (
        Parameter("urlref", TEXT, "the referrer's full URL"),
        Parameter("_cvar", VARIABLES, "custom variables of the visit"),
        Parameter("_idvc", COUNT, "how many visits the visitor has made; counted by Matomo 4 itself"),
        Parameter("_viewts", SECONDS, "when the previous visit was; known to Matomo 4 itself"),
        Parameter("_idts", SECONDS, "when the first visit was; known to Matomo 4 itself"),
        Parameter("_idn", FLAG, "whether the visitor is new"),
        Parameter("_rcn", TEXT, "name of the campaign; since Matomo 4 of conversions alone"),
        Parameter("_rck", TEXT, "keyword of the campaign; since Matomo 4 of conversions alone"),
        Parameter("_ref", TEXT, "the referrer that a conversion is put down to"),
        Parameter("_refts", SECONDS, "when that referrer was seen"),
        Parameter("res", SIZE, "the screen's resolution"),
        Parameter("h", HOUR, "the visitor's local hour"),
        Parameter("m", MINUTE, "the visitor's local minute"),
        Parameter("s", MINUTE, "the visitor's local second"),
        Parameter("fla", FLAG, "has Flash"),
        Parameter("java", FLAG, "has Java"),
        Parameter("dir", FLAG, "has Director"),
        Parameter("qt", FLAG, "has QuickTime"),
        Parameter("realp", FLAG, "has RealPlayer"),
        Parameter("pdf", FLAG, "shows PDF"),
        Parameter("wma", FLAG, "has Windows Media"),
        Parameter("gears", FLAG, "has Gears"),
        Parameter("ag", FLAG, "has Silverlight"),
        Parameter("cookie", COOKIE, "takes cookies"),
        Parameter("ua", TEXT, "the user agent"),
        Parameter("uadata", OBJECT, "the browser's client hints", "Matomo 4.12"),
        Parameter("lang", TEXT, "the Accept-Language header"),
        Parameter("uid", NAME, "the user's ID: a login, an e-mail address"),
        Parameter("cid", HEX16, "the visitor's ID, enforced", decides=True),
        Parameter("new_visit", FLAG, "begin a new visit with this action"),
    ),
    "The action": (
        Parameter("cvar", VARIABLES, "custom variables of the page"),
        Parameter("link", URL, "an external URL that was opened", decides=True),
        Parameter("download", URL, "URL of a file that was downloaded", decides=True),
        Parameter("search", NAME, "the keyword of a site search", decides=True),
        Parameter("search_cat", TEXT, "category of the search"),
        Parameter("search_count", COUNT, "how many results the search had"),
        Parameter("idgoal", COUNT, "the goal that was reached; 0 for ecommerce", decides=True),
        Parameter("revenue", MONEY, "revenue of the goal, or grand total of the order"),
        Parameter("gt_ms", MILLISECONDS, "milliseconds to make the page; pf_srv since Matomo 4"),
        Parameter("cs", CHARSET, "the page's character set"),
        Parameter("pv_id", PAGE_VIEW, "six characters that tie the actions of one page view together", "Piwik 3"),
        Parameter("ca", FLAG, "a custom action, not a page view", "Matomo 4", decides=True),
        Parameter("ping", FLAG, "keep the visit alive, without an action", decides=True),
        Parameter("bw_bytes", BYTES, "bytes that were sent (Bandwidth plugin)", "Piwik 2.15"),
        Parameter("dimensionN", TEXT, "value of the custom dimension with ID N", "Piwik 2.15"),
    ),
    "Page performance": (
        Parameter("pf_net", MILLISECONDS, "milliseconds to connect", "Matomo 4"),
        Parameter("pf_srv", MILLISECONDS, "milliseconds that the server took", "Matomo 4"),
        Parameter("pf_tfr", MILLISECONDS, "milliseconds to transfer the answer", "Matomo 4"),
        Parameter("pf_dm1", MILLISECONDS, "milliseconds until the page could be used", "Matomo 4"),
        Parameter("pf_dm2", MILLISECONDS, "milliseconds until the page was complete", "Matomo 4"),
        Parameter("pf_onl", MILLISECONDS, "milliseconds that scripts ran on load", "Matomo 4"),
    ),
    "Events and content": (
        Parameter("e_c", NAME, "category of the event", decides=True),
        Parameter("e_a", NAME, "action of the event", decides=True),
        Parameter("e_n", TEXT, "name of the event"),
        Parameter("e_v", MONEY, "value of the event"),
        Parameter("c_n", NAME, "name of the content", decides=True),
        Parameter("c_p", TEXT, "the piece of content itself"),
        Parameter("c_t", TEXT, "target of the content"),
        Parameter("c_i", NAME, "what was done with the content", decides=True),
    ),
    "Ecommerce": (
        Parameter("ec_id", ORDER, "the order's ID; each is recorded once", decides=True),
        Parameter("ec_items", ITEMS, "items of the order or the cart", decides=True),
        Parameter("ec_st", MONEY, "sub total of the order, without shipping"),
        Parameter("ec_tx", MONEY, "tax"),
        Parameter("ec_sh", MONEY, "shipping"),
        Parameter("ec_dt", MONEY, "discount"),
        Parameter("_ects", SECONDS, "when the customer's last order was; known to Matomo 4 itself"),
        Parameter("_pks", TEXT, "SKU of the product on the page", "Matomo 4"),
        Parameter("_pkn", TEXT, "name of the product on the page", "Matomo 4"),
        Parameter("_pkc", TEXT, "category of the product or the page; JSON array for several", "Matomo 4"),
        Parameter("_pkp", MONEY, "price of the product on the page", "Matomo 4"),
    ),
    "With authentication only": (
        Parameter("token_auth", SECRET, "the token", decides=True),
        Parameter("cip", ADDRESS, "the visitor's address", needs_token=True, decides=True),
        Parameter(
            "cdt", MOMENT, "when it happened; without the token at most four hours ago", needs_token=True, decides=True
        ),
        Parameter(
            "cdo", COUNT, "seconds between the action and the request", "Matomo 4", needs_token=True, decides=True
        ),
        Parameter("country", COUNTRY, "the visitor's country", needs_token=True),
        Parameter("region", REGION, "the visitor's region: what follows the country in ISO 3166-2", needs_token=True),
        Parameter("city", TEXT, "the visitor's city", needs_token=True),
        Parameter("lat", LATITUDE, "the visitor's latitude", needs_token=True),
        Parameter("long", LONGITUDE, "the visitor's longitude", needs_token=True),
    ),
    "How the server works": (
        Parameter("send_image", NOT_IN_BULK, "0: answer 204 without an image", "Piwik 2.10", decides=True),
        Parameter("bots", FLAG, "record bots too, as visits"),
        Parameter("recMode", MODE, "1: record only bots, apart from visits; 2: bots and visits", "Matomo 5.7"),
        Parameter("http_status", STATUS, "what a bot was answered (with recMode)", "Matomo 5.7"),
        Parameter("source", TEXT, "what reports a bot (with recMode)", "Matomo 5.7"),
        Parameter("dp", FLAG, "do not look up the visitor's provider"),
        Parameter("queuedtracking", FLAG, "0: go past the queue (QueuedTracking plugin)", "Matomo 3"),
        Parameter("debug", FLAG, "answer with what was recorded, where the server allows it"),
    ),
    "Plugins of Matomo that trackers feed, for replay": (
        Parameter("ma_*", TEXT, "MediaAnalytics plugin", "Piwik 3"),
        Parameter("cra*", TEXT, "CrashAnalytics plugin", "Matomo 4", decides=True),
    ),
}
"""The rows by what they are about."""

PARAMETERS: Mapping[str, Parameter] = {row.name: row for rows in TABLE.values() for row in rows}

FAMILIES = {
    "dimensionN": re.compile("dimension[1-9][0-9]{0,2}"),
    "ma_*": re.compile("ma_[a-z]{1,3}"),
    "cra*": re.compile("cra(_[a-z]{2})?"),
}
"""Rows of `PARAMETERS` that stand for many names, and those names."""


def parameter(name: str) -> Parameter | None:
    """Return the row for `name`, be it one of a family as dimension3; None if the API has no such parameter."""
    for family, names in FAMILIES.items():
        if names.fullmatch(name):
            return replace(PARAMETERS[family], name=name)
    return None if name in FAMILIES else PARAMETERS.get(name)


def fault(name: str, text: str) -> str | None:
    """Return what a value has against the table; the parameters of single requests are let pass."""
    row = parameter(name)
    if row is None:
        return f"{name}: is no parameter of the Tracking API"
    try:
        good = row.kind in (SECRET, NOT_IN_BULK) or row.kind.accepts(text)
    except ValueError:
        good = False
    return None if good else f"{name}: must be {row.rule}"
