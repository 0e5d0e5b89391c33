"""What a process needs of a tracer, and the tracer of a process that traces nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

#: What a span says beside its name and times. Never an identifier, a key or a customer's data.
Attributes = Mapping[str, str | int]


class Kind(Enum):
    """What a span stands for, by OpenTelemetry's names."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


class Span(Protocol):
    """A piece of work that is under way."""

    @property
    def traceparent(self) -> str | None:
        """The trace context that the work hands on; without a recorded span, that of its cause."""
        ...

    def end(self, attributes: Attributes | None = None, *, failed: str | None = None) -> None:
        """Note that the work is over.

        Args:
            attributes: more of what the span says.
            failed: the kind of the failure, if it is one; not its text, which may hold anything.
        """
        ...


class Tracer(Protocol):
    """Makes spans."""

    def span(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        attributes: Attributes | None = None,
    ) -> Span:
        """Begin a span.

        Args:
            name: one of a few: it has no values in it.
            kind: of the span.
            parent: the trace context of its cause; None = it begins a trace, if that is sampled.
            attributes: what it says.
        """
        ...

    def list_span(self, name: str, records: Iterable[Any], attributes: Attributes) -> Span:
        """Begin the one span of a list of records.

        It is a child of the first record whose trace is recorded, and has links to the others.

        Args:
            name: as for `span`.
            records: aiokafka's.
            attributes: what it says.
        """
        ...


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A span that is dropped."""

    traceparent: str | None = None

    def end(self, attributes: Attributes | None = None, *, failed: str | None = None) -> None:
        """Do nothing."""


_UNRECORDED = Unrecorded()


class Untraced:
    """The tracer of a process that traces nothing: trace contexts pass as they came."""

    def span(
        self,
        name: str,  # noqa: ARG002
        kind: Kind,  # noqa: ARG002
        parent: str | None,
        attributes: Attributes | None = None,  # noqa: ARG002
    ) -> Span:
        """A span that is dropped."""
        return _UNRECORDED if parent is None else Unrecorded(parent)

    def list_span(
        self,
        name: str,  # noqa: ARG002
        records: Iterable[Any],  # noqa: ARG002
        attributes: Attributes,  # noqa: ARG002
    ) -> Span:
        """A span that is dropped."""
        return _UNRECORDED
