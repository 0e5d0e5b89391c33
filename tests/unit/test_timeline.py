"""A timeline says why: each kind of answer has its steps, in the order of cause."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agents.customer_lookup.read_model.records import (
    AnswerRow,
    BasketHistory,
    BasketRow,
    LookupLogRow,
)
from agents.customer_lookup.timeline import Entry, Step, timeline

T0 = datetime(2026, 1, 31, 8, tzinfo=UTC)

ANSWER = AnswerRow(
    event_id="a1",
    lookup_id="l1",
    event_type="CUSTOMER_DATA_FETCHED",
    basket_id="basket_1",
    customer_identifier="+1234567890",
    identifier_kind="PHONE",
    customer_id="CUST_001",
    source="API",
    reason=None,
    error_message=None,
    attempts=1,
    duration_ms=500,
    age_ms=0,
    config_version=7,
    fetched_at=T0,
    fresh_until=T0 + timedelta(hours=1),
    identified_at=T0 - timedelta(seconds=1),
    occurred_at=T0 + timedelta(seconds=1),
)
FAILURE = replace(
    ANSWER,
    event_type="CUSTOMER_LOOKUP_FAILED",
    customer_id=None,
    source=None,
    fetched_at=None,
    fresh_until=None,
    age_ms=None,
    error_message="no answer",
)
ATTEMPT = LookupLogRow(
    event_id="t1",
    lookup_id="l1",
    attempt=1,
    waiters=2,
    basket_id="basket_1",
    customer_identifier="+1234567890",
    identifier_kind="PHONE",
    api_endpoint="http://directory.test/",
    request_timestamp=T0,
    response_timestamp=T0,
    status="SUCCESS",
    http_status=200,
    response_data={"customer_id": "CUST_001"},
    error_message=None,
    duration_ms=9,
)
BASKET = BasketRow("basket_1", "7", "till 3", None, T0 - timedelta(seconds=5), None)


def told(
    *answers: AnswerRow,
    attempts: tuple[LookupLogRow, ...] = (),
    origins: tuple[LookupLogRow, ...] = (),
    basket: BasketRow | None = None,
) -> list[Entry]:
    return timeline(BasketHistory("basket_1", basket, answers, attempts, origins, None))


def steps(entries: list[Entry]) -> list[Step]:
    return [entry.step for entry in entries]


def entry(entries: list[Entry], step: Step) -> Entry:
    (found,) = [one for one in entries if one.step is step]
    return found


def test_a_basket_that_was_only_started_has_one_entry() -> None:
    (only,) = told(basket=BASKET)
    assert (only.step, only.at) == (Step.STARTED, BASKET.started_at)
    assert only.detail == (("employee", "7"), ("terminal", "till 3"))


def test_an_answer_of_the_directory_has_its_attempts_before_it() -> None:
    retry = replace(ATTEMPT, event_id="t2", attempt=2)
    entries = told(replace(ANSWER, attempts=2), attempts=(ATTEMPT, retry), origins=(retry,))
    assert steps(entries) == [
        Step.IDENTIFIED,
        Step.NORMALISED,
        Step.CACHE,
        Step.ATTEMPT,
        Step.ATTEMPT,
        Step.ANSWERED,
    ]
    assert entries[3].detail == (
        ("duration", "9 ms"),
        ("http status", "200"),
        ("endpoint", "http://directory.test/"),
        ("waiters", "2"),
        ("event id", "t1"),
    )
    answered = dict(entry(entries, Step.ANSWERED).detail)
    assert answered["configuration version"] == "7"
    assert (answered["duration"], answered["event id"]) == ("500 ms", "a1")


def test_the_worker_took_the_event_so_long_before_its_answer() -> None:
    assert entry(told(ANSWER), Step.CACHE).at == ANSWER.occurred_at - timedelta(milliseconds=500)


def test_a_hit_tells_its_age_and_for_whom_it_was_fetched() -> None:
    hit = replace(ANSWER, source="CACHE", attempts=0, age_ms=61_500, duration_ms=0)
    theirs = replace(ATTEMPT, lookup_id="l9", basket_id="basket_9")
    entries = told(hit, origins=(theirs,))
    assert steps(entries) == [Step.IDENTIFIED, Step.NORMALISED, Step.CACHE, Step.ANSWERED]
    cache = entry(entries, Step.CACHE)
    assert cache.title == "Fresh in the cache"
    assert dict(cache.detail) == {
        "age": "61.5 s",
        "fetched at": "2026-01-31T08:00:00.000Z",
        "fresh until": "2026-01-31T09:00:00.000Z",
        "fetched for basket": "basket_9",
    }


def test_a_shared_call_is_told_with_the_basket_that_led_it() -> None:
    theirs = replace(ATTEMPT, lookup_id="l9", basket_id="basket_9")
    entries = told(ANSWER, origins=(theirs,))
    assert steps(entries)[3:] == [Step.SHARED_CALL, Step.ATTEMPT, Step.ANSWERED]
    assert dict(entries[3].detail)["call of basket"] == "basket_9"


def test_a_shared_call_that_failed_is_told_without_its_basket() -> None:
    entries = told(replace(FAILURE, reason="TIMEOUT", attempts=2))
    assert steps(entries)[2:] == [Step.CACHE, Step.SHARED_CALL, Step.ANSWERED]
    assert entries[3].detail == (("attempts", "2"),)


@pytest.mark.parametrize(
    ("source", "reason", "title"),
    [
        ("CACHE", None, "Fresh in the cache"),
        ("CACHE", "NOT_FOUND", "Remembered in the cache as unknown"),
        ("STALE_CACHE", None, "In the cache, but no longer fresh"),
        ("API", None, "Nothing fresh in the cache"),
        ("API", "NOT_FOUND", "Nothing fresh in the cache"),
        (None, "TIMEOUT", "Nothing in the cache that could be served"),
    ],
)
def test_the_state_of_the_cache_follows_from_the_source(
    source: str | None, reason: str | None, title: str
) -> None:
    answer = replace(ANSWER if reason is None else FAILURE, source=source, reason=reason)
    assert entry(told(answer), Step.CACHE).title == title


@pytest.mark.parametrize(
    ("source", "reason", "step", "title"),
    [
        (None, "CIRCUIT_OPEN", Step.BREAKER, "The circuit breaker was open: no call"),
        (
            None,
            "OVERLOADED",
            Step.NO_CALL,
            "No call: more waited than could be served in time",
        ),
        (None, "DEADLINE", Step.NO_CALL, "No call ended before the deadline"),
        (
            "STALE_CACHE",
            None,
            Step.NO_CALL,
            "No call ended: the breaker was open, too many waited, or time was up",
        ),
    ],
)
def test_a_call_that_was_held_back_is_told(
    source: str | None, reason: str | None, step: Step, title: str
) -> None:
    plain = ANSWER if reason is None else FAILURE
    entries = told(replace(plain, source=source, reason=reason, attempts=0))
    assert steps(entries)[2:] == [Step.CACHE, step, Step.ANSWERED]
    assert entries[3].title == title


@pytest.mark.parametrize("reason", ["INVALID_IDENTIFIER", "DISABLED"])
def test_what_was_not_looked_up_has_no_state_of_the_cache(reason: str) -> None:
    entries = told(replace(FAILURE, reason=reason, attempts=0))
    assert steps(entries) == [Step.IDENTIFIED, Step.NORMALISED, Step.ANSWERED]
    assert entries[2].title == f"Answered without a customer: {reason}"


def test_a_refused_identifier_tells_why() -> None:
    refused = replace(FAILURE, reason="INVALID_IDENTIFIER", error_message="it is a card")
    normalised = entry(told(refused), Step.NORMALISED)
    assert normalised.title == "The identifier was refused"
    assert normalised.detail == (("why", "it is a card"),)


def test_a_call_that_outlived_its_deadline_stands_after_the_answer() -> None:
    late = replace(ATTEMPT, request_timestamp=ANSWER.occurred_at + timedelta(seconds=1))
    entries = told(replace(FAILURE, reason="DEADLINE", attempts=0), attempts=(ATTEMPT, late))
    assert steps(entries)[2:] == [Step.CACHE, Step.ATTEMPT, Step.ANSWERED, Step.ATTEMPT]


def test_attempts_whose_answer_is_not_there_yet_are_told() -> None:
    assert steps(told(attempts=(ATTEMPT,))) == [Step.ATTEMPT]
    nameless = replace(ATTEMPT, lookup_id=None)
    assert (
        steps(told(replace(ANSWER, lookup_id=None), attempts=(nameless,))).count(Step.ATTEMPT) == 1
    )


def test_two_scans_of_a_basket_are_told_one_after_the_other() -> None:
    again = replace(ANSWER, event_id="a2", lookup_id="l2", source="CACHE", attempts=0)
    entries = told(ANSWER, again, attempts=(ATTEMPT,))
    assert steps(entries) == [
        Step.IDENTIFIED,
        Step.NORMALISED,
        Step.CACHE,
        Step.ATTEMPT,
        Step.ANSWERED,
        Step.IDENTIFIED,
        Step.NORMALISED,
        Step.CACHE,
        Step.ANSWERED,
    ]


def test_what_is_stored_is_told_last() -> None:
    identified = replace(BASKET, customer_id="CUST_001", identified_at=T0)
    stored = told(ANSWER, basket=identified)[-1]
    assert (stored.step, stored.at) == (Step.STORED, T0)
    assert dict(stored.detail)["customer id"] == "CUST_001"


def test_no_title_and_no_detail_shows_a_whole_identifier() -> None:
    for one in told(ANSWER, attempts=(ATTEMPT,), basket=BASKET):
        assert "1234567890" not in one.title + str(one.detail)


def test_the_raw_record_is_ready_for_json() -> None:
    entries = told(ANSWER, attempts=(ATTEMPT,))
    raw = entry(entries, Step.ATTEMPT).raw
    assert raw is not None
    assert raw["request_timestamp"] == "2026-01-31T08:00:00.000Z"
    assert raw["response_data"] == {"customer_id": "CUST_001"}
    assert entry(entries, Step.CACHE).raw is None


def test_a_duration_beyond_all_time_is_no_crash() -> None:
    absurd = replace(ANSWER, duration_ms=2**62)
    assert entry(told(absurd), Step.CACHE).at == ANSWER.occurred_at
