"""Requests to a tracker, found in a server's log, are replayed as they were, and prove nothing about who sent them."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import re
import shutil
import subprocess
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
from conftest import BROWSER
from hypothesis import example, given
from hypothesis import strategies as st

from piwik_import.errors import without_tokens
from piwik_import.filters import FilterSettings
from piwik_import.hits import HitMaker, HitSettings
from piwik_import.parsers import catalogue
from piwik_import.parsers.record import BadLine, LeftOut, Record
from piwik_import.parsers.request import from_line
from piwik_import.sandbox import EverySite, Sandbox
from piwik_import.shaping import Shaping
from piwik_import.source import Block
from piwik_import.tracker_requests import FILES, TrackerRequests, TrackerSettings, name_of
from piwik_import.tracking import encode, encode_rest
from piwik_import.translate import Plan, Translator, slot_of

PAGE = "idsite=3&rec=1&url=http%3A%2F%2Fshop.example%2F"
ADDED = {"cip": "198.51.100.7", "cdt": "2026-03-05 10:00:00", "ua": BROWSER, "queuedtracking": 0}
SECRET = "5ec2e7" * 5


def asked(
    query: str | None = PAGE,
    body: object = None,
    *,
    method: str = "GET",
    path: str = "/piwik.php",
    status: int | None = 200,
    referrer: str | None = None,
    agent: str | None = BROWSER,
    ip: str = "198.51.100.7",
    **settings: object,
) -> list[dict[str, str | int | float]]:
    """Return the hits of a request."""
    target = path if query is None else f"{path}?{query}"
    time = datetime(2026, 3, 5, 10, tzinfo=UTC)
    request = from_line(f"{'POST' if body is not None else method} {target} HTTP/1.1")
    extra = {} if body is None else {"request_body": body}
    record = Record(ip, time, request, status, referrer=referrer, user_agent=agent, extra=extra)
    return TrackerRequests(TrackerSettings(**{"files": FILES, **settings}), HitMaker(HitSettings(1)))(record)


def one(*arguments, **options):
    """Return the only hit of a request."""
    (hit,) = asked(*arguments, **options)
    return hit


def own(*arguments, **options):
    """Return what a request itself says of its only hit."""
    hit = one(*arguments, **options)
    return {name: value for name, value in hit.items() if name not in ADDED}


def reason(*arguments, **options):
    with pytest.raises(LeftOut) as caught:
        asked(*arguments, **options)
    return str(caught.value)


# ---- which requests are replayed


@pytest.mark.parametrize("path", ["/piwik.php", "/matomo.php", "/stats/matomo.php", "//piwik.php", "/Piwik.php"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_requests_to_the_tracker_are(path, method):
    assert own(path=path, method=method) == {"idsite": "3", "rec": "1", "url": "http://shop.example/"}


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/piwik.js", "GET"),
        ("/matomo.js", "GET"),
        ("/", "GET"),
        ("/notpiwik.php", "GET"),
        ("/piwik.php/x", "GET"),
        ("/js/tracker.php", "GET"),
        ("/piwik.php", "OPTIONS"),
        ("/piwik.php", "PUT"),
    ],
)
def test_other_requests_are_not(path, method):
    assert reason(path=path, method=method) == "not_tracker"


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("count.php", "/a/count.php"),
        ("/js/tracker.php", "/stats/js/tracker.php"),
        ("js/tracker.php", "/js/tracker.php"),
        ("js/", "/js/"),
        ("matomo/v1/hit/", "/wp-json/matomo/v1/hit/"),
    ],
)
def test_trackers_by_other_names_can_be_named(file, path):
    assert one(path=path, files=(file,))
    assert reason(path="/piwik.php", files=(file,)) == "not_tracker"


@pytest.mark.parametrize("status", [200, 204, 304, 400, 403, 404, 499, 500, 502, 503, None])
def test_whatever_the_server_answered_they_are(status):
    assert one(status=status)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_one_that_was_sent_elsewhere_came_again_there_and_is_left_out(status):
    assert reason(status=status) == "redirect"
    assert one(status=status, redirects=True)
    assert one(f"{PAGE}&redirecturl=http://a/", status=status), "the tracker itself sends people there"


def test_one_that_asks_for_no_record_is_left_out():
    assert [reason(query) for query in (None, "", "idsite=1&url=http://a/", "idsite=1&rec=0")] == ["not_recorded"] * 4


def test_a_post_whose_body_is_not_in_the_log_is_counted_as_that():
    assert reason(None, method="POST") == "no_body"
    assert reason("send_image=0", method="POST") == "no_body"
    assert reason(None, 512) == "no_body"
    assert reason(None, "", method="POST") == "not_recorded"


def test_a_ping_is_replayed():
    assert own("ping=1&idsite=1&rec=1") == {"ping": "1", "idsite": "1", "rec": "1"}


# ---- what they say


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("_id=af344a398df83874", "_id", "af344a398df83874"),
        ("cid=af344a398df83874", "cid", "af344a398df83874"),
        ("uid=jane%40example.org", "uid", "jane@example.org"),
        ("_idts=1438550142", "_idts", "1438550142"),
        ("_idvc=19", "_idvc", "19"),
        ("_viewts=1438550142", "_viewts", "1438550142"),
        ("_ects=1438550142", "_ects", "1438550142"),
        ("_refts=0", "_refts", "0"),
        ("_ref=http%3A%2F%2Fa%2F%3Fb%26c", "_ref", "http://a/?b&c"),
        ("h=17&m=59&s=0", "m", "59"),
        ("lang=de-DE%2Cde", "lang", "de-DE,de"),
        ("bots=1", "bots", "1"),
        ("new_visit=1", "new_visit", "1"),
        ("action_name=View+settings", "action_name", "View settings"),
        ("action_name=", "action_name", ""),
        ("action_name", "action_name", ""),
        ("action_name=a=b", "action_name", "a=b"),
        ("action_name=%E9%FF", "action_name", "\udce9\udcff"),
        ("action_name=%zz%4", "action_name", "%zz%4"),
        ("action_name=a;b", "action_name", "a;b"),
        ("urlref=http%3A%2F%2Fa%2F", "urlref", "http://a/"),
        ("of_a_plugin=%26", "of_a_plugin", "&"),
        ("e.c=a&e_a=b", "e_c", "a"),
        ("+action name=a", "action_name", "a"),
        ("cvar[1][0]=n&cvar[1][1]=v", "cvar[1][1]", "v"),
        ("a[]=x&a[]=y", "a[1]", "y"),
        ("a[0]=x&a[]=y", "a[1]", "y"),
        ("a[][]=x&a[][]=y", "a[1][0]", "y"),
        ("lang=de&lang=fr", "lang", "fr"),
    ],
)
def test_a_parameter_is_kept_as_php_reads_it(query, name, value):
    assert own(f"{PAGE}&{query}")[name] == value


@pytest.mark.parametrize("name", ["_id", "cid", "_viewts", "_idts", "uid", "search", "e_v", "revenue", "link"])
def test_an_empty_parameter_that_may_not_be_empty_says_nothing(name):
    assert name not in one(f"{PAGE}&{name}=")


@pytest.mark.parametrize("name", ["send_image", "debug", "queuedtracking"])
def test_what_is_about_the_answer_is_dropped(name):
    assert one(f"{PAGE}&{name}=1") == one()


def test_time_address_and_agent_are_those_of_the_line():
    hit = one(f"{PAGE}&ua=Other&cdt=2020-01-01&cip=1.2.3.4&cdo=3000000")
    assert hit == one()
    assert {name: hit[name] for name in ADDED} == ADDED
    assert one(f"{PAGE}&ua=Other", agent=None)["ua"] == "Other", "where the log has none"


def test_a_page_with_a_tracking_image_is_known_by_the_referrer():
    assert one("idsite=1&rec=1", referrer="http://a/page")["url"] == "http://a/page"
    assert one("idsite=1&rec=1&url=", referrer="http://a/page")["url"] == "http://a/page"
    assert one(PAGE, referrer="http://a/page")["url"] == "http://shop.example/"
    assert "url" not in one("idsite=1&rec=1&urlref=http://b/", referrer="http://a/page")
    assert "url" not in one("ping=1&idsite=1&rec=1", referrer="nonsense")


def test_the_site_is_the_one_that_the_request_names_or_that_of_all():
    assert one()["idsite"] == "3"
    assert one(site=5)["idsite"] == 5
    assert one("rec=1&url=http://a/", site=5)["idsite"] == 5


def test_bots_are_left_to_the_server_or_asked_for():
    assert "bots" not in one(agent="Googlebot/2.1")
    assert one(agent="Googlebot/2.1", bots=True)["bots"] == 1


def test_a_client_that_is_known_by_a_name_alone_keeps_the_id_that_it_sent():
    assert re.fullmatch("[0-9a-f]{16}", one(ip="pc.example.org")["cid"])
    assert "cid" not in one(f"{PAGE}&_id=af344a398df83874", ip="pc.example.org")


@pytest.mark.parametrize("name", ["idsite", "ua", "bots", "queuedtracking", "cip", "cdt"])
def test_what_we_say_comes_last_so_that_no_array_takes_its_place(name):
    names = [*one(f"{PAGE}&{name}=1&{name}[a]=1", site=5, bots=True)]
    assert {*names[names.index(name) :]} <= {"idsite", "cip", "cdt", "ua", "bots", "queuedtracking"}


# ---- bodies


@pytest.mark.parametrize(
    "body",
    [
        {"requests": ["?idsite=1&rec=1&url=http://a/", "?idsite=2&rec=1&url=http://b/#x", "?idsite=2&rec=0"]},
        {"requests": ["http://c/piwik.php?idsite=1&rec=1&url=http://a/", "?idsite=2&rec=1&url=http://b/", "", 5, None]},
        {"requests": [{"idsite": 1, "rec": 1, "url": "http://a/"}, {"idsite": "2", "rec": True, "url": "http://b/"}]},
        {"token_auth": SECRET, "requests": ["?idsite=1&rec=1&url=http://a/", "?idsite=2&rec=1&url=http://b/"]},
    ],
)
@pytest.mark.parametrize("written", [json.dumps, lambda body: body], ids=["text", "object"])
def test_each_request_of_a_bulk_is_a_hit(body, written):
    hits = asked(None, written(body))
    assert [(str(hit["idsite"]), hit["url"]) for hit in hits] == [("1", "http://a/"), ("2", "http://b/")]
    assert SECRET not in str(hits)


def test_a_form_is_a_hit_and_the_query_counts_over_it():
    assert own("action_name=b", f"{PAGE}&action_name=a&lang=de") == own(f"{PAGE}&action_name=b&lang=de")


@pytest.mark.parametrize(
    "body",
    ['{"requests":["?idsite=1&rec=1', '{"requests":5}', '{"requests":["\\ud83d', "[" * 5000 + '"requests"', {}],
    ids=str,
)
def test_a_body_that_is_none_makes_a_bad_line(body):
    with pytest.raises(BadLine, match=r"^the body of a bulk request"):
        asked(None, body)


def test_a_bulk_that_records_nothing_is_left_out():
    assert reason(None, '{"requests":[]}') == reason(None, '{"requests":["?idsite=1"]}') == "not_recorded"


# ---- what a stranger may not say


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("token.auth", "token_auth"),
        ("token auth", "token_auth"),
        ("token[auth", "token_auth"),
        ("  cip", "cip"),
        ("cip\0more", "cip"),
        ("cip[]", "cip[]"),
        ("cip[a.b]more", "cip[a.b]"),
        ("a.b[c", "a_b_c"),
        ("a[b]c[d]", "a[b]"),
        ("[a]", ""),
        ("[a", ""),
        ("", ""),
        ("\0", ""),
    ],
)
def test_names_are_those_that_php_makes_of_them(text, name):
    assert name_of(text) == name


PHP = """
foreach (explode("\\n", trim(file_get_contents("php://stdin"))) as $line) {
    parse_str(hex2bin($line), $found);
    $all[] = array_map(fn($name) => bin2hex((string)$name), array_keys($found));
}
echo json_encode($all);
"""


@pytest.mark.skipif(shutil.which("php") is None, reason="there is no PHP")
def test_names_are_those_that_a_real_php_makes_of_them():
    dice = random.Random(20261122)
    pieces = "token auth cip cdt . _ [ ] [] [[ ][ %5B %5D %20 + %2E & = %00 % %6 %63 %26 %3D \t # 0 \xc3\xa9".split(" ")
    queries = ["x" + "".join(dice.choices([*pieces, " "], k=dice.randrange(1, 9))) for _ in range(2000)]
    queries += [query[1:] or "x" for query in queries]
    written = "\n".join(query.encode("latin-1").hex() for query in queries)
    command = ["php", "-d", "error_reporting=0", "-r", PHP]
    answer = subprocess.run(command, input=written, capture_output=True, text=True, check=True, timeout=30).stdout
    for query, names in zip(queries, json.loads(answer), strict=True):
        pairs = [field.replace("+", " ").partition("=")[0] for field in query.split("&") if field]
        ours = {name_of(unquote(name, "latin-1")).partition("[")[0] for name in pairs} - {""}
        assert ours == {bytes.fromhex(name).decode("latin-1") for name in names}, query


SMUGGLED = {
    "plain": "{name}=X",
    "first letter": "{quoted}=X",
    "upper case": "{upper}=X",
    "array": "{name}[]=X",
    "array by name": "{name}[a]=X",
    "quoted array": "{name}%5B%5D=X",
    "NUL": "{name}%00a=X",
    "leading spaces": "%20+{name}=X",
    "semicolon": "a=b;{name}=X",
    "semicolons": "a;{name}=X;c=d",
    "twice": "{name}=X&{name}=X",
    "no value": "{name}",
}


@pytest.mark.parametrize("name", "token_auth cip cdt cdo country region city lat long".split())
@pytest.mark.parametrize("way", SMUGGLED)
def test_nobody_sets_what_takes_a_token(way, name):
    names = {"name": name, "quoted": f"%{ord(name[0]):x}{name[1:]}", "upper": name.upper()}
    target = SMUGGLED[way].format(**names).replace("X", SECRET)
    for wire in (encode(one(f"{PAGE}&{target}")), encode(one(None, f"{PAGE}&{target}"))):
        assert SECRET not in wire
        assert name.upper() not in wire
        assert wire.count("cip=") == wire.count("cdt=") == 1
        assert "token" not in wire


@pytest.mark.parametrize(
    "name", ["token.auth", "token auth", "token+auth", "token[auth", "tok%65n%2Eauth", "x[token_auth]"]
)
def test_nobody_sends_a_token_by_what_php_takes_for_its_name(name):
    wire = encode(one(f"{PAGE}&{name}={SECRET}"))
    assert SECRET not in wire
    assert wire == encode(one())


WORDS = (
    "token_auth cip cdt cdo %63ip token.auth token auth [ ] [] . _ + % %00 %5B = & ; &rec=1 &idsite=1 &url=http://a/"
)
PARTS = st.sampled_from([*WORDS.split(), " ", "%20", SECRET, "\udcff", "é", "a", "%c3", "{"])


@given(st.lists(PARTS, max_size=12).map("".join) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
@example("token_auth=" + SECRET)
def test_whatever_a_query_is_nothing_fails_and_nothing_protected_is_sent(query):
    try:
        hits = asked(f"idsite=1&rec=1&url=http://a/&{query}")
    except BadLine:
        return
    for hit in hits:
        try:
            wire = encode(hit)
        except ValueError as fault:
            try:
                wire, _ = encode_rest(hit, fault)
            except ValueError:
                continue
        assert wire.isascii()
        pairs = parse_qsl(wire, True, errors="surrogateescape")
        php = [name_of(name).partition("[")[0] for name, _ in pairs]
        assert "token_auth" not in php
        assert [value for name, value in pairs if name in ("cip", "cdt")] == [ADDED["cip"], ADDED["cdt"]]
        assert php.count("cip") == php.count("cdt") == 1


@given(st.text(st.characters(exclude_categories=()), max_size=30), st.binary(max_size=30))
def test_every_value_arrives_with_the_same_bytes(text, raw):
    sent = quote(text.encode("utf-8", "surrogatepass"), safe=""), quote(raw, safe="")
    wire = encode(one(f"{PAGE}&action_name={sent[0]}&of_a_plugin={sent[1]}"))
    found = dict(parse_qsl(wire, True, errors="surrogateescape"))
    for name, value in (("action_name", text.encode("utf-8", "surrogatepass")), ("of_a_plugin", raw)):
        assert found[name].encode("utf-8", "surrogateescape") == value


# ---- the whole program

SITES = "SitesManager.getSitesIdWithAtLeastViewAccess"
TIME = datetime(2026, 3, 5, 10, tzinfo=UTC)
VISITOR = "_id=af344a398df83874&_idts=1772700000&_idvc=2&_idn=0&_viewts=1772600000&_refts=0&_ref="
BROWSERS = f"rec=1&r=599891&h=17&m=59&s=58&{VISITOR}&send_image=0&cookie=1&res=1366x768&pv_id=aB3dE6&pdf=1"
SENT = [
    f"action_name=Caf%C3%A9%20%2F%20Men%C3%BC&idsite=1&{BROWSERS}&url=http%3A%2F%2Fa.example%2F%3Fq%3D1%26r%3D2&urlref=",
    f"e_c=Videos&e_a=Play&e_n=%E2%82%AC%20%F0%9F%98%80&e_v=1.5&idsite=1&{BROWSERS}&url=http%3A%2F%2Fa.example%2F&ca=1",
    f"search=lamp&search_cat=&search_count=0&idsite=2&{BROWSERS}&url=http%3A%2F%2Fb.example%2Fs",
    f"download=http%3A%2F%2Fa.example%2Fa.pdf&url=http%3A%2F%2Fa.example%2Fa.pdf&idsite=1&{BROWSERS}",
    f"link=https%3A%2F%2Fout.example%2F&url=https%3A%2F%2Fout.example%2F&idsite=1&{BROWSERS}&uid=jane%40a.example",
    f"c_n=Ad&c_p=a.png&c_t=http%3A%2F%2Fc.example%2F&c_i=click&idsite=1&{BROWSERS}&url=http%3A%2F%2Fa.example%2F",
    f"idgoal=3&revenue=10&idsite=1&{BROWSERS}&url=http%3A%2F%2Fa.example%2F&_rcn=Autumn&_rck=lamp",
    "idgoal=0&ec_id=A1&revenue=20&ec_st=18&ec_tx=2&ec_sh=0&ec_dt=0&ec_items=%5B%5B%22s%22%2C%22n%22%2C%5B%22c%22%5D%2C9%2C2"
    f"%5D%5D&idsite=1&{BROWSERS}&url=http%3A%2F%2Fa.example%2F&_ects=1772000000",
    f"_cvar=%7B%221%22%3A%5B%22OS%22%2C%22iphone%205.0%22%5D%7D&cvar=%7B%7D&dimension4=x&idsite=1&{BROWSERS}"
    "&url=http%3A%2F%2Fa.example%2F&uadata=%7B%22fullVersionList%22%3A%5B%5D%7D&pf_net=3&pf_srv=41&lang=de",
    f"ping=1&idsite=1&{BROWSERS}&url=http%3A%2F%2Fa.example%2F",
    f"action_name=%E9%FF&cs=iso-8859-1&idsite=1&{BROWSERS}&url=http%3A%2F%2Fa.example%2F%3F%E9&fa_fields%5B%5D=1&fa_fields%5B%5D=2",
]
"""What browsers send, of every kind."""


def line(target: str, status: int = 200, ip: str = "198.51.100.7", method: str = "GET", referrer: str = "-") -> str:
    return (
        f'{ip} - - [{TIME:%d/%b/%Y:%H:%M:%S} +0000] "{method} {target} HTTP/1.1" {status} 43 "{referrer}" "{BROWSER}"\n'
    )


@pytest.fixture
def replay_tracking(run_program, tracker, tmp_path):
    """Return a function that imports the tracker requests among some lines, with no site given."""
    log = tmp_path / "access.log"

    def run(lines, *arguments, **options):
        log.write_text("".join(lines))
        server = {"PIWIK_URL": tracker.url, "PIWIK_TOKEN": tracker.token}
        return run_program("--replay-tracking", "--summary", "json", log, *arguments, env=server, **options)

    return run


def known(row):
    """Return what a tracker was told of a hit, without what an import must say itself, or may not say."""
    told = row["parameters"]
    names = ("cip", "cdt", "ua", "queuedtracking", "send_image")
    empty = ("_viewts", "search_cat")  # say nothing
    return {name: text for name, text in told.items() if name not in names and (text or name not in empty)}


def test_what_browsers_sent_to_one_tracker_arrives_at_the_other(run_program, tmp_path):
    log = tmp_path / "access.log"
    with Sandbox(sites=EverySite()) as first, Sandbox(sites=EverySite()) as second:
        place = urlsplit(first.url)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=20)
        with contextlib.closing(connection), log.open("w") as file:
            for query in SENT:
                connection.request("GET", f"/piwik.php?{query}", headers={"User-Agent": BROWSER})
                answer = connection.getresponse()
                answer.read()
                file.write(line(f"/piwik.php?{query}", answer.status))
        outcome = run_program("--replay-tracking", log, env={"PIWIK_URL": second.url, "PIWIK_TOKEN": "sandbox"})
        assert (outcome.code, outcome.stderr) == (0, ""), outcome.stdout
        before, after = first.hits(), second.hits()
    assert len(after) == len(SENT)
    for was, now in zip(before, after, strict=True):
        assert known(now).keys() - known(was).keys() <= {"fa_fields[0]", "fa_fields[1]"}
        for name, text in known(was).items():
            assert known(now).get(name, text) == text
        assert {name: now[name] for name in ("idsite", "kind", "visitor", "url", "title")} == {
            name: was[name] for name in ("idsite", "kind", "visitor", "url", "title")
        }
        assert (now["cip"], now["cdt"], now["parameters"]["ua"]) == (
            "198.51.100.7",
            "2026-03-05 10:00:00",
            BROWSER,
        )


def test_every_line_is_counted_for_what_it_is(replay_tracking, tracker):
    outcome = replay_tracking(
        [
            line(f"/piwik.php?{PAGE}"),
            line(f"/stats/matomo.php?{PAGE}", 503),
            line(f"/piwik.php?{PAGE}&_id=short"),
            line("/piwik.php?idsite=none&rec=1&url=http://a/"),
            line("/piwik.php?idsite=3"),
            line("/piwik.php", method="POST"),
            line(f"/piwik.php?{PAGE}", 301),
            line("/piwik.js"),
            line("/"),
            line("/", 404),
            '192.0.2.1 - - [05/Mar/2026:10:00:00 +0000] "-" 408 0 "-" "-"\n',
            "no line\n",
        ]
    )
    assert outcome.code == 3
    assert outcome.summary["lines"] == {
        "read": 12,
        "imported": 3,
        "invalid": 2,
        "already_imported": 0,
        "left": 0,
        "filtered": {"not_recorded": 1, "no_body": 1, "redirect": 1, "not_tracker": 3, "empty_request": 1},
    }
    assert [warning["parameter"] for warning in outcome.summary["warnings"]] == ["_id"]
    assert [hit["idsite"] for hit in tracker.recorded] == ["3", "3", "3"]
    assert {call["method"] for call in tracker.calls} == {SITES}, "the requests say themselves where the pages are"


def test_a_site_that_there_is_not_makes_an_invalid_line_and_does_not_end_the_import(run_program, tmp_path):
    log = tmp_path / "access.log"
    log.write_text(line("/piwik.php?idsite=9&rec=1&url=http://a/") + line(f"/piwik.php?{PAGE}", ip="198.51.100.8"))
    with Sandbox(sites={3: "http://shop.example"}) as server:
        program = {"PIWIK_URL": server.url, "PIWIK_TOKEN": "sandbox"}
        outcome = run_program("--replay-tracking", log, "--summary", "json", env=program)
        assert (outcome.code, len(server.hits())) == (3, 1)
        outcome = run_program("--replay-tracking", log, "--idsite", 3, "--summary", "json", env=program)
        assert (outcome.code, len(server.hits())) == (0, 3)


def test_all_hits_go_to_the_site_that_is_given(replay_tracking, tracker):
    lines = [line(f"/piwik.php?{PAGE}"), line("/piwik.php?idsite=4&rec=1&url=http://a/", ip="198.51.100.8")]
    outcome = replay_tracking(lines, "--idsite", "5")
    assert [hit["idsite"] for hit in tracker.recorded] == ["5", "5"]
    assert "all hits go to site 5" in outcome.summary["notes"][0]


def test_the_pages_of_a_log_and_its_tracker_requests_are_imported_apart(replay_tracking, run_import, tracker, tmp_path):
    replay_tracking([line("/"), line(f"/piwik.php?{PAGE}")])
    assert run_import(tmp_path / "access.log", "--base-url", "http://a").summary["lines"]["imported"] == 2
    again = replay_tracking([line("/"), line(f"/piwik.php?{PAGE}")])
    assert again.summary["lines"]["imported"] == 0
    assert len(tracker.recorded) == 3


def test_a_hit_that_the_server_fails_on_is_kept_without_the_token_and_sent_again(
    replay_tracking, tracker, run_program, server, tmp_path
):
    rejects = tmp_path / "rejects"
    tracker.poison = lambda hit: hit.get("url") == "http://bad/"
    outcome = replay_tracking(
        [
            line(f"/piwik.php?{PAGE}&%74oken.auth={SECRET}"),
            line(f"/piwik.php?idsite=3&rec=1&url=http://bad/&of_a_plugin[]=%FF&token_auth={SECRET}"),
            line(f"/piwik.php?idsite=none&rec=1&token_auth={SECRET}&url=http://a/"),
            f"no line?&token_auth={SECRET}\n",
        ],
        "--rejects",
        rejects,
    )
    assert outcome.code == 3
    assert len(rejects.read_text().splitlines()) == 4
    everything = outcome.stdout + outcome.stderr + rejects.read_text()
    assert SECRET not in everything + str([bulk.body for bulk in tracker.bulks])
    assert "token_auth" in everything, "that there was one is said"
    tracker.poison = lambda _: False
    assert run_program("replay", rejects, "--summary", "none", env=server).code == 3
    assert tracker.recorded[-1]["url"] == "http://bad/"
    assert tracker.recorded[-1]["of_a_plugin[0]"] == "\udcff"


def test_a_single_hit_that_the_server_fails_on_is_blamed_though_no_site_is_known(replay_tracking, tracker):
    tracker.poison = lambda _: True
    outcome = replay_tracking([line(f"/piwik.php?{PAGE}")])
    assert (outcome.code, outcome.summary["hits"]["rejected"]) == (3, 1)
    assert {call["method"] for call in tracker.calls} == {SITES, "SitesManager.getSitesWithAtLeastViewAccess"}


def test_a_dry_run_shows_the_hits_without_a_token(replay_tracking, tracker):
    outcome = replay_tracking([line(f"/piwik.php?{PAGE}&token_auth={SECRET}")], "--dry-run", "--output", "-")
    hit, _summary = outcome.stdout, outcome.stderr
    assert json.loads(hit) == one()
    assert SECRET not in outcome.stdout + outcome.stderr
    assert not tracker.bulks


def test_the_sandbox_takes_any_site(replay_tracking):
    outcome = replay_tracking([line(f"/piwik.php?{PAGE}")], "--sandbox", "--summary", "text")
    assert outcome.code == 0
    assert "1 tracked" in outcome.stdout


def test_the_name_of_a_tracker_alone_replays_nothing(run_program, tmp_path):
    outcome = run_program("--replay-tracking-expected-tracker-file", "a.php", "--dry-run", tmp_path)
    assert outcome.code == 2
    assert "add that" in outcome.stderr


def test_hits_of_one_visitor_share_a_lane_whatever_their_address():
    shaping = Shaping(trackers=TrackerSettings(FILES))
    translate = Translator(Plan(0, catalogue.named("combined"), FilterSettings(), HitSettings(1), shaping=shaping))
    queries = [f"{PAGE}&{VISITOR}", f"{PAGE}&{VISITOR}", f"{PAGE}&cid=0000000000000001", PAGE]
    data = "".join(line(f"/piwik.php?{query}", ip=f"198.51.100.{at}") for at, query in enumerate(queries)).encode()
    slots = [entry.slot for entry in translate(Block(data, 0, len(data), 1, len(queries))).entries]
    assert slots[0] == slots[1] == slot_of("af344a398df83874")
    assert slots[2:] == [slot_of("0000000000000001"), slot_of("198.51.100.3")]


def test_one_lane_has_all_that_is_sent_for_several_visitors():
    shaping = Shaping(trackers=TrackerSettings(FILES))
    translate = Translator(Plan(0, catalogue.named("json"), FilterSettings(), HitSettings(1), shaping=shaping))
    data = f"{posted(1, 1)}{posted(1, 2)}".encode()
    entries = translate(Block(data, 0, len(data), 1, 2)).entries
    assert [entry.slot for entry in entries] == [slot_of("0000000000000001")] * 2 + [slot_of("198.51.100.7")] * 2
    assert [entry.is_further for entry in entries] == [False, True, False, True]


def posted(*visitors: object, url: str = "http://a/") -> str:
    """Return the line of a bulk request, with a hit for each visitor, and a token."""
    hits = [f"?idsite=1&rec=1&url={url}&_id={visitor:016}" for visitor in visitors]
    body = json.dumps({"requests": hits, "token_auth": SECRET})
    values = {"time": TIME.isoformat(), "ip": "198.51.100.7", "request": "POST /piwik.php HTTP/1.1", "status": 200}
    return json.dumps({**values, "user_agent": BROWSER, "request_body": body}) + "\n"


def test_of_several_hits_in_a_body_the_good_ones_are_sent(replay_tracking, tracker, tmp_path):
    mixed = posted(1, 2, 3).replace("_id=0000000000000002", "cid=2")
    outcome = replay_tracking([posted(1, 1), mixed, posted(1, 2, url="none")], "--rejects", tmp_path / "rejects")
    assert outcome.code == 3
    assert len(tracker.recorded) == 4
    assert outcome.summary["lines"]["imported"] == 2
    assert outcome.summary["lines"]["invalid"] == 1
    warned = {warning["parameter"]: warning["hits"] for warning in outcome.summary["warnings"]}
    assert warned == {"cid": 1}
    assert SECRET not in outcome.stdout + outcome.stderr + (tmp_path / "rejects").read_text()


def test_a_tracker_request_is_explained(run_program, tmp_path):
    log = tmp_path / "access.log"
    log.write_text(line(f"/piwik.php?{PAGE}&action_name=a%20b&token_auth={SECRET}") + line("/"))
    outcome = run_program("explain", "--json", "--replay-tracking", log)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert SECRET not in outcome.stdout + run_program("explain", "--replay-tracking", log).stdout
    first, second = json.loads(outcome.stdout)["lines"]
    assert (first["hit"]["action_name"], first["hit"]["cip"]) == ("a b", "198.51.100.7")
    assert second["reason"] == "not_tracker"


def test_what_a_body_with_a_token_gives_is_explained(run_program, tmp_path):
    body = json.dumps({"requests": [f"?{PAGE}", f"?{PAGE}&cip=192.0.2.9"], "token_auth": SECRET})
    call = {"time": "2026-11-20T10:00:00+00:00", "ip": "198.51.100.7", "request": "POST /piwik.php HTTP/1.1"}
    log = tmp_path / "access.log"
    log.write_text(json.dumps(call | {"status": 200, "user_agent": "Agent", "request_body": body}) + "\n")
    outcome = run_program("explain", "--json", "--replay-tracking", log)
    assert SECRET not in outcome.stdout
    pieces = {one["name"]: one["parameters"] for one in json.loads(outcome.stdout)["lines"][0]["pieces"]}
    assert (pieces["ip"], pieces["request_body"]["idsite"]) == ({"cip": "198.51.100.7"}, "3")
    said = run_program("explain", "--replay-tracking", log).stdout
    assert SECRET not in said
    assert "sent without cip: it takes a token to set it" in said


def test_a_token_in_the_url_of_a_page_is_not_shown_where_that_is_explained(run_program, tmp_path):
    log = tmp_path / "access.log"
    log.write_text(line(f"/index.php?module=API&token_auth={SECRET}&a=1"))
    for options in ((), ("--json",)):
        outcome = run_program("explain", "--base-url", "http://a.example", *options, log)
        assert outcome.code == 0
        assert "http://a.example/index.php?module=API&token_auth=***" in outcome.stdout
        assert SECRET not in outcome.stdout


# ---- what of a line may be shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"GET /p?a=1&token_auth=X&b=2 HTTP/1.1" 200', '"GET /p?a=1&token_auth=***&b=2 HTTP/1.1" 200'),
        ('"GET /p?token_auth=X HTTP/1.1" 200', '"GET /p?token_auth=*** HTTP/1.1" 200'),
        ("/p?tok%65n%2Eauth[]=X&b", "/p?tok%65n%2Eauth=***&b"),
        ("/p?TOKEN+AUTH=X", "/p?TOKEN+AUTH=***"),
        ('{"token_auth": "X", "requests": []}', '{"token_auth=***, "requests": []}'),
        ('{"t\\u006Fken_auth":"X"}', '{"t\\u006Fken_auth=***}'),
        ('{\\"token_auth\\":\\"X\\"}" 200', '{\\"token_auth=***" 200'),
        ("{\\x22token_auth\\x22:\\x22X\\x22}", "{\\x22token_auth=***"),
        ("/p?token=X", "/p?token=X"),
        ("café", "café"),
    ],
)
def test_no_token_is_shown(text, shown):
    assert without_tokens(text.replace("X", SECRET)) == shown.replace("X", SECRET)


@given(st.lists(PARTS, max_size=6).map("".join), st.lists(PARTS, max_size=6).map("".join))
def test_a_token_in_a_query_is_not_shown_whatever_is_around_it(before, after):
    text = f"GET /piwik.php?{before}&token_auth={SECRET}&{after} HTTP/1.1".replace(f"{SECRET} ", " ")
    if SECRET not in before + after:
        assert SECRET not in without_tokens(text)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text", ["token_auth", "token_auth=", 'token_auth"', 'token_auth"  :', "token_", "%74", "\\", "%"]
)
def test_a_long_line_is_not_searched_for_long(text):
    assert without_tokens(text * (1_000_000 // len(text)))
