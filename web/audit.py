"""What is written down of what people do on the web view: who, what, and when.

One logger, so that one handler can keep it: `posstream.audit`. The time is the record's. No
line holds a full identifier or a key.
"""

import logging
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from posstream.domain.masking import is_personal
from posstream.domain.payment_card import mask, mask_payment_cards
from posstream.domain.roles import Caller

logger = logging.getLogger("posstream.audit")
# A handler of its own gets every line, whatever the level of the worker's log.
logger.setLevel(logging.INFO)

#: Arguments that hold a customer's identifier, or the start of one.
_IDENTIFIERS: Final = frozenset({"identifier", "customer_identifier", "prefix"})
_MAX_SHOWN: Final = 80


def changed(caller: Caller, what: str, arguments: Mapping[str, Any], outcome: str) -> None:
    """Somebody changed something, or tried to.

    Args:
        caller: who.
        what: the name of the mutation or action.
        arguments: with what; identifiers are masked here.
        outcome: "done", or why not.
    """
    shown = ", ".join(f"{name}={_shown(name, value)}" for name, value in arguments.items())
    logger.info("%s(%s) by %s: %s", what, shown, _who(caller), outcome)


def revealed(caller: Caller, where: str, count: int) -> None:
    """Somebody was shown identifiers in full."""
    logger.info("%d identifiers revealed to %s by %s", count, _who(caller), where)


def logged_in(caller: Caller, address: str | None) -> None:
    """Somebody opened a session."""
    logger.info("login by %s from %s", _who(caller), address)


def logged_out(caller: Caller) -> None:
    """Somebody closed their session."""
    logger.info("logout by %s", _who(caller))


def login_failed(address: str | None, why: str) -> None:
    """Somebody tried a key that is none, or too many."""
    logger.warning("login refused from %s: %s", address, why)


def _who(caller: Caller) -> str:
    return f"{caller.name} ({caller.role.label})"


def _shown(name: str, value: Any) -> str:
    if isinstance(value, str) and (
        name in _IDENTIFIERS or (name == "customer_id" and is_personal(value))
    ):
        return mask(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):  # a configuration: what was set is in its history
        return "{" + mask_payment_cards(", ".join(map(repr, value)))[:_MAX_SHOWN] + "}"
    return mask_payment_cards(repr(value))[:_MAX_SHOWN]
