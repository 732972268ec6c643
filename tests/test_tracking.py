"""The Tracking API: every parameter good and bad, the rules between them, and the wire."""

from __future__ import annotations

import json
import pickle
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piwik_import.filters import FilterSettings
from piwik_import.hits import HitSettings
from piwik_import.mapping import read_table
from piwik_import.parameters import PARAMETERS, parameter
from piwik_import.parsers.definition import Definition
from piwik_import.shaping import Shaping
from piwik_import.source import Block
from piwik_import.tracking import InvalidHit, bulk_body, check, decode, encode, encode_rest
from piwik_import.translate import Plan, Translator

PAGE = {"idsite": 1, "rec": 1, "url": "http://example.org/"}
EVENT = {"e_c": "Videos", "e_a": "Play"}
CONTENT = {"c_n": "Ad Foo Bar"}
SEARCH = {"search": "shoes"}
CART = {"idgoal": 0}
NAN = float("nan")  # what no parameter takes, not even one that takes any text

SEED = """
    idsite rec url action_name _id rand apiv
    urlref _cvar _idvc _viewts _idts _rcn _rck res h m s fla java dir qt realp pdf wma gears ag ua lang uid cid
    new_visit cvar link download search search_cat search_count idgoal revenue gt_ms cs
    e_c e_a e_n e_v c_n c_p c_t c_i ec_id ec_items ec_st ec_tx ec_sh ec_dt _ects
    token_auth cip cdt country region city lat long send_image bots cookie
"""
LATER = """
    dimension1 dimension20 pf_net pf_srv pf_tfr pf_dm1 pf_dm2 pf_onl pv_id bw_bytes ping ca cdo uadata _ref _refts
    _pks _pkn _pkc _pkp queuedtracking dp recMode http_status source ma_id ma_w ma_ttp cra cra_st
"""

DECIDING = """
    idsite rec url apiv cid link download search idgoal ca ping e_c e_a c_n c_i ec_id ec_items token_auth cip cdt cdo
    send_image cra*
"""
"""Parameters that say what a hit is, whose, or when."""


def short(value: object) -> str:
    """Return an ID that is the same whenever the tests are collected."""
    return re.sub(r"^\d{4}-\d\d-\d\d \d.*", "a time", str(value))[:30]


def ago(**span: float) -> str:
    return f"{datetime.now(UTC) - timedelta(**span):%Y-%m-%d %H:%M:%S}"


NOW = ago()


