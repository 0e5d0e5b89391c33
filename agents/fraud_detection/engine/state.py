"""How the state of a group is stored: a head, and segments of sealed observations. Pure.

A change writes the head, which has the newest observations. Once these are enough, they are sealed
in a segment with a key of its own, which only a later revision of one of them writes again. So the
bytes of a change do not grow with the number of observations.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from agents.fraud_detection.engine.observation import Observation
from agents.fraud_detection.rules.rule import RuleState, Severity
from posstream.json.undecodable import UNDECODABLE

#: Observations in the head, and in each segment. A change writes half as many on average: 1.7 kB
#: for 16, 5.8 kB for 64; the time that it takes is the same.
SEGMENT: Final = 16
#: Alerts of all rules that are kept in a head. Rules that alert at each event of a busy group must
#: not make the head larger than a broker takes, whose ids are as long as they can be.
MOST_ALERTS: Final = 256
_VERSION: Final = 1


class Frozen(Struct, array_like=True):
    """The last episode among the hits that are not judged again."""

    last_hit_ms: int
    hits: int
    #: The event that triggered its first alert.
    triggered_by: str | None = None


class Alerted(Struct, array_like=True):
    """An alert that was raised."""

    triggered_by: str
    at_ms: int
    #: The event whose arrival raised it: another one, if that came late.
    raised_by: str
    #: In ten-thousandths. Text: a sum may have more than 64 bits.
    value: str
    total: int
    hits: int
    last_hit_ms: int
    #: Of the rule, when the alert was raised,
    state: RuleState = RuleState.ACTIVE
    #: and whether the rule was snoozed for the group.
    is_snoozed: bool = False
    #: The version of the configuration that was in force; None: not noted.
    config_version: int | None = None


class Called(Struct, frozen=True, array_like=True):
    """Name and severity of a rule: they can change while the rule computes the same."""

    name: str
    severity: Severity


class Mark(Struct, array_like=True):
    """What became of one rule in the group."""

    #: The rule is judged from this time on: it was not there before.
    from_ms: int
    frozen: Frozen | None = None
    alerts: list[Alerted] = []
    #: By the version of the configuration that was in force at an alert.
    called: dict[int, Called] = {}


class Session(Struct, frozen=True, array_like=True, order=True):
    """An employee logged in or out."""

    at_ms: int
    event_id: str
    is_login: bool


class Head(Struct, array_like=True):
    """The state of a group, but for its sealed observations."""

    version: int = _VERSION
    #: The newest time at which the message of an observation came to the broker.
    written_ms: int = 0
    #: Observations up to this time are gone.
    horizon_ms: int = -(1 << 62)
    #: The last login or logout among those that are gone.
    session: Session | None = None
    #: By `CompiledRule.key`.
    marks: dict[str, Mark] = {}
    #: Numbers of the segments: from this one on,
    first: int = 0
    #: and before this one.
    end: int = 0
    #: The newest observations, each as `encode_observation` gives it.
    observations: list[Raw] = []
    #: Observations up to this time went because there were too many of them.
    bounded_ms: int = -(1 << 62)


class Placed(Struct, frozen=True, array_like=True, gc=False):
    """The first fields of an observation: enough to know its place."""

    event_id: str
    revision: int
    at_ms: int


encode: Final = msgspec.msgpack.Encoder().encode
_head: Final = msgspec.msgpack.Decoder(Head).decode
_segment: Final = msgspec.msgpack.Decoder(list[Observation]).decode
_places: Final = msgspec.msgpack.Decoder(list[Placed]).decode
_place: Final = msgspec.msgpack.Decoder(Placed).decode
_observation: Final = msgspec.msgpack.Decoder(Observation).decode


def decode_head(value: bytes | None) -> Head:
    """A stored head; an empty one if there is none, or another version wrote it."""
    if value is None:
        return Head()
    try:
        head = _head(value)
    except UNDECODABLE:
        return Head()
    return head if head.version == _VERSION else Head()


def encode_observation(it: Observation) -> Raw:
    """An observation as it stands in a head or a segment: it is encoded once."""
    return Raw(encode(it))


def decode_observation(value: Raw) -> Observation:
    """An observation of a head."""
    return _observation(value)


def decode_place(value: Raw) -> Placed:
    """The place of an observation of a head: faster than decoding it whole."""
    return _place(value)


def decode_segment(value: bytes | None) -> list[Observation]:
    """A stored segment; an empty one if there is none, or another version wrote it."""
    if value is None:
        return []
    try:
        return _segment(value)
    except UNDECODABLE:
        return []


def decode_places(value: bytes) -> list[Placed]:
    """The places of the observations in a stored segment: faster than decoding them whole."""
    try:
        return _places(value)
    except UNDECODABLE:
        return []
