"""The sandbox answers what design.md section 5 says that a real Matomo answers, over real sockets."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piwik_import.errors import UsageError
from piwik_import.sandbox import Sandbox
from piwik_import.sandbox.tracker import FAILED_LOGINS
from piwik_import.tracking import bulk_body, encode

TOKENS = {"admins": "admin", "writers": "write", "viewers": "view"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Clock:
    """A clock that tests move: the server asks it what time it is."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def ago(self, seconds: float) -> str:
        return f"{datetime.fromtimestamp(self.now - seconds, UTC):%Y-%m-%d %H:%M:%S}"


class Got(NamedTuple):
    status: int
    kind: str
    body: bytes

    @property
    def json(self):
        assert self.kind == "application/json"
        return json.loads(self.body)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sandbox(clock):
    with Sandbox(
        tokens=TOKENS, goals=[1], sites={1: "http://example.org", 2: "https://www.two.example/"}, clock=clock
    ) as it:
        yield it


@pytest.fixture(scope="module")
def shared():
    with Sandbox() as it:
        yield it


def ask(sandbox, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://").rstrip("/"), timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Got(answer.status, (answer.headers.get("Content-Type") or "").partition(";")[0], answer.read())
    finally:
        connection.close()


def bulk(sandbox, hits, token="sandbox", path="/piwik.php", **more):
    requests = ["?" + urlencode(hit) if isinstance(hit, dict) else hit for hit in hits]
    document = {"requests": requests, **({"token_auth": token} if token else {}), **more}
    return ask(sandbox, "POST", path, json.dumps(document).encode())


def page(**more):
    return {"idsite": 1, "rec": 1, "url": "http://example.org/", "cip": "203.0.113.9", **more}


def bare(**more):
    """A hit that overrides nothing, so that it needs no token."""
    return {"idsite": 1, "rec": 1, "url": "http://example.org/", **more}


def success(tracked, invalid, indices=None):
    counts = {"status": "success", "tracked": tracked, "invalid": invalid}
    return counts if indices is None else counts | {"invalid_indices": indices}


# What an answer means: the rows of the table


@pytest.mark.parametrize("path", ["/piwik.php", "/matomo.php"])
def test_a_good_bulk_of_a_superuser_is_answered_with_counts_and_indices(sandbox, path):
    assert bulk(sandbox, [page()] * 3, path=path).json == success(3, 0, [])
    assert len(sandbox.hits()) == 3


@pytest.mark.parametrize("token", ["admins", "writers"])
def test_an_admin_or_writer_gets_no_indices(sandbox, token):
    assert bulk(sandbox, [page(), page(idsite=9)], token).json == success(1, 1)
    assert len(sandbox.hits()) == 1


@pytest.mark.parametrize("token", ["wrong", None, "viewers", "", 17, ["sandbox"]], ids=str)
@pytest.mark.parametrize("old", [False, True], ids=["cip", "an old cdt"])
def test_a_bad_token_is_200_with_every_hit_invalid(sandbox, clock, token, old):
    hit = bare(cdt=clock.ago(4 * 3600 + 1)) if old else page()
    got = bulk(sandbox, [hit] * 3, token)
    assert got.status == 200
    assert got.json == success(0, 3)
    assert sandbox.hits() == []


@pytest.mark.parametrize("token", ["wrong", None, "viewers"])
def test_a_bad_token_without_cip_and_with_a_recent_cdt_is_recorded_with_the_sender_as_visitor(sandbox, clock, token):
    cdt = clock.ago(4 * 3600 - 1)
    assert bulk(sandbox, [bare(cdt=cdt)], token).json == success(1, 0)
    assert [(hit["cip"], hit["cdt"]) for hit in sandbox.hits()] == [("127.0.0.1", cdt)]


def test_cdo_counts_back_from_now_and_needs_a_token_as_cdt_does(sandbox, clock):
    assert bulk(sandbox, [bare(cdo=60), bare(cdo=5 * 3600)], None).json == success(1, 1)
    assert [hit["cdt"] for hit in sandbox.hits()] == [clock.ago(60)]


def test_a_token_in_the_url_only_counts_for_nothing(sandbox):
    assert bulk(sandbox, [page()] * 2, None, path="/piwik.php?token_auth=sandbox").json == success(0, 2)


@pytest.mark.parametrize(
    "bad",
    [
        {"idsite": 0},
        {"idsite": 99},
        {"idsite": "x"},
        {"idsite": ""},
        {"cid": "123"},
        {"cid": "g" * 16},
        {"idgoal": 2},
    ],
    ids=str,
)
def test_one_bad_hit_is_invalid_and_the_others_are_recorded(sandbox, bad):
    assert bulk(sandbox, [page(), page(**bad), page()]).json == success(2, 1, [1])
    assert len(sandbox.hits()) == 2


def test_an_order_is_recorded_once_a_site_whether_in_one_bulk_or_in_two(sandbox):
    order = page(idgoal=0, ec_id="A1", revenue=10)
    assert bulk(sandbox, [order, order]).json == success(1, 1, [1])
    assert bulk(sandbox, [order, {**order, "idsite": 2}, page(ec_id="A1")]).json == success(2, 1, [0])


@pytest.mark.parametrize(
    "bad",
    [
        {"bw_bytes": -5},
        {"bw_bytes": "many"},
        {"lat": "abc"},
        {"long": 1000},
        {"e_c": "a", "e_a": "b", "e_v": "9" * 400},
        {"idgoal": 1, "revenue": "1e999"},
    ],
    ids=lambda bad: str(bad)[:30],
)
def test_a_value_that_sql_refuses_undoes_the_whole_bulk(sandbox, bad):
    got = bulk(sandbox, [page(), page(idsite=9), page(), page(**bad), page()])
    assert got.status == 500
    assert got.json == {"status": "error", "tracked": 2, "invalid": 1}
    assert sandbox.hits() == []
    assert sandbox.report().refused == 1
    assert bulk(sandbox, [page()]).json == success(1, 0, [])


@pytest.mark.parametrize(
    "odd",
    [
        {"e_v": "many"},
        {"revenue": "free"},
        {"bw_bytes": ""},
        {"lat": "12.5"},
        {"nosuch": 1},
        {"_id": "x"},
        {"gt_ms": -1},
    ],
    ids=str,
)
def test_what_the_server_does_not_check_is_recorded(sandbox, odd):
    assert bulk(sandbox, [page(**odd)]).json == success(1, 0, [])
    assert len(sandbox.hits()) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"requests":["?idsite=1&rec=1"',
        b'{"requests":["?idsite=1&rec=1&url=\xff"]}',
        b'{"requests":["?idsite=1&rec=1&url=\\ud83d"]}',
        b'{"requests":"?idsite=1"}',
        b'{"requests":null}',
        b'["requests"]',
        b'{"requests":[]}',
        b'{"requests":' + b"[" * 100_000,
    ],
    ids=["cut", "not UTF-8", "half a pair", "text", "null", "array", "none", "deep"],
)
def test_broken_json_with_the_word_requests_in_it_is_a_success_of_nothing(sandbox, body):
    got = ask(sandbox, "POST", "/piwik.php", body)
    assert (got.status, got.json["tracked"], got.json["invalid"]) == (200, 0, 0)
    assert sandbox.hits() == []


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b'{"idsite":1}', {}),
        (gzip.compress(b'{"requests":["?idsite=1&rec=1"]}'), {"Content-Encoding": "gzip"}),
        (b"rec=1&url=http://a/", FORM),
    ],
    ids=["empty", "no requests", "gzip", "a form without idsite"],
)
def test_a_body_without_requests_is_400_in_html(sandbox, body, headers):
    got = ask(sandbox, "POST", "/piwik.php", body, headers)
    assert (got.status, got.kind) == (400, "text/html")
    assert sandbox.hits() == []


