"""What users want of hits besides what every log gives: mappings, variables, searches and visitor ids, end to end."""

from __future__ import annotations

import json
import pickle
import re
import signal
import sqlite3
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piwik_import.errors import FormatError
from piwik_import.filters import FilterSettings
from piwik_import.hits import HitSettings, visitor_key
from piwik_import.mapping import HitTable, Rules, read_table
from piwik_import.parsers import catalogue
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.record import BadLine, Record
from piwik_import.parsers.request import from_line
from piwik_import.searches import SearchSettings
from piwik_import.shaping import Shaper, Shaping
from piwik_import.source import Block
from piwik_import.tracking import encode
from piwik_import.translate import Plan, Translator
from piwik_import.variables import VariableSettings
from piwik_import.visitors import VisitorSettings, hasher

COMBINED = catalogue.named("combined")
APP = Definition("app", "", "", json={"time": "t", "path": "p", "ip": "ip", "user_agent": "ua", "user": "user"})
LEAST = Record("192.0.2.1", datetime(2026, 3, 5, 10, 0, tzinfo=UTC), from_line("GET /a?b=c HTTP/1.1"), 200)
KEY = b"secret"


def shaped(shaping: Shaping, log: Definition = COMBINED, *, bots: bool = False, target: str = "/a?b=c", **fields):
    shaper = Shaper(HitSettings(1, "http://example.org", bots), shaping, log)
    return shaper(LEAST._replace(request=from_line(f"GET {target} HTTP/1.1"), **fields))


# Mappings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ip", "192.0.2.1"),
        ("time", "2026-03-05 10:00:00"),
        ("method", "GET"),
        ("target", "/a?b=c"),
        ("path", "/a"),
        ("query", "b=c"),
        ("status", 200),
        ("length", 0),
        ("referrer", "http://r.example/"),
        ("user_agent", "Agent 1"),
        ("user", "jane"),
    ],
)
def test_every_field_of_a_format_can_be_given_to_a_parameter(field, value):
    shaping = Shaping(HitTable(Rules({"e_n": field})))
    found = shaped(shaping, length=0, referrer="http://r.example/", user_agent="Agent 1", user="jane")
    assert found["e_n"] == value


REGEX = Definition("mine", "", "", regex=r"(?P<ip>\S+) (?P<userid>\S+) (?P<date>\S+) (?P<path>\S+)")


@pytest.mark.parametrize("log", [COMBINED, REGEX], ids=["combined", "an expression"])
def test_the_other_importers_words_for_fields_are_known(log):
    variables = VariableSettings(visit=(("userid", "User Name"),), page=(("query_string", "Query"),))
    found = shaped(Shaping(variables=variables), log, user="jane")
    assert (found["_cvar"], found["uid"]) == ('{"1":["User Name","jane"]}', "jane")
    assert found["cvar"] == '{"1":["Query","b=c"]}'


def test_the_keys_of_an_object_go_by_no_other_importers_words():
    shaping = Shaping(HitTable(Rules({"e_n": "userid"})))
    assert "e_n" not in shaped(shaping, APP, user="jane")
    assert shaped(shaping, APP, user="jane", extra={"userid": "joe"})["e_n"] == "joe"


def test_what_the_command_line_says_counts_over_the_format():
    log = Definition("app", "", "", json=APP.json, hit=read_table({"map": {"uid": "user"}, "set": {"lang": "en"}}))
    assert shaped(Shaping(), log, user="jane")["uid"] == "jane"
    found = shaped(Shaping(HitTable(Rules({"uid": "login"}, {"lang": "de"}))), log, user="jane", extra={"login": "joe"})
    assert (found["uid"], found["lang"]) == ("joe", "de")


@pytest.mark.parametrize(
    ("rules", "is_download"),
    [
        (Rules({}, {"lang": "de"}), True),
        (Rules({}, {"e_c": "a", "e_a": "b"}), False),
        (Rules({"search": "path"}), False),
        (Rules({"c_n": "referrer"}), True),
        (Rules({}, {"download": "http://a/b", "idgoal": 1}), True),
    ],
    ids=str,
)
def test_a_path_that_looks_like_a_files_makes_no_download_of_what_is_something_else(rules, is_download):
    found = shaped(Shaping(HitTable(rules)), target="/guide.pdf")
    assert ("download" in found) is is_download
    encode(found)


