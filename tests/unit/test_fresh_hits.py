"""The short way to an answer says what the long one says, byte for byte, or leaves the event."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson
import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.customer_lookup import hits
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.events.reading import read_identification
from agents.customer_lookup.events.writing import answered
from agents.customer_lookup.hits import FreshHits
from agents.customer_lookup.lookup import CustomerLookup
from agents.customer_lookup.topics import CUSTOMER_DATA_FETCHED, CUSTOMER_IDENTIFIED
from posstream.configuration.current import CurrentConfiguration
from posstream.domain.identifier import Identifier, normalise
from posstream.events.envelope import FIRST_WRITTEN
from posstream.events.reading import MAX_EVENT_BYTES
from posstream.kafka.record import Record
from posstream.streaming.lists.outbox import Outbox
from posstream.streaming.patches.joined_batch import JoinedBatch
from tables.customer_cache import HEADER, decode
from tables.freshness import MAX_SKEW_MS, CacheEntry, Windows, never_refreshed_ms
from tables.partitioned import home
from tests.component.list_fakes import records_of
from tests.examples import most
from tests.lookup_metrics import RegisteredMetrics

NOW_MS = 1_769_846_400_000
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#: Of the topic of the answers: another number than the source's, so that none is taken for it.
ANSWER_PARTITIONS = 7


@dataclass
class Fetched:
    """A record as it was read."""

    offset: int
    value: bytes | None
    timestamp: int = NOW_MS
    headers: Sequence[tuple[str, bytes | None]] = ()
    key: bytes | None = b"k"


@dataclass
class Clock:
    """Stands still."""

    at_ms: int

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Cache:
    """Stored values by key, read in both ways."""

    values: dict[bytes, bytes]

    def get(self, identifier: str) -> CacheEntry | None:
        value = self.values.get(identifier.encode())
        return None if value is None else decode(value)

    def put(self, *_: object) -> None:
        raise AssertionError("a hit changes nothing")


class Busy:
    """A directory with no room for a refresh: each one that was due is counted as skipped."""

    def idle(self, _: LookupConfiguration) -> bool:
        return False


@dataclass
class Setting:
    """Where and when a list is answered."""

    plan: LookupConfiguration = field(
        default_factory=lambda: LookupConfiguration(api_endpoint="http://directory/")
    )
    refresh_ahead: bool = True
    card_guard: bool = True
    now_ms: int = NOW_MS
    partitions: int = 1
    partition: int = 0

    @property
    def most_age_ms(self) -> int:
        """The age below which a fresh hit is this module's own."""
        windows = self.plan.windows
        fresh_ms = min(windows.fresh_ms, windows.stale_ms)
        return never_refreshed_ms(windows) if self.refresh_ahead else fresh_ms


class NotedBatch(JoinedBatch):
    """Notes its only record as a consumer reads it."""

    def __init__(self, partition: int, done: list[Any]) -> None:
        super().__init__(0, NOW_MS)
        self._partition = partition
        self._done = done

    def put(
        self, key: bytes | None, value_length: int, pieces: Sequence[bytes], length: int
    ) -> bool:
        assert length == sum(map(len, pieces))
        assert super().put(key, value_length, pieces, length)
        self._done += records_of(CUSTOMER_DATA_FETCHED, self._partition, self)
        return True


class NotedOutbox(Outbox):
    """Notes each record with the partition that was chosen for it."""

    def __init__(self, done: list[Any]) -> None:
        super().__init__(lambda: None, 0, {CUSTOMER_DATA_FETCHED: ANSWER_PARTITIONS})
        self._done = done

    def _begin(self, _: str, partition: int) -> JoinedBatch:
        return NotedBatch(partition, self._done)


def lookup_in(setting: Setting, metrics: RegisteredMetrics) -> CustomerLookup:
    busy: Any = Busy()
    nobody: Any = None
    return CustomerLookup(
        call=busy,
        configuration=CurrentConfiguration(setting.plan),
        publisher=nobody,
        clock=Clock(setting.now_ms),
        metrics=metrics,
        refreshes_ahead=setting.refresh_ahead,
    )