# name, a good value, its text on the wire, a bad value, what else the hit needs
VALUES = [
    ("idsite", 7, "7", 0, {}),
    ("rec", 1, "1", 0, {}),
    ("url", "https://example.org/a?b=c&d#e", "https://example.org/a%3Fb%3Dc%26d%23e", "/a", {}),
    ("action_name", "Help / Feedback", "Help%20/%20Feedback", NAN, {}),
    ("_id", "af344a398df83874", "af344a398df83874", "af344a398df8387", {}),
    ("rand", 351459, "351459", NAN, {}),
    ("r", 351459, "351459", NAN, {}),
    ("apiv", 1, "1", 2, {}),
    ("urlref", "http://a.example/?q=ü", "http://a.example/%3Fq%3D%C3%BC", NAN, {}),
    ("_cvar", '{"1":["OS","iphone 5.0"]}', "%7B%221%22:%5B%22OS%22%2C%22iphone%205.0%22%5D%7D", '["OS"]', {}),
    ("_idvc", 19, "19", -1, {}),
    ("_viewts", 1400000000, "1400000000", "yesterday", {}),
    ("_idts", 1400000000, "1400000000", 1400000000000, {}),
    ("_idn", 1, "1", 2, {}),
    ("_rcn", "spring", "spring", NAN, {}),
    ("_rck", "shoes", "shoes", NAN, {}),
    ("_ref", "http://a.example/", "http://a.example/", NAN, {}),
    ("_refts", 1400000000, "1400000000", -1, {}),
    ("res", "1280x1024", "1280x1024", "wide", {}),
    ("h", 23, "23", 24, {}),
    ("m", "03", "03", 60, {}),
    ("s", 0, "0", "3s", {}),
    *((name, 1, "1", "yes", {}) for name in ("fla", "java", "dir", "qt", "realp", "pdf", "wma", "gears", "ag")),
    ("cookie", "", "", "yes", {}),
    ("ua", "Mozilla/5.0 (X11)", "Mozilla/5.0%20%28X11%29", NAN, {}),
    ("uadata", '{"model":""}', "%7B%22model%22:%22%22%7D", "[]", {}),
    ("lang", "en-us,en;q=0.8", "en-us%2Cen%3Bq%3D0.8", NAN, {}),
    ("uid", "jane@example.org", "jane%40example.org", "", {}),
    ("cid", "0123456789ABCDEF", "0123456789ABCDEF", "0123456789ABCDEG", {}),
    ("new_visit", 1, "1", "true", {}),
    ("cvar", '{"1":["a","b"]}', "%7B%221%22:%5B%22a%22%2C%22b%22%5D%7D", '{"1":["a"]}', {}),
    ("link", "https://out.example/x", "https://out.example/x", "out.example", {}),
    ("download", "ftp://example.org/a.zip", "ftp://example.org/a.zip", "a.zip", {}),
    ("search", "red shoes", "red%20shoes", " ", {}),
    ("search_cat", "men", "men", NAN, SEARCH),
    ("search_count", 0, "0", -1, SEARCH),
    ("idgoal", 3, "3", "first", {}),
    ("revenue", 12.5, "12.5", "12,50", {"idgoal": 3}),
    ("gt_ms", 250, "250", -250, {}),
    ("cs", "iso-8859-1", "iso-8859-1", "utf 8", {}),
    ("pv_id", "a1B2c3", "a1B2c3", "a-b", {}),
    ("ca", 1, "1", 2, {}),
    ("ping", 1, "1", 2, {}),
    ("bw_bytes", 5_000_000_000, "5000000000", -5, {}),
    ("dimensionN", "premium", "premium", NAN, {}),
    *((f"pf_{part}", 12.0, "12", 1.5, {}) for part in ("net", "srv", "tfr", "dm1", "dm2", "onl")),
    ("e_c", "Videos", "Videos", "", EVENT),
    ("e_a", "Play", "Play", " ", EVENT),
    ("e_n", "Alien", "Alien", NAN, EVENT),
    ("e_v", -1.25, "-1.25", float("inf"), EVENT),
    ("c_n", "Ad Foo Bar", "Ad%20Foo%20Bar", "", {}),
    ("c_p", "/img/a.png", "/img/a.png", NAN, CONTENT),
    ("c_t", "http://landing.example", "http://landing.example", NAN, CONTENT),
    ("c_i", "click", "click", "", CONTENT),
    ("ec_id", "A 1", "A%201", "", CART | {"revenue": 1}),
    ("ec_items", '[["s",1]]', "%5B%5B%22s%22%2C1%5D%5D", '{"s":1}', CART),
    ("ec_st", 10, "10", "ten", CART),
    ("ec_tx", "1.9", "1.9", "", CART),
    ("ec_sh", 0, "0", "1_0", CART),
    ("ec_dt", 0.5, "0.5", "1e999", CART),
    ("_ects", 1400000000, "1400000000", "in 2014", {}),
    ("_pks", "sku", "sku", NAN, {}),
    ("_pkn", "Shoe", "Shoe", NAN, {}),
    ("_pkc", '["a","b"]', "%5B%22a%22%2C%22b%22%5D", NAN, {}),
    ("_pkp", 9.99, "9.99", "free", {}),
    ("token_auth", None, None, "33dc3f2536d3025974cccb4b4d2d98f4", {}),
    ("cip", "2001:db8::1", "2001:db8::1", "203.0.113.9:80", {}),
    ("cdt", NOW, NOW.replace(" ", "%20"), "yesterday", {}),
    ("cdo", 30, "30", -30, {}),
    ("country", "fr", "fr", "FR", {}),
    ("region", "A2", "A2", "Bretagne", {}),
    ("city", "Saint-Malo", "Saint-Malo", NAN, {}),
    ("lat", "-90", "-90", 90.01, {}),
    ("long", 2.25, "2.25", "abc", {}),
    ("send_image", None, None, 0, {}),
    ("bots", 1, "1", "all", {}),
    ("recMode", 2, "2", 3, {}),
    ("http_status", 404, "404", 42, {}),
    ("source", "Cloudflare", "Cloudflare", NAN, {}),
    ("dp", 1, "1", "all", {}),
    ("queuedtracking", 0, "0", "no", {}),
    ("debug", 1, "1", "no", {}),
    ("ma_*", "x1", "x1", NAN, {}),
    ("cra*", "TypeError", "TypeError", NAN, {"ca": 1}),
]
ONE_OF = {"dimensionN": "dimension3", "ma_*": "ma_id", "cra*": "cra_tp"}
GOOD = [pytest.param(name, good, wire, others, id=name) for name, good, wire, _, others in VALUES if wire is not None]
BAD = [pytest.param(name, bad, others, id=name) for name, _, _, bad, others in VALUES]


