"""Fields of a log → parameters of a hit: what a `[hit]` table may say, and what it does."""

from __future__ import annotations

import pickle
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piwik_import.mapping import CONVERSIONS, LONGEST, HitTable, Mapper, Rules, checked, read_table, text_of


def hashed(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def mapped(table: dict[str, object], **fields: object) -> dict[str, object]:
    return Mapper(read_table(table), hashed)(fields.get)


@pytest.mark.parametrize(
    ("source", "fields", "value"),
    [
        ("a", {"a": "x"}, "x"),
        ("a", {"a": 7}, 7),
        ("a", {"a": 1.5}, 1.5),
        ("a", {"a": 0}, 0),
        ("a", {"a": True}, 1),
        ("a", {"a": False}, 0),
        ("a", {"a": [1, {"b": "ü"}]}, '[1,{"b":"ü"}]'),
        ("a", {"a": {"b": "\udce9"}}, '{"b":"\N{REPLACEMENT CHARACTER}"}'),
        ("a", {"a": ""}, None),
        ("a", {"a": None}, None),
        ("a", {}, None),
        (" a | upper ", {"a": "grün"}, "GRÜN"),
        ("a|lower", {"a": "GRÜN"}, "grün"),
        ("a|lower", {"a": True}, "1"),
        ("a|lower", {}, None),
        ("a|ms", {"a": "0.0426"}, 43),
        ("a|ms", {"a": 2}, 2000),
        ("a|ms", {"a": "soon"}, "soon"),
        ("a|ms", {"a": "nan"}, "nan"),
        ("a|ms", {"a": float("inf")}, float("inf")),
        ("a|ms", {"a": [1]}, "[1]"),
        ("a|lower|hash", {"a": "JANE"}, hashed("jane")),
        ("a|hash", {"a": 17}, hashed("17")),
        ("a|hash", {"a": "\ud83d"}, hashed("\ud83d")),
        ("a|items", {"a": [{"sku": "s", "price": 2}, ["t"]]}, '[["s","","",2,1],["t"]]'),
        ("a|items", {"a": "none"}, "none"),
        ("{a} / {b}", {"a": "x", "b": 2.0}, "x / 2"),
        ("{a|upper}{a}", {"a": "x"}, "Xx"),
        ("{a}!", {"a": "{b}"}, "{b}!"),
        ("{a} / {b}", {"a": "x"}, None),
        ("{a} / {b}", {"a": "", "b": "x"}, None),
    ],
    ids=str,
)
def test_a_source_gives_the_value_of_fields(source, fields, value):
    expected = {} if value is None else {"e_n": value}
    assert mapped({"map": {"e_n": source}}, **fields) == expected


@pytest.mark.parametrize(
    ("wanted", "value", "holds"),
    [
        ("click", "click", True),
        ("click", "clicks", False),
        ("click", None, False),
        ("", None, True),
        ("", "x", False),
        (404, 404, True),
        (404, "404", True),
        (1.0, 1, True),
        (True, True, True),
        (True, False, False),
        (True, "true", False),
        ("~^/a/", "/a/b", True),
        ("~b$", "/a/b", True),
        ("~^$", None, True),
        ("~^(?!2)", "200", False),
        ("~x", "y" * LONGEST + "x", False),
        (["a", "~^b", 3], "bc", True),
        (["a", "~^b", 3], 3, True),
        (["a", "~^b", 3], "cb", False),
        ([], "a", False),
    ],
    ids=str,
)
def test_a_condition_compares_the_text_of_a_field(wanted, value, holds):
    found = mapped({"case": [{"when": {"a": wanted}, "set": {"lang": "de"}}]}, a=value)
    assert found == ({"lang": "de"} if holds else {})


def test_the_first_case_that_fits_comes_on_top_of_what_always_counts():
    table = {
        "map": {"e_n": "name", "uid": "user"},
        "set": {"lang": "en", "cs": "utf-8"},
        "case": [
            {"when": {"kind": "a", "user": "jane"}, "set": {"lang": "de"}, "map": {"e_n": "other"}},
            {"when": {"kind": "a"}, "set": {"lang": "fr"}},
            {"set": {"lang": "it"}},
        ],
    }
    always = {"lang": "en", "cs": "utf-8", "e_n": "n", "uid": "jane"}
    assert mapped(table, name="n", user="jane", kind="a", other="o") == always | {"lang": "de", "e_n": "o"}
    assert mapped(table, name="n", user="jane", kind="a") == always | {"lang": "de"}
    assert mapped(table, kind="a") == {"lang": "fr", "cs": "utf-8"}
    assert mapped(table) == {"lang": "it", "cs": "utf-8"}


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (
            {"e_c": "a"},
            "`hit` has an unknown key e_c; known are case, map, set, when. A parameter stands in map or set",
        ),
        ({"map": "a"}, "`hit` map: is no table"),
        ({"when": {}}, r"`hit` has a `when`: conditions stand in \[\[hit.case\]\]"),
        ({"case": {}}, r"`hit.case` is no list of tables: write \[\[hit.case\]\]"),
        ({"case": [1]}, "`hit.case 1` is no table"),
        ({"case": [{}, {"wen": {}}]}, "`hit.case 2` has an unknown key wen"),
        ({"map": {"e_q": "a"}}, "`hit` map e_q: is no parameter of the Tracking API; `piwik-import params` lists them"),
        ({"map": {"dimensionN": "a"}}, "map dimensionN: is no parameter"),
        ({"map": {"token_auth": "a"}}, "map token_auth: is sent in the body beside the hits, never in a hit"),
        ({"set": {"token_auth": "a"}}, "set token_auth: is sent in the body beside the hits, never in a hit"),
        ({"case": [{"set": {"send_image": 0}}]}, "`hit.case 1` set send_image: is left out of a bulk request"),
        ({"map": {"e_n": 7}}, "map e_n: 7 is no field; a constant stands in set"),
        ({"map": {"e_n": "a|uper"}}, "map e_n: there is no conversion 'uper'; known are ms, upper, lower, hash, items"),
        ({"map": {"e_n": "{a} {b|x}"}}, "map e_n: there is no conversion 'x'"),
        ({"map": {"e_n": ""}}, "map e_n: '' names no field"),
        ({"map": {"e_n": "{}"}}, "map e_n: '{}' names no field"),
        ({"map": {"e_n": "|upper"}}, r"map e_n: '\|upper' names no field"),
        ({"map": {"e_n": "{a"}}, "map e_n: '{a' has a brace without its other one"),
        ({"map": {"e_n": "a}"}}, "map e_n: 'a}' has a brace without its other one"),
        ({"set": {"e_n": ["a"]}}, r"set e_n: \['a'\] is neither a text nor a number"),
        ({"set": {"country": "France"}}, "set country: must be two lower-case letters"),
        ({"set": {"idgoal": True}, "map": {"res": "a", "x": "b"}}, "map x: is no parameter"),
        ({"case": [{"when": {"a": "~("}}]}, "`hit.case 1` when a: missing \\), unterminated subpattern"),
        ({"case": [{"when": {"a": {}}}]}, "when a: must be a text, a number, true, false, or a list of these"),
        ({"case": [{"when": {"": "a"}}]}, "when : names no field"),
    ],
    ids=str,
)
def test_a_table_that_makes_no_sense_is_refused_with_the_place(table, reason):
    with pytest.raises(ValueError, match=reason):
        read_table(table)


