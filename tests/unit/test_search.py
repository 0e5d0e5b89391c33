"""Texts that are one name for a searcher."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.domain.search import folded


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zoë", unicodedata.normalize("NFD", "zoË")),
        ("Åse Ängström", unicodedata.normalize("NFD", "ÅSE ÄNGSTRÖM")),
        ("Straße", "STRASSE"),
        ("STRAẞE", "strasse"),
        ("İstanbul", "istanbul"),
        ("İSTANBUL", "istanbul"),
        ("I\N{COMBINING DOT ABOVE}pek", "ipek"),
        ("IŞIK", "\N{LATIN SMALL LETTER DOTLESS I}ş\N{LATIN SMALL LETTER DOTLESS I}k"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}nna", "anna"),
        ("ﬁsher", "Fisher"),
        ("ｶﾞ", "ガ"),
        ("Anna\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}Maria", "anna maria"),
        ("  Anna \n Maria ", "anna maria"),
        ("O\N{SOFT HYPHEN}Hara\N{ZERO WIDTH SPACE}", "ohara"),
    ],
)
def test_two_spellings_of_a_name_are_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), [("Zoë", "Zoe"), ("Müller", "Mueller")])
def test_accents_stay(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@given(st.text())
def test_the_form_and_folding_twice_change_nothing(text: str) -> None:
    once = folded(text)
    assert folded(once) == once
    assert {folded(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")} == {once}
