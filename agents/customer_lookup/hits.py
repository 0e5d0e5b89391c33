"""Ordinary events whose customer is fresh in the cache, answered by one function.

It says what `events.read_identification`, `CustomerLookup.at_once` and `events.answered` say, byte
for byte (`tests/unit/test_fresh_hits.py` compares them), in a third of their time: most events of a
busy worker are of this kind, and each object made for one of them is a tenth of its cost. What is
in any way out of the ordinary is left to them.
"""

import re
from collections.abc import Callable, Container, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final

import orjson
from murmurhash2 import murmurhash2

from agents.customer_lookup.events.writing import SOURCE
from agents.customer_lookup.lookup import CustomerLookup
from agents.customer_lookup.topics import CUSTOMER_DATA_FETCHED, CUSTOMER_IDENTIFIED
from posstream.domain import times
from posstream.domain.identifier import IdentifierKind, normal_for
from posstream.domain.payment_card import may_hold_payment_card
from posstream.domain.times import clamp_ms, iso_utc_ms
from posstream.events.envelope import FIRST_WRITTEN, ce_headers
from posstream.events.ids import derived_bytes
from posstream.kafka.partitioner import POSITIVE, SEED
from posstream.streaming.lists.batch_path import Outbox
from tables.customer_cache import HEADER, KNOWN
from tables.freshness import MAX_SKEW_MS, never_refreshed_ms

#: Text that JSON writes as it is: no quote, no backslash, nothing outside printable ASCII.
#: Without `%` and `&`: they may begin an escape that stands for a digit of a payment card.
_PLAIN: Final = re.compile(r"[!#$'-\[\]-~][ !#$'-\[\]-~]{0,255}").fullmatch
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
).fullmatch
_DATE: Final = slice(10)
_DOCUMENT_AT: Final = HEADER.size
#: A longer event may be too long, or nest too deep: orjson writes 254 levels.
_MOST_BYTES: Final = 2 * 250
_KINDS: Final = {kind.value: kind.value.encode() for kind in IdentifierKind}
_MILLISECONDS: Final = [b"%03d" % number for number in range(1000)]
#: Fields that are checked, and not used.
_CHECKED: Final = frozenset({"employee_id", "terminal_id", "deadline_ms", "identifier_kind"})
#: Headers that mean something.
_MEANT: Final = frozenset({"traceparent", FIRST_WRITTEN})
#: A payment card has more digits than this.
_FEW: Final = 12
_FEW_DIGITS: Final = 10**_FEW
_EVENT_TYPE: Final = "CUSTOMER_DATA_FETCHED"
_ASKED: Final = "CUSTOMER_IDENTIFIED"
#: What the event's type may be.
_ASKED_AS: Final = (_ASKED, None)


