"""Segment's calls become the hits that its destination for Piwik makes of them, and nothing of a line is lost."""

from __future__ import annotations

import gzip
import json
import tomllib

import pytest
from conftest import Reply

from piwik_import.filters import FilterSettings
from piwik_import.hits import HitSettings
from piwik_import.parsers import catalogue
from piwik_import.segment import SegmentSettings, shop
from piwik_import.shaping import Shaping
from piwik_import.source import Block
from piwik_import.translate import Plan, Translator
from piwik_import.variables import VariableSettings
from piwik_import.visitors import VisitorSettings, hasher

SEGMENT = catalogue.named("segment")
LEAST = {"timestamp": "2026-03-05T10:00:00.111Z", "anonymousId": "23adfd82-aa0f-45a7-a756-24f2a7a4c895"}
ALWAYS = {"idsite": 1, "rec": 1, "apiv": 1, "cip": "0.0.0.0", "cdt": "2026-03-05 10:00:00", "queuedtracking": 0}
ALWAYS |= {"cid": hasher(b"key")(LEAST["anonymousId"])}
"""What the hit of the least call holds besides what the call says."""


def translated(*calls, goals=(), limit=5, **filters):
    """Return the batch of calls; a field that is None is left out."""
    lines = [{name: value for name, value in (LEAST | call).items() if value is not None} for call in calls]
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    shaping = Shaping(
        variables=VariableSettings(limit=limit),
        visitors=VisitorSettings(key=b"key"),
        segment=SegmentSettings(tuple(goals)),
    )
    plan = Plan(
        0, SEGMENT, FilterSettings(**filters), HitSettings(1, "http://example.org"), keep_hits=True, shaping=shaping
    )
    batch = Translator(plan)(Block(text, 0, len(text), 1, len(lines)))
    assert batch.lines == len(batch.entries) - batch.further + len(batch.bad) + batch.filtered.total()
    return batch


def said(*calls, **more):
    """Return what the hits of calls hold besides what every hit does."""
    batch = translated(*calls, **more)
    assert not batch.bad
    return [{name: value for name, value in hit.items() if ALWAYS.get(name) != value} for hit in batch.hits]


def track(event, properties=None, **more):
    return {"type": "track", "event": event, "properties": properties} | more


# What the page of the destination shows


def test_the_first_example_of_a_track_call():
    assert said(track("Logged In")) == [{"e_c": "All", "e_a": "Logged In"}]


def test_the_example_of_a_track_call_with_all_event_parameters():
    call = track("Created Account", {"category": "Account", "label": "Premium", "value": 30})
    # The page shows the action of its first example here; by its rule it is the name of the event.
    assert said(call) == [{"e_c": "Account", "e_a": "Created Account", "e_n": "Premium", "e_v": 30}]


@pytest.mark.parametrize(
    ("properties", "value"),
    [
        ({"value": 30, "revenue": 5}, 30),
        ({"revenue": 5.5}, 5.5),
        ({"value": 0, "revenue": 5}, 0),
        ({"value": "", "revenue": "$19.99"}, "19.99"),
        ({"value": None}, None),
        ({"value": True}, None),
    ],
    ids=str,
)
def test_the_value_of_an_event_is_value_and_else_revenue(properties, value):
    (hit,) = said(track("Bought", properties))
    assert hit.get("e_v") == value


PLACES = ["integrations", "context"]


@pytest.mark.parametrize("place", PLACES)
def test_the_example_of_custom_variables(place):
    wanted = {
        "1": ["<variableName>", "<variableValue>"],
        "2": ["SubscriptionId", "1234"],
        "3": ["PlanName", "ENTERPRISE"],
    }
    (hit,) = said(track("event", {"property": "property"}, **{place: {"Piwik": {"customVars": wanted}}}))
    assert json.loads(hit.pop("cvar")) == wanted
    assert hit == {"e_c": "All", "e_a": "event"}


