"""Write an Apache combined log of a shop that never existed, the same for the same seed.

An importer's speed hangs on how much of a log it has seen before: the same second, user agent, page and
referrer. So the log comes about as a real one does: visitors, each with one address and one user agent, come
in sessions through the hours of a day, read pages whose popularity follows Zipf's law and fetch the files that
those pages need; bots crawl and scanners probe among them. Nothing is copied from a real log; all addresses
are of the ranges kept for documentation and benchmarks.

    python bench/make_log.py 1000000 access.log
    python bench/make_log.py 2000 tests/data/sample.log --days 3 --seed 3
"""

from __future__ import annotations

import argparse
import heapq
import random
import time
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, count, islice, product
from pathlib import Path

SITE = "http://www.example.org"
START = 1_794_438_000  # 2026-11-12 00:00 +0100, a Thursday
DAY = 86_400

HOURS = (2, 1, 1, 1, 1, 2, 4, 8, 12, 14, 14, 13, 13, 14, 14, 13, 12, 12, 13, 15, 17, 15, 9, 5)
"""Weight of each hour of the day: a quiet night, a busy evening."""

LINES_A_SESSION = 10.35
"""Measured mean; it turns the wanted number of lines a day into a number of sessions a day."""

SESSIONS_A_VISITOR = 4
"""A day. At 200,000 lines a day that makes 5,000 visitors."""

# -- what there is to see ---------------------------------------------------------------------------------------

MATERIALS = ("oak", "pine", "walnut", "steel", "brass", "linen", "wool", "felt", "glass", "clay", "cork", "slate")
THINGS = ("table", "chair", "lamp", "shelf", "bowl", "vase", "rug", "mirror", "clock", "basket", "stool", "tray")
TOPICS = ("care", "repair", "colours", "small-rooms", "lighting", "storage", "workshop", "interview", "gifts", "news")
CATEGORIES = ("living", "kitchen", "bedroom", "office", "garden", "kids", "sale", "new")
WORDS = ("oak+table", "lamp", "k%C3%BCche", "wool%20rug", "clock", "gr%C3%BCner+stuhl", "mirror+60cm", "shelf", "gift")
IMAGES = ("png", "jpg", "jpg", "webp", "svg", "gif")

PAGES = [
    "/",
    *(f"/{category}/" for category in CATEGORIES),
    "/search",
    "/cart",
    "/about.html",
    "/contact.php",
    *(f"/blog/2026/{m:02}/{topic}-{n}" for m, topic, n in product(range(1, 11), TOPICS, range(4))),
    *(f"/docs/{topic}/{n}.html" for topic, n in product(TOPICS, range(12))),
    *(f"/shop/{m}-{t}-{n}" for n, m, t in product(range(16), MATERIALS, THINGS)),
]
ASSETS = [
    "/assets/site.7f3a1c.css",
    "/assets/app.91be04.js",
    "/assets/vendor.c0ffee.js",
    "/assets/inter.woff2",
    "/favicon.ico",
    "/assets/print.css",
    "/assets/logo.svg",
    "/assets/icons.woff2",
]
PICTURES = [f"/img/{m}-{t}-{n}.{IMAGES[n % len(IMAGES)]}" for n, m, t in product(range(14), MATERIALS, THINGS)]
DOWNLOADS = [
    "/downloads/catalogue-2026.pdf",
    "/downloads/price-list.pdf",
    *(f"/downloads/assembly-{t}.pdf" for t in THINGS),
    "/downloads/room-planner-3.2.zip",
    "/downloads/textures.zip",
]
MOVED = ["/shop", "/blog", "/index.html", "/kitchen", "/garden", "/news.php?id=17"]
GONE = [
    "/shop/teak-table-1",
    "/img/missing.html",
    "/blog/2019/05/old",
    "/wp-login.php",
    "/.env",
    "/admin/",
    "/xmlrpc.php",
]
ELSEWHERE = [
    "https://www.google.com/",
    "https://www.google.com/",
    "https://www.bing.com/",
    "https://duckduckgo.com/",
    "https://www.bing.com/search?q=oak+table",
    "https://search.yahoo.com/search?p=linen+lamp",
    "https://www.ecosia.org/",
    "http://forum.example.net/viewtopic.php?t=2204",
    "https://news.example.com/home/ten-small-shops",
    "android-app://com.google.android.gm/",
]
CAMPAIGNS = (
    "?utm_source=newsletter&utm_medium=email&utm_campaign=autumn",
    "?utm_source=ads&utm_medium=cpc",
    "?ref=forum",
)
USERS = ("anna", "ben", "carla.m", "d.fischer", "eva", "frank", "gita", "hugo@example.org", "ines", "jan")