def fresh_hits(setting: Setting, turns: set[str]) -> FreshHits:
    """With nothing in memory yet."""
    lookup = lookup_in(setting, RegisteredMetrics())
    return FreshHits(lookup, partitions=setting.partitions, turns=turns)


def shortly(
    setting: Setting,
    values: dict[bytes, bytes],
    turns: set[str],
    fetched: Sequence[Fetched],
    by: FreshHits | None = None,
) -> list[Record | int]:
    """What `FreshHits` makes of each record: its answer, or the offset of one that it left."""
    done: list[Record | int] = []
    left = (by or fresh_hits(setting, turns)).answer(
        fetched,
        partition=setting.partition,
        get=values.get,
        now_ms=setting.now_ms,
        outbox=NotedOutbox(done),
    )
    for record in left:
        done.append(record.offset)  # noqa: PERF401 - the outbox appends to it meanwhile
    return done


def at_length(setting: Setting, values: dict[bytes, bytes], record: Fetched) -> Record:
    """The answer by the long way, which must be there, and from the cache."""
    metrics = RegisteredMetrics()
    lookup = lookup_in(setting, metrics)
    headers: Any = record.headers
    asked = read_identification(
        record.value,
        topic=CUSTOMER_IDENTIFIED,
        partition=setting.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        headers=headers,
        card_guard=setting.card_guard,
        country_code=setting.plan.default_country_code,
    )
    answer = lookup.refuse(asked) or lookup.at_once(asked, Cache(values))
    assert answer is not None, "a miss"
    assert home(asked.identifier, setting.partitions) == setting.partition
    assert not metrics.registry.get_sample_value(
        "posstream_refreshes_ahead_total", {"outcome": "skipped"}
    ), "it was due to be fetched anew"
    made = answered(answer, setting.now_ms)
    every = list(range(ANSWER_PARTITIONS))
    made.partition = DefaultPartitioner()(made.key, every, every)
    return made


# -- what may come