@pytest.mark.parametrize("place", PLACES)
def test_custom_variables_over_the_limit_are_told(place):
    wanted = {"1": ["a", "b"], "3": ["c", "d"], "7": ["e", "f"]}
    batch = translated(track("event", **{place: {"Piwik": {"customVars": wanted}}}), limit=2)
    assert json.loads(batch.hits[0]["cvar"]) == {"1": ["a", "b"]}
    assert [parameter for parameter, _ in batch.warned] == ["cvar", "cvar"]
    assert "variable 3 is over the limit" in next(iter(batch.warned))[1]


def test_custom_variables_that_are_none_are_left_out_and_told():
    batch = translated(track("event", integrations={"Piwik": {"customVars": {"1": "a"}}}))
    assert "cvar" not in batch.hits[0]
    assert [parameter for parameter, _ in batch.warned] == ["cvar"]


def test_an_event_that_is_mapped_to_goals_reaches_them_besides():
    call = track(
        "Order placed",
        {"revenue": "$25.00", "label": "x"},
        userId="jane",
        context={"page": {"url": "https://a.example/b"}},
    )
    event, one, two = said(call, goals=[("order Placed", 3), ("Other", 4), ("Order placed", 5)])
    shared = {"uid": "jane", "url": "https://a.example/b"}
    assert event == shared | {"e_c": "All", "e_a": "Order placed", "e_n": "x", "e_v": "25.00"}
    assert one == shared | {"idgoal": 3, "revenue": "25.00"}
    assert two == shared | {"idgoal": 5, "revenue": "25.00"}


def test_a_goal_without_revenue_leaves_it_to_the_goal():
    assert said(track("Signed Up", {"value": 3}), goals=[("Signed Up", 1)])[1] == {"idgoal": 1}


# Pages, screens and the rest


def test_a_page_is_a_page_view():
    call = {"type": "page", "name": "Home"}
    properties = {"title": "Welcome", "url": "https://a.example/b?c=d#/e", "referrer": "https://r.example/"}
    wanted = {"url": properties["url"], "urlref": "https://r.example/", "action_name": "Welcome"}
    assert said(call | {"properties": properties}) == [wanted]
    (hit,) = said(call | {"properties": {"url": "https://a.example/report.pdf"}})
    assert hit == {"url": "https://a.example/report.pdf", "action_name": "Home"}
    page = {"url": "https://a.example/", "title": "All", "referrer": "https://r.example/"}
    (hit,) = said({"type": "page", "context": {"page": page}})
    assert hit == {"url": "https://a.example/", "urlref": "https://r.example/", "action_name": "All"}


def test_a_page_without_a_url_lies_on_the_site():
    assert said({"type": "page", "properties": {"path": "/b"}}) == [{"url": "http://example.org/b"}]
    assert said({"type": "page"}) == [{"url": "http://example.org"}]


def test_a_screen_is_a_page_view_whose_url_is_made_of_its_name():
    call = {"type": "screen", "name": "Feed / A", "context": {"page": {"url": "https://a.example/"}}}
    assert said(call) == [{"url": "http://example.org/screen/Feed%20%2F%20A", "action_name": "Feed / A"}]
    assert said({"type": "screen"}) == [{"url": "http://example.org/screen"}]


def test_the_context_says_who_and_where():
    context = {
        "ip": "192.0.2.7",
        "userAgent": "Mozilla/5.0",
        "locale": "de_DE",
        "screen": {"width": 320.0, "height": 568, "density": 2},
        "page": {"url": "https://a.example/b", "referrer": "https://r.example/"},
    }
    (hit,) = said(track("x", {"url": "https://a.example/product"}, context=context))
    wanted = {"cip": "192.0.2.7", "ua": "Mozilla/5.0", "lang": "de-DE", "res": "320x568"}
    assert hit == wanted | {"url": "https://a.example/b", "urlref": "https://r.example/", "e_c": "All", "e_a": "x"}


@pytest.mark.parametrize(
    "context", [1, [], {"screen": 1, "page": [], "locale": {}}, {"screen": {"width": "1", "height": None}}], ids=repr
)
def test_a_context_that_is_none_says_nothing(context):
    assert said(track("x", context=context)) == [{"e_c": "All", "e_a": "x"}]


