"""How a snooze names a group: a customer by a hash, since configurations are kept for ever. Pure.

Whoever forgets a customer cannot take an id out of the history of the configuration.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from agents.fraud_detection.configuration import Snooze
from posstream.forgetting.marks import subject_of_customer

_CUSTOMER: Final = "customer_id"
_HASH: Final = re.compile(r"[0-9a-f]{64}")


def hashed(group: Mapping[Any, str]) -> dict[str, str]:
    """A group as a snooze has it; one that was hashed before stays as it is."""
    return {
        str(name): subject_of_customer(value) if name == _CUSTOMER and not is_hash(value) else value
        for name, value in group.items()
    }


def is_hash(customer_id: str) -> bool:
    """Whether a snooze's customer_id is a hash, and not written by hand."""
    return _HASH.fullmatch(customer_id) is not None


def covers(snooze: Snooze, rule_id: str, group: Mapping[str, str]) -> bool:
    """Whether a snooze is of a rule and a group, or of all groups."""
    return snooze.rule_id == rule_id and (not snooze.group or hashed(snooze.group) == hashed(group))