# -- who comes ----------------------------------------------------------------------------------------------------

DESKTOPS = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "X11; CrOS x86_64 14541.0.0",
)
PHONES = (
    "SM-S921B",
    "SM-A546B",
    "Pixel 8",
    "Pixel 7a",
    "2201117TG",
    "CPH2467",
    "moto g84 5G",
    "SM-G991B",
    "V2250",
    "K",
)
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"

BROWSERS = [
    *(f"Mozilla/5.0 ({d}) {WEBKIT} Chrome/{v}.0.0.0 Safari/537.36" for v, d in product(range(120, 144), DESKTOPS)),
    *(f"Mozilla/5.0 ({DESKTOPS[0]}) {WEBKIT} Chrome/{v}.0.0.0 Safari/537.36 Edg/{v}.0.0.0" for v in range(126, 144)),
    *(f"Mozilla/5.0 ({d}; rv:{v}.0) Gecko/20100101 Firefox/{v}.0" for v, d in product(range(125, 146), DESKTOPS[:3])),
    *(
        f"Mozilla/5.0 ({DESKTOPS[1]}) {APPLE} Version/{a}.{b} Safari/605.1.15"
        for a, b in product((17, 18, 26), range(6))
    ),
    *(
        f"Mozilla/5.0 (iPhone; CPU iPhone OS {a}_{b} like Mac OS X) {APPLE} Version/{a}.{b} Mobile/15E148 Safari/604.1"
        for a, b in product((16, 17, 18, 26), range(7))
    ),
    *(
        f"Mozilla/5.0 (Linux; Android {a}; {phone}) {WEBKIT} Chrome/{v}.0.0.0 Mobile Safari/537.36"
        for a, phone, v in product((13, 14, 15), PHONES, (138, 140, 141, 142))
    ),
]
BOTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
    f"Mozilla/5.0 {WEBKIT}; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; MJ12bot/v1.4.8; http://mj12bot.com/)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "Mozilla/5.0 (compatible; DotBot/1.2; +https://opensiteexplorer.org/dotbot; help@moz.com)",
    "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
    "CCBot/2.0 (https://commoncrawl.org/faq/)",
    "Mozilla/5.0 (compatible; SeznamBot/4.0; +http://napoveda.seznam.cz/seznambot-intro/)",
]
SCANNERS = ["-", BROWSERS[0], "Mozilla/5.0", "Go-http-client/1.1"]

GARBAGE = [
    ('"-"', 408, "-"),
    ('"-"', 408, "-"),
    (r'"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"', 400, "226"),
    ('"CONNECT mail.example.net:443 HTTP/1.1"', 405, "224"),
    ('"OPTIONS * HTTP/1.0"', 200, "126"),
    (r'"GET /shop/caf\xe9-table HTTP/1.1"', 404, "1017"),
]


@dataclass(slots=True)
class Visitor:
    """Someone or something with an address."""

    ip: str
    user: str
    agent: str
    bot: bool = False
    cached: bool = False
    """Was here before, so its browser holds the style sheets and scripts."""