TIMES = {
    "timestamp": ({"timestamp": "2026-03-05T12:00:00+01:00"}, "11:00:00"),
    "the clock of the server": (
        {
            "originalTimestamp": "2026-03-01T00:00:10Z",
            "sentAt": "2026-03-01T00:00:40Z",
            "receivedAt": "2026-03-05T12:00:00Z",
        },
        "11:59:30",
    ),
    "originalTimestamp": ({"originalTimestamp": "2026-03-05T12:00:01Z", "sentAt": "2026-03-05T12:00:02Z"}, "12:00:01"),
    "sentAt": ({"sentAt": "2026-03-05T12:00:02Z", "receivedAt": "2026-03-05T12:00:03Z"}, "12:00:02"),
    "receivedAt": ({"receivedAt": "2026-03-05T12:00:03Z"}, "12:00:03"),
}


@pytest.mark.parametrize("name", TIMES)
def test_the_time_is_the_timestamp_and_else_what_is_nearest_to_it(name):
    times, wanted = TIMES[name]
    assert said(track("x") | {"timestamp": None} | times)[0]["cdt"] == f"2026-03-05 {wanted}"


def test_the_anonymous_id_makes_the_visitor_and_16_digits_are_taken_as_they_are():
    assert translated(track("x", anonymousId="0123456789abcdef")).hits[0]["cid"] == "0123456789abcdef"
    assert translated(track("x")).hits[0]["cid"] == hasher(b"key")(LEAST["anonymousId"])
    (hit,) = translated(track("x", anonymousId=None, userId=42)).hits
    assert (hit["cid"], hit["uid"]) == (hasher(b"key")("42"), "42")
    assert "cid" not in translated(track("x", anonymousId=None, context={"ip": "192.0.2.1"})).hits[0]


def test_identify_names_the_user_of_all_later_hits_of_its_anonymous_id():
    calls = [
        track("1"),
        {"type": "identify", "userId": "jane"},
        track("2"),
        track("3", anonymousId="other"),
        track("4", userId="joe"),
        {"type": "identify", "traits": {"plan": "pro"}},
        track("5"),
        {"type": "identify", "userId": 7},
        {"type": "page"},
    ]
    batch = translated(*calls)
    assert [hit.get("uid") for hit in batch.hits] == [None, "jane", None, "joe", "jane", "7"]
    assert batch.filtered == {"identify": 3}


def test_alias_binds_the_previous_id_and_without_one_the_anonymous_id():
    calls = [
        {"type": "alias", "previousId": "old", "userId": "jane"},
        track("1", anonymousId="old"),
        track("2"),
        {"type": "alias", "userId": "joe"},
        track("3"),
    ]
    assert [hit.get("uid") for hit in translated(*calls).hits] == ["jane", None, "joe"]


def test_a_user_too_long_to_be_remembered_is_told():
    batch = translated({"type": "identify", "userId": "x" * 1001}, track("1"))
    assert "uid" not in batch.hits[0]
    assert [parameter for parameter, _ in batch.warned] == ["uid"]


INTEGRATIONS = [
    (None, True),
    ({}, True),
    ({"All": True}, True),
    ({"All": False}, False),
    ({"Piwik": False}, False),
    ({"All": True, "Piwik": False}, False),
    ({"All": False, "Piwik": True}, True),
    ({"All": False, "Piwik": {"customVars": {}}}, True),
    ({"All": False, "Mixpanel": True}, False),
    ({"Mixpanel": False}, True),
    (["Piwik"], True),
]


@pytest.mark.parametrize(("integrations", "is_sent"), INTEGRATIONS, ids=repr)
def test_a_call_that_is_not_meant_for_piwik_is_left_out_for_that_reason(integrations, is_sent):
    batch = translated(
        track("x", integrations=integrations),
        {"type": "identify", "userId": "jane", "integrations": integrations},
        track("y"),
    )
    assert [hit["e_a"] for hit in batch.hits] == (["x", "y"] if is_sent else ["y"])
    assert batch.filtered == ({"identify": 1} if is_sent else {"integrations": 2})
    assert batch.hits[-1].get("uid") == ("jane" if is_sent else None)


