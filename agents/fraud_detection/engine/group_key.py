"""Writes a group as text, which is the key of its records. One group has one text. Pure."""

from collections.abc import Mapping

import msgspec

from tables.fraud_observations import group_of_entry


def group_key(group: Mapping[str, str]) -> str:
    """The canonical text of a group: `{"employee_id":"7","terminal_id":"t1"}`.

    Args:
        group: by the names of `group_by`.
    """
    return msgspec.json.encode(dict(sorted(group.items()))).decode()


def group_of(key: str | bytes) -> dict[str, str]:
    """The group of a canonical text."""
    return msgspec.json.decode(key, type=dict[str, str])


def segment_key(key: str, number: int) -> str:
    """The key of one of a group's segments. It is kept in the partition of the group."""
    return f"{key}#{number}"


def head_key(key: str) -> str:
    """The key of the group to which a key belongs: its own, or one of its segments'."""
    return (group_of_entry(key.encode()) or b"").decode()
