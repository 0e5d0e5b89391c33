"""Identifiers as pages show them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.domain.masking import mask_identifier


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("+1234567890", "+1******890"),
        ("john@example.com", "jo******com"),
        ("CARD_123456", "CA******456"),
        ("a@b.de", "a******de"),
        ("1234", "1******4"),
        ("123", "******3"),
        ("1", "******"),
        ("", ""),
    ],
)
def test_the_first_two_and_last_three_characters_stay(text: str, masked: str) -> None:
    assert mask_identifier(text) == masked


@given(st.text(min_size=1, max_size=200))
def test_at_most_five_characters_and_half_of_them_stay_and_no_length_shows(text: str) -> None:
    masked = mask_identifier(text)
    head, _, tail = masked.partition("******")
    stays = len(masked) - 6
    assert stays <= min(5, len(text) // 2)
    if "*" not in text:
        assert text.startswith(head)
        assert text.endswith(tail)