def test_a_field_that_a_format_does_not_have_is_an_error_that_names_those_it_has():
    text = '{ip} {*zone} [{time}] "{request}" {status} {*request id}'
    log = Definition("mine", "", "", pattern=text)
    assert Shaping(HitTable(Rules({"e_n": "{zone}{path}"}))).wanted(log) == ["zone"]
    reason = r"it has no field colour, user; it has ip, method, path, query, status, target, time, zone, request id\. A"
    with pytest.raises(FormatError, match=f"^format mine: {reason} pattern names"):
        Shaping(HitTable(Rules({"e_n": "{user} {colour}"}))).wanted(log)
    assert Shaping(HitTable(Rules({"e_n": "{user} {colour}"}))).wanted(APP) == ["colour"]


def test_a_table_in_a_file_is_checked_when_it_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[json]\ntime = "t"\npath = "p"\n[hit]\nmap = { e_x = "a" }')
    with pytest.raises(FormatError, match=r"^format mine.toml: `hit` map e_x: is no parameter"):
        catalogue.read(path)
    path.write_text("pattern = '{time} {path}'\n[hit]\nmap = { e_n = \"a\" }")
    with pytest.raises(FormatError, match=r"^format mine.*: it has no field a; it has path, query, target, time"):
        Shaping().wanted(catalogue.read(path))


def test_a_plan_without_wishes_is_left_alone_and_one_with_them_travels():
    assert not Shaping().applies(COMBINED)
    assert not Shaping(visitors=VisitorSettings(key=KEY)).applies(COMBINED)
    assert Shaping().applies(Definition("app", "", "", json=APP.json, hit=read_table({"set": {"lang": "en"}})))
    for wish in (
        Shaping(HitTable(Rules({"uid": "user"}))),
        Shaping(variables=VariableSettings(status_and_bots=True)),
        Shaping(searches=SearchSettings(("q",))),
        Shaping(visitors=VisitorSettings("user", KEY)),
    ):
        assert wish.applies(COMBINED)
        assert pickle.loads(pickle.dumps(wish)) == wish


WISHES = Shaping(
    HitTable(
        Rules({"e_n": "a", "cvar": "b", "ec_items": "a|items", "res": "{a} {b}", "_id": "b|upper|hash", "cs": "a|ms"})
    ),
    VariableSettings((("a", "A"),), (("b", "B"),), limit=1),
    SearchSettings(("q",)),
    VisitorSettings("b", KEY),
)
characters = st.lists(st.integers(0, 0x10FFFF).map(chr)).map("".join)  # st.text() needs a second for its tables
single = st.none() | st.booleans() | st.integers() | st.floats() | characters
values = single | st.lists(single) | st.dictionaries(characters, single)


@given(values, values)
def test_whatever_a_log_holds_its_line_is_a_hit_or_a_bad_one(a, b):
    row = {"t": "05/Mar/2026:10:00:00 +0000", "p": "/?q=a", "ip": "192.0.2.1", "a": a, "b": b}
    line = json.dumps(row).encode()
    plan = Plan(0, APP, FilterSettings(), HitSettings(1, "http://a.example"), shaping=WISHES)
    batch = Translator(plan)(Block(line, 0, len(line), 1, 1))
    assert len(batch.entries) + len(batch.bad) == 1


def test_a_field_that_is_nested_too_deeply_makes_its_line_bad():
    shaping = Shaping(HitTable(Rules({"e_n": "a"})))
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadLine, match="nested too deeply"):
        shaped(shaping, APP, extra={"a": deep})
    while deep:
        deep = deep.pop()  # to free it at once would take a recursion too


# Visitor ids