def test_statistics_switched_off_are_a_success_of_nothing():
    with Sandbox(record_statistics=False) as sandbox:
        assert bulk(sandbox, [page()]).json == success(0, 0)
        assert ask(sandbox, "GET", "/piwik.php?" + urlencode(bare())).status == 200
        assert sandbox.hits() == []


def test_a_body_over_the_limit_is_413_in_html_and_the_connection_goes_on():
    with Sandbox(max_body=2_000) as sandbox:
        got = bulk(sandbox, [page()] * 50_000)
        assert (got.status, got.kind) == (413, "text/html")
        assert bulk(sandbox, [page()]).json["tracked"] == 1


@pytest.mark.parametrize("path", ["/piwik.php", "/index.php?module=API&method=API.getPiwikVersion"])
def test_over_twenty_failed_logins_in_an_hour_are_500_for_everything_for_an_hour(sandbox, clock, path):
    for _ in range(FAILED_LOGINS + 1):
        assert bulk(sandbox, [page()], "wrong").status == 200
        clock.now += 1
    form = urlencode({"token_auth": "sandbox"})
    assert bulk(sandbox, [page()]).status == 500
    assert ask(sandbox, "POST", path, form, FORM).json["status"] == "error"
    clock.now += 3600 - FAILED_LOGINS - 1
    assert bulk(sandbox, [page()]).status == 200
    assert len(sandbox.hits()) == 1


