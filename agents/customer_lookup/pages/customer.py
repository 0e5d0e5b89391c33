"""The page of one customer: fields, cached entries, answers, and what can be done about them."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from agents.customer_lookup.cache_commands import CacheCommand, Evict, Refresh
from agents.customer_lookup.events.commands import commanded
from agents.customer_lookup.lookup_ports import live_configuration
from agents.customer_lookup.pages.cache_bar import cache_bar
from agents.customer_lookup.pages.page import Page
from agents.customer_lookup.pages.wording import age, tag_of
from agents.customer_lookup.read_model.records import CustomerHistory
from posstream.domain.errors import BrokerUnreachable, PublishFailed
from posstream.domain.masking import is_personal
from posstream.domain.roles import Role
from posstream.domain.times import from_ms
from posstream.forgetting.forgetting import Unconfirmed
from web.access import audit
from web.access.guard import caller_of
from web.console.pages import reveals_of, with_query
from web.graphql.context import is_customer_id
from web.graphql.forget import PATIENCE_SECONDS

#: `?done=` -> what was done.
_DONE: Final[Mapping[str, str]] = {
    "refreshed": "The workers ask the directory about every identifier now. Reload in a moment: "
    "the bars start again once it answered, the fields below follow with the next scan.",
    "evicted": "The workers drop the cached entries now, and the next scan asks the directory. "
    "The bars still say when each was last fetched.",
}
_UNACKNOWLEDGED: Final = "The broker did not acknowledge it. Nothing is lost: try again."


class CustomerPage(Page):
    """`/customers/<customer_id>` and its buttons."""

    def routes(self) -> list[web.RouteDef]:
        """The page, and what its buttons ask for."""
        path = "/customers/{customer_id:[^/]+}"
        return [
            web.get(path, self.page),
            web.post(f"{path}/refresh", self.refresh),
            web.post(f"{path}/evict", self.evict),
            web.get(f"{path}/forget", self.confirm),
            web.post(f"{path}/forget", self.forget),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """The customer; 404 if nobody of this id was seen."""
        if not self._may_ask(request):
            return self.pages.too_many_lookups(request)
        history = await self._history(request)
        if history is None:
            return self._unknown(request)
        return self._shown(request, history, done=_DONE.get(request.query.get("done", ""), ""))

    async def refresh(self, request: web.Request) -> web.Response:
        """Have the directory asked anew about each identifier."""
        return await self._command(
            request, "refresh", lambda identifier: Refresh(identifier, str(uuid.uuid4()))
        )

    async def evict(self, request: web.Request) -> web.Response:
        """Have the entry of each identifier removed."""
        return await self._command(request, "evict", Evict)

    async def confirm(self, request: web.Request) -> web.Response:
        """Say what forgetting does, and ask."""
        if not caller_of(request).may(Role.OPERATOR):
            return self.pages.forbidden(request, Role.OPERATOR)
        if not self._may_ask(request):
            return self.pages.too_many_lookups(request)
        history = await self._history(request)
        return self._unknown(request) if history is None else self._asked(request, history)

    async def forget(self, request: web.Request) -> web.Response:
        """Forget the customer, and show the report: the customer's page is gone by then."""
        return await self._audited(request, "forget", Role.OPERATOR, self._forget)

    async def _forget(
        self, request: web.Request, history: CustomerHistory
    ) -> tuple[str, web.Response]:
        try:
            outcome = await self.context.forgetting.forget_customer(
                history.customer.customer_id, patience_seconds=PATIENCE_SECONDS
            )
        except (PublishFailed, BrokerUnreachable):
            answer = self._asked(request, history, trouble=_UNACKNOWLEDGED, status=503)
            return "refused, BROKER_UNAVAILABLE", answer
        if isinstance(outcome, Unconfirmed):
            answer = self._asked(request, history, trouble=outcome.why, status=504)
            return "refused, UNCONFIRMED", answer
        return "done", self.pages.render(
            request, "customer_forgotten.html", report=outcome, from_ms=from_ms
        )

    async def _command(
        self, request: web.Request, what: str, command: Callable[[str], CacheCommand]
    ) -> web.Response:
        async def send(request: web.Request, history: CustomerHistory) -> tuple[str, web.Response]:
            try:
                for it in history.identifiers:
                    for record in commanded(command(it.identifier), self.context.partitions):
                        await self.ports.publisher.publish(record)
            except PublishFailed:
                answer = self._shown(request, history, trouble=_UNACKNOWLEDGED, status=503)
                return "refused, BROKER_UNAVAILABLE", answer
            where = f"{self.customer_path(history.customer.customer_id)}?done={what}ed"
            return "done", web.Response(status=303, headers={"Location": where})

        return await self._audited(request, what, Role.SUPPORT, send)

    async def _audited(
        self,
        request: web.Request,
        what: str,
        needed: Role,
        act: Callable[[web.Request, CustomerHistory], Awaitable[tuple[str, web.Response]]],
    ) -> web.Response:
        """Do something to a customer if the caller may, and write it down."""
        caller, outcome = caller_of(request), "failed"
        try:
            if not caller.may(needed):
                outcome = "FORBIDDEN"
                return self.pages.forbidden(request, needed)
            if not self._may_ask(request):
                outcome = "refused, TOO_MANY_LOOKUPS"
                return self.pages.too_many_lookups(request)
            history = await self._history(request)
            if history is None:
                outcome = "refused, UNKNOWN_CUSTOMER"
                return self._unknown(request)
            outcome, answer = await act(request, history)
            return answer
        finally:
            customer = {"customer_id": self._customer_id(request)}
            audit.changed(caller, f"{what}Customer", customer, outcome)

    def _may_ask(self, request: web.Request) -> bool:
        """Whether the caller may try one more id, if it is a phone or an e-mail address.

        Our links hold such an id sealed, so an id in plain text is a guess.
        """
        if not is_personal(request.match_info["customer_id"]):
            return True
        return self.context.budget.allows_page(caller_of(request), "the page customer")

    async def _history(self, request: web.Request) -> CustomerHistory | None:
        customer_id = self._customer_id(request)
        if not is_customer_id(customer_id):
            return None
        return await self.ports.read_model.customer_history(customer_id)

    def _customer_id(self, request: web.Request) -> str:
        return self.context.references.read(request.match_info["customer_id"])

    def _shown(
        self,
        request: web.Request,
        history: CustomerHistory,
        *,
        done: str = "",
        trouble: str = "",
        status: int = 200,
    ) -> web.Response:
        reveals = reveals_of(request)
        plan = live_configuration(self.context).current.value
        now_ms = self.context.clock.now_ms()
        path = self.customer_path(history.customer.customer_id)
        return self.pages.render(
            request,
            "customer.html",
            reveals=reveals,
            status=status,
            customer=history.customer,
            entries=[
                (it, cache_bar(it.fetched_at, now_ms, plan.windows)) for it in history.identifiers
            ],
            serves_stale=plan.fallback_to_cache_on_error,
            answers=history.answers,
            done=done,
            trouble=trouble,
            here=path,
            reveal=with_query(request, path, reveal=None if reveals.in_full else "1", done=None),
            tag_of=tag_of,
            age=age,
        )

    def _asked(
        self,
        request: web.Request,
        history: CustomerHistory,
        *,
        trouble: str = "",
        status: int = 200,
    ) -> web.Response:
        return self.pages.render(
            request,
            "customer_forget.html",
            status=status,
            customer=history.customer,
            count=len(history.identifiers),
            here=self.customer_path(history.customer.customer_id),
            trouble=trouble,
        )

    def _unknown(self, request: web.Request) -> web.Response:
        return self.pages.missing(
            request,
            "No such customer",
            "Nobody of this id was seen, or the customer was forgotten.",
            ("/customers", "All customers"),
            # Each look at an id in plain text counts as a guess.
            awaited=not is_personal(request.match_info["customer_id"]),
        )
