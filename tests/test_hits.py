"""A record → the parameters of one tracking request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from piwik_import.hits import DOWNLOADS, HitMaker, HitSettings, visitor_key
from piwik_import.parsers import catalogue
from piwik_import.parsers.record import BadLine, Record
from piwik_import.parsers.request import from_line
from piwik_import.tracking import decode, encode

BASE = "http://example.org"
SETTINGS = HitSettings(7, BASE)
LEAST = Record("192.0.2.1", datetime(2020, 10, 10, 20, 55, 36, 999_999, tzinfo=UTC), from_line("GET /a?b=c HTTP/1.1"))


def hit(settings: HitSettings = SETTINGS, request: str = "GET /a?b=c HTTP/1.1", **fields: object):
    return HitMaker(settings)(LEAST._replace(request=from_line(request), **fields))


def test_a_record_that_says_little_becomes_the_least_hit():
    assert hit() == {
        "idsite": 7,
        "rec": 1,
        "apiv": 1,
        "url": "http://example.org/a?b=c",
        "cip": "192.0.2.1",
        "cdt": "2020-10-10 20:55:36",
        "queuedtracking": 0,
    }


def test_a_record_that_says_all_becomes_a_full_hit():
    settings = HitSettings(1, None, bots=True)
    full = hit(
        settings,
        "GET /guide.pdf HTTP/2.0",
        status=200,
        length=0,
        referrer="http://r.example/?q=ü",
        user_agent="Agent 1",
        host="shop.example.com:443",
        user="jane doe",
        generation_time=0,
    )
    assert full == {
        "idsite": 1,
        "rec": 1,
        "apiv": 1,
        "url": "https://shop.example.com/guide.pdf",
        "cip": "192.0.2.1",
        "cdt": "2020-10-10 20:55:36",
        "urlref": "http://r.example/?q=ü",
        "ua": "Agent 1",
        "uid": "jane doe",
        "download": "https://shop.example.com/guide.pdf",
        "gt_ms": 0,
        "pf_srv": 0,
        "bw_bytes": 0,
        "bots": 1,
        "queuedtracking": 0,
    }
    assert decode(encode(full)) == {name: str(value) for name, value in full.items()}


@pytest.mark.parametrize(
    ("host", "base_url", "url"),
    [
        pytest.param(None, "http://example.org", "http://example.org/a", id="base"),
        pytest.param(None, "https://example.org:8443/", "https://example.org:8443/a", id="base with port and slash"),
        pytest.param(None, "https://example.org/shop/", "https://example.org/shop/a", id="base with path"),
        pytest.param("www.example.org", None, "http://www.example.org/a", id="host"),
        pytest.param("www.example.org", "https://example.org/shop", "https://www.example.org/a", id="host before base"),
        pytest.param("www.example.org:80", "https://example.org", "http://www.example.org/a", id="port 80"),
        pytest.param("www.example.org:443", "http://example.org", "https://www.example.org/a", id="port 443"),
        pytest.param("www.example.org:8080", None, "http://www.example.org:8080/a", id="another port"),
        pytest.param("a.example:8443", "https://b.example", "https://a.example:8443/a", id="another port, https"),
        pytest.param("[2001:db8::1]:443", None, "https://[2001:db8::1]/a", id="IPv6"),
        pytest.param("bücher.example", None, "http://bücher.example/a", id="not ASCII"),
    ],
)
def test_the_url_begins_with_the_logged_host_or_else_the_base(host, base_url, url):
    assert hit(HitSettings(1, base_url), "GET /a HTTP/1.1", host=host)["url"] == url


def test_without_host_and_base_a_line_is_bad_and_says_what_to_do():
    with pytest.raises(BadLine, match="the line names no host; say with --base-url"):
        hit(HitSettings(1))


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("//wp-login.php", "//wp-login.php"),
        ("/a?", "/a?"),
        ("/a b?c d", "/a b?c d"),
        ("/%zz%u00e9?%", "/%zz%u00e9?%"),
        ("/a#b", "/a#b"),
        ("/../x", "/../x"),
        ("http://example.org:81/x?y", "/x?y"),
        ("index.html", "/index.html"),
    ],
)
def test_path_and_query_are_appended_as_they_were_requested(target, path):
    assert hit(request=f"GET {target} HTTP/1.1")["url"] == BASE + path


@pytest.mark.parametrize(
    ("status", "referrer", "title"),
    [
        pytest.param(404, None, "404/URL = %2Fa%3Fb%3Dc", id="error"),
        pytest.param(500, "http://r.example/x", "500/URL = %2Fa%3Fb%3Dc/From = http%3A%2F%2Fr.example%2Fx", id="from"),
        pytest.param(302, None, "302/URL = %2Fa%3Fb%3Dc", id="redirect"),
        pytest.param(404, "ü\udcff", "404/URL = %2Fa%3Fb%3Dc/From = %C3%BC%FF", id="bytes"),
        pytest.param(304, None, None, id="not modified"),
        pytest.param(200, None, None, id="success"),
        pytest.param(0, None, None, id="no status"),
        pytest.param(None, None, None, id="status not logged"),
    ],
)
def test_errors_and_redirects_have_a_title_that_names_them(status, referrer, title):
    assert hit(status=status, referrer=referrer).get("action_name") == title


@pytest.mark.parametrize(
    ("path", "status", "is_download"),
    [
        ("/guide.PDF", 200, True),
        ("/guide.pdf?v=1", 206, True),
        ("/guide.pdf", None, True),
        ("/guide.pdf", 304, True),
        ("/a.tar.gz", 200, True),
        ("/style.css", 200, True),  # they come this far only with --enable-static
        ("/robots.txt", 200, True),
        ("/guide.pdf", 404, False),
        ("/guide.pdf", 302, False),
        ("/pdf", 200, False),
        ("/?file=a.pdf", 200, False),
        ("/a.pdf/", 200, False),
        ("/page.html", 200, False),
    ],
)
def test_files_that_were_had_are_downloads(path, status, is_download):
    found = hit(request=f"GET {path} HTTP/1.1", status=status)
    assert found.get("download") == (found["url"] if is_download else None)


def test_the_extensions_of_downloads_can_be_set():
    settings = HitSettings(1, BASE, downloads=DOWNLOADS - {"pdf"} | {"html"})
    assert "download" in hit(settings, "GET /a.html HTTP/1.1")
    assert "download" not in hit(settings, "GET /a.pdf HTTP/1.1")


@pytest.mark.parametrize(("status", "uid"), [(200, "jane"), (None, "jane"), (403, "jane"), (401, None)])
def test_a_user_who_was_not_let_in_is_not_named(status, uid):
    assert hit(status=status, user="jane").get("uid") == uid


def test_a_client_without_address_is_sent_as_one_that_is_not_known():
    assert hit(ip=None)["cip"] == "0.0.0.0"
    assert "cid" not in hit(ip=None)


def test_a_clients_name_becomes_a_visitor_of_its_own():
    first = hit(ip="client.example.com", user_agent="Agent 1")
    assert (first["cip"], first["cid"]) == ("0.0.0.0", "82015065f10e04e3")
    others = [hit(ip="other.example.com", user_agent="Agent 1"), hit(ip="client.example.com", user_agent="Agent 2")]
    others.append(hit(ip="client.example.com"))
    assert len({other["cid"] for other in [first, *others]}) == 4
    assert hit(ip="client.example.com", user_agent="Agent 1", status=404)["cid"] == first["cid"]
    encode(first)


@pytest.mark.parametrize("ip", ["2001:db8::1", "fe80::1", "::", "abcd::ef", "192.0.2.1", "0.0.0.0"])
def test_an_address_is_sent_as_it_is(ip):
    assert hit(ip=ip)["cip"] == ip
    assert "cid" not in hit(ip=ip)
    encode(hit(ip=ip))


def test_a_visitor_is_known_by_its_id_or_else_by_its_address():
    assert visitor_key(hit()) == "192.0.2.1"
    assert visitor_key(hit(user="jane")) == "192.0.2.1"  # a visit may begin before its login
    named = hit(ip="client.example.com")
    assert visitor_key(named) == named["cid"]


def test_times_are_sent_in_utc_without_a_fraction():
    moment = datetime(2020, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))).astimezone(UTC)
    assert hit(time=moment)["cdt"] == "2019-12-31 23:30:00"


@pytest.mark.parametrize(
    ("logged", "wire"),
    [
        ("caf\xe9", "caf%E9"),
        ("caf\xc3\xa9", "caf%C3%A9"),
        (r"caf\xe9\xC3\xA9", "caf%E9%C3%A9"),
        (r"a\x22\"\\b", "a%22%22%5Cb"),
        ("%E9%zz", "%25E9%25zz"),
        ("\xff\xfe\0", "%FF%FE%00"),
    ],
)
def test_bytes_that_are_not_utf_8_are_sent_as_the_same_bytes(logged, wire):
    parse = catalogue.named("combined").compile()
    text = (
        f'192.0.2.1 - {logged} [10/Oct/2020:13:55:36 -0700] "GET /{logged}?{logged} HTTP/1.1" 404 12 '
        f'"http://r.example/{logged}" "{logged}"'
    )
    query = encode(HitMaker(SETTINGS)(parse(text)))
    twice = wire.replace("%", "%25")
    assert f"&url=http://example.org/{wire}%3F{wire}&" in query
    assert f"&urlref=http://r.example/{wire}&ua={wire}&uid={wire}&" in query
    assert f"&action_name=404/URL%20%3D%20%252F{twice}%253F{twice}/From%20%3D%20http%253A" in query


def test_half_a_pair_of_surrogates_in_a_json_log_is_no_crash():
    parse = catalogue.named("nginx_json").compile()
    text = r'{"ip": "a.example", "path": "/\ud83d\xff", "status": 404, "user_agent": "\udfff", "date": "2020-10-10"}'
    found = HitMaker(SETTINGS)(parse(text))
    assert found["action_name"] == "404/URL = %2F%EF%BF%BD%FF"
    assert "&ua=%EF%BF%BD&" in encode(found)


def test_hits_do_not_share_what_is_changed_later():
    make = HitMaker(SETTINGS)
    make(LEAST)["idsite"] = 8
    assert make(LEAST)["idsite"] == 7
