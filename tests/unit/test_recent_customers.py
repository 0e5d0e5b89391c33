"""A customer's document is read once a minute, and any other document anew."""

from typing import Any

import pytest

from agents.customer_lookup.read_model import recent_customers
from agents.customer_lookup.read_model.fields import UnusableEventError
from agents.customer_lookup.read_model.recent_customers import RecentCustomers
from posstream.json.writing import write_json
from tests.component.sql_databases import JOHN


class Reads:
    """The customers, and how often a document was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.count = 0
        self.customers = RecentCustomers(lambda: self.now)
        read = recent_customers.columns_of_customer

        def counted(document: object) -> Any:
            self.count += 1
            return read(document)

        monkeypatch.setattr(recent_customers, "columns_of_customer", counted)

    def columns(self, **changes: Any) -> Any:
        return self.customers.columns(write_json({**JOHN, **changes}))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def test_a_document_is_read_once_a_minute(reads: Reads) -> None:
    for reads.now in (100, 159):
        assert reads.columns()["first_name"] == JOHN["first_name"]
    assert reads.count == 1
    reads.now = 160
    reads.columns()
    assert reads.count == 2
    assert len(reads.customers._columns) == 1


def test_no_more_is_remembered_than_fits(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_customers, "_MOST_DOCUMENTS", 3)
    monkeypatch.setattr(recent_customers, "_MOST_TOLD", 3)
    for number in range(10):
        reads.columns(customer_id=f"C{number}")
        reads.customers.note({(b"", f"+{number}", None, ""): f"C{number}"})
    assert len(reads.customers._columns) <= 3
    assert len(reads.customers._told) <= 3
    reads.columns(attributes={"long": "x" * 5_000})
    assert max(map(len, reads.customers._columns)) < 5_000


@pytest.mark.parametrize("like_one", [True, 1.0, "1"])
def test_values_that_python_takes_for_equal_are_not_mixed_up(reads: Reads, like_one: Any) -> None:
    assert reads.columns(attributes={"a": 1})["attributes"] == {"a": 1}
    (value,) = reads.columns(attributes={"a": like_one})["attributes"].values()
    assert type(value) is type(like_one)


def test_what_is_no_customer_is_refused_each_time(reads: Reads) -> None:
    for _ in range(2):
        with pytest.raises(UnusableEventError, match="customer_id"):
            reads.columns(customer_id=None)
    assert reads.count == 2
