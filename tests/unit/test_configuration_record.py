import re
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.configuration.record import MAX_VERSION, check_note, read_record, write_record
from posstream.configuration.version import ConfigurationVersion
from posstream.domain.errors import InvalidConfiguration, UnreadableEvent

VERSION = ConfigurationVersion(
    version=7,
    enabled=False,
    config={"retry_attempts": 3, "cache_ttl_seconds": 0.5, "api_endpoint": "http://crm.test/"},
    description="für die Inventur",
    updated_at=datetime(2026, 1, 31, 8, 0, 0, 123_000, tzinfo=UTC),
    updated_by="anna",
)


def record(**changes: Any) -> bytes:
    return orjson.dumps({**orjson.loads(write_record(VERSION)), **changes})


def test_a_record_is_what_the_contract_says() -> None:
    assert orjson.loads(write_record(VERSION)) == {
        "version": 7,
        "enabled": False,
        "config": {
            "retry_attempts": 3,
            "cache_ttl_seconds": 0.5,
            "api_endpoint": "http://crm.test/",
        },
        "description": "für die Inventur",
        "updated_at": "2026-01-31T08:00:00.123Z",
        "updated_by": "anna",
    }


def test_what_was_written_is_read() -> None:
    assert read_record(write_record(VERSION)) == VERSION


def test_unknown_fields_are_ignored_and_a_note_is_optional() -> None:
    read = read_record(b'{"version": 1, "enabled": true, "config": {}, "more": [1]}')
    assert read == ConfigurationVersion(1)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"", "the message"),
        (b"{", "the message"),
        (b"\xff", "the message"),
        (b"[]", "the message"),
        (b"null", "the message"),
        (b"{}", "version"),
        (record(version="1"), "version"),
        (record(version=True), "version"),
        (record(version=1.5), "version"),
        (record(version=0), "version"),
        (record(version=MAX_VERSION + 1), "version"),
        (record(enabled=None), "enabled"),
        (record(enabled=1), "enabled"),
        (record(config=None), "config"),
        (record(config=[]), "config"),
        (record(updated_by=""), "updated_by"),
        (record(updated_by="a\nb"), "updated_by"),
        (record(updated_by={}), "updated_by"),
        (record(updated_by="anna 4111111111111111"), "updated_by"),
        (record(description="for 4111-1111-1111-1111"), "description"),
        (record(description=5), "description"),
        (record(description="\0"), "description"),
        (record(description="x" * 1001), "description"),
    ],
)
def test_a_record_that_is_not_usable_is_refused_by_the_field(value: bytes, key: str) -> None:
    with pytest.raises((InvalidConfiguration, UnreadableEvent)) as refused:
        read_record(value)
    assert re.match(rf"{key}:? ", str(refused.value))


@pytest.mark.parametrize("moment", ["yesterday", 5, None, []])
def test_a_time_that_cannot_be_read_counts_as_absent(moment: object) -> None:
    assert read_record(record(updated_at=moment)).updated_at is None


def test_a_version_may_be_written_with_a_fraction_of_nothing() -> None:
    assert read_record(record(version=3.0)).version == 3


@given(st.binary(max_size=60) | st.dictionaries(st.text(), st.booleans()).map(orjson.dumps))
def test_no_bytes_do_more_than_being_refused(value: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        read_record(value)


def test_a_description_may_be_empty_and_an_editor_unknown() -> None:
    check_note(None, "")
    with pytest.raises(InvalidConfiguration, match=r"^updated_by: "):
        check_note("x" * 257, "")