def test_a_visitor_is_who_the_user_says():
    ids = {}
    for choice in ("none", "ip-ua", "user", "device"):
        shaping = Shaping(visitors=VisitorSettings(choice, KEY))
        found = shaped(shaping, APP, user_agent="Agent 1", user="jane", extra={"device": 17})
        ids[choice] = found.get("cid")
        assert visitor_key(found) == ids[choice] or choice == "none"
        encode(found)
    assert ids == {
        "none": None,
        "ip-ua": hasher(KEY)("192.0.2.1\nAgent 1"),
        "user": hasher(KEY)("jane"),
        "device": hasher(KEY)("17"),
    }
    assert ids["user"] == "773853e96c9d6420"  # for ever
    assert hasher(b"other")("jane") != ids["user"]


@pytest.mark.parametrize(
    ("choice", "fields"),
    [("user", {"user": None}), ("user", {"user": "jane", "status": 401}), ("device", {"extra": {}}), ("device", {})],
    ids=str,
)
def test_a_line_that_does_not_say_who_it_is_leaves_that_to_the_server(choice, fields):
    assert "cid" not in shaped(Shaping(visitors=VisitorSettings(choice, KEY)), APP, **fields)


def test_a_mapping_hashes_as_the_option_does():
    by_mapping = shaped(Shaping(HitTable(Rules({"cid": "user|hash"})), visitors=VisitorSettings(key=KEY)), user="jane")
    assert by_mapping["cid"] == hasher(KEY)("jane")
    loose = shaped(Shaping(HitTable(Rules({"_id": "user|hash"})), visitors=VisitorSettings(key=KEY)), user="jane")
    assert visitor_key(loose) == loose["_id"] == by_mapping["cid"]


@given(characters, characters)
def test_an_id_is_16_hexadecimal_digits_and_different_for_different_texts(one, other):
    ids = hasher(KEY)
    assert re.fullmatch("[0-9a-f]{16}", ids(one))
    assert (ids(one) == ids(other)) is (one == other)


# Site searches


@pytest.mark.parametrize(
    ("target", "search"),
    [
        ("/find?q=red+lamp%21", {"search": "red lamp!"}),
        ("/find?a=1&Q=x", {"search": "x"}),
        ("/find?q=&text=caf%E9", {"search": "caf\udce9"}),
        ("/find?q=a&text=b&cat=c&section=d", {"search": "a", "search_cat": "c"}),
        ("/find?q=a&q=b", {"search": "a"}),
        ("/find?q=+", {}),
        ("/find?cat=c", {}),
        ("/find?", {}),
        ("/find", {}),
        ("/find.zip?q=a", {}),
    ],
)
def test_a_page_whose_url_asks_for_something_is_a_site_search(target, search):
    found = shaped(Shaping(searches=SearchSettings(("q", "text"), ("CAT", "section"))), target=target)
    assert {name: found[name] for name in found if name.startswith("search")} == search
    encode(found)


def test_what_a_mapping_made_an_event_is_no_search():
    shaping = Shaping(HitTable(Rules({}, {"e_c": "a", "e_a": "b"})), searches=SearchSettings(("q",)))
    assert "search" not in shaped(shaping, target="/?q=a")


# Custom variables


def variables(settings: VariableSettings, **fields):
    found = shaped(Shaping(variables=settings), APP, **fields)
    encode(found)
    return [json.loads(found.get(name, "null")) for name in ("_cvar", "cvar")]


def test_variables_keep_their_numbers_whichever_a_line_has():
    settings = VariableSettings((("plan", "Plan"), ("colour", "Colour")), (("status", "HTTP"), ("user", "User")))
    assert variables(settings, user="jane", extra={"plan": "gold", "colour": ["r", 1]}) == [
        {"1": ["Plan", "gold"], "2": ["Colour", '["r",1]']},
        {"2": ["User", "jane"]},
    ]
    assert variables(settings, extra={"colour": "caf\udce9"}) == [
        {"2": ["Colour", "caf\N{REPLACEMENT CHARACTER}"]},
        None,
    ]


@pytest.mark.parametrize(
    ("agent", "bots", "variable"),
    [("Googlebot/2.1", True, "Bot"), ("Googlebot/2.1", False, "Not-Bot"), ("Firefox", True, "Not-Bot")],
)
def test_one_switch_gives_the_variables_of_piwiks_importer(agent, bots, variable):
    settings = VariableSettings(page=(("method", "HTTP-method"),), status_and_bots=True)
    found = shaped(Shaping(variables=settings), bots=bots, user_agent=agent)
    assert json.loads(found["_cvar"]) == {"1": [variable, agent]}
    assert json.loads(found["cvar"]) == {"1": ["HTTP-code", "200"], "2": ["HTTP-method", "GET"]}