def test_twenty_failed_logins_and_any_number_without_a_token_are_forgiven(sandbox):
    for _ in range(FAILED_LOGINS):
        bulk(sandbox, [page()], "wrong")
        bulk(sandbox, [page()], None)
    assert bulk(sandbox, [page()]).json == success(1, 0, [])


def test_the_same_chunk_sent_twice_is_stored_twice(sandbox):
    for _ in range(2):
        assert bulk(sandbox, [page(), page()]).json == success(2, 0, [])
    assert len(sandbox.hits()) == 4


@pytest.mark.parametrize(
    ("path", "more"),
    [("/piwik.php", {"send_image": 0}), ("/piwik.php", {"send_image": "0"}), ("/piwik.php?send_image=0", {})],
    ids=["number", "text", "in the URL"],
)
def test_a_bulk_with_send_image_0_is_recorded_and_answered_with_nothing(sandbox, path, more):
    assert bulk(sandbox, [page()], path=path, **more) == (204, "", b"")
    assert len(sandbox.hits()) == 1


@pytest.mark.parametrize(
    "hit",
    [
        {**page(), "rec": 0},
        {name: value for name, value in page().items() if name != "rec"},
        page(ua="Googlebot/2.1"),
        page(ua="Baiduspider", bots=0),
        page(urlref="http://www.semalt.com/x"),
    ],
    ids=["rec=0", "no rec", "bot", "bots=0", "referrer spam"],
)
def test_what_the_tracker_leaves_out_is_counted_as_tracked(sandbox, hit):
    assert bulk(sandbox, [hit, page()]).json == success(2, 0, [])
    assert len(sandbox.hits()) == 1


def test_a_bot_is_recorded_where_bots_are_asked_for(sandbox):
    assert bulk(sandbox, [page(ua="Googlebot/2.1", bots=1)]).json == success(1, 0, [])
    assert [hit["bot"] for hit in sandbox.hits()] == [1]


def test_an_item_that_is_empty_or_has_no_question_mark_is_skipped_and_later_indices_shift(sandbox):
    good = "?" + urlencode(page())
    items = ["", "idsite=1&rec=1", good, "?", 17, None, "?idsite=99&rec=1", "http://x/piwik.php" + good + "#?rec=0"]
    assert bulk(sandbox, items).json == success(2, 1, [1])
    assert len(sandbox.hits()) == 2


# Values


@pytest.mark.parametrize(
    "cdt",
    ["yesterday", "2024-02-30 10:00:00", -60, 20 * 365 * 86400 + 60, "9" * 18, "0001-01-01 00:00:00+23:59"],
    ids=["words", "no such day", "future", "too old", "far future", "before time"],
)
def test_a_time_that_cannot_be_is_now(sandbox, clock, cdt):
    cdt = clock.ago(cdt) if isinstance(cdt, int) else cdt
    bulk(sandbox, [page(cdt=cdt)])
    assert [hit["cdt"] for hit in sandbox.hits()] == [clock.ago(0)]


def test_a_time_may_be_unix_seconds_or_have_a_zone(sandbox):
    bulk(sandbox, [page(cdt="1500000000"), page(cdt="2017-07-14T04:40:00+02:00")])
    assert [hit["cdt"] for hit in sandbox.hits()] == ["2017-07-14 02:40:00"] * 2


