"""References to ids: what they stand for comes back, and nobody else reads or makes one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.domain.access_key import read_access_keys
from posstream.domain.masking import is_personal
from web.access.references import References

REFERENCES = References(b"secret")
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(ids)
def test_the_id_of_a_reference_comes_back(an_id: str) -> None:
    assert an_id == REFERENCES.read(REFERENCES.of(an_id))
    assert an_id == REFERENCES.read(REFERENCES.of_customer(an_id))


@given(ids)
def test_a_reference_can_stand_in_a_path_and_is_always_the_same(an_id: str) -> None:
    reference = REFERENCES.of_customer(an_id)
    assert reference == REFERENCES.of_customer(an_id)
    assert reference.isprintable()
    assert reference not in {".", ".."}


@pytest.mark.parametrize(
    "an_id", ["C-1", "4711", "0000123456", "a b", "J\u00f6rg", "1234567890", "CARD_1"]
)
def test_an_ordinary_id_is_its_own_reference(an_id: str) -> None:
    assert an_id == REFERENCES.of_customer(an_id)


@pytest.mark.parametrize(
    "an_id",
    ["jane@example.com", "+4930123456", "0049 30 123456", "030/123456", "Jane.Doe@Example.com "],
)
def test_a_phone_and_an_email_are_sealed(an_id: str) -> None:
    assert is_personal(an_id)
    assert an_id not in REFERENCES.of_customer(an_id)


def test_what_another_secret_sealed_and_what_was_changed_is_no_reference() -> None:
    sealed = REFERENCES.of_customer("jane@example.com")
    changed = sealed[:-1] + ("A" if sealed[-1] != "A" else "B")
    assert sealed == References(b"other").read(sealed)
    for text in (changed, "~", "~abc", "~\u00e9", sealed + "=", sealed[:20]):
        assert text == REFERENCES.read(text)


def test_workers_with_the_same_keys_read_each_other_s() -> None:
    one = read_access_keys("viewer:viewer-key-01234:vera;operator:operator-key-012:olga")
    sealed = References.of_keys(one).of_customer("+4930123456")
    assert References.of_keys(reversed(one)).read(sealed) == "+4930123456"
    assert References.of_keys(()).read(sealed) == sealed