def test_groups_bots_and_objects_of_other_kinds_are_left_out_and_counted():
    bot = {"userAgent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
    calls = [{"type": "group", "groupId": "g"}, track("x", context=bot), {"type": "delete"}]
    assert translated(*calls).filtered == {"group": 1, "bot": 1, "other": 1}
    assert len(translated(*calls, bots=True).hits) == 1


def test_an_event_without_a_name_is_an_invalid_line():
    (bad,) = translated(track("")).bad
    assert bad.reason.startswith("e_a: must be a text of 1 to")


# Ecommerce

PRODUCT = {"product_id": "507f", "sku": "G-32", "category": "Games", "name": "Monopoly", "price": 18.99, "quantity": 1}
PRODUCTS = [
    {"product_id": "507f", "sku": "45790-32", "name": "Monopoly", "price": 19, "quantity": 1, "category": "Games"},
    {"product_id": "505b", "name": "Uno", "price": "3.50", "quantity": 2},
]
ITEMS = [["45790-32", "Monopoly", "Games", 19, 1], ["505b", "Uno", "", "3.50", 2]]


@pytest.mark.parametrize("event", ["Product Viewed", "Viewed Product", "product viewed"])
def test_a_viewed_product_is_in_its_event(event):
    (hit,) = said(track(event, PRODUCT))
    product = {"_pks": "G-32", "_pkn": "Monopoly", "_pkc": "Games", "_pkp": 18.99}
    assert hit == {"e_c": "Games", "e_a": event} | product


def test_a_viewed_list_is_a_category():
    (hit,) = said(track("Product List Viewed", {"list_id": "hot", "category": "Deals", "products": PRODUCTS}))
    assert hit == {"e_c": "Deals", "e_a": "Product List Viewed", "_pkc": "Deals"}
    assert said(track("Product List Viewed", {"list_id": "hot"}))[0]["_pkc"] == "hot"


@pytest.mark.parametrize(
    ("event", "more", "revenue"),
    [("Cart Viewed", {}, 26.0), ("Checkout Started", {"value": 30, "revenue": 25}, 30)],
)
def test_a_cart_with_its_products_is_a_cart_update_besides(event, more, revenue):
    hit, cart = said(track(event, {"products": PRODUCTS} | more, userId="jane"))
    assert hit["e_a"] == event
    assert json.loads(cart.pop("ec_items")) == ITEMS
    assert cart == {"idgoal": 0, "revenue": revenue, "uid": "jane"}


def test_a_completed_order_is_an_order_besides():
    amounts = {"total": 27.5, "subtotal": 22.5, "revenue": 25.0, "shipping": 3, "tax": 2, "discount": 2.5}
    order = {"order_id": "50314b8e", "products": PRODUCTS} | amounts
    event, goal, bought = said(track("Order Completed", order), goals=[("Order Completed", 3)])
    assert event == {"e_c": "All", "e_a": "Order Completed", "e_v": 25.0}
    assert goal == {"idgoal": 3, "revenue": 25.0}
    assert json.loads(bought.pop("ec_items")) == ITEMS
    parts = {"ec_st": 22.5, "ec_sh": 3, "ec_tx": 2, "ec_dt": 2.5}
    assert bought == {"idgoal": 0, "ec_id": "50314b8e", "revenue": 27.5} | parts


@pytest.mark.parametrize(
    ("properties", "revenue"),
    [({"revenue": "€25"}, "25"), ({"value": 7}, 7), ({"products": PRODUCTS}, 26.0), ({"total": 0}, 0)],
    ids=str,
)
def test_the_total_of_an_order_is_the_best_that_the_call_has(properties, revenue):
    assert said(track("Order Completed", {"order_id": "1"} | properties))[1]["revenue"] == revenue


@pytest.mark.parametrize("properties", [{"total": 5}, {"order_id": "1"}, {"order_id": "1", "total": "much"}], ids=str)
def test_an_order_that_cannot_be_one_stays_an_event_and_that_is_told(properties):
    batch = translated(track("Order Completed", properties))
    assert [hit["e_a"] for hit in batch.hits] == ["Order Completed"]
    assert [parameter for parameter, _ in batch.warned] == ["ec_id"]


@pytest.mark.parametrize("products", [None, "x", {}, [1], [{"price": 3}]], ids=repr)
def test_a_cart_without_products_that_can_be_named_stays_an_event(products):
    assert len(said(track("Cart Viewed", {"products": products}))) == 1


@pytest.mark.parametrize(
    "event", ["Product Added", "Product Removed", "Order Updated", "Order Refunded", "Checkout Step Viewed"]
)
def test_other_ecommerce_events_are_events(event):
    (hit,) = said(track(event, {"order_id": "1", "total": 5, "products": PRODUCTS}))
    assert hit == {"e_c": "All", "e_a": event}


def test_every_former_name_is_that_of_an_event_that_is_known():
    assert {*shop.FORMER.values()} <= shop.CARTS | {"product viewed", "product list viewed", "order completed"}


# The program


def line(number, **more):
    return json.dumps(LEAST | track(f"E{number}", {"label": number}) | more) + "\n"


def test_an_archive_is_recognised_and_its_settings_are_those_of_segment(run_program, tracker, tmp_path):
    archive = tmp_path / "1.gz"
    calls = [
        {"type": "identify", "userId": "jane", "event": None},
        {"type": "page", "properties": {"url": "http://a.b/"}},
    ]
    archive.write_bytes(gzip.compress("".join([line(1), *(line(0, **call) for call in calls), line(2)]).encode()))
    config = tmp_path / "config.toml"
    settings = f'[segment]\nserver-url = "{tracker.url}analytics/"\nsite-id = 7\ncustom-variable-limit = 3\n'
    config.write_text(settings + '[segment.goals]\n"E1" = 3\nE2 = [4, 5]\n')
    assert tomllib.loads(config.read_text())
    outcome = run_program("--summary", "json", "--config", config, archive, env={"PIWIK_TOKEN": tracker.token})
    assert outcome.code == 0, outcome.stderr
    assert {bulk.path for bulk in tracker.bulks} == {"/analytics/piwik.php"}
    assert {hit["idsite"] for hit in tracker.hits} == {"7"}
    assert [hit.get("idgoal", hit.get("e_a", "page")) for hit in tracker.hits] == ["E1", "3", "page", "E2", "4", "5"]
    assert [hit.get("uid") for hit in tracker.hits] == [None, None, *["jane"] * 4]
    assert outcome.summary["sources"][0]["format"] == "segment"
    lines = outcome.summary["lines"]
    assert (lines["read"], lines["imported"], lines["filtered"]) == (4, 3, {"identify": 1})
    assert outcome.summary["hits"]["tracked"] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--goal", "Order=x"], "--goal Order=x: an event, = and the number of a goal were expected."),
        (["--goal", "=3"], "--goal =3:"),
        (["--goal", "Order=0"], "--goal Order=0:"),
    ],
    ids=str,
)
def test_a_goal_that_is_none_is_refused(run_here, tmp_path, arguments, message):
    outcome = run_here("--dry-run", *arguments, tmp_path / "x")
    assert (outcome.code, message in outcome.stderr) == (2, True)