@pytest.mark.parametrize(
    ("cip", "stored"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("203.0.113.9:80", "0.0.0.0"),
        ("[2001:db8::1]", "0.0.0.0"),
        ("203.0.113.9, 10.0.0.1", "0.0.0.0"),
        ("fe80::1%eth0", "0.0.0.0"),
        ("", "127.0.0.1"),
    ],
)
def test_an_address_that_is_not_bare_is_nobodys_without_an_error(sandbox, cip, stored):
    assert bulk(sandbox, [page(cip=cip)]).json == success(1, 0, [])
    assert [hit["cip"] for hit in sandbox.hits()] == [stored]


def test_urls_and_titles_are_cut_at_1024_characters_but_the_parameters_are_kept(sandbox):
    url = "http://example.org/" + "é" * 2_000
    bulk(sandbox, [page(url=url, action_name="t" * 2_000)])
    (hit,) = sandbox.hits()
    assert hit["url"] == url[:1024]
    assert len(hit["title"]) == 1024
    assert hit["parameters"]["url"] == url


def test_bytes_that_are_not_utf8_are_kept(sandbox):
    bulk(sandbox, ["?idsite=1&rec=1&url=http://example.org/caf%e9"])
    (hit,) = sandbox.hits()
    assert hit["url"] == "http://example.org/caf\N{REPLACEMENT CHARACTER}"
    assert hit["parameters"]["url"].encode("utf-8", "surrogateescape") == b"http://example.org/caf\xe9"


def test_the_store_holds_every_parameter_as_received_but_no_token(sandbox):
    ask(sandbox, "GET", "/piwik.php?" + urlencode({**page(), "a+b": "c d", "token_auth": "sandbox"}))
    (hit,) = sandbox.hits()
    assert hit["parameters"] == {**{name: str(value) for name, value in page().items()}, "a+b": "c d"}


characters = st.lists(st.integers(0, 0x10FFFF).map(chr)).map("".join)
texts = st.one_of(st.binary(), characters.map(lambda text: text.encode("utf-8", "surrogatepass")))
names = st.sampled_from("action_name urlref lang city dimension1 _rcn _rck _ref e_n _pks _pkn _pkc source".split())


@settings(max_examples=60)
@given(st.dictionaries(names, texts.map(lambda data: data.decode("utf-8", "surrogateescape"))))
def test_any_hit_is_the_same_after_encode_and_the_store(shared, hit):
    hit = {"idsite": "1", "rec": "1", "url": "http://a/", "ua": "x", "e_c": "c", "e_a": "a", **hit}
    got = ask(shared, "POST", "/piwik.php", bulk_body([encode(hit)], "sandbox"))
    assert got.json == success(1, 0, [])
    assert shared.hits()[-1]["parameters"] == hit


# One hit a request


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("hit", "status", "kind"),
    [
        (bare(), 200, "image/gif"),
        (bare(send_image=0), 204, ""),
        (page(token_auth="sandbox"), 200, "image/gif"),
        (bare(idsite=99), 400, "text/html"),
        (page(), 400, "text/html"),
        (bare(bw_bytes=-1), 500, "text/html"),
        (bare(rec=0), 200, "image/gif"),
    ],
    ids=["good", "without an image", "with a token", "bad site", "cip without a token", "refused by SQL", "rec=0"],
)
def test_a_single_hit_is_answered_with_an_image_or_an_error(sandbox, method, hit, status, kind):
    query = urlencode(hit)
    get = ("GET", "/matomo.php?" + query)
    got = ask(sandbox, *(get if method == "GET" else ("POST", "/matomo.php", query, FORM)))
    assert (got.status, got.kind) == (status, kind)
    assert got.body.startswith(b"GIF89a") is (kind == "image/gif")
    assert len(sandbox.hits()) == (status in (200, 204) and hit["rec"] == 1)


def test_the_tracker_says_what_it_is_to_whoever_opens_it_in_a_browser(sandbox):
    got = ask(sandbox, "GET", "/piwik.php")
    assert (got.status, got.kind) == (200, "text/html")
    assert b"tracker" in got.body
    assert ask(sandbox, "GET", "/").status == 404