IDENTIFIERS = (
    "+4930123456",
    "030123456",
    "7",
    "a@b.example",
    "CARD_123",
    "+49 30 123456",
    "004930123456",
    "00",
    "+",
    "+4930123456789012",
    "123456789012",
    "1234567890123",
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111111111111111@b.example",
    "A4111111111111111",
    "378282246310005",
    "a@b_c",
    "o'b@c.example",
    "card_123",
    "A@b.example",
    " 030123456 ",
    "030123456\n",
    "@",
    "_",
    ".",
    "..",
    "A" * 128,
    "A" * 129,
    "a" * 127 + "@",
    "A/B",
    "",
    " ",
    "KÄRTE",
    "١٢٣",
)
WRONG_TYPES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        17,
        4111111111111111,
        10**12,
        2**63,
        2**64,
        10**30,
        0.5,
        1.0,
        float("nan"),
    ),
    *([], [1], {}, {"a": 1}),
)
ODD_IDS: tuple[Any, ...] = (
    *("", " ", " b", "b ", "a b", 'a"b', '"', "a\\b", "a/b", "a\tb", "\x00", "\x7f", "a\x7fb", "~"),
    *("4111111111111111", "a-4111 1111/1111.1111", "4111%201111%201111%201111", "1" * 13),
    *("ä", "äb", "\u2028", "\U0001f600", "b" * 255, "b" * 256, "b" * 257, *WRONG_TYPES),
)
ODD_MOMENTS: tuple[Any, ...] = (
    *("2026-01-31T08:00:00.000Z", "2026-01-31T08:00:00Z", "2026-01-31T09:00:00.000+01:00"),
    *("2026-01-31T08:00:00.123456Z", "2026-01-31T08:00:00.12Z", "2026-01-31"),
    *("2026-01-31 08:00:00.000Z", "20260131T080000.000Z", "2026-01-31T08:00:00.000"),
    *("1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000Z", "0000-01-01T00:00:00.000Z"),
    *("9999-12-31T23:59:59.999Z", "2026-02-30T08:00:00.000Z", "2026-01-31T24:00:00.000Z"),
    *("2026-01-31T08:60:00.000Z", "2026-01-31T08:00:60.000Z", "2026-01-31T23:59:59.999z"),
    *("2026-01-31T08:00:00,000Z", "٢٠٢٦-01-31T08:00:00.000Z", "2026-01-31T08:00:00.000Z\n"),
    *("2026-W05-6T08:00:00.000Z", "2026-01-31t08:00:00.000Z", "now", *ODD_IDS),
)
IDS: st.SearchStrategy[Any] = st.one_of(
    st.from_regex(r"[!-~][ -~]{0,20}", fullmatch=True),
    st.sampled_from(ODD_IDS),
    st.text(max_size=12),
)
MOMENTS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(ODD_MOMENTS),
    st.datetimes().map(lambda it: it.isoformat(timespec="milliseconds") + "Z"),
)
#: Brackets in brackets, up to more than the long way reads.
DEEP = st.integers(0, 260).map(lambda depth: json.loads("[" * depth + "]" * depth or "0"))
#: Fields as they are in nearly every event.
ORDINARY = st.fixed_dictionaries(
    {
        # Not so many digits that it could be a payment card.
        "basket_id": st.from_regex(r"[A-Za-z0-9_/:.-]{1,36}", fullmatch=True).filter(
            lambda text: sum(map(str.isdigit, text)) <= 12
        ),
        "customer_identifier": st.sampled_from(IDENTIFIERS[:5]),
    },
    optional={
        "event_id": st.uuids().map(str),
        "event_type": st.just("CUSTOMER_IDENTIFIED"),
        "occurred_at": st.datetimes().map(lambda it: it.isoformat(timespec="milliseconds") + "Z"),
        "employee_id": st.one_of(st.integers(0, 10**6), st.sampled_from(["17", "e-17"])),
        "terminal_id": st.one_of(st.integers(0, 10**6), st.just("till 3")),
        "deadline_ms": st.sampled_from([1, 12_000, 10**9]),
        "unknown": st.one_of(st.text(max_size=20), st.lists(st.none(), max_size=3)),
    },
)
#: Each field as it may be.
ODD: dict[str, st.SearchStrategy[Any]] = {
    "basket_id": IDS,
    "customer_identifier": st.one_of(
        st.sampled_from(IDENTIFIERS), st.sampled_from(ODD_IDS), st.text(max_size=5)
    ),
    "identifier_kind": st.sampled_from(["PHONE", "EMAIL", "CARD", "card", *WRONG_TYPES]),
    "event_id": IDS,
    "event_type": IDS,
    "occurred_at": MOMENTS,
    "employee_id": IDS,
    "terminal_id": IDS,
    "deadline_ms": st.sampled_from([1500, 300_001, "1500", *WRONG_TYPES]),
    "unknown": st.one_of(IDS, DEEP),
    "lookup_id": IDS,
}
MISSING = object()


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """An event with at most two odd fields, so that nothing else hides them, in any spelling."""
    event = draw(ORDINARY)
    for name in draw(st.lists(st.sampled_from(list(ODD)), max_size=2)):
        event[name] = draw(st.one_of(ODD[name], ODD[name], ODD[name], st.just(MISSING)))
    given = {name: value for name, value in event.items() if value is not MISSING}
    spaces = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    text = json.dumps(given, ensure_ascii=draw(st.booleans()), separators=spaces)
    return text.encode() + b" " * draw(st.sampled_from([0] * 9 + [1, 400, 501, 66_000]))