def test_what_is_over_the_limit_is_not_sent_and_said():
    settings = VariableSettings((), (("a", "A"), ("b", "B"), ("c", "C")), status_and_bots=True, limit=2)
    assert [*settings.excess()] == [
        "custom variables of the page: the server has room for 2, so not sent: B, C (--custom-variable-limit)"
    ]
    found = shaped(Shaping(variables=settings), APP, status=None, extra={"a": "1", "b": "2", "c": "3"})
    assert json.loads(found["cvar"]) == {"2": ["A", "1"]}


def test_mapped_variables_fill_the_numbers_that_are_free_and_keep_to_the_limit():
    settings = VariableSettings(page=(("user", "User"),), limit=3)
    shaper = Shaper(HitSettings(1, "http://a"), Shaping(HitTable(Rules({"cvar": "vars"})), settings), APP)
    theirs = {"1": ["x", "y"], "3": ["n", 7], "4": ["over", "it"]}
    found = shaper(LEAST._replace(user="jane", extra={"vars": theirs}))
    assert json.loads(found["cvar"]) == {"1": ["User", "jane"], "3": ["n", 7]}
    assert [*shaper.over()] == [("cvar", "variable 4 is over the limit (--custom-variable-limit)", 1)]
    assert [*shaper.over()] == []
    assert shaper(LEAST._replace(extra={"vars": {"9": ["a", "b"]}})).get("cvar") is None
    assert shaper(LEAST._replace(extra={"vars": "no JSON"}))["cvar"] == "no JSON"  # encode says so


# The program


@pytest.fixture
def app_log(tmp_path):
    """Return a function that writes a format and a log of an app."""

    def make(*rows: dict[str, object], hit: str = "") -> list[object]:
        (tmp_path / "app.toml").write_text(
            f'[json]\ntime = "t"\npath = "p"\nip = "ip"\nmethod = "method"\n[hit]\n{hit}', encoding="utf-8"
        )
        usual = {"t": "05/Mar/2026:10:00:00 +0000", "p": "/", "ip": "192.0.2.1", "method": "GET"}
        (tmp_path / "app.log").write_text("".join(json.dumps(usual | row) + "\n" for row in rows), encoding="utf-8")
        return ["--format", tmp_path / "app.toml", tmp_path / "app.log"]

    return make


def test_options_of_the_command_line_reach_the_server(run_import, tracker, app_log):
    log = app_log({"user": "Jane", "took": 1.5, "plan": "gold", "m": "x=y"})
    options = ["--map", "uid=user|lower", "--map", "pf_srv=took|ms", "--set", "lang=de", "--dimension", "7={plan}!"]
    options += ["--regex-group-to-visit-cvar", "plan=Plan", "--regex-group-to-page-cvar=m=M", "--set=e_c=a=b"]
    options += ["--track-http-method=true", "--visitor-id", "user", "--visitor-id-key", "secret", "--set", "e_a=c"]
    outcome = run_import(*options, *log)
    assert outcome.code == 0, outcome.stderr
    (hit,) = tracker.recorded
    expected = {"uid": "jane", "pf_srv": "1500", "lang": "de", "dimension7": "gold!", "e_c": "a=b", "e_a": "c"}
    expected |= {"_cvar": '{"1":["Plan","gold"]}', "cvar": '{"1":["HTTP-method","GET"],"2":["M","x=y"]}'}
    assert hit.items() >= (expected | {"cid": hasher(b"secret")("jane")}).items()