@pytest.mark.parametrize(
    ("hit", "kind"),
    [
        ({}, "page"),
        ({"ping": 1}, "ping"),
        ({"idgoal": 0}, "ecommerce"),
        ({"idgoal": 1}, "goal"),
        ({"search": "a"}, "search"),
        ({"e_c": "a", "e_a": "b"}, "event"),
        ({"e_c": "a"}, "page"),
        ({"c_n": "a"}, "content"),
        ({"download": "http://a/b.zip"}, "download"),
        ({"link": "http://b/"}, "outlink"),
    ],
    ids=str,
)
def test_a_hit_is_of_the_kind_that_its_parameters_say(sandbox, hit, kind):
    bulk(sandbox, [page(**hit)])
    assert [hit["kind"] for hit in sandbox.hits()] == [kind]
    assert sandbox.report().actions[kind] == 1


def test_the_report_lists_what_was_done_besides_looking_at_pages(sandbox):
    items = '[["L17","Lamp","Lamps",59.95,2],["S1"]]'
    hits = [
        *([page(e_c="nav", e_a="click", e_n="Sale")] * 2),
        page(e_c="nav", e_a="click"),
        page(c_n="Autumn"),
        page(c_n="Autumn", c_i="tap"),
        page(search="red lamp"),
        page(idgoal=1, revenue=5),
        page(idgoal=1, revenue="2.5"),
        page(idgoal=1),
        page(idgoal=0, ec_id="A-2", revenue=20, ec_items="no JSON"),
        page(idgoal=0, ec_id="A-1", revenue=129.9, ec_items=items),
        page(idgoal=0, ec_items=items, revenue=5),
        page(link="http://b/"),
    ]
    assert bulk(sandbox, hits).json == success(len(hits), 0, [])
    report = sandbox.report()
    assert report.events == [("nav / click / Sale", 2), ("nav / click", 1)]
    assert report.contents == [("Autumn: impression", 1), ("Autumn: tap", 1)]
    assert report.searches == [("red lamp", 1)]
    assert report.goals == [("goal 1, revenue 7.5", 3)]
    assert report.orders == [("A-1, 129.9 in all", 2), ("A-2, 20 in all", 0)]
    assert report.actions["ecommerce"] == 3
    shown = " ".join(str(report).split())
    assert "events 2 nav / click / Sale 1 nav / click contents" in shown
    assert "orders, with the number of items 2 A-1, 129.9 in all 0 A-2, 20 in all" in shown


# What was recorded, told


def told(sandbox, hit, method="GET"):
    got = ask(sandbox, method, "/piwik.php?" + urlencode({**hit, "debug": 1}))
    assert (got.status, got.kind) == (200, "text/plain")
    first, *lines = got.body.decode().splitlines()
    assert first == "Debug enabled: what was recorded"
    return lines


def test_debug_tells_what_was_recorded_with_every_parameter(sandbox, clock):
    hit = page(token_auth="sandbox", cdt=clock.ago(60), e_c="a", e_a="b\x1b[31m", res="big", cid="a" * 16)
    first, *lines, last = told(sandbox, hit)
    assert first == f"Recorded: event of visitor {'a' * 16} from 203.0.113.9 at {clock.ago(60)} UTC on site 1"
    assert "  e_a = b\\x1b[31m" in lines
    assert "  res = big   (against the rules: res: must be width x height, as 1280x1024)" in lines
    assert all("sandbox" not in line for line in lines)
    assert last == 'Counts: {"status": "success", "tracked": 1, "invalid": 0}'
    assert len(sandbox.hits()) == 1


@pytest.mark.parametrize(
    ("hit", "said"),
    [
        (bare(idsite=9), "Invalid: there is no site 9"),
        (page(), "Invalid: cip, and a cdt over four hours old, need a token of a user who may write"),
        (bare(cid="x"), "Invalid: cid is not 16 hexadecimal digits"),
        (bare(idgoal=2), "Invalid: there is no goal 2"),
        (bare(rec=0), "Left out, though counted as tracked: no rec=1, a bot without bots=1, or referrer spam"),
        (bare(bw_bytes=-5, lat="x"), "Nothing is recorded, for SQL refuses bw_bytes, lat"),
    ],
    ids=str,
)
def test_debug_tells_why_nothing_was_recorded(sandbox, hit, said):
    assert told(sandbox, hit)[0] == said
    assert sandbox.hits() == []


