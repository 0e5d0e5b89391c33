"""What a basket must be after some messages of tills: obvious and slow, to compare others with."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any


def baskets(messages: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The baskets that messages make, by their ids; lookups are told by `CUSTOMER_IDENTIFIED`."""
    of_basket: dict[str, dict[str, dict[str, Any]]] = {}
    for message in messages:
        of_basket.setdefault(message["basket_id"], {})[message["event_id"]] = message
    return {
        basket_id: _basket(
            sorted(known.values(), key=lambda it: (it["occurred_at"], it["event_id"]))
        )
        for basket_id, known in of_basket.items()
    }


def _basket(messages: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: C901 - a case each
    lines: dict[str, list[Decimal]] = {}  # price, quantity
    off = paid = refunded = Decimal(0)
    customer = finalized = voided = was_paid = False
    status = "OPEN"
    for it in messages:
        amount = Decimal(it.get("amount", 0))
        match it["event_type"]:
            case "CUSTOMER_IDENTIFIED":
                customer = it["customer_identifier"]
            case "ITEM_ADDED":
                lines[it["item_id"]] = [Decimal(it["unit_price"]), Decimal(it["quantity"])]
            case "ITEM_REMOVED":
                del lines[it["item_id"]]
            case "ITEM_QUANTITY_CHANGED":
                lines[it["item_id"]][1] = Decimal(it["quantity"])
            case "PRICE_OVERRIDDEN":
                lines[it["item_id"]][0] = Decimal(it["unit_price"])
            case "DISCOUNT_APPLIED":
                off += amount
            case "BASKET_FINALIZED":
                finalized = True
            case "BASKET_VOIDED":
                voided = True
            case "PAYMENT_COMPLETED":
                paid += amount
            case "PAYMENT_REFUNDED":
                refunded += amount
        total = sum((price * quantity for price, quantity in lines.values()), Decimal(0)) - off
        covered = paid >= total and (finalized or paid > 0)
        status = "PAID" if covered else "FINALIZED" if finalized else "OPEN"
        status = "VOIDED" if voided else status
        was_paid = was_paid or status == "PAID"
    return {
        "revision": len(messages),
        "status": status,
        "was_paid": was_paid,
        "customer_identifier": customer or None,
        "items": len(lines),
        "total": total,
        "paid": paid,
        "refunded": refunded,
    }