VALUES = st.one_of(
    *[objects()] * 5,
    st.sampled_from(
        [
            *(
                None,
                b"",
                b" ",
                b"[]",
                b"17",
                b'"b"',
                b"null",
                b"{",
                b"{}",
                b"\xff",
                b"\xef\xbb\xbf{}",
            ),
            b'{"basket_id":"\xe9","customer_identifier":"7"}',
            b'{"basket_id":"\\u0062","customer_identifier":"\\u0037"}',
            b'{"basket_id":"\\ud800","customer_identifier":"7"}',
            b'{"basket_id":1,"customer_identifier":"7","basket_id":"b"}',
            b'{"customer_identifier":"7","basket_id":"b","basket_id":null}',
        ]
    ),
)
ODD_HEADERS: tuple[tuple[str, bytes | None], ...] = (
    ("traceparent", TRACE),
    ("traceparent", b"x"),
    ("traceparent", None),
    (FIRST_WRITTEN, b"1700000000000"),
    (FIRST_WRITTEN, b"yesterday"),
    (FIRST_WRITTEN, None),
    ("ce_id", b"1"),
    ("other", None),
)
HEADERS = st.lists(st.sampled_from(ODD_HEADERS), max_size=2)
ODD_TIMESTAMPS = (NOW_MS - 1, -1, 0, 999, 253_402_300_799_999, 253_402_300_800_000, 2**62)
TIMESTAMPS = st.sampled_from([NOW_MS, *ODD_TIMESTAMPS])
#: Windows are set in seconds, and need not be whole ones.
SECONDS = st.one_of(
    st.sampled_from([0, 0.001, 0.002, 0.5, 1.0004, 60, 239.999, 240, 3600, 604_800]),
    st.floats(0, 604_800),
)
SETTINGS = st.builds(
    Setting,
    plan=st.builds(
        LookupConfiguration,
        api_endpoint=st.just("http://directory/"),
        cache_ttl_seconds=st.one_of(st.just(3600), SECONDS),
        stale_ttl_seconds=st.one_of(st.just(86_400), SECONDS),
        negative_ttl_seconds=SECONDS,
        version=st.integers(0, 10**6),
        default_country_code=st.sampled_from([None, None, "49"]),
    ),
    refresh_ahead=st.booleans(),
    card_guard=st.booleans(),
    now_ms=st.one_of(st.just(NOW_MS), st.integers(10**12, 4 * 10**12)),
    partitions=st.just(1),
).flatmap(
    lambda setting: st.sampled_from([(1, 0), (1, 0), (1, 0), (3, 2)]).map(
        lambda place: Setting(**{**vars(setting), "partitions": place[0], "partition": place[1]})
    )
)
DOCUMENTS = st.one_of(
    st.just(b'{"customer_id":"C-1","first_name":"J\xc3\xb6rg"}'),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3).map(orjson.dumps),
)