@pytest.mark.parametrize("name", (SEED + LATER).split())
def test_the_table_has_every_parameter_that_the_seed_names_and_the_later_ones(name):
    row = parameter(name)
    assert row is not None
    assert row.name == name
    assert row.rule
    assert row.meaning
    assert row.since


def test_every_parameter_of_the_table_is_tested_here():
    assert sorted(row[0] for row in VALUES) == sorted(PARAMETERS)


@pytest.mark.parametrize(("name", "good", "wire", "others"), GOOD)
def test_a_good_value_has_this_text_on_the_wire(name, good, wire, others):
    name = ONE_OF.get(name, name)
    query = encode({**PAGE, **others, name: good})
    assert f"&{name}={wire}&" in f"&{query}&"
    assert decode(query)[name] == (str(good) if isinstance(good, str) else wire)


@pytest.mark.parametrize(("name", "bad", "others"), BAD)
def test_a_bad_value_is_refused_with_the_rule_in_words(name, bad, others):
    row = PARAMETERS[name]
    name = ONE_OF.get(name, name)
    for _ in range(2):  # what is refused once must not be remembered as good
        with pytest.raises(InvalidHit) as caught:
            encode({**PAGE, **others, name: bad})
    assert caught.value.parameter == name
    assert str(caught.value) == f"{name}: must be {row.rule}"


DEEP = "[" * 100_000
MORE_BAD = [
    ("idsite", ""),
    ("idsite", "1.5"),
    ("idsite", "²"),
    ("idsite", "٣"),
    ("idsite", 2**32),
    ("url", ""),
    ("url", "//example.org/"),
    ("url", "http://"),
    ("_id", "af344a398df83874\n"),
    ("cip", "[2001:db8::1]"),
    ("cip", "203.0.113.9, 10.0.0.1"),
    ("cip", "fe80::1%eth0"),
    ("cip", "203.0.113.009"),
    ("cip", "-"),
    ("cdt", ago(hours=-1)),
    ("cdt", ago(days=20 * 365 + 1)),
    ("cdt", "2024-02-30 00:00:00"),
    ("cdt", "2024-02-03T00:00:00"),
    ("cdt", "1400000000"),
    ("country", "f1"),
    ("lat", "nan"),
    ("long", "-180.5"),
    ("res", "320"),
    ("res", "1280 x 1024"),
    ("h", "-1"),
    ("gt_ms", 2**24),
    ("bw_bytes", 2**63),
    ("bw_bytes", "9" * 5_000),
    ("e_v", "1" * 400),
    ("e_v", "Infinity"),
    ("ec_id", "x" * 101),
    *(
        ("_cvar", text)
        for text in ("", "{", DEEP, "NaN", '{"1":["a","\udce9"]}', '{"0":["a","b"]}', '{"1":"a"}', '{"1":["a",null]}')
    ),
    *(("uadata", text) for text in ("", "null", '{"a":NaN}')),
    *(("ec_items", text) for text in ("", '["s"]', "[[]]", '[[""]]', "[[null]]", '[["s","n","c",1,1,1]]')),
    *(
        ("ec_items", text)
        for text in ('[["s","n","c","free"]]', '[["s",{},"c"]]', '[["s","n",[{}]]]', "[[true,1,1,[]]]")
    ),
    ("dimension3", float("-inf")),
]
OTHERS = {"e": EVENT, "ec": CART | {"revenue": 1}}


