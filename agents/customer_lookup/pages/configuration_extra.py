"""What customer_lookup adds to its page of the configuration: a trial, the breaker, answers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, Final

from aiohttp import web

from agents.customer_lookup.breaker_control import work_by_hand
from agents.customer_lookup.directory.trial import NotTried, Tried, cure
from agents.customer_lookup.lookup_ports import lookup_ports
from agents.customer_lookup.lookup_split import LookupSplit, split
from agents.customer_lookup.reasons import Reason
from posstream.domain.customer import TIERS, Customer
from posstream.domain.roles import Role
from posstream.domain.times import from_ms, iso_utc
from posstream.resilience.breaker import Rules
from web.access import audit
from web.access.guard import caller_of
from web.access.reveals import Reveals
from web.console.configuration import ConfigurationPage, Shown
from web.console.configuration_extra import ConfigurationExtra
from web.console.numbers import span
from web.console.pages import Pages
from web.graphql.context import GraphQLContext
from web.http.reading import read_form

#: How far back answers count for a version: as long as topics keep them.
_ANSWERS_OF: Final = timedelta(days=7)
#: Breaker by hand: what the form says, a method of the breaker -> what to tell afterwards.
_BREAKER: Final = {
    "open": "This worker's breaker is held open: no call leaves this worker.",
    "close": "This worker's breaker is held closed: every call goes out.",
    "reset": "This worker's breaker follows its rules again.",
}


class LookupConfigurationExtra(ConfigurationExtra):
    """Effects in words, one call to an address before it is saved, the breaker, answers."""

    template: ClassVar[str] = "_configuration_lookup.html"
    titles: ClassVar[Mapping[str, str]] = {"identifier": "Customer to try with"}
    done: ClassVar[Mapping[str, str]] = {f"breaker-{by}": told for by, told in _BREAKER.items()}

    def __init__(self, pages: Pages, context: GraphQLContext) -> None:
        super().__init__(pages)
        self._context = context

    def effect(self, key: str, value: Any) -> str:
        """What a lookup does from now on."""
        return _EFFECTS[key](value)

    def routes(self, page: ConfigurationPage) -> Sequence[web.RouteDef]:
        """What the trial and the breaker post to."""
        return [
            web.post(f"{page.path}/try", partial(self._try, page=page)),
            web.post(f"{page.path}/breaker", partial(self._work_breaker, page=page)),
        ]

    async def shown(self) -> Mapping[str, Any]:
        """The breaker of this worker, and no trial."""
        endpoint, breaker = lookup_ports(self._context).breaker()
        return {
            "endpoint": endpoint,
            "breaker": breaker,
            "rules": _rules_in_words(Rules()),
            "trial": None,
        }

    async def outcomes(self, versions: Collection[int]) -> Mapping[int, LookupSplit]:
        """What tills got by each version."""
        since = from_ms(self._context.clock.now_ms()) - _ANSWERS_OF
        answers = await lookup_ports(self._context).read_model.answers_by_version(
            set(versions), since
        )
        return {version: split(answers.get(version, {})) for version in versions}

    async def _try(self, request: web.Request, page: ConfigurationPage) -> web.Response:
        caller = caller_of(request)
        typed = page.form.of_post(await read_form(request))
        identifier = typed.other("identifier")
        endpoint = typed.texts["api_endpoint"] or page.live.current.defaults.api_endpoint
        arguments = {"api_endpoint": endpoint, "identifier": identifier}
        if not caller.may(Role.OPERATOR):
            audit.changed(caller, "tryDirectory", arguments, "FORBIDDEN")
            return self.pages.forbidden(request, Role.OPERATOR)
        if not self._context.budget.allows(caller, "tryDirectory"):
            audit.changed(caller, "tryDirectory", arguments, "refused, TOO_MANY_LOOKUPS")
            return self.pages.too_many_lookups(request)
        tried = await lookup_ports(self._context).directory_trial(identifier, endpoint)
        if isinstance(tried, NotTried):
            audit.changed(caller, "tryDirectory", arguments, "refused")
            return await page.show(request, Shown(typed=typed, errors=tried.errors))
        audit.changed(caller, "tryDirectory", arguments, tried.outcome.attempt.status)
        result = _trial_result(tried, Reveals(caller, asked=False))
        return await page.show(request, Shown(typed=typed, own={"trial": result}))

    async def _work_breaker(self, request: web.Request, page: ConfigurationPage) -> web.Response:
        caller = caller_of(request)
        action = (await read_form(request)).get("action", "")
        if action not in _BREAKER:
            raise web.HTTPBadRequest
        if not caller.may(Role.OPERATOR):
            audit.changed(caller, "controlBreaker", {"action": action}, "FORBIDDEN")
            return self.pages.forbidden(request, Role.OPERATOR)
        await work_by_hand(self._context, action, by=caller.name)
        audit.changed(caller, "controlBreaker", {"action": action}, "done")
        raise web.HTTPSeeOther(f"{page.path}?done=breaker-{action}")


def _attempts(value: int) -> str:
    if value == 1:
        return "A call that fails is not tried again."
    return f"A call that fails is tried again, {value} attempts in all, while the deadline lets it."


def _fresh(value: float) -> str:
    if value == 0:
        return "Every scan asks the directory."
    return f"A customer who was fetched is served for {span(value)} without asking the directory."


def _stale(value: float) -> str:
    return f"When the directory fails, nothing older than {span(value)} is served."


def _unknown(value: float) -> str:
    if value == 0:
        return "An unknown identifier is asked for at every scan."
    return f"An unknown identifier is not asked for again for {span(value)}."


_EFFECTS: Final[Mapping[str, Callable[[Any], str]]] = {
    "enabled": lambda on: (
        "Scans are looked up." if on else "Every scan is answered DISABLED, without a call."
    ),
    "api_endpoint": lambda _: (
        "Calls go to the new address, with a breaker that starts closed. Cached customers stay."
    ),
    "timeout_seconds": lambda value: f"Each HTTP attempt is given up after {span(value)}.",
    "retry_attempts": _attempts,
    "cache_ttl_seconds": _fresh,
    "fallback_to_cache_on_error": lambda on: (
        "When the directory fails, the stale window stands in."
        if on
        else "When the directory fails, scans fail as well; the stale window is not served."
    ),
    "stale_ttl_seconds": _stale,
    "negative_ttl_seconds": _unknown,
    "deadline_seconds": lambda value: f"A till has its answer after {span(value)} at the latest.",
    "max_concurrent_lookups": lambda value: (
        f"Each worker makes at most {value} calls at a time; more wait."
    ),
    "default_country_code": lambda code: (
        "A national phone number stays as it was scanned."
        if code is None
        else f"The trunk 0 of a national phone number becomes +{code}."
    ),
}


def _rules_in_words(rules: Rules) -> str:
    """When a breaker opens and closes by itself."""
    return (
        f"Opens when {rules.failure_ratio:.0%} of at least {rules.calls} calls in "
        f"{span(rules.window_seconds)} fail; tries again after {span(rules.open_seconds)}."
    )


def _trial_result(tried: Tried, reveals: Reveals) -> dict[str, object]:
    """What the page shows: how the call ended, and the customer as a lookup would read them.

    Args:
        tried: the call.
        reveals: shows identifiers, phones and e-mail addresses as the caller may see them.
    """
    outcome, attempt = tried.outcome, tried.outcome.attempt
    tone, status, reason, advice = "good", "found", "", ""
    if outcome.reason is Reason.NOT_FOUND:
        tone, status = "warn", "not found"
        reason = "the directory does not know this identifier"
        advice = "a right answer; if it should, see the path of the address"
    elif outcome.customer is None:
        tone, status = "bad", attempt.status.lower()
        reason = attempt.error_message or "the directory could not answer"
        advice = cure(outcome, "the address")
    return {
        "endpoint": tried.endpoint,
        "identifier": reveals.show(tried.identifier.value),
        "tone": tone,  # good, warn or bad
        "status": status,
        "http_status": attempt.http_status,
        "duration_ms": attempt.duration_ms,
        "reason": reason,
        "cure": advice,
        "customer": _rows(outcome.customer, tried, reveals) if outcome.customer else [],
    }


def _rows(customer: Customer, tried: Tried, reveals: Reveals) -> list[tuple[str, str]]:
    value, show = tried.identifier.value, reveals.show
    note = "" if customer.tier in {*TIERS, ""} else " (not in the contract: kept, and counted)"
    return [
        # Some directories use the phone or the card as the id.
        ("customer_id", reveals.show_customer_id(customer.customer_id.replace(value, show(value)))),
        ("name", f"{customer.first_name} {customer.last_name}".strip()),
        ("email", show(customer.email)),
        ("phone", show(customer.phone)),
        ("tier", customer.tier + note),
        ("loyalty_points", f"{customer.loyalty_points:,}"),
        ("total_purchases", f"{customer.total_purchases:,}"),
        ("last_purchase_date", iso_utc(customer.last_purchase_date) or ""),
        ("attributes", ", ".join(customer.attributes)),
    ]