def test_debug_in_the_url_of_a_bulk_tells_of_all_its_hits(sandbox):
    got = bulk(sandbox, [page(), page(idsite=9), page(ping=1)], path="/piwik.php?debug=1")
    assert (got.status, got.kind) == (200, "text/plain")
    lines = [line for line in got.body.decode().splitlines() if not line.startswith("  ")]
    kinds = [line.partition(" of visitor ")[0] for line in lines[1:-1]]
    assert kinds == ["Recorded: page", "Invalid: there is no site 9", "Recorded: ping"]
    assert len(sandbox.hits()) == 2


# Reporting API


def api(sandbox, method, token="sandbox", **more):
    fields = {"token_auth": token, **more}
    return ask(sandbox, "POST", f"/index.php?module=API&method={method}&format=JSON", urlencode(fields), FORM)


def test_a_site_is_described_by_its_url_and_time_zone(sandbox):
    site = api(sandbox, "SitesManager.getSiteFromId", idSite=2).json
    assert (
        site.items()
        >= {"idsite": 2, "main_url": "https://www.two.example/", "timezone": "UTC", "name": "Site 2"}.items()
    )


@pytest.mark.parametrize(
    ("url", "sites"),
    [
        ("example.org", [{"idsite": 1}]),
        ("http://example.org/", [{"idsite": 1}]),
        ("https://www.example.org", [{"idsite": 1}]),
        ("two.example", [{"idsite": 2}]),
        ("three.example", []),
    ],
)
def test_a_site_is_found_by_its_url_however_that_is_written(sandbox, url, sites):
    assert api(sandbox, "SitesManager.getSitesIdFromSiteUrl", url=url).json == sites


@pytest.mark.parametrize("method", ["API.getMatomoVersion", "API.getPiwikVersion"])
def test_the_version_is_told_to_any_token(sandbox, method):
    assert api(sandbox, method, "viewers").json == {"value": "5.2.0"}


@pytest.mark.parametrize(
    ("method", "more"),
    [("SitesManager.getSiteFromId", {"idSite": 99}), ("SitesManager.getSiteFromId", {}), ("No.such", {})],
    ids=["unknown site", "no site", "unknown method"],
)
def test_what_the_api_does_not_know_is_an_error_in_json(sandbox, method, more):
    got = api(sandbox, method, **more)
    assert got.json["result"] == "error"
    assert got.json["message"]


RIGHTS = {"sandbox": 4, "admins": 3, "writers": 2, "viewers": 1}


@pytest.mark.parametrize(("token", "rights"), RIGHTS.items(), ids=RIGHTS)
def test_the_rights_of_a_token_are_told_by_the_sites_that_it_has_each_for(sandbox, token, rights):
    methods = ("AtLeastViewAccess", "WriteAccess", "AdminAccess")
    sites = [api(sandbox, f"SitesManager.getSitesIdWith{method}", token).json for method in methods]
    is_superuser = api(sandbox, "UsersManager.hasSuperUserAccess", token).json
    assert sites == [[1, 2] if place < rights else [] for place in range(3)]
    assert is_superuser == {"value": rights == 4}


def test_a_wrong_token_is_401_in_json_and_so_is_one_in_the_url(sandbox):
    path = "/index.php?module=API&method=API.getPiwikVersion&format=JSON&token_auth=sandbox"
    for got in (api(sandbox, "API.getPiwikVersion", "wrong"), ask(sandbox, "GET", path)):
        assert got.status == 401
        assert got.json["result"] == "error"


# Visits and the report


