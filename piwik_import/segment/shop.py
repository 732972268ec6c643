"""Segment's ecommerce events → the parameters of products, carts and orders.

    Product Viewed                  _pks, _pkn, _pkc, _pkp with its event
    Product List Viewed             _pkc with its event
    Cart Viewed, Checkout Started   a cart update besides, if it lists products
    Order Completed                 an order besides, if it has an order_id and a total

All others stay events: Product Added and Product Removed name one product, and a cart update replaces the whole cart;
Order Updated has an order_id that is recorded once.

Source: https://segment.com/docs/connections/spec/ecommerce/v2/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from piwik_import.kinds import MONEY
from piwik_import.mapping import text_of
from piwik_import.tracking import Hit, Value

Properties = Mapping[str, Any]
Told = Callable[[str, str], None]
"""Tells of a parameter that cannot be sent, and why."""

FORMER = {
    "viewed product": "product viewed",
    "viewed product category": "product list viewed",
    "product category viewed": "product list viewed",
    "viewed cart": "cart viewed",
    "started order": "checkout started",
    "completed order": "order completed",
}
"""What the events were called in the first version of the spec."""

CARTS = frozenset({"cart viewed", "checkout started"})

AMOUNTS = {"ec_st": "subtotal", "ec_tx": "tax", "ec_sh": "shipping", "ec_dt": "discount"}


def name_of(event: str) -> str:
    """Return the name by which an event is known here: case does not count, nor does the version of the spec."""
    name = event.strip().lower()
    return FORMER.get(name, name)


def amount(value: Any) -> Value | None:
    """Return a number as it can be sent, without the sign of its currency; None if there is none."""
    if isinstance(value, str):
        return value.strip().lstrip("$€£¥").strip() or None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _good(value: Any) -> Value | None:
    """Return an amount that the server takes."""
    found = amount(value)
    return found if found is not None and MONEY.accepts(text_of(found)) else None


def _first(properties: Properties, *names: str) -> Value | None:
    return next((found for name in names if (found := _good(properties.get(name))) is not None), None)


def text(value: Any) -> str:
    """Return a text or a number as text; empty for anything else."""
    return text_of(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def viewed(event: str, properties: Properties) -> Hit:
    """Return the parameters of what was looked at."""
    name = name_of(event)
    found: Hit = {}
    if name == "product viewed":
        found = {"_pks": text(properties.get("sku")) or text(properties.get("product_id"))}
        found |= {"_pkn": text(properties.get("name")), "_pkc": text(properties.get("category"))}
        if (price := _good(properties.get("price"))) is not None:
            found["_pkp"] = price
    elif name == "product list viewed":
        found = {"_pkc": text(properties.get("category")) or text(properties.get("list_id"))}
    return {parameter: value for parameter, value in found.items() if value != ""}


def bought(event: str, properties: Properties, tell: Told) -> Hit | None:
    """Return the parameters of a cart update or an order; None if the event is none."""
    name = name_of(event)
    if name == "order completed":
        return _order(properties, tell)
    return _cart(properties, tell) if name in CARTS and properties.get("products") else None


def _order(properties: Properties, tell: Told) -> Hit | None:
    items = _items(properties, tell)
    order, revenue = text(properties.get("order_id")), _first(properties, "total", "revenue", "value")
    if revenue is None and items:
        revenue = _sum(items)
    if not 0 < len(order) <= 100 or revenue is None:
        tell("ec_id", "no order is sent: it needs an order_id of 1 to 100 characters, and total, revenue or products")
        return None
    hit: Hit = {"idgoal": 0, "ec_id": order, "revenue": revenue}
    if items:
        hit["ec_items"] = text_of(items)
    for parameter, key in AMOUNTS.items():
        if (found := amount(properties.get(key))) is not None:
            hit[parameter] = found
    return hit


def _cart(properties: Properties, tell: Told) -> Hit | None:
    items = _items(properties, tell)
    if not items:
        return None
    revenue = _first(properties, "value", "total", "revenue")
    return {"idgoal": 0, "revenue": _sum(items) if revenue is None else revenue, "ec_items": text_of(items)}


def _items(properties: Properties, tell: Told) -> list[list[Any]]:
    """Return the products as the server wants them: sku, name, category, price, quantity."""
    products, items = properties.get("products"), []
    for product in products if isinstance(products, list) else []:
        values = product if isinstance(product, dict) else {}
        sku = text(values.get("sku")) or text(values.get("product_id")) or text(values.get("name"))
        if not sku:
            tell("ec_items", "a product without sku, product_id and name is left out")
            continue
        price, quantity = _good(values.get("price")), _good(values.get("quantity"))
        items.append(
            [
                sku,
                text(values.get("name")),
                text(values.get("category")),
                0 if price is None else price,
                1 if quantity is None else quantity,
            ]
        )
    return items


def _sum(items: list[list[Any]]) -> float:
    return round(sum(float(price) * float(quantity) for *_, price, quantity in items), 2)