def borders(windows: Windows) -> list[int]:
    """Ages at which something else may be done with an entry."""
    return [
        *(0, windows.fresh_ms, windows.stale_ms, windows.negative_ms, never_refreshed_ms(windows)),
        *(-MAX_SKEW_MS, windows.fresh_ms // 2, windows.fresh_ms - 120_000),
    ]


@st.composite
def stored(draw: st.DrawFn, setting: Setting) -> bytes | None:
    """What the cache may have of an identifier."""
    windows = setting.plan.windows
    ages = st.one_of(
        st.just(0),
        st.integers(0, max(0, never_refreshed_ms(windows) - 1)),
        st.tuples(st.sampled_from(borders(windows)), st.integers(-2, 2)).map(sum),
        st.integers(-2 * MAX_SKEW_MS, 8 * 86_400_000),
    )
    layout, known = draw(st.sampled_from([(1, 1)] * 12 + [(1, 0), (2, 1), (0, 1), (1, 2)]))
    document = draw(DOCUMENTS) if known else b""
    value = HEADER.pack(layout, known, setting.now_ms - draw(ages)) + document
    return draw(st.sampled_from([value] * 16 + [None, value[: HEADER.size - 1], b""]))


def keys_of(fetched: Sequence[Fetched]) -> list[str]:
    """Each identifier as it was scanned, and as the cache should be asked for it."""
    found: dict[str, None] = {}
    for record in fetched:
        try:
            event = orjson.loads(record.value or b"")
        except orjson.JSONDecodeError:
            continue
        scanned = event.get("customer_identifier") if isinstance(event, dict) else None
        if isinstance(scanned, str):
            normal = normalise(scanned, card_guard=False)
            found[scanned] = None
            found[normal.value if isinstance(normal, Identifier) else normal.masked] = None
            national = normalise(scanned, card_guard=False, country_code="49")
            found[national.value if isinstance(national, Identifier) else scanned] = None
    return list(found)


@st.composite
def situations(
    draw: st.DrawFn,
) -> tuple[Setting, dict[bytes, bytes], set[str], list[Fetched], int | None]:
    """A list with what the cache has of it; the place of an event that must be answered."""
    setting = draw(SETTINGS)
    fetched = [
        Fetched(0, draw(VALUES), draw(TIMESTAMPS), draw(st.one_of(st.just([]), HEADERS)))
        for _ in range(draw(st.integers(0, 8)))
    ]
    values = {
        key.encode(): value
        for key in keys_of(fetched)
        if (value := draw(stored(setting))) is not None
    }
    turns = set(draw(st.lists(st.sampled_from(keys_of(fetched) or ["7"]), max_size=1)))
    place = None
    if setting.most_age_ms > 0:
        place = draw(st.integers(0, len(fetched)))
        here = next(
            f"+1555{number}"
            for number in range(1000)
            if home(f"+1555{number}", setting.partitions) == setting.partition
        )
        event = {"basket_id": "ordinary", "customer_identifier": here}
        fetched.insert(place, Fetched(0, orjson.dumps(event), draw(TIMESTAMPS)))
        values[here.encode()] = HEADER.pack(1, 1, setting.now_ms) + b"{}"
    for number, record in enumerate(fetched):
        record.offset = 100 + number
    return setting, values, turns, fetched, place


def agrees(
    setting: Setting, values: dict[bytes, bytes], turns: set[str], fetched: Sequence[Fetched]
) -> list[Record | int]:
    done = shortly(setting, values, turns, fetched)
    assert len(done) == len(fetched), "each once, and in its turn"
    for record, it in zip(fetched, done, strict=True):
        if not isinstance(it, Record):
            assert it == record.offset
            continue
        assert it == at_length(setting, values, record)
        assert orjson.loads(it.value or b"")["customer_identifier"] not in turns
    return done


@settings(max_examples=most(300))
@given(situations())
def test_each_event_is_answered_as_at_length_or_left_in_its_turn(situation: Any) -> None:
    *list_, place = situation
    done = agrees(*list_)
    if place is not None:
        assert isinstance(done[place], Record), "an ordinary event, whatever is around it"


@settings(max_examples=most(100))
@given(situations(), st.data())
def test_what_is_kept_of_earlier_lists_changes_no_answer(
    situation: Any, data: st.DataObject
) -> None:
    setting, values, turns, fetched, _ = situation
    by = fresh_hits(setting, turns)
    drawn = {key: data.draw(stored(setting)) for key in values}
    earlier = {key: value for key, value in drawn.items() if value is not None}
    shortly(setting, earlier, turns, fetched, by)
    assert shortly(setting, values, turns, fetched, by) == agrees(setting, values, turns, fetched)


def test_what_is_kept_of_an_identifier_holds_for_one_configuration() -> None:
    event = [Fetched(0, orjson.dumps({**EVENT, "customer_identifier": "030123456"}))]
    values = {b"030123456": HEADER.pack(1, 1, NOW_MS) + b"{}"}
    by = fresh_hits(Setting(), set())
    plan = LookupConfiguration(api_endpoint="http://directory/", cache_ttl_seconds=60)
    for other in (
        msgspec.structs.replace(plan, version=7),
        msgspec.structs.replace(plan, version=7, cache_ttl_seconds=50),
    ):
        by.lookup.configuration.value = other
        expected = agrees(Setting(other), values, set(), event)
        assert isinstance(expected[0], Record)
        assert shortly(Setting(other), values, set(), event, by) == expected
    # Now it is a scan of another phone number.
    by.lookup.configuration.value = msgspec.structs.replace(plan, default_country_code="49")
    assert shortly(Setting(), values, set(), event, by) == [0]


def test_what_is_kept_of_identifiers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hits, "_MOST_KNOWN", 3)
    by = fresh_hits(Setting(), set())
    scans = [f"CARD_{number}" for number in range(10)]
    values = {scan.encode(): HEADER.pack(1, 1, NOW_MS) + b"{}" for scan in scans}
    for scan in scans:
        event = [Fetched(0, orjson.dumps({**EVENT, "customer_identifier": scan}))]
        assert shortly(Setting(), values, set(), event, by) == agrees(
            Setting(), values, set(), event
        )
        assert len(by._known) <= 3


# -- what is no event

