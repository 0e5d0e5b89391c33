import copy
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.customer_lookup.directory.response_mapping import MappedDocument, ResponseMapping
from posstream.domain.customer import CUSTOMER_FIELDS


def mapped(mapping: str, document: dict[str, Any]) -> MappedDocument:
    return ResponseMapping.parse(mapping).apply(document)


def test_values_are_moved_and_the_rest_stays_as_it_is() -> None:
    document = {
        "customer": {"id": 17, "name": {"first": "John", "middle": "Q"}, "since": 2020},
        "tier": "GOLD",
        "shop": "Berlin",
    }
    found = mapped("customer.id -> customer_id; customer.name.first -> first_name", document)
    assert found == MappedDocument(
        fields={"tier": "GOLD", "customer_id": 17, "first_name": "John"},
        extra={"customer": {"name": {"middle": "Q"}, "since": 2020}, "shop": "Berlin"},
    )


def test_what_is_empty_only_for_the_move_is_dropped() -> None:
    document = {"a": {"b": {"c": 1}}, "was_empty": {}, "list": [{"d": 2}]}
    found = mapped("a.b.c -> customer_id; list.0.d -> tier", document)
    assert found.extra == {"was_empty": {}}


def test_a_whole_number_is_an_index_where_it_meets_an_array() -> None:
    document = {"phones": [{"number": "1"}, {"number": "2"}, {"number": "3"}], "x": {"0": "C"}}
    found = mapped("phones.2.number -> phone; phones.0.number -> email; x.0 -> tier", document)
    assert found.fields == {"phone": "3", "email": "1", "tier": "C"}
    assert found.extra == {"phones": [{"number": "2"}]}


@pytest.mark.parametrize(
    "path",
    [
        "a.c",
        "a.b.c",
        "list.1",
        "list.-1",
        "list.x",
        "list.1_0",
        "list.\u0660",
        "list." + "9" * 5000,
    ],
)
def test_a_path_that_leads_nowhere_leaves_its_field_out(path: str) -> None:
    document = {"a": {"b": 1}, "list": [1]}
    assert mapped(f"{path} -> tier", document) == MappedDocument({}, document)


def test_a_field_with_a_path_is_not_taken_from_its_own_name() -> None:
    found = mapped("customer.id -> customer_id", {"customer_id": "of the till"})
    assert found == MappedDocument({}, {"customer_id": "of the till"})


def test_what_stood_under_the_name_of_a_moved_field_is_kept_as_an_extra() -> None:
    found = mapped("id -> customer_id", {"customer_id": "of the till", "id": "C"})
    assert found == MappedDocument({"customer_id": "C"}, {"customer_id": "of the till"})


def test_one_value_may_fill_two_fields() -> None:
    found = mapped("mail -> email; mail -> customer_id", {"mail": "a@b"})
    assert found == MappedDocument({"email": "a@b", "customer_id": "a@b"}, {})


def test_a_value_inside_a_moved_one_is_moved_too() -> None:
    found = mapped("a -> tier; a.b -> phone", {"a": {"b": 1}})
    assert found == MappedDocument({"tier": {"b": 1}, "phone": 1}, {})


def test_a_null_is_moved_like_any_value() -> None:
    assert mapped("a.b -> tier", {"a": {"b": None}}) == MappedDocument({"tier": None}, {})


def test_one_field_is_found_without_the_others() -> None:
    mapping = ResponseMapping.parse("a.b -> customer_id")
    assert mapping.find({"a": {"b": "C"}, "customer_id": "D"}, "customer_id") == "C"
    assert mapping.find({"customer_id": "D"}, "customer_id") is None
    assert ResponseMapping().find({"customer_id": "D"}, "customer_id") == "D"
    assert ResponseMapping().find(["customer_id"], "customer_id") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a > tier", "entry 1 must look like"),
        ("a -> tier; b. -> phone", "entry 2 must look like"),
        ("a..b -> tier", "entry 1 must look like"),
        ("-> tier", "entry 1 must look like"),
        ("a -> tier;; b -> points", "entry 3 must lead to one of customer_id, "),
        ("a -> ", "entry 1 must lead to one of"),
        ("a -> b -> tier", "entry 1 must lead to one of"),
        ("a -> tier; b -> tier", "entry 2 fills tier a second time"),
        (" ; ", "must have an entry"),
    ],
)
def test_a_wrong_entry_is_named_by_its_number(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}"):
        ResponseMapping.parse(text)


NAMES = st.sampled_from(["a", "b", "0", "1", "tier", "customer_id"])


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Documents whose leaves are all different, so that each can be followed."""
    tree = st.recursive(
        st.none() | st.builds(list) | st.builds(dict),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
        ),
        max_leaves=8,
    )
    document = draw(st.dictionaries(NAMES, tree, max_size=4))
    fresh = count()

    def numbered(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: numbered(item) for name, item in value.items()}
        if isinstance(value, list):
            return [numbered(item) for item in value]
        return next(fresh)

    return {name: numbered(value) for name, value in document.items()}


MAPPINGS = st.dictionaries(
    st.sampled_from(CUSTOMER_FIELDS), st.lists(NAMES, min_size=1, max_size=4).map(tuple), max_size=4
).map(ResponseMapping)


def leaves(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


@given(documents(), MAPPINGS)
def test_nothing_is_lost_nothing_is_made_up_and_the_input_stays(
    document: dict[str, Any], mapping: ResponseMapping
) -> None:
    before = copy.deepcopy(document)
    found = mapping.apply(document)
    assert document == before
    assert set(found.fields) <= set(CUSTOMER_FIELDS)
    assert set(leaves(found.fields)) | set(leaves(found.extra)) == set(leaves(document))
    # What stayed is not also a field, and is there once.
    assert set(leaves(found.fields)).isdisjoint(leaves(found.extra))
    assert set(Counter(leaves(found.extra)).values()) <= {1}


@given(documents())
def test_without_a_mapping_nothing_changes(document: dict[str, Any]) -> None:
    found = ResponseMapping().apply(document)
    assert {**found.fields, **found.extra} == document
    assert set(found.fields) == set(document) & set(CUSTOMER_FIELDS)
