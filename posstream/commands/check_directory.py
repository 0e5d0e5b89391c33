"""The directory's lines of `posstream check`: one real call, what it gave, and each cure.

Names are shown, values are not, but for `customer_id` and `tier`: the terminal of whoever sets
up a worker is no place for a customer's data.
"""

import re
from collections.abc import Iterator
from typing import Final

from yarl import URL

from posstream.adapters.directory_http import HttpDirectory, same_origin
from posstream.domain.customer import CUSTOMER_FIELDS, TIERS, Customer
from posstream.domain.identifier import Identifier, InvalidIdentifier, normalise
from posstream.domain.lookup import Reason
from posstream.domain.payment_card import mask, mask_payment_cards
from posstream.ports import AttemptOutcome
from posstream.resilience.clock import SystemClock
from posstream.settings import Settings

Line = tuple[bool, str]

_TIMEOUT_SECONDS: Final = 5
#: A plain name. Any other could hold what must not be shown, or drive the terminal.
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_EMPTY: Final = Customer(customer_id="")
#: HTTP status -> what to do about it.
_CURES: Final = {
    400: "the path or query of POSSTREAM_API_ENDPOINT may be wrong",
    401: "see POSSTREAM_API_AUTH",
    403: "see POSSTREAM_API_AUTH, and whether this user may read customers",
    405: "it must answer a GET; see POSSTREAM_API_ENDPOINT",
    429: "it limits our calls; ask its owner for more, or try later",
}


async def check_directory(settings: Settings, identifier: str, live: str | None) -> list[Line]:
    """Ask the directory once, as a worker would.

    Args:
        settings: of the worker.
        identifier: in any spelling.
        live: the endpoint of the live configuration, if it names one.
    """
    endpoint = live or settings.api_endpoint
    found = normalise(identifier, card_guard=settings.payment_card_guard)
    if isinstance(found, InvalidIdentifier):
        return [(False, f"identifier {found.masked}: {found.why}")]
    directory = HttpDirectory(
        clock=SystemClock(),
        card_guard=settings.payment_card_guard,
        auth=settings.credentials,
        mapping=settings.api_mapping,
    )
    await directory.open()
    try:
        outcome = await directory.attempt(
            found.value,
            endpoint=endpoint,
            timeout_seconds=_TIMEOUT_SECONDS,
            number=1,
        )
    finally:
        await directory.close()
    with_credentials = settings.credentials is not None and same_origin(
        URL(endpoint), URL(settings.credentials.endpoint)
    )
    asked = (
        f"directory at {endpoint}{' (live configuration)' if live else ''}, "
        f"{'with' if with_credentials else 'without'} credentials"
    )
    own_mock = live is None and settings.explicit_api_endpoint is None
    return list(_judged(asked, found, outcome, own_mock=own_mock))


def _judged(
    asked: str, found: Identifier, outcome: AttemptOutcome, *, own_mock: bool
) -> Iterator[Line]:
    took = f"{outcome.attempt.duration_ms} ms"
    if outcome.customer is not None:
        # Some directories use the phone or the card as the id.
        customer_id = outcome.customer.customer_id.replace(found.value, found.masked)
        shown = mask_payment_cards(_printable(customer_id))
        yield True, f"{asked}: {found.masked} is {shown} ({took})"
        yield from _customer(outcome.customer, found)
    elif outcome.reason is Reason.NOT_FOUND:
        unknown = f"does not know {found.masked} ({took})"
        yield True, f"{asked}: {unknown}; if it should, see the path of POSSTREAM_API_ENDPOINT"
    elif own_mock and outcome.attempt.http_status is None:
        yield True, f"{asked}: the worker's own mock, there once a worker runs"
    else:
        yield False, f"{asked}: {outcome.attempt.error_message} ({took}); {_cure(outcome)}"


def _customer(customer: Customer, found: Identifier) -> Iterator[Line]:
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


def _cure(outcome: AttemptOutcome) -> str:  # noqa: PLR0911 - one cure each
    """What to do about a failed call."""
    status, reason = outcome.attempt.http_status, outcome.reason
    if reason is Reason.TIMEOUT:
        return "is it up, and does no firewall swallow the call?"
    if status is None and reason is Reason.INVALID_RESPONSE:
        return "is the port of POSSTREAM_API_ENDPOINT that of a web service, by the right scheme?"
    if status is None:
        return "see host, port and scheme of POSSTREAM_API_ENDPOINT, and the certificate"
    if 300 <= status < 400:  # noqa: PLR2004
        return "redirects are not followed: put the final address into POSSTREAM_API_ENDPOINT"
    if reason is Reason.INVALID_RESPONSE:
        return (
            "it must be one customer in JSON, in at most 64 KB; POSSTREAM_API_MAPPING says where "
            "the fields are"
        )
    if status in _CURES:
        return _CURES[status]
    return "ask its owner" if status < 500 else "it is in trouble itself; try later"  # noqa: PLR2004


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
