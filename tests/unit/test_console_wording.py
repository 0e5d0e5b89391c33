"""Ages, offsets and answers in the words of the console."""

from dataclasses import replace

import pytest

from agents.customer_lookup.pages.wording import Tag, age, offset, tag_of
from tests.unit.test_timeline import ANSWER, FAILURE


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "now"),
        (999, "now"),
        (1_000, "1 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (7_199_999, "119 min"),
        (7_200_000, "2 h"),
        (172_799_999, "47 h"),
        (172_800_000, "2 days"),
    ],
)
def test_an_age_is_said_in_one_unit(milliseconds: int, words: str) -> None:
    assert age(milliseconds) == words


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "+0 ms"),
        (-3, "-3 ms"),
        (59_999, "+59,999 ms"),
        (60_000, "+1 min 0 s"),
        (-75_200, "-1 min 15 s"),
        (7_199_999, "+119 min 59 s"),
        (7_200_000, "+2 h"),
    ],
)
def test_an_offset_has_a_sign_and_milliseconds_while_they_matter(
    milliseconds: int, words: str
) -> None:
    assert offset(milliseconds) == words


@pytest.mark.parametrize(
    ("answer", "tag"),
    [
        (ANSWER, Tag("API", "good")),
        (replace(ANSWER, source="CACHE"), Tag("cache", "good")),
        (replace(ANSWER, source="STALE_CACHE"), Tag("stale cache", "warn")),
        (replace(ANSWER, source="ORACLE"), Tag("ORACLE")),
        (replace(FAILURE, reason="CIRCUIT_OPEN"), Tag("circuit open", "bad")),
        (replace(FAILURE, reason="NOT_FOUND", source="API"), Tag("not found")),
        (replace(FAILURE, reason="NOT_FOUND", source="CACHE"), Tag("not found (remembered)")),
    ],
)
def test_an_answer_has_a_tag_with_a_tone(answer: object, tag: Tag) -> None:
    assert tag_of(answer) == tag
