"""The result of a trial call to a directory, in words for a page. Identifiers are masked."""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.customer_lookup.directory.trial import Tried, cure
from agents.customer_lookup.reasons import Reason
from posstream.domain.customer import TIERS, Customer
from posstream.domain.times import iso_utc
from web.access.reveals import Reveals


@dataclass(frozen=True, slots=True)
class TrialResult:
    """One call: how it ended, and the customer as a lookup would read them."""

    endpoint: str
    identifier: str
    #: good, warn or bad, and the word for it.
    tone: str
    status: str
    http_status: int | None
    duration_ms: int
    #: What is wrong, and what to do about it.
    reason: str
    cure: str
    #: (name, value); empty without a customer.
    customer: Sequence[tuple[str, str]]


def trial_result(tried: Tried, reveals: Reveals) -> TrialResult:
    """Turn the result of a trial call into words.

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
    rows = [] if outcome.customer is None else _rows(outcome.customer, tried, reveals)
    return TrialResult(
        endpoint=tried.endpoint,
        identifier=reveals.show(tried.identifier.value),
        tone=tone,
        status=status,
        http_status=attempt.http_status,
        duration_ms=attempt.duration_ms,
        reason=reason,
        cure=advice,
        customer=rows,
    )


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