def test_a_visit_ends_after_thirty_minutes_without_a_hit_in_whatever_order_hits_come(sandbox, clock):
    times = [0, 7200, 1800, 5399, 9001]  # the gaps, in the order of time: 1800, 3599, 1801, 1801
    bulk(sandbox, [page(cdt=clock.ago(86_400 - seconds)) for seconds in times])
    visits = {seconds: hit["visit"] for seconds, hit in zip(times, sandbox.hits(), strict=True)}
    assert visits[0] == visits[1800]
    assert len({visits[seconds] for seconds in (1800, 5399, 7200, 9001)}) == 4
    assert sandbox.report().visits == 4
    assert sandbox.report().visitors == 1


@pytest.mark.parametrize(
    ("one", "other", "visitors", "visits"),
    [
        ({}, {}, 1, 1),
        ({}, {"cip": "203.0.113.10"}, 2, 2),
        ({}, {"ua": "Opera"}, 2, 2),
        ({"cid": "a" * 16}, {"cid": "A" * 16, "cip": "203.0.113.10"}, 1, 1),
        ({"cid": "a" * 16}, {"cid": "b" * 16}, 2, 2),
        ({"_id": "a" * 16}, {"_id": "b" * 16}, 2, 2),
        ({"uid": "jane"}, {"uid": "joe"}, 1, 1),
        ({}, {"idsite": 2}, 2, 2),
        ({}, {"new_visit": 1}, 1, 2),
    ],
    ids=["same", "address", "agent", "same cid", "other cid", "other _id", "uid joins nobody", "site", "new_visit"],
)
def test_a_visitor_is_its_id_or_its_address_and_agent(sandbox, one, other, visitors, visits):
    bulk(sandbox, [page(**one), page(**other)])
    report = sandbox.report()
    assert (report.visitors, report.visits) == (visitors, visits)


def test_the_report_is_text_that_a_terminal_can_show(sandbox, clock):
    hits = [page(url=f"http://example.org/{n % 12}", cdt=clock.ago(86_400 * (n % 2))) for n in range(24)]
    hits += [page(url="http://example.org/\x1b[2J"), page(ua="bot", bots=1), page(idsite=9)]
    hits += [page(download="http://example.org/a.zip"), page(e_c="a", e_a="b")]
    bulk(sandbox, hits)
    bulk(sandbox, [page(lat="abc")])
    report = sandbox.report()
    assert (report.actions["page"], report.bots, report.invalid, report.refused) == (26, 1, 1, 1)
    assert len(report.pages) == 10
    text = str(report)
    for line in ("26  page views", "1  downloads", "1  events", "1  by bots", "1  invalid hits", "1  refused requests"):
        assert f" {line}\n" in text
    assert text.index("page views") < text.index("downloads") < text.index("events") < text.index("by bots")
    assert f"from {clock.ago(86_400)} to {clock.ago(0)} UTC" in text
    assert f"{clock.ago(0)[:10]}\n" in text
    assert "pings" not in text
    assert "\x1b" not in text


def test_an_empty_sandbox_has_a_report_too_that_leaves_out_what_says_nothing(sandbox):
    assert " ".join(str(sandbox.report()).split()) == "0 visits 0 visitors 0 page views 0 downloads"


# The server


def test_many_connections_at_once_lose_nothing(sandbox):
    def send(lane):
        for number in range(5):
            assert bulk(sandbox, [page(cip=f"10.0.{lane}.{number}")] * 20).json == success(20, 0, [])

    with ThreadPoolExecutor(20) as lanes:
        list(lanes.map(send, range(20)))
    assert sandbox.report().actions["page"] == 2_000
    assert sandbox.report().visitors == 100


def test_a_connection_serves_request_after_request_without_waiting(sandbox):
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://").rstrip("/"), timeout=10)
    body = bulk_body([encode(page())], "sandbox")
    began = time.monotonic()
    for _ in range(100):
        connection.request("POST", "/piwik.php", body)
        assert json.loads(connection.getresponse().read()) == success(1, 0, [])
    connection.close()
    assert time.monotonic() - began < 2  # 40 ms each, where Nagle and delayed acknowledgement meet


def test_it_takes_thousands_of_hits_a_second(sandbox):
    body = bulk_body([encode(page(url=f"http://example.org/{n}")) for n in range(1_000)], "sandbox")
    began = time.monotonic()
    for _ in range(5):
        ask(sandbox, "POST", "/piwik.php", body)
    assert time.monotonic() - began < 5  # 5,000 hits: 0.2 s on one core of 2026


