"""A customer's document is read once a minute, and any other document anew."""

from typing import Any

import pytest

from agents.customer_lookup.read_model import customer_columns
from agents.customer_lookup.read_model.customer_columns import CustomerColumns
from agents.customer_lookup.read_model.fields import UnusableEventError
from tests.component.sql_databases import JOHN


class Reads:
    """The columns, and how often a document was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.count = 0
        self.columns = CustomerColumns(lambda: self.now)
        read = customer_columns._columns

        def counted(document: object) -> Any:
            self.count += 1
            return read(document)

        monkeypatch.setattr(customer_columns, "_columns", counted)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def test_a_document_is_read_once_a_minute(reads: Reads) -> None:
    for reads.now in (100, 159):
        assert reads.columns.read(dict(JOHN))["first_name"] == JOHN["first_name"]
    assert reads.count == 1
    reads.now = 160
    reads.columns.read(dict(JOHN))
    assert reads.count == 2
    assert len(reads.columns._read) == 1


def test_no_more_documents_are_remembered_than_fit(
    reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customer_columns, "_MOST_DOCUMENTS", 3)
    for number in range(10):
        reads.columns.read({**JOHN, "customer_id": f"C{number}"})
    assert len(reads.columns._read) <= 3


@pytest.mark.parametrize("like_one", [True, 1.0, "1"])
def test_values_that_python_takes_for_equal_are_not_mixed_up(reads: Reads, like_one: Any) -> None:
    assert reads.columns.read({**JOHN, "attributes": {"a": 1}})["attributes"] == {"a": 1}
    (value,) = reads.columns.read({**JOHN, "attributes": {"a": like_one}})["attributes"].values()
    assert type(value) is type(like_one)


def test_what_is_no_customer_is_refused_each_time(reads: Reads) -> None:
    for _ in range(2):
        with pytest.raises(UnusableEventError, match="customer_id"):
            reads.columns.read({**JOHN, "customer_id": None})
    assert reads.count == 2


def test_a_text_that_no_json_can_hold_is_read_all_the_same(reads: Reads) -> None:
    assert reads.columns.read({**JOHN, "first_name": "a\ud800b"})["first_name"] == "a?b"
