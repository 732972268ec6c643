"""Which records are left out, why, and what brings them in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations

import pytest

from piwik_import.filters import REASONS, STATIC, Filters, FilterSettings, extension, is_bot, is_static
from piwik_import.hits import DOWNLOADS
from piwik_import.parsers.record import Record
from piwik_import.parsers.request import from_line

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
NONE = FilterSettings()
ALL = FilterSettings(bots=True, static=True, errors=True, redirects=True)
ENABLED = {"bot": "bots", "static": "static", "error": "errors", "redirect": "redirects"}


def record(request: str = "GET / HTTP/1.1", status: int | None = 200, agent: str | None = BROWSER, host=None) -> Record:
    return Record("192.0.2.1", datetime(2020, 10, 10, tzinfo=UTC), from_line(request), status, None, None, agent, host)


LEFT_OUT = {
    "bot": record(agent=BOT),
    "static": record("GET /style.css HTTP/1.1"),
    "error": record(status=404),
    "redirect": record(status=301),
    "empty_request": record("-", status=408),
    "garbage_request": record("\x16\x03\x01", status=400),
    "connect": record("CONNECT example.org:443 HTTP/1.1", status=405),
    "asterisk": record("OPTIONS * HTTP/1.0"),
    "proxy": record("GET http://azenv.example/ HTTP/1.1"),
}


@pytest.mark.parametrize(("reason", "what"), LEFT_OUT.items(), ids=LEFT_OUT)
def test_a_record_is_left_out_for_its_reason(reason, what):
    assert Filters(NONE)(what) == reason
    assert reason in REASONS


@pytest.mark.parametrize(("reason", "what"), LEFT_OUT.items(), ids=LEFT_OUT)
def test_its_option_and_no_other_brings_a_record_in(reason, what):
    option = ENABLED.get(reason)
    assert Filters(ALL)(what) == (None if option else reason)
    if option:
        assert Filters(replace(NONE, **{option: True}))(what) is None
        assert Filters(replace(ALL, **{option: False}))(what) == reason


def test_every_reason_is_known_and_the_ones_with_an_option_name_it():
    calls = {"identify", "group", "integrations"}  # see test_segment
    trackers = {"not_tracker", "not_recorded", "no_body"}  # of --replay-tracking alone
    # The last three are no records.
    assert {*REASONS} == {*LEFT_OUT, *calls, *trackers, "blank", "header", "other"}
    assert [reason for reason, text in REASONS.items() if "--enable-" in text] == [*ENABLED]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *((status, None) for status in (None, 0, 101, 200, 206, 299, 304)),
        *((status, "redirect") for status in (300, 301, 303, 308, 399)),
        *((status, "error") for status in (400, 401, 404, 499, 500, 599, 999)),
    ],
)
def test_a_status_decides_what_is_an_error_and_what_a_redirect(status, reason):
    assert Filters(NONE)(record(status=status)) == reason


def test_what_a_page_is_goes_before_what_became_of_it_and_who_asked():
    everything = record("GET http://azenv.example/a.css HTTP/1.1", 404, BOT)
    assert Filters(NONE)(everything) == "proxy"
    everything = everything._replace(request=from_line("GET /a.css HTTP/1.1"))
    reasons = []
    for number in range(4):
        settings = replace(NONE, **dict.fromkeys(("errors", "static", "bots")[:number], True))
        reasons.append(Filters(settings)(everything))
    assert reasons == ["error", "static", "bot", None]
    assert Filters(NONE)(everything._replace(request=from_line("-"))) == "empty_request"


def test_the_same_record_gets_the_same_answer_again():
    filters = Filters(NONE)
    for first, second in combinations(LEFT_OUT.values(), 2):
        assert [filters(first), filters(second)] == [Filters(NONE)(first), Filters(NONE)(second)]


PROXY = {
    "without www": ("http://example.org/", "www.example.org", None),
    "with www": ("http://www.example.org/", "example.org", None),
    "another host": ("http://azenv.example/", "example.org", "proxy"),
    "the same host": ("http://example.org/a", "example.org", None),
    "the same host, port and capitals": ("HTTPS://Example.ORG:8443/a", "example.org:443", None),
    "the same host with a dot at its end": ("http://example.org./a", "example.org", None),
    "the same IPv6 address": ("http://[2001:db8::1]:80/", "[2001:db8::1]:80", None),
    "a port beside the scheme": ("https://example.org:8443/", "https://example.org:8443", None),
    "an IPv6 address, a port beside the scheme": ("http://[2001:db8::1]:8080/", "http://[2001:db8::1]:8080", None),
    "another host, a port beside the scheme": ("http://azenv.example/", "https://example.org:8443", "proxy"),
    "another IPv6 address": ("http://[2001:db8::2]/", "[2001:db8::1]", "proxy"),
    "a user's name": ("http://jane:x@example.org/", "example.org", None),
    "the host as a user's name": ("http://example.org@azenv.example/", "example.org", "proxy"),
    "brackets that hold no address": ("http://[x/", "example.org", "proxy"),
    "no host": ("http:///a", "example.org", "proxy"),
    "no host anywhere": ("http:///a", None, "proxy"),
    "unknown host": ("http://example.org/", None, "proxy"),
}


@pytest.mark.parametrize(("target", "host", "reason"), PROXY.values(), ids=PROXY)
def test_an_absolute_target_is_for_us_only_if_it_names_the_logged_host(target, host, reason):
    assert Filters(ALL)(record(f"GET {target} HTTP/1.1", host=host)) == reason


def test_an_absolute_target_is_for_us_if_it_names_the_host_of_the_base_url():
    filters = Filters(FilterSettings(base_url="https://Example.org:8443/shop/"))
    assert filters(record("GET http://example.org/a HTTP/1.1")) is None
    assert filters(record("GET http://azenv.example/a HTTP/1.1")) == "proxy"
    assert filters(record("GET http://example.org/a HTTP/1.1", host="other.example")) == "proxy"
    assert filters(record("GET http://example.org/a.css HTTP/1.1")) == "static"


EXTENSIONS = {
    "/": "",
    "/a": "",
    "/a.pdf": "pdf",
    "/A.PDF": "pdf",
    "/a.tar.gz": "gz",
    "/a.b/c": "",
    "/a.b/c.d": "d",
    "/.htaccess": "htaccess",
    "/a.": "",
    "//a.js": "js",
    "/a.css/": "",
    "a.css": "css",
    "": "",
}


@pytest.mark.parametrize(("path", "found"), EXTENSIONS.items(), ids=map(repr, EXTENSIONS))
def test_an_extension_is_what_follows_the_last_dot_of_the_last_part(path, found):
    assert extension(path) == found


@pytest.mark.parametrize(
    ("path", "static"),
    [
        *((path, True) for path in ("/a.CSS", "/favicon.ico", "/robots.txt", "/sitemap.xml")),
        *((path, False) for path in ("/", "/css", "/a/robots.txt", "/notes.txt", "/a.html", "/a.php", "/a.pdf")),
    ],
)
def test_what_pages_load_by_themselves_is_static(path, static):
    assert is_static(path) is static


def test_nothing_is_both_static_and_a_download():
    assert not STATIC & DOWNLOADS


@pytest.mark.parametrize(
    ("agent", "bot"),
    [
        (BOT, True),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            True,
        ),
        ("AhrefsBot/7.0", True),
        (BROWSER, False),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile Safari/604.1",
            False,
        ),
        ("", False),
        ("Caf\udce9", False),
        (BROWSER + " " * 2000 + BOT, False),
    ],
)
def test_bots_come_from_the_list(agent, bot):
    assert is_bot(agent) is bot


def test_a_record_without_an_agent_is_no_bot():
    assert Filters(NONE)(record(agent=None)) is None


def test_robots_txt_is_static_although_texts_are_downloads():
    filters = Filters(FilterSettings(downloads=DOWNLOADS))
    assert "txt" in DOWNLOADS
    assert filters(record("GET /robots.txt HTTP/1.1")) == "static"
    assert filters(record("GET /licence.txt HTTP/1.1")) is None
    assert Filters(FilterSettings(static=True, downloads=DOWNLOADS))(record("GET /robots.txt HTTP/1.1")) is None
