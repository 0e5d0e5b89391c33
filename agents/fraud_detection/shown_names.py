"""Shows the customers whom an alert names as the caller may see them."""

from collections.abc import Mapping
from typing import Any

from agents.fraud_detection.read_model.rows import Kind, kind_of
from web.access.reveals import Reveals


def shown_fields(reveals: Reveals, fields: Mapping[str, str]) -> dict[str, str]:
    """The fields of an observation, or a group."""
    return {name: _shown(reveals, name, text) for name, text in fields.items()}


def shown_alert(reveals: Reveals, document: Mapping[str, Any]) -> dict[str, Any]:
    """An alert as it is on its topic."""
    customer_id = document["customer_id"]
    return {
        **document,
        "customer_id": customer_id and reveals.show_customer_id(customer_id),
        "group": shown_fields(reveals, document["group"]),
        "observations": [
            {**it, "fields": shown_fields(reveals, it["fields"])} for it in document["observations"]
        ],
    }


def _shown(reveals: Reveals, name: str, text: str) -> str:
    match kind_of(name):
        case Kind.IDENTIFIER:
            return reveals.show(text)
        case Kind.ID:
            return reveals.show_customer_id(text)
        case None:
            return text
