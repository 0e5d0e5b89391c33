import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.domain.printable import CONTROL, VISIBLE, is_clean, is_id


@given(st.text(max_size=8) | st.text(st.characters(max_codepoint=0xFF), max_size=4))
def test_an_id_is_what_its_patterns_say(text: str) -> None:
    said = re.search(VISIBLE, text) is not None and is_clean(text)
    assert is_id(text, 8) == said


@pytest.mark.parametrize("text", ["a", "a b", "a\u00a0b", "\u200b", "é", "x" * 8])
def test_what_can_be_shown_is_an_id(text: str) -> None:
    assert is_id(text, 8)


@pytest.mark.parametrize(
    "text", ["", " ", "\u00a0\u3000", "x" * 9, "a\n", "\x7f", "\x85a", "a\u202eb", "a\ud800", "\0"]
)
def test_what_drives_a_terminal_or_shows_nothing_is_none(text: str) -> None:
    assert not is_id(text, 8)


def test_no_lone_surrogate_is_clean_although_the_pattern_need_not_name_it() -> None:
    assert (is_clean("\udfff"), re.search(CONTROL, "\udfff")) == (False, None)