def test_the_configuration_may_hold_tables_and_lists(run_import, tracker, app_log, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('set = ["lang=de"]\ntrack-http-method = true\n[map]\nuid = "user"\n[dimension]\n3 = "plan"\n')
    assert run_import("--config", config, *app_log({"user": "jane", "plan": "gold"})).code == 0
    assert tracker.recorded[0].items() >= {"lang": "de", "uid": "jane", "dimension3": "gold"}.items()
    assert json.loads(tracker.recorded[0]["cvar"]) == {"1": ["HTTP-method", "GET"]}


@pytest.mark.parametrize(
    ("flag", "is_on"),
    [("--track-http-method", True), ("--track-http-method=1", True), ("--track-http-method=FALSE", False)],
)
def test_a_flag_may_have_the_value_that_it_has_in_other_importers(run_program, app_log, flag, is_on):
    outcome = run_program("--dry-run", "--output", "-", "--summary", "none", flag, *app_log({}))
    assert (outcome.code, "HTTP-method" in outcome.stdout) == (0, is_on)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map", "token_auth=user"], "--map token_auth: is sent in the body beside the hits, never in a hit"),
        (["--set", "token_auth=x"], "--set token_auth: is sent in the body beside the hits, never in a hit"),
        (["--map", "e_x=user"], "--map e_x: is no parameter of the Tracking API; `piwik-import params` lists them"),
        (["--map", "e_n"], "--map e_n: two parts with = between them were expected"),
        (["--map", "e_n=a|b"], "--map e_n: there is no conversion 'b'"),
        (["--dimension", "x=user"], "--dimension x: the ID of a dimension is a number from 1 to 999"),
        (["--dimension", "0=user"], "--dimension 0: the ID"),
        (["--set", "lat=north"], "--set lat: must be a number from -90 to 90"),
        (["--regex-group-to-page-cvar", "a="], "--regex-group-to-page-cvar a=: two parts"),
        (["--custom-variable-limit", "0"], "Invalid value for '--custom-variable-limit'"),
    ],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_refused_before_anything_is_sent(
    run_import, tracker, app_log, options, message
):
    outcome = run_import(*options, *app_log({}))
    assert (outcome.code, tracker.bulks) == (2, [])
    assert message in outcome.stderr


def test_a_field_that_a_recognised_format_lacks_is_refused_before_anything_is_sent(run_import, tracker, make_log):
    outcome = run_import("--visitor-id", "cookie", make_log())
    assert (outcome.code, tracker.bulks) == (2, [])
    assert "format combined: it has no field cookie; it has ip, length, method," in outcome.stderr


def test_hits_without_an_optional_parameter_are_counted_and_the_first_is_shown(run_program, app_log):
    log = app_log({"c": "fr"}, {"c": "France"}, {"c": "Italy"}, hit='map = { country = "c" }')
    outcome = run_program("--dry-run", "--summary", "json", *log)
    assert outcome.code == 0
    assert outcome.summary["lines"]["imported"] == 3
    (warning,) = outcome.summary["warnings"]
    assert warning["example"].pop("text").endswith('"c": "France"}')
    assert warning == {
        "parameter": "country",
        "reason": "must be two lower-case letters",
        "hits": 2,
        "example": {"source": str(log[2]), "line": 2, "reason": "must be two lower-case letters"},
    }
    shown = run_program("--dry-run", *log).stdout
    assert f"  2  country: must be two lower-case letters\n    first {log[2]}:2: {{" in shown


def test_a_time_that_no_server_stores_leaves_the_hit_as_it_is(run_import, tracker, tmp_path):
    line = '{"ip":"192.0.2.1","host":"a.example","path":"/","status":"200","date":"2026-03-05T10:00:00Z",'
    (tmp_path / "a.log").write_text(line + '"generation_time_milli":3000000,"length":-5}\n')
    outcome = run_import(tmp_path / "a.log")
    assert (outcome.code, len(tracker.recorded)) == (0, 1)
    assert {"gt_ms", "pf_srv", "bw_bytes"}.isdisjoint(tracker.recorded[0])
    assert {one["parameter"] for one in outcome.summary["warnings"]} == {"gt_ms", "pf_srv", "bw_bytes"}


def test_variables_over_the_limit_are_said(run_program, app_log):
    log = app_log({"a": "1", "v": {"3": ["x", "y"]}}, hit='map = { _cvar = "v" }')
    options = ["--regex-group-to-page-cvar=a=A", "--regex-group-to-page-cvar=a=B", "--custom-variable-limit", 1]
    shown = run_program("--dry-run", *options, *log).stdout
    assert "room for 1, so not sent: B (--custom-variable-limit)" in shown
    assert "  1  _cvar: variable 3 is over the limit (--custom-variable-limit)\n" in shown