@pytest.mark.parametrize("table", ["segment = 1", "[segment]\ngoal = 1", "[segment]\nurl = 'x'"], ids=str)
def test_a_table_of_settings_that_segment_does_not_have_is_refused(run_here, tmp_path, table):
    (tmp_path / "c.toml").write_text(table)
    outcome = run_here("--config", tmp_path / "c.toml", "--dry-run", tmp_path / "x")
    assert (outcome.code, "[segment] is a table of server_url, site_id, goals" in outcome.stderr) == (2, True)


def test_an_event_may_have_an_equals_sign(run_here, tmp_path):
    log, hits = tmp_path / "a.ndjson", tmp_path / "hits"
    log.write_text(line(0, event="a=b"))
    assert run_here("--dry-run", "--output", hits, "--goal", "a=b=3", log).code == 0
    assert [json.loads(hit).get("idgoal") for hit in hits.read_text().splitlines()] == [None, 3]


def test_goals_do_not_send_other_logs_the_long_way():
    shaping = Shaping(segment=SegmentSettings((("Order", 3),)))
    assert not shaping.applies(catalogue.named("combined"))
    assert shaping.applies(SEGMENT)


def test_the_hits_of_a_line_count_as_one_line_whatever_becomes_of_them(run_here, server, tracker, tmp_path):
    log = tmp_path / "a.ndjson"
    log.write_text("".join(line(number, event="Goal") for number in range(4)))
    tracker.usually = Reply(body={"status": "success", "tracked": 6, "invalid": 2, "invalid_indices": [1, 4]})
    outcome = run_here("--summary", "json", "--goal", "Goal=3", log, env=server)
    lines, hits = outcome.summary["lines"], outcome.summary["hits"]
    assert (outcome.code, lines["imported"], lines["invalid"]) == (3, 3, 1)
    assert (hits["sent"], hits["tracked"], hits["rejected"]) == (8, 6, 2)
    assert outcome.summary["rejects"]["lines"] == 2


