"""The records of the topic `plugin-configuration` <-> versions. No I/O."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from posstream.configuration.version import ConfigurationVersion
from posstream.domain.errors import InvalidConfiguration
from posstream.domain.payment_card import holds_payment_card
from posstream.domain.printable import is_clean, is_id
from posstream.domain.times import iso_utc, parse_utc
from posstream.json.reading import whole_number

#: GraphQL's Int has 32 bits.
MAX_VERSION: Final = 2**31 - 1
#: Longest name of an editor and longest description, in characters.
MAX_NAME: Final = 256
MAX_DESCRIPTION: Final = 1000


def write_record(version: ConfigurationVersion) -> bytes:
    """The value of a record."""
    return orjson.dumps(
        {
            "version": version.version,
            "enabled": version.enabled,
            "config": dict(version.config),
            "description": version.description,
            "updated_at": iso_utc(version.updated_at),
            "updated_by": version.updated_by,
        }
    )


def read_record(value: bytes) -> ConfigurationVersion:
    """The version in a record. What `config` holds is judged when it is put in force.

    Raises:
        InvalidConfiguration: naming the field that is missing or wrong.
    """
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise InvalidConfiguration("record", "is not JSON") from None
    if not isinstance(record, dict):
        raise InvalidConfiguration("record", "must be a JSON object")
    enabled, config = record.get("enabled"), record.get("config")
    number = whole_number(record.get("version"))
    if number is None:
        raise InvalidConfiguration("version", "must be a whole number")
    if not 1 <= number <= MAX_VERSION:
        raise InvalidConfiguration("version", f"must be from 1 to {MAX_VERSION}")
    if not isinstance(enabled, bool):
        raise InvalidConfiguration("enabled", "must be true or false")
    if not isinstance(config, dict):
        raise InvalidConfiguration("config", "must be an object")
    version = ConfigurationVersion(
        version=number,
        enabled=enabled,
        config=config,
        description=_text(record, "description") or "",
        # Nothing depends on it: a time that cannot be read counts as absent.
        updated_at=parse_utc(record.get("updated_at")),
        updated_by=_text(record, "updated_by"),
    )
    check_note(version.updated_by, version.description)
    return version


def check_note(updated_by: str | None, description: str) -> None:
    """Refuse what no column or terminal should be given.

    Raises:
        InvalidConfiguration: naming `updated_by` or `description`.
    """
    if updated_by is not None and not is_id(updated_by, MAX_NAME):
        raise InvalidConfiguration("updated_by", f"must be 1 to {MAX_NAME} printable characters")
    for key, text in (("updated_by", updated_by or ""), ("description", description)):
        if holds_payment_card(text):
            raise InvalidConfiguration(key, "must hold no payment-card number")
    if not is_clean(description) or len(description) > MAX_DESCRIPTION:
        raise InvalidConfiguration(
            "description", f"must be at most {MAX_DESCRIPTION} printable characters"
        )


def _text(record: Mapping[str, Any], key: str) -> str | None:
    value = record.get(key)
    if value is None or isinstance(value, str):
        return value
    raise InvalidConfiguration(key, "must be text")
