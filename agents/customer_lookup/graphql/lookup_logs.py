"""The audit of the directory's calls: one entry per HTTP attempt."""

from typing import Any, Final

import graphene

from agents.customer_lookup.graphql.types import Basket, Loaders
from agents.customer_lookup.lookup_ports import lookup_ports
from agents.customer_lookup.read_model.records import BasketRow, LookupLogRow, Position
from agents.customer_lookup.reasons import AttemptStatus
from posstream.domain.identifier import Identifier
from web.graphql.connections import (
    PageInfo,
    connection_arguments,
    page,
    page_size,
    place_cursor,
    read_place,
)
from web.graphql.context import MAX_TEXT, GraphQLContext, count_lookup, is_sound, refusal
from web.graphql.types import ContractType, JSONString

_LISTED: Final = "lookupLogs"
_STATUSES: Final = {
    "SUCCESS": "The directory knows the customer.",
    "NOT_FOUND": "The directory does not know the customer: an answer, not a failure.",
    "FAILED": "No connection, an error status, or a body that makes no sense.",
    "TIMEOUT": "No answer in time.",
}
LookupStatus = graphene.Enum(
    "LookupStatus",
    [(status.name, status.value) for status in AttemptStatus],
    description=lambda status: _STATUSES[status.name] if status else "How an attempt ended.",
)


class LookupLog(ContractType):  # graphene is untyped
    """One HTTP attempt at the directory, as on the topic `customer-lookup-logged`."""

    event_id = graphene.ID(required=True)
    lookup_id = graphene.ID()
    attempt = graphene.Int(description="1 for the first attempt of its lookup.")
    waiters = graphene.Int(description="How many other events waited for this call.")
    basket_id = graphene.ID(description="The basket whose event led the call.")
    basket = graphene.Field(Basket, description="The same, once anything else of it was seen.")
    customer_identifier = graphene.String(required=True, description="Normalised.")
    identifier_kind = graphene.String(description="PHONE, EMAIL or CARD.")
    api_endpoint = graphene.String(description="Without the identifier.")
    call_started_at = graphene.String(description="When its call began. ISO-8601, UTC.")
    request_timestamp = graphene.String(required=True, description="ISO-8601, UTC.")
    response_timestamp = graphene.String(description="ISO-8601, UTC.")
    status = graphene.Field(LookupStatus)
    http_status = graphene.Int(description="Null if no response came.")
    response_data = JSONString(description="What came back, cut to a bounded size.")
    error_message = graphene.String()
    duration_ms = graphene.Int()

    @staticmethod
    async def resolve_basket(row: LookupLogRow, info: Any) -> BasketRow | None:
        """The basket, with those of all other entries in one statement."""
        context: GraphQLContext = info.context
        if row.basket_id is None:
            return None
        return await context.once(Loaders).baskets.load(row.basket_id)

    @staticmethod
    def resolve_status(row: LookupLogRow, _info: Any) -> str | None:
        """One of the contract's; what another writer made up is null."""
        return row.status if row.status in _STATUSES else None


class LookupLogEdge(graphene.ObjectType):  # graphene is untyped
    """An attempt in a list."""

    node = graphene.Field(LookupLog, required=True)
    cursor = graphene.String(required=True)


class LookupLogConnection(graphene.ObjectType):  # graphene is untyped
    """A page of attempts."""

    edges = graphene.List(graphene.NonNull(LookupLogEdge), required=True)
    page_info = graphene.Field(PageInfo, required=True)


class LookupLogsQuery(graphene.ObjectType):  # graphene is untyped
    """The part of `Query` that lists attempts."""

    lookup_logs = graphene.Field(
        LookupLogConnection,
        required=True,
        **connection_arguments(),
        status=LookupStatus(),
        identifier=graphene.String(description="Phone, e-mail or card number, in any spelling."),
        basket_id=graphene.ID(description="Only the calls that this basket led."),
        description="The attempts at the directory, newest first, page by page.",
    )

    @staticmethod
    async def resolve_lookup_logs(  # noqa: PLR0913 - one for each argument
        _root: None,
        info: Any,
        *,
        first: int | None = None,
        after: str | None = None,
        status: Any = None,
        identifier: str | None = None,
        basket_id: str | None = None,
    ) -> dict[str, object]:
        """A page of attempts; a blank filter filters nothing."""
        context: GraphQLContext = info.context
        size = page_size(first)
        rows = await lookup_ports(context).read_model.lookup_logs(
            first=size + 1,
            after=None if after is None else Position(*read_place(_LISTED, after)),
            status=None if status is None else AttemptStatus(status.value),
            identifier=_identifier(context, identifier),
            basket_id=_basket_id(basket_id),
        )
        return page(
            rows,
            first=size,
            after=after,
            cursor=lambda row: place_cursor(_LISTED, row.request_timestamp, row.event_id),
        )


def _identifier(context: GraphQLContext, scanned: str | None) -> str | None:
    if scanned is None or not scanned.strip():
        return None
    found = context.normalise(scanned)
    if not isinstance(found, Identifier):
        raise refusal("BAD_USER_INPUT", f"identifier: {found.masked} is refused: {found.why}")
    count_lookup(context, "lookupLogs")
    return found.value


def _basket_id(basket_id: str | None) -> str | None:
    if basket_id is None or not basket_id.strip(" "):
        return None
    if not is_sound(basket_id):
        raise refusal("BAD_USER_INPUT", f"basketId must be 1 to {MAX_TEXT} printable characters")
    return basket_id