@pytest.mark.parametrize(("name", "bad", "others"), BAD)
def test_a_bad_value_is_left_out_unless_it_decides_what_the_hit_is(name, bad, others):
    decides = PARAMETERS[name].decides
    assert decides is (name in DECIDING.split())
    name = ONE_OF.get(name, name)
    hit = {**PAGE, **others, name: bad}
    with pytest.raises(InvalidHit) as caught:
        encode(hit)
    if decides:
        with pytest.raises(InvalidHit, match=re.escape(str(caught.value))):
            encode_rest(hit, caught.value)
        return
    query, faults = encode_rest(hit, caught.value)
    assert [str(fault) for fault in faults] == [str(caught.value)]
    assert query == encode({**PAGE, **others}) == encode(hit)


def test_all_that_is_bad_is_left_out_and_what_needs_it_too():
    hit = PAGE | {"res": "big", "lat": "north", "long": 500, "search_cat": "shoes", "lang": "de"}
    with pytest.raises(InvalidHit) as caught:
        encode(hit)
    query, faults = encode_rest(hit, caught.value)
    assert query == encode(PAGE | {"lang": "de"})
    assert {fault.parameter for fault in faults} == {"res", "lat", "long", "search_cat"}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"idgoal": 0, "ec_id": "A1", "revenue": "free"}, "ec_id: needs revenue"),
        ({"e_a": "Play", "res": "big"}, "e_a: needs e_c"),
    ],
    ids=["order", "event"],
)
def test_a_hit_that_is_nothing_without_what_is_bad_is_invalid(more, reason):
    with pytest.raises(InvalidHit) as caught:
        encode(PAGE | more)
    with pytest.raises(InvalidHit, match=f"^{reason}$"):
        encode_rest(PAGE | more, caught.value)


def test_a_goal_counts_without_a_revenue_that_is_no_number():
    with pytest.raises(InvalidHit) as caught:
        encode(PAGE | {"idgoal": 3, "revenue": "free"})
    assert encode_rest(PAGE | {"idgoal": 3, "revenue": "free"}, caught.value)[0] == encode(PAGE | {"idgoal": 3})


@pytest.mark.parametrize(("name", "bad"), MORE_BAD, ids=short)
def test_a_value_at_or_past_the_edge_of_its_rule_is_refused(name, bad):
    with pytest.raises(InvalidHit) as caught:
        encode({**PAGE, **OTHERS.get(name.partition("_")[0], {}), name: bad})
    assert caught.value.parameter == name


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("cip", "0.0.0.0"),
        ("cip", "::ffff:203.0.113.9"),
        ("cdt", ago(seconds=-60)),
        ("cdt", ago(days=20 * 365 - 1)),
        ("lat", "90"),
        ("long", "-1.8e2"),
        ("bw_bytes", 2**63 - 1),
        ("bw_bytes", 0),
        ("_cvar", "{}"),
        ("_cvar", '{"1":["n",1],"20":["ü","x"]}'),
        ("ec_items", "[]"),
        ("ec_items", '[["sku","name",["a","b"],"9.99",2],[17,null,null]]'),
        ("url", "app://settings"),
        ("h", "00"),
    ],
    ids=short,
)
def test_a_value_just_inside_its_rule_is_taken(name, good):
    assert decode(encode({**PAGE, **OTHERS.get(name.partition("_")[0], {}), name: good}))[name] == str(good)


