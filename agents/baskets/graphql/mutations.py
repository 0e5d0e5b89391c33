"""The mutations: each writes one event of a basket, with the fields of that event as arguments."""

from collections.abc import Mapping
from typing import Any, Final

import graphene
from msgspec.structs import fields

from agents.baskets.events.reading import TYPES
from agents.baskets.till import Outcome, say
from posstream.domain.roles import Role
from web.graphql.types import MutationError

#: Not for the caller to say.
_OWN: Final = frozenset({"event_type", "event_id", "occurred_at"})
#: Field of `Mutation` -> the event that it writes, and what it does.
_WRITES: Final[Mapping[str, tuple[str, str]]] = {
    "add_item": (
        "ITEM_ADDED",
        "Scan an item. Without an itemId, the eventId is the item's id.",
    ),
    "remove_item": (
        "ITEM_REMOVED",
        "Take an item out, by its itemId or productId: all of it, or a quantity.",
    ),
    "change_item_quantity": ("ITEM_QUANTITY_CHANGED", "Give an item another quantity."),
    "finalize_basket": ("BASKET_FINALIZED", "Say that nothing more is scanned."),
    "void_basket": ("BASKET_VOIDED", "Give a basket up."),
    "complete_payment": (
        "PAYMENT_COMPLETED",
        "Pay a basket, or a part of it. Without a paymentId, the eventId is the payment's id.",
    ),
    "refund_payment": (
        "PAYMENT_REFUNDED",
        "Give money back. Without a refundId, the eventId is the refund's id.",
    ),
}


def _mutation(name: str, event_type: str, description: str) -> type[graphene.Mutation]:
    arguments = {
        field.name: graphene.String(required=field.required)
        for field in fields(TYPES[event_type])
        if field.name not in _OWN
    }

    async def mutate(_root: None, info: Any, **given: str | None) -> Outcome:
        said = {name: text for name, text in given.items() if text is not None}
        return await say(info.context, event_type, said)

    title = "".join(word.capitalize() for word in name.split("_"))
    members = {
        "__doc__": description,
        "Arguments": type("Arguments", (), arguments),
        "success": graphene.Boolean(required=True),
        "event_id": graphene.String(),
        "error": graphene.Field(MutationError),
        "mutate": staticmethod(mutate),
    }
    made: type[graphene.Mutation] = type(title, (graphene.Mutation,), members)
    return made


MUTATIONS: Final = {name: _mutation(name, *written) for name, written in _WRITES.items()}
PERMISSIONS: Final = dict.fromkeys(_WRITES, Role.SUPPORT)
