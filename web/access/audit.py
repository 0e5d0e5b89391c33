"""Writes the audit log: who did what on the web view, and when.

One logger, `posstream.audit`, so that one handler can keep the whole log. The time is that of the
log record. No line holds a full identifier or a key.
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
    """Log a change, or an attempt at one.

    Args:
        caller: who.
        what: the name of the mutation or action.
        arguments: with what; identifiers are masked here.
        outcome: "done", or why not.
    """
    shown = ", ".join(f"{name}={_shown(name, value)}" for name, value in arguments.items())
    logger.info("%s(%s) by %s: %s", what, shown, _who(caller), outcome)


def revealed(caller: Caller, where: str, count: int) -> None:
    """Log how many identifiers were shown in full."""
    logger.info("%d identifiers revealed to %s by %s", count, _who(caller), where)


def logged_in(caller: Caller, address: str | None) -> None:
    """Log that a session was opened."""
    logger.info("login by %s from %s", _who(caller), address)


def logged_out(caller: Caller) -> None:
    """Log that a session was closed."""
    logger.info("logout by %s", _who(caller))


def key_refused(what: str, address: str, why: str) -> None:
    """Log a wrong key, or too many of them.

    Args:
        what: what the key was for: "login", "request" or "session".
        address: where it came from.
        why: in words.
    """
    logger.warning("%s refused from %s: %s", what, address, why)


def looked_up(caller: Caller, where: str, count: int) -> None:
    """Log how many identifiers were looked up."""
    logger.info("%d identifiers looked up by %s by %s", count, _who(caller), where)


def lookups_refused(caller: Caller, where: str, limit: int) -> None:
    """Log that a key has tried more identifiers than it may."""
    logger.warning(
        "look-ups of %s refused, the last by %s: more than %d identifiers in a minute",
        _who(caller), where, limit,
    )  # fmt: skip


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
