"""What contestants are made to do: hits, or hits with some customers among them who are new."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from benchmarks import scans
from benchmarks.cache_entries import customer_id, identifier
from benchmarks.choice import asked_for, asked_for_most
from benchmarks.directory import customer_id_of


@dataclass(frozen=True, slots=True)
class Load:
    """A kind of events."""

    #: How many customers the caches know, and the events ask for.
    customers: int
    #: Every so many events ask for somebody whom nobody knows; 0: none does.
    one_cold_in: int = 0
    #: Some customers come far more often than others, as in a shop.
    by_zipf: bool = False

    def identifier(self, tag: int, number: int) -> str:
        """Who is asked for by one event."""
        if self.one_cold_in and number % self.one_cold_in == 0:
            return scans.cold(tag, number)
        return identifier(self._known(number))

    def events(self, count: int, tag: int) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of events."""
        who: Iterable[str] = (self.identifier(tag, number) for number in range(count))
        return scans.scans(who, tag=tag)

    def customer_of(self, tag: int) -> Callable[[int], str]:
        """The customer id that the answer to an event must have."""

        def customer(number: int) -> str:
            if self.one_cold_in and number % self.one_cold_in == 0:
                return customer_id_of(scans.cold(tag, number))
            return customer_id(self._known(number))

        return customer

    def _known(self, number: int) -> int:
        choose = asked_for_most if self.by_zipf else asked_for
        return choose(number, self.customers)