EVENT = {"basket_id": "b", "customer_identifier": "7"}
CACHE = {b"7": HEADER.pack(1, 1, NOW_MS) + b"{}"}
EVENT_FIELDS = sorted(hits._Event.__struct_fields__)
#: What no JSON is, or what orjson refuses, where a decoder may pass over it.
NO_JSON = (
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\\q",
    b"\x00",
    b"\n",
    b"\x7f",
    b'"',
    b"\\",
)
ODD_NUMBERS = (b"1e999", b"-1e999", b"NaN", b"-", b"01", b"1.", b".5", b"1e", b"+1", b"1_0", b"tru")


@pytest.mark.parametrize("name", ["unknown", *EVENT_FIELDS])
@pytest.mark.parametrize("odd", [b'"a%bb"' % it for it in NO_JSON] + list(ODD_NUMBERS))
def test_what_is_no_json_is_left_wherever_it_stands(name: str, odd: bytes) -> None:
    for raw in (
        orjson.dumps({**EVENT, name: "HERE"}).replace(b'"HERE"', odd),
        orjson.dumps({name: "HERE", **EVENT}).replace(b'"HERE"', odd),
        orjson.dumps({**EVENT, "x": {name: ["HERE"]}}).replace(b'"HERE"', odd),
        orjson.dumps({**EVENT, "HERE": 1}).replace(b'"HERE"', odd),
    ):
        agrees(Setting(), CACHE, set(), [Fetched(0, raw)])


@settings(max_examples=most(200))
@given(st.data())
def test_a_damaged_event_is_answered_as_at_length_or_left(data: st.DataObject) -> None:
    event = {**data.draw(ORDINARY), **EVENT}
    raw = bytearray(orjson.dumps(event))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.one_of(
                st.binary(max_size=3), st.sampled_from([b'"', b"\\u", b",", b":", b"0", b"{"])
            )
        )
    agrees(Setting(), CACHE, set(), [Fetched(0, bytes(raw))])


# -- what must be answered here: a test that is content with events left could not fail


@given(
    st.lists(ORDINARY, min_size=1, max_size=12),
    st.integers(-MAX_SKEW_MS, never_refreshed_ms(Setting().plan.windows) - 1),
    st.sampled_from([[], [("ce_id", b"1"), ("other", b"x")]]),
)
def test_ordinary_events_of_fresh_customers_are_all_answered_here(
    ordinary: list[dict[str, Any]], age_ms: int, headers: list[tuple[str, bytes | None]]
) -> None:
    setting = Setting()
    entry = HEADER.pack(1, 1, NOW_MS - age_ms) + b'{"customer_id":"C-1"}'
    values = {identifier.encode(): entry for identifier in IDENTIFIERS[:5]}
    fetched = [
        Fetched(number, orjson.dumps(event), headers=headers)
        for number, event in enumerate(ordinary)
    ]
    done = agrees(setting, values, set(), fetched)
    assert sum(isinstance(it, Record) for it in done) == len(ordinary)


@pytest.mark.parametrize("basket", ["20261128140012345678", "4711-0815-2026-11-28-0001"])
def test_a_basket_id_of_many_digits_that_are_no_card_is_ordinary(basket: str) -> None:
    raw = orjson.dumps({**EVENT, "basket_id": basket})
    (answer,) = agrees(Setting(), CACHE, set(), [Fetched(0, raw)])
    assert isinstance(answer, Record)


# -- each oddity by itself, so that nothing hides it

ODD_FIELDS: dict[str, Sequence[Any]] = {
    **dict.fromkeys(("basket_id", "event_id", "event_type", "terminal_id", "unknown"), ODD_IDS),
    "employee_id": ODD_IDS,
    "occurred_at": ODD_MOMENTS,
    "deadline_ms": (1500, 300_001, "1500", *WRONG_TYPES),
}


@pytest.mark.parametrize("name", ODD_FIELDS)
def test_one_odd_field_is_answered_as_at_length_or_left(name: str) -> None:
    for value in ODD_FIELDS[name]:
        raw = json.dumps({**EVENT, name: value}).encode()
        assert len(agrees(Setting(), CACHE, set(), [Fetched(0, raw), Fetched(1, raw)])) == 2