ORDER = {"idgoal": 0, "ec_id": "A1", "revenue": 10}


@pytest.mark.parametrize(
    ("hit", "message"),
    [
        ({"url": "http://a/", "rec": 1}, "idsite: is missing"),
        ({"url": "http://a/", "idsite": 1}, "rec: is missing"),
        ({"rec": 1, "idsite": 1}, "url: is missing"),
        ({}, "idsite: is missing"),
        (PAGE | {"e_c": "a"}, "e_c: needs e_a"),
        (PAGE | {"e_a": "a"}, "e_a: needs e_c"),
        (PAGE | {"e_v": 1}, "e_v: needs e_c"),
        (PAGE | {"e_n": "a"}, "e_n: needs e_c"),
        (PAGE | {"c_i": "click"}, "c_i: needs c_n"),
        (PAGE | {"c_p": "a.png"}, "c_p: needs c_n"),
        (PAGE | {"c_t": "http://a/"}, "c_t: needs c_n"),
        (PAGE | {"search_cat": "a"}, "search_cat: needs search"),
        (PAGE | {"search_count": 1}, "search_count: needs search"),
        (PAGE | {"revenue": 1}, "revenue: needs idgoal"),
        (PAGE | {"ec_id": "A1", "idgoal": 0}, "ec_id: needs revenue"),
        (PAGE | {"ec_id": "A1", "revenue": 1}, "revenue: needs idgoal"),
        *((PAGE | {name: 1}, f"{name}: needs idgoal") for name in ("ec_st", "ec_tx", "ec_sh", "ec_dt")),
        (PAGE | {"ec_items": "[]"}, "ec_items: needs idgoal"),
        (PAGE | ORDER | {"idgoal": 1}, "idgoal: must be 0 in a hit about an order or a cart"),
        (PAGE | {"cra": "TypeError"}, "cra: needs ca"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hit_that_lacks_what_it_needs_is_refused_by_check_and_by_encode(hit, message):
    for function in (check, encode):
        with pytest.raises(InvalidHit, match=f"^{re.escape(message)}$"):
            function(hit)


@pytest.mark.parametrize(
    "hit",
    [
        {"idsite": 1, "rec": 1, **EVENT},
        {"idsite": 1, "rec": 1, "idgoal": 3},
        {"idsite": 1, "rec": 1, "ping": 1},
        PAGE | ORDER | {"ec_items": '[["s"]]', "ec_st": 8, "ec_tx": 1, "ec_sh": 1, "ec_dt": 0},
        PAGE | {"idgoal": "0", "ec_items": '[["s"]]'},
        PAGE | {"idgoal": 0.0, "ec_items": '[["s"]]'},
        PAGE | CONTENT | {"c_i": "click", "c_p": "a.png", "c_t": "http://a/"},
    ],
    ids=["event", "goal", "ping", "order", "cart", "cart with a float", "content"],
)
def test_a_hit_about_something_other_than_a_page_is_whole_with_what_that_needs(hit):
    check(hit)
    assert list(decode(encode(hit))) == list(hit)


def test_only_what_overrides_the_server_needs_the_token():
    needing = {name for name, row in PARAMETERS.items() if row.needs_token}
    assert needing == {"cip", "cdt", "cdo", "country", "region", "city", "lat", "long"}


@pytest.mark.parametrize("values", [(1, 1.0, True), (1.0, True, 1), (True, 1, 1.0)], ids=str)
def test_equal_numbers_have_one_text_whichever_comes_first(values):
    encode.__globals__["_wires"].clear()
    encode.__globals__["_shapes"].clear()
    assert {encode({**PAGE, "e_v": value, **EVENT}) for value in values} == {encode({**PAGE, "e_v": "1", **EVENT})}


@pytest.mark.parametrize(
    ("value", "wire"),
    [(0.1, "0.1"), (-0.0, "0"), (1e22, "10000000000000000000000"), (1.5e-7, "1.5e-07")],
    ids=str,
)
def test_a_float_is_written_so_that_the_server_reads_the_same_number(value, wire):
    assert decode(encode({**PAGE, **EVENT, "e_v": value}))["e_v"] == wire


def test_the_piwik_mobile_request_of_the_seed_is_reproduced():
    hit = {
        "_cvar": '{"1":["OS","iphone 5.0"],"2":["Piwik Mobile Version","1.6.2"],'
        '"3":["Locale","en::en"],"4":["Num Accounts","2"]}',
        "action_name": "View settings",
        "url": "http://mobileapp.piwik.org/window/settings",
        "idsite": 8876,
        "rand": 351459,
        "h": 18,
        "m": 13,
        "s": 3,
        "rec": 1,
        "apiv": 1,
        "cookie": "",
        "urlref": "http://iphone.mobileapp.piwik.org",
        "_id": "af344a398df83874",
        "_idvc": 19,
        "res": "320×480",
    }
    plain = (
        '_cvar={"1":["OS","iphone 5.0"],"2":["Piwik Mobile Version","1.6.2"],"3":["Locale","en::en"],'
        '"4":["Num Accounts","2"]}&action_name=View settings&url=http://mobileapp.piwik.org/window/settings&idsite=8876'
        "&rand=351459&h=18&m=13&s=3&rec=1&apiv=1&cookie=&urlref=http://iphone.mobileapp.piwik.org"
        "&_id=af344a398df83874&_idvc=19&res=320×480"
    )
    assert "&".join(f"{name}={text}" for name, text in decode(encode(hit)).items()) == plain


def test_the_bulk_example_of_the_seed_is_reproduced():
    hits = [
        {"idsite": 1, "url": "http://example.org", "action_name": "Test bulk log Pageview", "rec": 1},
        {"idsite": 1, "url": "http://example.net/test.htm", "action_name": "Another bul k page view", "rec": 1},
    ]
    body = bulk_body(map(encode, hits), "33dc3f2536d3025974cccb4b4d2d98f4")
    assert json.loads(body.replace(b"%20", b" ")) == {
        "requests": [
            "?idsite=1&url=http://example.org&action_name=Test bulk log Pageview&rec=1",
            "?idsite=1&url=http://example.net/test.htm&action_name=Another bul k page view&rec=1",
        ],
        "token_auth": "33dc3f2536d3025974cccb4b4d2d98f4",
    }


@pytest.mark.parametrize(
    ("queries", "token", "body"),
    [
        ([], None, b'{"requests":[]}'),
        (["a=1"], None, b'{"requests":["?a=1"]}'),
        (["a=1", "b=2"], 't"\\', b'{"requests":["?a=1","?b=2"],"token_auth":"t\\"\\\\"}'),
    ],
    ids=["empty", "without a token", "a token that JSON escapes"],
)
def test_the_body_of_a_bulk_is_json(queries, token, body):
    assert bulk_body(iter(queries), token) == body
    assert json.loads(body).get("token_auth") == token


def test_bytes_that_are_not_utf8_come_out_as_they_were_in_the_log():
    name = as_read(b"caf\xe9 \xc3\xa9 \xff")
    query = encode({**PAGE, "action_name": name})
    assert query.endswith("&action_name=caf%E9%20%C3%A9%20%FF")
    assert decode(query)["action_name"] == name


def test_half_of_a_surrogate_pair_becomes_the_replacement_character():
    assert encode({**PAGE, "action_name": "a\ud83d\udcff"}).endswith("&action_name=a%EF%BF%BD%FF")


def as_read(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


characters = st.lists(st.integers(0, 0x10FFFF).map(chr)).map("".join)  # st.text() needs a second for its tables
texts = st.one_of(st.binary(), characters.map(lambda text: text.encode("utf-8", "surrogatepass"))).map(as_read)


@given(st.dictionaries(st.sampled_from(["action_name", "urlref", "ua", "city", "dimension1", "lang", "e_n"]), texts))
def test_any_text_is_the_same_after_encode_and_decode(hit):
    hit = {"idsite": "1", "rec": "1", "url": "http://a/", **EVENT, **hit}
    query = encode(hit)
    assert re.fullmatch(r"[A-Za-z0-9._~/:%&=-]+", query)
    assert decode(query) == hit
    assert list(decode(query)) == list(hit)
    assert json.loads(bulk_body([query], None)) == {"requests": ["?" + query]}


@pytest.mark.parametrize(
    ("query", "hit"),
    [
        ("a=b+c%2B", {"a": "b c+"}),
        ("a=1&a=2", {"a": "2"}),
        ("a&b=&&c==", {"a": "", "b": "", "c": "="}),
        ("", {}),
        ("%5B=%ff%", {"[": "\udcff%"}),
    ],
)
def test_a_query_is_decoded_as_php_does(query, hit):
    assert decode(query) == hit


def test_an_invalid_hit_crosses_from_a_worker_process():
    error = pickle.loads(pickle.dumps(InvalidHit("cip", "must be bare")))
    assert (error.parameter, error.reason, str(error)) == ("cip", "must be bare", "cip: must be bare")


def test_encoding_a_hit_whose_texts_were_seen_takes_about_a_microsecond():
    hit = PAGE | {"urlref": "http://b/", "cip": "203.0.113.9", "cdt": NOW, "ua": "Mozilla", "bots": 1, "dp": 1}
    hit |= {"bw_bytes": 2326, "cid": "0123456789abcdef"}
    best = 1.0
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(1_000):
            encode(hit)
        best = min(best, (time.perf_counter() - began) / 1_000)
    assert best < 10e-6  # 0.9 µs on one core of 2026; ten times that would be a mistake, not a slow machine


def of_a_log(name: str, value: object, others: dict[str, object]):
    """Return the batch of a JSON log of one line that has `value`, which a mapping gives to the parameter."""
    table = read_table({"map": {name: "value"}, "set": others})
    log = Definition("app", "", "", json={"time": "t:iso8601", "path": "p", "ip": "ip"}, hit=table)
    plan = Plan(0, log, FilterSettings(), HitSettings(1, "http://example.org"), shaping=Shaping())
    line = json.dumps({"t": "2026-11-20T09:00:00Z", "p": "/", "ip": "192.0.2.1", "value": value}).encode()
    return Translator(plan)(Block(line, 0, len(line), 1, 1))


@pytest.mark.parametrize(("name", "good", "wire", "others"), GOOD)
def test_a_line_of_a_log_gives_a_parameter_its_value(name, good, wire, others):
    name = ONE_OF.get(name, name)
    batch = of_a_log(name, good, others)
    assert (batch.bad, batch.warned) == ([], {})
    if good != "":  # in a log, nothing is no value
        assert f"&{name}={wire}&" in f"&{batch.entries[0].query}&"


@pytest.mark.parametrize(("name", "bad", "others"), BAD)
def test_a_bad_value_in_a_log_is_told_with_its_reason(name, bad, others):
    row = PARAMETERS[name]
    name = ONE_OF.get(name, name)
    bad = {"ec_id": "x" * 101}.get(name, bad or (" " if bad == "" else bad))
    if name in ("token_auth", "send_image"):
        with pytest.raises(ValueError, match=f"`hit` map {name}: is {row.rule}"):
            of_a_log(name, bad, others)
        return
    batch = of_a_log(name, bad, others)
    if row.decides:
        assert [one.reason for one in batch.bad] == [f"{name}: must be {row.rule}"]
        return
    assert batch.bad == []
    assert {key: (one.hits, one.line) for key, one in batch.warned.items()} == {(name, f"must be {row.rule}"): (1, 1)}
    assert f"&{name}=" not in batch.entries[0].query
