"""The directory's lines of `posstream check`: one real call, what it gave, and each cure.

Shows the names of fields, and values of `customer_id` and `tier` alone: a terminal is no place for
a customer's data.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from agents.customer_lookup.answers import AttemptOutcome
from agents.customer_lookup.directory.http import HttpDirectory
from agents.customer_lookup.directory.trial import DirectoryTrial, NotTried, cure
from agents.customer_lookup.reasons import Reason
from agents.customer_lookup.settings import LookupSettings
from posstream.domain.customer import CUSTOMER_FIELDS, TIERS, Customer
from posstream.domain.identifier import Identifier
from posstream.domain.payment_card import mask, mask_payment_cards
from posstream.plugin import CheckLine
from posstream.resilience.clock import Clock
from posstream.settings import Settings

_ENDPOINT: Final = "POSSTREAM_API_ENDPOINT"
#: A plain name. Any other could hold what must not be shown, or drive the terminal.
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_EMPTY: Final = Customer(customer_id="")


async def check_directory(
    settings: Settings, identifier: str, config: Mapping[str, Any]
) -> list[CheckLine]:
    """Ask the directory once, as a worker would.

    Args:
        settings: of the worker.
        identifier: in any spelling.
        config: the live configuration; its endpoint is asked if it names one.
    """
    live = config.get("api_endpoint")
    own = LookupSettings.of(settings)
    endpoint = live or own.api_endpoint
    directory = HttpDirectory.of(own, card_guard=settings.payment_card_guard, clock=Clock())
    await directory.open()
    try:
        trial = DirectoryTrial(directory, card_guard=settings.payment_card_guard)
        tried = await trial(identifier, endpoint)
    finally:
        await directory.close()
    if isinstance(tried, NotTried):
        shown = {"identifier": f"identifier {mask(identifier.strip())}", "api_endpoint": endpoint}
        return [(False, f"{shown[name]}: {why}") for name, why in tried.errors.items()]
    asked = (
        f"directory at {endpoint}{' (live configuration)' if live else ''}, "
        f"{'with' if directory.authorises(endpoint) else 'without'} credentials"
    )
    own_mock = live is None and own.explicit_api_endpoint is None
    return list(_judged(asked, tried.identifier, tried.outcome, own_mock=own_mock))


def _judged(
    asked: str, found: Identifier, outcome: AttemptOutcome, *, own_mock: bool
) -> Iterator[CheckLine]:
    took = f"{outcome.attempt.duration_ms} ms"
    if outcome.customer is not None:
        # Some directories use the phone or the card as the id.
        customer_id = outcome.customer.customer_id.replace(found.value, found.masked)
        shown = mask_payment_cards(_printable(customer_id))
        yield True, f"{asked}: {found.masked} is {shown} ({took})"
        yield from _customer(outcome.customer, found)
        for name in outcome.customer.odd_fields:
            yield True, f"odd: {name} has the wrong type or is out of range; it is an attribute"
    elif outcome.reason is Reason.NOT_FOUND:
        unknown = f"does not know {found.masked} ({took})"
        yield True, f"{asked}: {unknown}; if it should, see the path of POSSTREAM_API_ENDPOINT"
    elif own_mock and outcome.attempt.http_status is None:
        yield True, f"{asked}: the worker's own mock, there once a worker runs"
    else:
        failed = f"{asked}: {outcome.attempt.error_message} ({took}); "
        yield False, f"{failed}{cure(outcome, _ENDPOINT)}"


def _customer(customer: Customer, found: Identifier) -> Iterator[CheckLine]:
    filled = [n for n in CUSTOMER_FIELDS if getattr(customer, n) != getattr(_EMPTY, n)]
    empty = [name for name in CUSTOMER_FIELDS if name not in filled]
    yield True, f"filled: {', '.join(filled)}"
    yield True, f"empty or zero: {', '.join(empty) or 'none'}"
    names = [
        name if _PLAIN.fullmatch(name) and found.value not in name else mask(name)
        for name in customer.attributes
    ]
    yield True, f"attributes: {', '.join(names) or 'none'}"
    known = "" if customer.tier in {*TIERS, ""} else ", which is kept as it is, and counted"
    yield True, f"tier: {_printable(customer.tier) or 'none'}{known}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