def raw(sandbox, data):
    """Send bytes, hang up the sending half, and return all that comes back."""
    host, port = sandbox.url.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /piwik.php HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"POST /piwik.php HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /piwik.php HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello", b"100"),
        (b"GET /piwik.php?idsite=1&rec=1&url=http://a/\xff HTTP/1.1\r\n\r\n", b"200"),
        (b"GET //[/piwik.php HTTP/1.1\r\n\r\n", b"404"),
    ],
    ids=["chunked", "negative length", "expects 100", "bytes in the path", "no URL"],
)
def test_an_odd_request_is_answered(sandbox, head, status):
    assert raw(sandbox, head).startswith(b"HTTP/1.1 " + status + b" ")


def test_a_client_that_hangs_up_half_way_leaves_nothing_behind(sandbox, capsys):
    body = bulk_body([encode(page())], "sandbox")
    head = b"POST /piwik.php HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert raw(sandbox, head + body[:-1]) == b""
    assert sandbox.hits() == []
    assert capsys.readouterr() == ("", "")


def test_a_client_that_hangs_up_before_the_answer_is_no_news_but_a_mistake_of_ours_is(capsys):
    reached, hung_up = threading.Event(), threading.Event()

    def slow_clock():
        reached.set()
        hung_up.wait(10)
        return time.time()

    with Sandbox(clock=slow_clock) as sandbox:
        host, port = sandbox.url.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
            connection.sendall(b"GET /piwik.php?idsite=1&rec=1&url=http://a/ HTTP/1.1\r\n\r\n")
            assert reached.wait(10)
        hung_up.set()
    assert capsys.readouterr().err == ""
    with Sandbox(clock=lambda: 1 / 0) as sandbox:
        assert raw(sandbox, b"GET /piwik.php?idsite=1 HTTP/1.1\r\n\r\n") == b""
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("bad", [{"db": __file__}, {"db": "/nowhere/at/all.db"}, {"port": 65536}], ids=str)
def test_a_file_or_port_that_cannot_be_used_is_an_error_for_the_user(bad):
    with pytest.raises(UsageError, match="sandbox on"):
        Sandbox(**bad)


def test_a_port_in_use_is_an_error_for_the_user(sandbox):
    with pytest.raises(UsageError, match="in use"):
        Sandbox(port=int(sandbox.url.rstrip("/").rpartition(":")[2]))


def test_stopping_ends_idle_connections_and_takes_no_new_ones():
    with Sandbox() as sandbox:
        connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://").rstrip("/"), timeout=10)
        connection.request("GET", "/piwik.php")
        connection.getresponse().read()
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert connection.sock.recv(1) == b""
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        ask(sandbox, "GET", "/piwik.php")


def test_a_file_keeps_what_was_recorded_for_the_next_sandbox(tmp_path):
    for count in (1, 2):
        with Sandbox(db=str(tmp_path / "hits.db")) as sandbox:
            bulk(sandbox, [page()])
            assert len(sandbox.hits()) == count


def test_it_can_serve_in_the_thread_of_its_caller():
    sandbox = Sandbox()
    caller = threading.Thread(target=sandbox.serve_forever)
    caller.start()
    assert bulk(sandbox, [page()]).json == success(1, 0, [])
    sandbox._server.shutdown()
    caller.join()
    assert sandbox.report().visits == 1
    sandbox.stop()


def test_what_was_recorded_against_the_rules_of_the_api_is_reported():
    with Sandbox(token="t") as sandbox:
        query = "?idsite=1&rec=1&url=http://h/&cip=192.0.2.1:80&res=big&nonsense=1"
        body = json.dumps({"requests": [query], "token_auth": "t"}).encode()
        with urlopen(f"{sandbox.url}piwik.php", body) as answer:
            assert json.load(answer)["tracked"] == 1
        faults = dict(sandbox.report().faults)
    assert set(faults.values()) == {1}
    assert {fault.partition(":")[0] for fault in faults} == {"cip", "res", "nonsense"}
