"""Reads the web view's access keys from a setting: role, key and name of each. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from posstream.domain.roles import Caller, Role

#: A shorter key can be guessed.
MIN_LENGTH: Final = 16
#: A key of fewer different characters can be guessed, however long it is.
MIN_DIFFERENT: Final = 6
#: What a key may consist of: it is a header's value, and `:` and `;` divide the setting.
_SECRET: Final = re.compile(r"[!-9<-~]+")
_NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_ROLES: Final = {role.label: role for role in Role}
_PARTS: Final = 2


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One key, and the caller of a request that carries it."""

    caller: Caller
    secret: str = field(repr=False)


def read_access_keys(raw: str) -> tuple[AccessKey, ...]:
    """The keys of `role:KEY;role:KEY:name`; a key without a name has its role's.

    Raises:
        ValueError: if one is wrong or weak, or two are alike; says which one, by its place, and
            echoes nothing.
    """
    entries = [entry.strip() for entry in raw.split(";") if entry.strip()]
    if not entries:
        raise ValueError("must look like viewer:KEY;support:KEY:name")
    keys = tuple(_read(entry, place) for place, entry in enumerate(entries, start=1))
    why = clash(keys)
    if why is not None:
        raise ValueError(why)
    return keys


def clash(keys: Sequence[AccessKey]) -> str | None:
    """Why these keys cannot be told apart, or None if they can."""
    if len({key.secret for key in keys}) < len(keys):
        return "has the same key twice"
    if len({key.caller.name for key in keys}) < len(keys):
        return "has two keys of one name, which the log could not tell apart: give each its own"
    return None


def _read(entry: str, place: int) -> AccessKey:
    label, *rest = entry.split(":")
    role = _ROLES.get(label.strip().lower())
    if role is None or not 1 <= len(rest) <= _PARTS:
        raise ValueError(
            f"must be role:KEY or role:KEY:name in place {place}; "
            f"a role is one of {', '.join(_ROLES)}"
        )
    secret, name = rest[0].strip(), rest[1].strip() if len(rest) == _PARTS else role.label
    if len(secret) < MIN_LENGTH or len(set(secret)) < MIN_DIFFERENT:
        raise ValueError(
            f"has a weak key in place {place}: "
            f"take at least {MIN_LENGTH} characters, {MIN_DIFFERENT} of them different"
        )
    if _SECRET.fullmatch(secret) is None:
        raise ValueError(f"must have printable ASCII without blanks as the key in place {place}")
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"must have 1 to 64 letters, digits or . _ @ - as the name in place {place}"
        )
    return AccessKey(Caller(name, role), secret)