def test_lines_that_were_imported_before_count_once_each():
    batch = translated(*[track("Goal")] * 3, track("Other"), goals=[("Goal", 3)])
    slot, end = batch.entries[0].slot, batch.entries[2].end
    batch.drop([end if number == slot else 0 for number in range(256)])
    assert (batch.already, len(batch.entries), batch.further) == (2, 3, 1)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_no_request_holds_more_hits_than_it_may_and_the_hits_of_a_line_come_in_order(
    run_here, server, tracker, tmp_path, size
):
    log = tmp_path / "a.ndjson"
    log.write_text("".join(line(number, event="Goal") for number in range(5)))
    outcome = run_here(
        "--summary", "json", "--chunk-size", size, "--goal", "Goal=3", "--goal", "Goal=4", log, env=server
    )
    assert (outcome.code, outcome.summary["lines"]["imported"], outcome.summary["hits"]["tracked"]) == (0, 5, 15)
    assert max(len(bulk.hits) for bulk in tracker.bulks) <= size
    assert [hit.get("idgoal", hit.get("e_n")) for hit in tracker.hits] == [
        one for number in range(5) for one in (str(number), "3", "4")
    ]


def test_a_server_without_bulk_requests_gets_all_hits_of_a_line(run_program, tmp_path):
    log = tmp_path / "a.ndjson"
    log.write_text(line(0, event="Goal"))
    outcome = run_program("--sandbox", "--disable-bulk-tracking", "--goal", "Goal=3", log)
    assert outcome.code == 0
    assert "2 hits sent: 2 tracked, 0 rejected, 0 in doubt; requests: 2" in outcome.stdout


def test_a_mixed_log_takes_calls_for_calls_and_lines_for_lines(run_here, tmp_path, make_log):
    log, output = tmp_path / "mixed.log", tmp_path / "hits"
    log.write_text("".join(line(number) for number in range(6)) + make_log(lines=3).read_text())
    assert run_here("--dry-run", "--output", output, log).code == 0
    hits = [json.loads(hit) for hit in output.read_text().splitlines()]
    assert ["e_a" in hit for hit in hits] == [True] * 6 + [False] * 3


def test_a_line_of_several_hits_is_explained_with_all_of_them(run_here, tmp_path):
    log = tmp_path / "a.ndjson"
    order = {"order_id": "A1", "total": 5, "label": "x", "products": [{"sku": "L17", "price": 7}]}
    log.write_text(line(0, event="Order Completed", properties=order))
    found = json.loads(run_here("explain", "--json", log).stdout)["lines"][0]
    assert (found["hit"]["e_n"], [hit["ec_id"] for hit in found["further"]]) == ("x", ["A1"])
    gives = {piece["name"]: [*piece["parameters"]] for piece in found["pieces"]}
    assert gives["properties.label"] == ["e_n"]
    assert "ec_id" in gives["properties.order_id"]  # and all else of the order, which would be none
    assert gives["properties.total"] == ["revenue"]
    assert gives["properties.products[0].sku"] == ["ec_items"]
    assert "and as" in run_here("explain", log).stdout