@dataclass(order=True, slots=True)
class Session:
    """A visit under way; ordered by the time of its next page."""

    due: float
    number: int
    visitor: Visitor = field(compare=False)
    pages: int = field(compare=False)
    referrer: str = field(compare=False)


def zipf(rng: random.Random, population: Sequence[str]) -> Callable[[], str]:
    """Return a function that draws: the k-th of the population is 1/k as likely as the first."""
    limits = list(accumulate(1 / k for k in range(1, len(population) + 1)))
    last = len(limits) - 1
    return lambda: population[bisect(limits, rng.random() * limits[-1], 0, last)]


@lru_cache(maxsize=64)
def stamp(second: int) -> str:
    """Return a Unix time as Apache writes it, in the zone +0100."""
    return time.strftime("%d/%b/%Y:%H:%M:%S +0100", time.gmtime(second + 3600))


class Shop:
    """A web server's day after day, line by line."""

    def __init__(self, seed: int, lines_a_day: float) -> None:
        self.rng = rng = random.Random(seed)
        self.sessions_a_day = lines_a_day / LINES_A_SESSION
        agents = rng.sample(BROWSERS, len(BROWSERS))
        self.page = zipf(rng, [*PAGES[:12], *rng.sample(PAGES[12:], len(PAGES) - 12)])
        self.picture = zipf(rng, rng.sample(PICTURES, len(PICTURES)))
        self.agent = zipf(rng, agents)
        self.bots = [self.visitor(agent, bot=True) for agent in BOTS for _ in range(4)]
        self.visitors: list[Visitor] = []
        self.users = iter(f"{USERS[n % len(USERS)]}{n // len(USERS) or ''}" for n in count())

    def lines(self) -> Iterator[str]:
        """Yield lines for ever, in the order of time."""
        waiting: list[Session] = []
        for arrival in self.arrivals():
            while waiting and waiting[0].due <= arrival.due:
                session = heapq.heappop(waiting)
                yield from self.view(session)
                if session.pages:
                    heapq.heappush(waiting, session)
            heapq.heappush(waiting, arrival)

    def arrivals(self) -> Iterator[Session]:
        """Yield each session as it begins: at random, more in busy hours."""
        rng, now, day = self.rng, float(START), -1
        rates = [self.sessions_a_day * weight / sum(HOURS) / 3600 for weight in HOURS]
        for number in count():
            if (now - START) // DAY > day:
                day += 1
                self.new_day()
            now += rng.expovariate(rates[int((now - START) % DAY // 3600)])
            if rng.random() < 0.08:
                yield Session(now, number, rng.choice(self.bots), 1 + int(rng.expovariate(1 / 10)), "-")
            else:
                referrer = rng.choice(ELSEWHERE) if rng.random() < 0.45 else "-"
                pages = 1 + int(rng.expovariate(1 / 5))
                yield Session(now, number, rng.choice(self.visitors), pages, referrer)

    def new_day(self) -> None:
        """Keep a third of yesterday's visitors and find new ones."""
        wanted = max(60, int(self.sessions_a_day / SESSIONS_A_VISITOR))
        kept = self.rng.sample(self.visitors, len(self.visitors) // 3)
        self.visitors = kept + [self.visitor(self.agent()) for _ in range(wanted - len(kept))]

    def visitor(self, agent: str, *, bot: bool = False) -> Visitor:
        """Return someone new: 4 % have an IPv6 address, 5 % log in."""
        rng = self.rng
        if rng.random() < 0.04:
            ip = f"2001:db8:{rng.randrange(65536):x}:{rng.randrange(65536):x}::{rng.randrange(1, 65536):x}"
        else:
            ip = f"198.{rng.randrange(18, 20)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        user = next(self.users) if not bot and rng.random() < 0.05 else "-"
        return Visitor(ip, user, agent, bot)

    def view(self, session: Session) -> Iterator[str]:
        """Yield the lines of a session's next page, and say in the session when the one after it is due."""
        rng, visitor, when = self.rng, session.visitor, stamp(int(session.due))
        head = f"{visitor.ip} - {visitor.user} [{when}]"
        target, status, length = self.target(visitor)
        method = "GET" if status == 302 or rng.random() < 0.985 else rng.choice(("POST", "HEAD"))
        tail = f'"{session.referrer}" "{visitor.agent}"\n'
        yield f'{head} "{method} {target} HTTP/1.1" {status} {length} {tail}'
        session.pages -= 1
        if visitor.bot:
            session.due += 1 + rng.expovariate(1 / 4)
            return
        if status == 200 and not target.startswith("/downloads/"):
            session.referrer = SITE + target
            yield from self.files(head, session)
        session.due += 3 + rng.expovariate(1 / 45)
        if rng.random() < 0.02:
            yield from self.noise(when)

    def target(self, visitor: Visitor) -> tuple[str, int, int | str]:
        """Choose what is asked for and how the server answers: target, status, bytes."""
        rng = self.rng
        chance = rng.random()
        if chance < 0.92:
            return self.with_query(self.page()), 200, rng.randrange(4_000, 90_000)
        if chance < 0.945 and not visitor.bot:
            return rng.choice(DOWNLOADS), 200, rng.randrange(200_000, 9_000_000)
        if chance < 0.973:
            return rng.choice(MOVED), rng.choice((301, 301, 302)), 243
        if chance < 0.98:
            return self.page(), 304, "-"
        return (rng.choice(GONE), 404, 1017) if chance < 0.997 else (self.page(), rng.choice((403, 500, 503)), 611)

    def with_query(self, path: str) -> str:
        """Give a page the query strings that such a page has."""
        rng = self.rng
        if path == "/search":
            return f"{path}?q={rng.choice(WORDS)}&page={rng.randrange(1, 9)}"
        chance = rng.random()
        if chance < 0.10:
            return path + rng.choice(CAMPAIGNS)
        if chance < 0.12:
            return f"{path}?gclid={rng.getrandbits(96):024x}"
        if chance < 0.20:
            return f"{path}?page={rng.randrange(2, 30)}&sort=price"
        return path

    def files(self, head: str, session: Session) -> Iterator[str]:
        """Yield the style sheets, scripts, fonts and pictures that a page needs."""
        rng, visitor = self.rng, session.visitor
        tail = f'"{session.referrer}" "{visitor.agent}"\n'
        if not visitor.cached:
            visitor.cached = True
            for number, path in enumerate(ASSETS):
                yield f'{head} "GET {path} HTTP/1.1" 200 {3_911 * number + 1_150} {tail}'
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            status = "304 -" if rng.random() < 0.25 else f"200 {rng.randrange(2_000, 300_000)}"
            yield f'{head} "GET {self.picture()} HTTP/1.1" {status} {tail}'

    def noise(self, when: str) -> Iterator[str]:
        """Yield what strangers do who want no page: idle connections, TLS to a plain port, scanners."""
        rng = self.rng
        head = f"203.0.113.{rng.randrange(1, 255)} - - [{when}]"
        if rng.random() < 0.3:
            request, status, length = rng.choice(GARBAGE)
            yield f'{head} {request} {status} {length} "-" "-"\n'
        else:
            agent = rng.choice(SCANNERS)
            for path in rng.sample(GONE, 3):
                yield f'{head} "GET {path} HTTP/1.1" 404 1017 "-" "{agent}"\n'


def main() -> None:
    """Write as many lines as are asked for."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("lines", type=int, nargs="?", default=1_000_000)
    options.add_argument("file", type=Path)
    options.add_argument("--days", type=int, default=5, help="over how many days the lines are spread")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    shop = Shop(chosen.seed, chosen.lines / chosen.days)
    with chosen.file.open("w", encoding="ascii", newline="\n") as file:
        file.writelines(islice(shop.lines(), chosen.lines))


if __name__ == "__main__":
    main()
