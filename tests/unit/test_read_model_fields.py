"""Every column of a row that an event brings has a field of the event's model."""

from agents.customer_lookup.events.outputs import (
    CustomerDataFetched,
    CustomerLookupFailed,
    CustomerLookupLogged,
)
from agents.customer_lookup.read_model import schema
from agents.customer_lookup.read_model.fields import readers


def test_an_attempt_brings_every_column_but_the_rows_number() -> None:
    columns = set(schema.CUSTOMER_LOOKUP_LOGS.columns.keys())
    assert readers(schema.CUSTOMER_LOOKUP_LOGS, CustomerLookupLogged).keys() == columns - {"id"}


def test_an_answer_brings_every_column_but_what_follows_from_its_topic_and_customer() -> None:
    columns = set(schema.LOOKUP_ANSWERS.columns.keys())
    found = readers(schema.LOOKUP_ANSWERS, CustomerDataFetched, CustomerLookupFailed)
    assert found.keys() == columns - {"event_type", "customer_id"}