class FreshHits:
    """Answers fetched lists of the source topic. One per app.

    Args:
        lookup: whose configuration is in force.
        partitions: how many there are.
        turns: identifiers with a lookup under way: no answer may overtake theirs.
    """

    def __init__(
        self,
        lookup: CustomerLookup,
        *,
        partitions: int,
        turns: Container[str],
    ) -> None:
        self._lookup = lookup
        self._partitions = partitions
        self._turns = turns

    # In one piece: each call to a helper would be a twentieth of what an event takes.
    def answer(  # noqa: C901, PLR0913, PLR0915
        self,
        records: Sequence[Any],
        *,
        partition: int,
        get: Callable[[bytes], bytes | None],
        now_ms: int,
        outbox: Outbox,
        otherwise: Callable[[Any], None],
    ) -> int:
        """Answer those events of a list that are of this kind.

        Args:
            records: of one partition.
            partition: its number.
            get: reads the partition's store by key.
            now_ms: wall time.
            outbox: takes the answers.
            otherwise: takes each other record, in its turn.

        Returns:
            how many were answered here.
        """
        plan = self._lookup.plan
        windows = plan.windows
        fresh_ms = min(windows.fresh_ms, windows.stale_ms)
        # What may have to be refreshed ahead is answered elsewhere.
        most_age_ms = never_refreshed_ms(windows) if self._lookup.refreshes_ahead else fresh_ms
        head = (
            f'","event_type":"{_EVENT_TYPE}","schema_version":1,'
            f'"occurred_at":"{iso_utc_ms(now_ms)}","lookup_id":"'
        ).encode()
        middle = (
            '","source":"CACHE","attempts":0,"duration_ms":0,'
            f'"config_version":{plan.version},"fetched_at":"'
        ).encode()
        ce_version, _, ce_source, ce_type, ce_time, _ = ce_headers(
            "", _EVENT_TYPE, now_ms, "", source=SOURCE
        )
        add = outbox.to(CUSTOMER_DATA_FETCHED)
        normal = normal_for(plan.default_country_code)
        derived, unpack = derived_bytes, HEADER.unpack_from
        turns, partitions = self._turns, self._partitions
        answered = 0
        for record in records:
            value = record.value
            if value is None or len(value) > _MOST_BYTES:  # not even read here
                otherwise(record)
                continue
            try:
                event = orjson.loads(value)
            except orjson.JSONDecodeError:
                otherwise(record)
                continue
            identifier = type(event) is dict and event.get("customer_identifier")
            if (
                type(identifier) is not str
                or (kind := normal(identifier)) is None
                or identifier in turns
                or type(basket_id := event.get("basket_id")) is not str
                or not _PLAIN(basket_id)
                or may_hold_payment_card(subject := basket_id.encode())
            ):
                otherwise(record)
                continue
            identified_at = event.get("occurred_at")
            event_id = event.get("event_id")
            if event_id is None:
                event_id = f"{CUSTOMER_IDENTIFIED}/{partition}/{record.offset}/{record.timestamp}"
            elif type(event_id) is not str or not _PLAIN(event_id):
                otherwise(record)
                continue
            if identified_at is None:
                identified_at = iso_utc_ms(clamp_ms(record.timestamp))
            elif not _is_moment(identified_at):
                otherwise(record)
                continue
            if event.get("event_type", _ASKED) not in _ASKED_AS or (
                not _CHECKED.isdisjoint(event) and not _is_plain(event, kind.lastgroup)
            ):
                otherwise(record)
                continue
            if record.headers and any(name in _MEANT for name, _ in record.headers):
                otherwise(record)
                continue
            key = identifier.encode()
            entry = get(key)
            if (
                entry is None
                or len(entry) < _DOCUMENT_AT
                or (murmurhash2(key, SEED) & POSITIVE) % partitions != partition
            ):
                otherwise(record)
                continue
            layout, known, fetched_at_ms = unpack(entry)
            ahead_ms = fetched_at_ms - now_ms
            age_ms = max(0, -ahead_ms)
            if (layout, known) != KNOWN or ahead_ms > MAX_SKEW_MS or age_ms >= most_age_ms:
                otherwise(record)
                continue
            fetched_s, fetched_ms = divmod(fetched_at_ms, 1000)
            stale_s, stale_ms = divmod(fetched_at_ms + fresh_ms, 1000)
            lookup_id = derived(event_id.encode())
            answer_id = derived(lookup_id + b"/answer")
            answer = (
                b'{"event_id":"', answer_id, head, lookup_id,
                b'","basket_id":"', subject,
                b'","customer_identifier":"', key,
                b'","identifier_kind":"', _KINDS[kind.lastgroup or ""],
                b'","identified_at":"', identified_at.encode(), middle,
                _iso_second(fetched_s), _MILLISECONDS[fetched_ms],
                b'Z","fresh_until":"', _iso_second(stale_s), _MILLISECONDS[stale_ms],
                b'Z","age_ms":', b"%d" % age_ms,
                b',"customer":', entry[_DOCUMENT_AT:], b"}",
            )  # fmt: skip
            add(
                subject,
                b"".join(answer),
                [
                    ce_version,
                    ("ce_id", answer_id),
                    ce_source,
                    ce_type,
                    ce_time,
                    ("ce_subject", subject),
                ],
            )
            answered += 1
        return answered


@lru_cache(maxsize=4096)
def _iso_second(second: int) -> bytes:
    return times.iso_second(second).encode()


def _is_moment(text: Any) -> bool:
    """Whether a time is one, and written as we write it."""
    return type(text) is str and _MOMENT(text) is not None and _is_date(text[_DATE])


@lru_cache(maxsize=64)
def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_plain(event: dict[str, Any], kind: str | None) -> bool:
    """Whether the fields that are checked, and not used here, are as they should be."""
    for name in ("employee_id", "terminal_id"):
        it = event.get(name)
        if it is None or (type(it) is int and abs(it) < _FEW_DIGITS):
            continue
        if type(it) is not str or not _PLAIN(it):
            return False
        if len(it) > _FEW and may_hold_payment_card(it.encode()):
            return False
    if event.get("identifier_kind", kind) not in (kind, None):
        return False
    deadline = event.get("deadline_ms")
    return deadline is None or (type(deadline) is int and deadline >= 1)