def test_ids_are_the_same_in_every_run_with_one_journal_and_others_with_another(run_import, tracker, make_log):
    log = make_log(lines=20, visitors=3)
    for options in ([], ["--from-start"], ["--journal", log.with_name("other.db")]):
        assert run_import("--visitor-id", "ip-ua", *options, log).code == 0
    ids = [
        tuple(hit["cid"] for hit in sorted(tracker.recorded[n : n + 20], key=lambda hit: hit["url"]))
        for n in (0, 20, 40)
    ]
    assert ids[0] == ids[1]
    assert not {*ids[0]} & {*ids[2]}
    assert len({*ids[0]}) == 3


def test_without_a_journal_or_a_key_it_is_said_that_ids_will_change(run_import, tracker, make_log):
    log = make_log(lines=2)
    outcome = run_import("--visitor-id", "ip-ua", "--no-journal", log)
    assert "a key of this run alone" in outcome.summary["notes"][0]
    assert run_import("--visitor-id", "ip-ua", "--no-journal", "--visitor-id-key", "k", log).summary["notes"] == []
    assert tracker.recorded[-1]["cid"] in {hasher(b"k")(f"{hit['cip']}\n{hit['ua']}") for hit in tracker.recorded}


def test_hits_of_one_visitor_share_a_lane_wherever_they_come_from(run_import, tracker, app_log):
    rows = [{"ip": f"192.0.2.{number}", "device": number % 5, "p": f"/{number}"} for number in range(200)]
    tracker.pause = lambda: 0.005
    outcome = run_import("--visitor-id", "device", "--recorders", 4, "--chunk-size", 5, *app_log(*rows))
    assert outcome.code == 0
    for device in {hit["cid"] for hit in tracker.recorded}:
        mine = [bulk for bulk in tracker.bulks if any(hit["cid"] == device for hit in bulk.hits)]
        assert all(first.answered <= second.arrived for first, second in pairwise(mine))
        pages = [int(hit["url"].rpartition("/")[2]) for hit in tracker.recorded if hit["cid"] == device]
        assert pages == sorted(pages)


def interrupted(start_program, server, tracker, *arguments):
    """Start an import, stop it while some lanes are further than others, and return its exit code."""
    tracker.pause = lambda: 0.3
    process = start_program("--recorders", 3, "--chunk-size", 10, *arguments, env=server)
    tracker.wait_for_bulks(4)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=40)
    tracker.pause = lambda: 0.0
    return process.returncode


def test_an_interrupted_import_is_not_gone_on_with_under_other_ids(
    start_program, run_import, server, tracker, make_log
):
    log = make_log(lines=600, visitors=60)
    assert interrupted(start_program, server, tracker, log) == 130
    seen = len(tracker.recorded)
    refused = run_import("--visitor-id", "ip-ua", log)
    assert (refused.code, len(tracker.recorded)) == (2, seen)
    assert "visitors were then told apart in another way" in refused.stderr
    assert run_import(log).code == 0
    assert len({hit["url"] for hit in tracker.recorded}) == len(tracker.recorded) == 600
    with log.open("a") as file:
        file.write(log.read_text().splitlines()[-1].replace("/600", "/601") + "\n")
    outcome = run_import("--visitor-id", "ip-ua", log)  # all had come to the same place
    assert (outcome.code, len(tracker.recorded)) == (0, 601)
    assert "cid" in tracker.recorded[-1]


def test_the_key_stays_in_the_journal_and_out_of_what_is_shown(run_import, run_program, make_log, tmp_path, server):
    log = make_log(lines=2)
    outcome = run_import("--visitor-id", "ip-ua", "--journal", tmp_path / "j.db", log)
    with sqlite3.connect(tmp_path / "j.db") as db:
        ((key,),) = db.execute("SELECT value FROM secrets").fetchall()
    db.close()
    assert len(key) == 32
    shown = run_program("journal", "show", log, "--json", "--journal", tmp_path / "j.db", env=server).stdout
    assert all(form not in outcome.stdout + shown for form in (key.hex(), repr(key)))
