"""The keys of the web view as the settings write them."""

import re

import pytest

from posstream.domain.access_key import read_access_keys
from posstream.domain.roles import LOCAL, NOBODY, Caller, Role

ONE, TWO, THREE = "viewer-key-of-a-length", "support-key-of-a-length", "operator-key-of-length"


def test_each_key_has_its_role_and_the_name_that_stands_in_the_log() -> None:
    keys = read_access_keys(f" viewer:{ONE}; Support : {TWO} : anna@shop ;operator:{THREE}:o-1;")
    assert [(key.caller, key.secret) for key in keys] == [
        (Caller("viewer", Role.VIEWER), ONE),
        (Caller("anna@shop", Role.SUPPORT), TWO),
        (Caller("o-1", Role.OPERATOR), THREE),
    ]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (";", "must look like"),
        (ONE, "must be role:KEY"),
        (f"admin:{ONE}", "a role is one of viewer, support, operator"),
        (f"viewer:{ONE};admin:{TWO}", "in place 2"),
        (f"viewer:{ONE}:anna:more", "must be role:KEY"),
        ("viewer:short", "has a weak key in place 1: take at least 16 characters"),
        ("viewer:" + "ab" * 20, "6 of them different"),
        (f"viewer:{ONE} {ONE}", "printable ASCII without blanks"),
        (f"viewer:{ONE}ü", "printable ASCII without blanks"),
        (f"viewer:{ONE}:two words", "as the name in place 1"),
        (f"viewer:{ONE}:", "as the name in place 1"),
        (f"viewer:{ONE}:a\nlogin by b", "as the name in place 1"),
        (f"viewer:{ONE};operator:{ONE}:anna", "has the same key twice"),
        (f"viewer:{ONE};viewer:{TWO}", "has two keys of one name"),
    ],
)
def test_wrong_weak_and_repeated_keys_are_refused_and_not_echoed(raw: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as refused:
        read_access_keys(raw)
    line = str(refused.value)
    assert "\n" not in line
    assert not any(key in line for key in (ONE, TWO))


def test_a_key_does_not_show_itself() -> None:
    assert ONE not in repr(read_access_keys(f"viewer:{ONE}"))


@pytest.mark.parametrize(
    ("caller", "may"),
    [
        (Caller("a", Role.VIEWER), [Role.VIEWER]),
        (Caller("a", Role.SUPPORT), [Role.VIEWER, Role.SUPPORT]),
        (Caller("a", Role.OPERATOR), [Role.VIEWER, Role.SUPPORT, Role.OPERATOR]),
        (LOCAL, [Role.VIEWER, Role.SUPPORT, Role.OPERATOR]),
        (NOBODY, [Role.VIEWER]),
    ],
)
def test_a_higher_role_may_all_that_a_lower_one_may(caller: Caller, may: list[Role]) -> None:
    assert [role for role in Role if caller.may(role)] == may
