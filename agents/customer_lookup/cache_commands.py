"""What may be done to cached customers from outside: commands, and news of a customer. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum

from posstream.domain.customer import Customer
from posstream.domain.identifier import PREFIX, Identifier, InvalidIdentifier, normalise
from posstream.domain.payment_card import holds_payment_card, mask
from tables.freshness import CacheEntry


class Cause(StrEnum):
    """Why an entry is removed before its time."""

    EVICTED = "evicted"  #: an operator asked for it
    UPDATED = "updated"  #: its customer changed
    FORGOTTEN = "forgotten"  #: its customer is to be forgotten


@dataclass(frozen=True, slots=True)
class Evict:
    """Remove the entry of one normalised identifier."""

    identifier: str
    cause: Cause = Cause.EVICTED


@dataclass(frozen=True, slots=True)
class EvictPrefix:
    """Remove every entry whose normalised identifier starts with `prefix`; "" is every entry."""

    prefix: str
    #: To how many partitions the command was sent; 0 = not known. More may have been added since.
    sent_to: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Replace:
    """Keep this entry of a normalised identifier, unless the cache has a newer one."""

    identifier: str
    entry: CacheEntry


@dataclass(frozen=True, slots=True)
class Refresh:
    """Ask the directory anew about one normalised identifier, and keep its answer.

    The present entry stays until then, and after a failure.
    """

    identifier: str
    #: The lookup_id of the call in the audit.
    lookup_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the entry of one normalised identifier, and mark its customer as forgotten."""

    identifier: str
    #: Customers to mark as well, by their ids in the directory.
    customer_ids: tuple[str, ...] = ()
    #: The mark is later than this, in milliseconds since 1970, whatever the worker's clock says.
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class ForgetCustomer:
    """Mark a customer without identifiers as forgotten: there is no cache entry to remove."""

    customer_id: str
    #: As in `Forget`.
    after_ms: int = 0


CacheCommand = Evict | EvictPrefix | Replace | Refresh | Forget | ForgetCustomer


@dataclass(frozen=True, slots=True)
class CustomerUpdate:
    """News of a customer: by id, by one normalised identifier, or both."""

    customer_id: str | None
    identifier: str | None
    #: The customer as it is now; None if only that something changed is known.
    customer: Customer | None
    #: When it changed, in milliseconds since 1970.
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class InvalidEviction:
    """An eviction that is refused, with a sentence that says why; identifiers are masked."""

    code: str
    why: str


def eviction(
    *,
    identifier: str | None,
    prefix: str | None,
    everything: bool,
    card_guard: bool,
    country_code: str | None = None,
) -> Evict | EvictPrefix | InvalidEviction:
    """Check a request to evict: exactly one of identifier, prefix and everything.

    Args:
        identifier: in any spelling.
        prefix: the start of normalised identifiers, not empty.
        everything: every entry.
        card_guard: refuse payment-card numbers.
        country_code: see `normalise`.
    """
    given = (identifier is not None) + (prefix is not None) + everything
    if given != 1:
        return InvalidEviction(
            "INVALID_ARGUMENTS", "give one of these: an identifier, a prefix, or all"
        )
    if identifier is not None:
        found = normalise(identifier, card_guard=card_guard, country_code=country_code)
        if isinstance(found, Identifier):
            return Evict(found.value)
        return _refused("INVALID_IDENTIFIER", found)
    if prefix is None:
        return EvictPrefix("")
    if card_guard and holds_payment_card(prefix):
        why = "it holds a payment-card number"
    elif not PREFIX.fullmatch(prefix):
        why = "normalised identifiers are 1 to 254 ASCII characters without blanks"
    else:
        return EvictPrefix(prefix)
    return _refused("INVALID_PREFIX", InvalidIdentifier(mask(prefix), why))


def _refused(code: str, found: InvalidIdentifier) -> InvalidEviction:
    return InvalidEviction(code, f"{found.masked} is refused: {found.why}")