def test_a_table_knows_what_it_reads_and_gives():
    table = read_table(
        {
            "map": {"uid": "account|lower", "e_n": "{a} {b|upper}"},
            "case": [{"when": {"kind": 1}, "map": {"cid": "device|hash"}, "set": {"lang": "de"}}],
        }
    )
    assert table.fields == {"account", "a", "b", "kind", "device"}
    assert table.parameters == {"uid", "e_n", "cid", "lang"}
    assert table.hashes
    assert not HitTable(checked(Rules({"uid": "hash"}))).hashes
    assert pickle.loads(pickle.dumps(table)) == table


@given(
    st.dictionaries(st.sampled_from(["a", "b"]), st.none() | st.booleans() | st.integers() | st.floats() | st.text())
)
def test_whatever_a_field_holds_becomes_a_text_or_nothing(fields):
    for name in CONVERSIONS:
        found = mapped({"map": {"e_n": f"a|{name}", "e_c": "{a}-{b}"}}, **fields)
        assert all(isinstance(value, str | int | float) for value in found.values())
        assert ("e_n" in found) is (fields.get("a") not in (None, ""))


@given(st.integers(-(10**15), 10**15))
def test_a_whole_number_has_one_text_however_it_is_typed(number):
    assert text_of(number) == text_of(float(number)) == str(number)
