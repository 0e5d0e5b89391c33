"""Marks of forgotten customers, which name their subject by a hash. Pure.

A mark says that nothing from before a moment may be kept of a subject: of an identifier, or of a
customer. Its subject is a hash, so a mark can be kept for as long as late or replayed events may
come. Identifiers are few enough to be tried one by one: a hash hides them from readers, not from
somebody who searches (docs/decisions/0012-how-a-customer-is-forgotten.md).
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

#: What is hashed before a name: it keeps a customer_id apart from an identifier spelt the same.
IDENTIFIER_PREFIX: Final = "posstream/identifier/"
CUSTOMER_PREFIX: Final = "posstream/customer/"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A mark: of this subject there is nothing from `forgotten_at_ms` or before."""

    subject: str
    #: Milliseconds since 1970, by the clock of the worker that had the cache entry.
    forgotten_at_ms: int
    #: How many cache entries went with it: 0 or 1.
    cache_entries: int = 0


@dataclass(frozen=True, slots=True)
class Trail:
    """The names of one customer: normalised identifiers, and ids of the directory."""

    identifiers: tuple[str, ...]
    customer_ids: tuple[str, ...] = ()

    @property
    def subjects(self) -> frozenset[str]:
        """The subjects of the marks that forget the customer under every name."""
        return frozenset(
            [
                *map(subject_of_identifier, self.identifiers),
                *map(subject_of_customer, self.customer_ids),
            ]
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """The customer of an event or a row, and the time from which its data is."""

    identifier: str
    customer_id: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Marks:
    """The moment at which each subject was forgotten."""

    forgotten_at: Mapping[str, datetime] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.forgotten_at)

    def cover(self, trace: Trace) -> bool:
        """Whether a trace is from before its identifier or its customer was forgotten."""
        return bool(self.forgotten_at) and any(
            trace.at <= self.forgotten_at[subject]
            for subject in subjects_of(trace)
            if subject in self.forgotten_at
        )


def subjects_of(trace: Trace) -> Iterable[str]:
    """The subjects by which a trace can be forgotten."""
    yield subject_of_identifier(trace.identifier)
    if trace.customer_id is not None:
        yield subject_of_customer(trace.customer_id)


def subject_of_identifier(identifier: str) -> str:
    """The subject of a normalised identifier: 64 hexadecimal digits."""
    return subject_of(IDENTIFIER_PREFIX, identifier)


def subject_of_customer(customer_id: str) -> str:
    """The subject of a customer: 64 hexadecimal digits."""
    return subject_of(CUSTOMER_PREFIX, customer_id)


def subject_of(prefix: str, name: str) -> str:
    """SHA-256 of prefix and name in UTF-8; databases that can do it must agree."""
    return hashlib.sha256(f"{prefix}{name}".encode()).hexdigest()
