"""Two rules that posstream and Quix Streams are given, both by till."""

from typing import Any, Final

ITEMS_MS: Final = 60_000
ITEMS_LIMIT: Final = 10
TAKINGS_MS: Final = 600_000
#: In whole units of the currency.
TAKINGS_LIMIT: Final = 2_000

_SHARED: Final[dict[str, Any]] = {
    "severity": "LOW",
    "group_by": ["terminal_id"],
    "operator": ">=",
}
#: As the live configuration has them.
RULES: Final[list[dict[str, Any]]] = [
    _SHARED
    | {
        "id": "rapid_items",
        "name": "Items are scanned faster than by hand",
        "on": ["ITEM_ADDED"],
        "function": "COUNT",
        "limit": ITEMS_LIMIT,
        "window_seconds": ITEMS_MS // 1000,
    },
    _SHARED
    | {
        "id": "takings",
        "name": "A till takes much",
        "on": ["PAYMENT_COMPLETED"],
        "function": "SUM",
        "field": "amount",
        "limit": TAKINGS_LIMIT,
        "window_seconds": TAKINGS_MS // 1000,
    },
]