@pytest.mark.parametrize("guard", [False, True])
def test_any_identifier_is_answered_as_at_length_or_left(*, guard: bool) -> None:
    scans = [*IDENTIFIERS, *(it for it in ODD_IDS if isinstance(it, str))]
    fetched = [
        Fetched(number, orjson.dumps({**EVENT, "customer_identifier": scanned}))
        for number, scanned in enumerate(scans)
    ]
    # Under the scan itself, too, where the long way would never look for it.
    values = {key.encode(): HEADER.pack(1, 1, NOW_MS) + b"{}" for key in keys_of(fetched)}
    done = agrees(Setting(card_guard=guard), values, set(), fetched)
    assert all(isinstance(it, Record) for it in done[:5])


@pytest.mark.parametrize("header", ODD_HEADERS)
def test_a_header_that_means_something_is_not_overlooked(header: tuple[str, bytes]) -> None:
    event = Fetched(0, orjson.dumps(EVENT), headers=[("ce_id", b"1"), header])
    agrees(Setting(), CACHE, set(), [event])


@pytest.mark.parametrize("timestamp", [NOW_MS, *ODD_TIMESTAMPS])
def test_without_a_time_of_its_own_an_event_has_the_brokers(timestamp: int) -> None:
    (done,) = agrees(Setting(), CACHE, set(), [Fetched(0, orjson.dumps(EVENT), timestamp)])
    assert isinstance(done, Record)


@pytest.mark.parametrize("refresh_ahead", [False, True])
@pytest.mark.parametrize("known", [0, 1, 2])
@pytest.mark.parametrize(
    ("fresh", "stale"), [(3600, 86_400), (1.0004, 2), (239.999, 86_400), (60, 0.5), (0, 60), (0, 0)]
)
def test_the_windows_are_exact_to_the_millisecond(
    fresh: float, stale: float, known: int, *, refresh_ahead: bool
) -> None:
    plan = LookupConfiguration(
        api_endpoint="http://directory/",
        cache_ttl_seconds=fresh,
        stale_ttl_seconds=stale,
        version=12,
    )
    setting = Setting(plan, refresh_ahead=refresh_ahead)
    for border in borders(plan.windows):
        for age_ms in range(border - 2, border + 3):
            values = {b"7": HEADER.pack(1, known, NOW_MS - age_ms) + b"{}" * (known > 0)}
            (done,) = agrees(setting, values, set(), [Fetched(0, orjson.dumps(EVENT))])
            due = known == 1 and age_ms >= -MAX_SKEW_MS and max(0, age_ms) < setting.most_age_ms
            assert isinstance(done, Record) is due


@pytest.mark.parametrize("value", [b"", b"\1\1", HEADER.pack(2, 1, NOW_MS) + b"{}", None])
def test_what_another_version_wrote_is_a_miss(value: bytes | None) -> None:
    values = {} if value is None else {b"7": value}
    assert agrees(Setting(), values, set(), [Fetched(0, orjson.dumps(EVENT))]) == [0]


def test_an_event_of_another_partition_or_behind_a_lookup_is_left() -> None:
    others = [part for part in range(3) if part != home("7", 3)]
    for partition in others:
        setting = Setting(partitions=3, partition=partition)
        assert agrees(setting, CACHE, set(), [Fetched(0, orjson.dumps(EVENT))]) == [0]
    assert agrees(Setting(), CACHE, {"7"}, [Fetched(0, orjson.dumps(EVENT))]) == [0]


@pytest.mark.parametrize("spaces", [0, 1, 450, 500, MAX_EVENT_BYTES])
@pytest.mark.parametrize("depth", [0, 150, 220, 247, 248, 249, 252, 300, 1100])
def test_a_long_or_deep_event_is_answered_as_at_length_or_left(depth: int, spaces: int) -> None:
    raw = orjson.dumps(EVENT)[:-1] + b',"x":' + (b"[" * depth + b"]" * depth or b"0") + b"}"
    agrees(Setting(), CACHE, set(), [Fetched(0, raw + b" " * spaces)])


def test_what_is_too_long_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed it was a thousandth; read, it may be gigabytes."""
    read: list[bytes] = []
    monkeypatch.setattr(hits, "_decode", read.append)
    assert shortly(Setting(), {}, set(), [Fetched(0, b"[" * 10_000)]) == [0]
    assert read == []
