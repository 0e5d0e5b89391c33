"""What one call to a directory by hand gave, as a page tells it. Identifiers are masked."""

from agents.customer_lookup.directory.trial import Tried, cure
from agents.customer_lookup.reasons import Reason
from posstream.domain.customer import TIERS, Customer
from posstream.domain.times import iso_utc
from web.access.reveals import Reveals


def trial_result(tried: Tried, reveals: Reveals) -> dict[str, object]:
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
