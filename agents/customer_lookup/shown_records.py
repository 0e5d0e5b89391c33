"""The plugin's records and timelines as a caller may see them: identifiers masked, or counted."""

from typing import Any, Final

from agents.customer_lookup.timeline import Entry
from web.access.reveals import Reveals

#: The keys of our records under which identifiers stand, or what the directory wrote.
_PERSONAL: Final = frozenset(
    {"email", "phone", "identifier", "identifiers", "customer_identifier", "response_data"}
)


def show_record(reveals: Reveals, record: Any) -> Any:
    """A record of one of the plugin's topics."""
    return reveals.show_document(record, names=_PERSONAL)


def show_detail(reveals: Reveals, entry: Entry) -> list[tuple[str, str]]:
    """The details of a step of a timeline.

    The timeline itself masks as for the log: more than a viewer may see, and less than others may.
    """
    shown = {} if entry.identifier is None else {"identifier": reveals.show(entry.identifier)}
    return [
        (name, reveals.show_customer_id(value) if name == "customer id" else shown.get(name, value))
        for name, value in entry.detail
    ]
