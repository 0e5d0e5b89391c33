"""`posstream dlq`, as an operator runs it, against an embedded broker."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka
import orjson
import pytest
from click.testing import CliRunner, Result

from agents.customer_lookup import PLUGIN, topics
from agents.customer_lookup.read_model.projection import SqlProjection
from posstream.cli import main
from posstream.commands.dlq import list_letters, replay, show_letter
from posstream.dead_letters.box import DeadLetterBox, Selection
from posstream.dead_letters.letter import Address
from posstream.dead_letters.record import MAX_DEAD_VALUE, dead_letter
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.domain.times import iso_utc_ms
from posstream.events.envelope import FIRST_WRITTEN
from posstream.events.ids import derived
from posstream.kafka.connection import administering
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.reader import topic_reader
from posstream.kafka.record import Record
from posstream.kafka.topics import PLUGIN_CONFIGURATION
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.read_model.migrate import upgrade
from posstream.resilience.clock import Clock
from tests.component.other_plugin import DEAD_LETTERS as OTHER_LETTERS
from tests.component.other_plugin import POS_EVENTS, other_plugin
from tests.component.sql_databases import found
from tests.integration.harness import free_port, send_with_header

HOUR_MS = 3_600_000
KEY = b"+1234567890"
#: Two messages that can be read by now.
ONE, TWO = (
    b'{"event_id": "%b", "basket_id": "basket_1", "customer_identifier": "+1234567890"}' % name
    for name in (b"one", b"two")
)
REPLAYED_FROM = "posstream.dlq.replayed-from"


@dataclass
class Shop:
    """A broker with the topics, a producer, and the command."""

    servers: str
    producer: aiokafka.AIOKafkaProducer

    async def write(self, *records: Record) -> list[str]:
        """Write records, in as few batches as can be; their places as PARTITION/OFFSET."""
        sent = [
            await self.producer.send(
                it.topic, it.value, key=it.key, partition=it.partition, headers=list(it.headers)
            )
            for it in records
        ]
        return [f"{it.partition}/{it.offset}" for it in await asyncio.gather(*sent)]

    async def set_aside(self, *values: bytes, topic: str = topics.CUSTOMER_IDENTIFIED) -> list[str]:
        """Write messages to partition 1, and their dead letters as a worker does."""
        places = await self.write(*[Record(topic, KEY, value, partition=1) for value in values])
        offsets = [int(place.removeprefix("1/")) for place in places]
        return await self.write(
            *[
                letter(value, topic=topic, source=(1, offset))
                for value, offset in zip(values, offsets, strict=True)
            ]
        )

    async def read(self, topic: str) -> list[aiokafka.ConsumerRecord]:
        """All of a topic."""
        async with topic_reader([self.servers], topic) as reader:
            return [record async for record in reader.records(topic)]

    async def replays(self, topic: str = topics.CUSTOMER_IDENTIFIED) -> list[tuple[Any, ...]]:
        """Partition, key, value and origin of what was replayed."""
        return [
            (it.partition, it.key, it.value, dict(it.headers)[REPLAYED_FROM].decode())
            for it in await self.read(topic)
            if it.headers
        ]

    async def run(
        self, *args: str, answer: str = "", environment: Mapping[str, str] | None = None
    ) -> Result:
        return await asyncio.to_thread(
            CliRunner().invoke,
            main,
            ["dlq", *args],
            input=answer,
            env={"POSSTREAM_BROKER": f"kafka://{self.servers}", **(environment or {})},
        )


@asynccontextmanager
async def running_shop(folder: Path) -> AsyncIterator[Shop]:
    broker = EmbeddedBroker(free_port(), log_file=folder / "broker.log")
    broker.start()
    try:
        specs = [*find_plugins().topics, *other_plugin().topics]
        await prepare_topics([broker.address], specs, partitions=2, replication=1)
        async with aiokafka.AIOKafkaProducer(
            bootstrap_servers=broker.address, acks="all", linger_ms=20, max_request_size=2**21
        ) as producer:
            yield Shop(broker.address, producer)
    finally:
        broker.stop()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with running_shop(tmp_path) as shop:
        yield shop


def letter(
    value: bytes | None = b"not json",
    *,
    reason: DeadLetterReason = DeadLetterReason.NOT_JSON,
    error: str = "the message is not JSON",
    key: bytes | None = KEY,
    topic: str = topics.CUSTOMER_IDENTIFIED,
    source: tuple[int, int] = (1, 0),
    age_ms: int = 0,
    at: int = 0,
    into: str = topics.DEAD_LETTERS,
) -> Record:
    made = dead_letter(
        into,
        SimpleNamespace(topic=topic, partition=source[0], offset=source[1], key=key, value=value),
        timestamp_ms=Clock().now_ms() - age_ms,
        error=UnreadableEvent(reason, error),
    )
    return Record(made.topic, made.key, made.value, made.headers, partition=at)


async def test_without_dead_letters_it_says_so(shop: Shop) -> None:
    listed = await shop.run("list")
    assert (listed.exit_code, listed.stdout) == (0, "no dead letters\n")
    replayed = await shop.run("replay", "--all")
    assert (replayed.exit_code, replayed.stdout) == (0, "no dead letters to replay\n")


async def test_a_broker_on_which_no_worker_ran_has_no_dead_letters(tmp_path: Path) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        listed = await Shop(broker.address, None).run("list")
        assert (listed.exit_code, listed.stdout) == (0, "no dead letters\n")
    finally:
        broker.stop()


async def test_without_a_broker_it_says_so_in_one_line() -> None:
    listed = await Shop(f"127.0.0.1:{free_port()}", None).run("list")
    assert listed.exit_code == 1
    assert listed.stderr.splitlines()[-1].startswith("error: the Kafka broker at 127.0.0.1:")
    assert "POSSTREAM_BROKER" in listed.stderr


async def test_the_list_has_every_letter_newest_last_and_counts_the_reasons(shop: Shop) -> None:
    missing = DeadLetterReason.MISSING_FIELD
    await shop.write(
        letter(source=(1, 7), age_ms=1 * HOUR_MS),
        letter(source=(1, 8), age_ms=3 * HOUR_MS),
        letter(source=(0, 9), age_ms=2 * HOUR_MS, reason=missing, error="x is missing", at=1),
    )
    listed = await shop.run("list")
    lines = listed.stdout.splitlines()
    assert listed.exit_code == 0
    assert [line.split()[0] for line in lines[:-1]] == ["ADDRESS", "0/1", "1/0", "0/0"]
    assert [line.split()[2] for line in lines[1:-1]] == [
        f"customer-identified/{place}" for place in ("1/8", "0/9", "1/7")
    ]
    assert lines[2].endswith("MISSING_FIELD  x is missing")
    assert lines[-1] == "3 dead letters: 2 NOT_JSON, 1 MISSING_FIELD"


async def test_the_list_shows_neither_keys_nor_values(shop: Shop) -> None:
    await shop.write(letter(b"the value of john@example.com"))
    for args in ([], ["--json"]):
        listed = await shop.run("list", *args)
        assert "NOT_JSON" in listed.stdout
        assert KEY.decode() not in listed.stdout
        assert "john" not in listed.stdout


async def test_the_list_is_bounded_and_says_so(shop: Shop) -> None:
    await shop.write(*[letter(age_ms=(9 - n) * HOUR_MS) for n in range(5)])
    lines = (await shop.run("list", "--limit", "2")).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["0/3", "0/4"]
    assert lines[-1] == "5 dead letters: 5 NOT_JSON; the newest 2 are shown"


async def test_the_list_by_reason_and_by_time(shop: Shop) -> None:
    await shop.write(
        letter(age_ms=3 * HOUR_MS),
        letter(reason=DeadLetterReason.EMPTY),
        letter(age_ms=HOUR_MS // 2),
    )
    hour_ago = iso_utc_ms(Clock().now_ms() - HOUR_MS)
    for args, expected in (
        (["--reason", "empty"], ["0/1"]),
        (["--since", "2h"], ["0/2", "0/1"]),
        (["--since", "1d"], ["0/0", "0/2", "0/1"]),
        (["--since", "60s"], ["0/1"]),
        (["--since", hour_ago], ["0/2", "0/1"]),
        (["--since", "2h", "--reason", "NOT_JSON"], ["0/2"]),
    ):
        listed = orjson.loads((await shop.run("list", "--json", *args)).stdout)
        assert [it["address"] for it in listed["letters"]] == expected, args
        assert sum(listed["counts"].values()) == len(expected)


async def test_the_list_as_json(shop: Shop) -> None:
    before_ms = Clock().now_ms()
    await shop.write(letter(b"12345", source=(1, 44)))
    (shown,) = orjson.loads((await shop.run("list", "--json")).stdout)["letters"]
    assert shown.pop("time") >= iso_utc_ms(before_ms)
    assert shown == {
        "address": "0/0",
        "topic": "customer-identified",
        "partition": 1,
        "offset": 44,
        "reason": "NOT_JSON",
        "error": "the message is not JSON",
        "size": 5,
        "size_before_cut": None,
    }


async def test_a_record_that_posstream_did_not_write_is_listed_and_not_replayed(
    shop: Shop,
) -> None:
    strange = [("posstream.dlq.topic", b"t"), ("posstream.dlq.partition", b"-1"), ("other", b"")]
    await shop.write(
        Record(topics.DEAD_LETTERS, None, b"x", partition=0),
        Record(topics.DEAD_LETTERS, None, b"x", strange, partition=0),
    )
    listed = await shop.run("list")
    assert listed.stdout.splitlines()[-1] == "2 dead letters: 2 ?"
    replayed = await shop.run("replay", "--all")
    assert (replayed.exit_code, replayed.stdout.splitlines()) == (
        0,
        [
            "2 skipped, because a replay cannot succeed; name one to replay it anyway:",
            "     2  it does not say where it came from: posstream did not write it",
            "no dead letters to replay",
        ],
    )


async def test_the_letter_shown_is_the_one_asked_for_with_its_value(shop: Shop) -> None:
    await shop.write(letter(b"first"), letter(b"second\nline", source=(1, 3)), letter(b"third"))
    shown = await shop.run("show", "0/1")
    assert shown.exit_code == 0
    assert "source   customer-identified/1/3\n" in shown.stdout
    assert "reason   NOT_JSON\n" in shown.stdout
    assert shown.stdout.endswith("value    11 bytes\n    second\n    line\n")
    assert KEY.decode() not in shown.stdout


@pytest.mark.parametrize("address", ["0/1", "0/99", "1/0", "7/0"])
async def test_an_address_without_a_letter_is_said_and_exits_1(shop: Shop, address: str) -> None:
    await shop.write(letter())
    for command in ("show", "replay"):
        shown = await shop.run(command, address)
        assert (shown.exit_code, shown.stdout) == (1, f"there is no dead letter {address}\n")


async def test_a_value_cannot_drive_the_terminal(shop: Shop) -> None:
    await shop.write(
        letter("\x1b[2J\x1b]0;t\x07 \x9b31m \u202eabc \r é".encode(), error="\x1b[31m no"),
    )
    shown = (await shop.run("show", "0/0")).stdout
    listed = (await shop.run("list")).stdout
    assert "    \\x1b[2J\\x1b]0;t\\x07 \\x9b31m \\u202eabc \\r é\n" in shown
    assert "error    \\x1b[31m no\n" in shown
    assert all(c.isprintable() or c == "\n" for c in shown + listed)


async def test_a_value_that_is_no_text_is_shown_in_hex(shop: Shop) -> None:
    await shop.write(letter(b"\xff\x00\x1b" + bytes(1000)))
    lines = (await shop.run("show", "0/0")).stdout.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("value "))
    assert lines[start : start + 2] == ["value    1003 bytes", "    ff 00 1b" + " 00" * 13]
    assert lines[-1] == "    … 747 bytes more"


async def test_a_letter_without_value_or_with_a_cut_one_says_so(shop: Shop) -> None:
    await shop.write(letter(None), letter(b"x" * (MAX_DEAD_VALUE + 5)))
    assert (await shop.run("show", "0/0")).stdout.endswith("value    none\n")
    shown = (await shop.run("show", "0/1")).stdout
    assert f"{MAX_DEAD_VALUE} bytes, cut from {MAX_DEAD_VALUE + 5}\n" in shown
    assert len(shown) < 70_000


async def test_a_replay_writes_key_and_value_as_they_are_to_where_they_came_from(
    shop: Shop,
) -> None:
    values = [b'{"event_id": "a"}', b'{"event_id": "b"}', b"\xff"]
    addresses = await shop.set_aside(*values)
    assert addresses == ["0/0", "0/1", "0/2"]
    replayed = await shop.run("replay", "0/2", "0/0", "--yes")
    assert replayed.exit_code == 0
    assert replayed.stdout.splitlines() == [
        "0/0 replayed as customer-identified/1/3",
        "0/2 replayed as customer-identified/1/4",
    ]
    assert await shop.replays() == [(1, KEY, values[0], "0/0"), (1, KEY, values[2], "0/2")]


async def test_a_letter_of_the_other_source_goes_back_to_that_one(shop: Shop) -> None:
    await shop.set_aside(b"changed", topic=topics.CUSTOMER_UPDATED)
    replayed = await shop.run("replay", "0/0")
    assert (replayed.exit_code, replayed.stdout) == (0, "0/0 replayed as customer-updated/1/1\n")
    assert await shop.replays(topics.CUSTOMER_UPDATED) == [(1, KEY, b"changed", "0/0")]
    assert await shop.replays(topics.CUSTOMER_IDENTIFIED) == []


async def test_a_replay_says_when_the_message_was_first_written(shop: Shop) -> None:
    (first,) = await shop.write(letter(b"changed", source=(1, 0), age_ms=10 * 86_400_000))
    await shop.run("replay", first)
    (dead,), (replayed,) = (
        await shop.read(topics.DEAD_LETTERS),
        await shop.read(topics.CUSTOMER_IDENTIFIED),
    )
    name = "posstream.dlq.timestamp"
    assert dict(replayed.headers)[name] == dict(dead.headers)[name]


async def test_what_was_replayed_is_not_replayed_twice_unless_asked_for(shop: Shop) -> None:
    await shop.set_aside(ONE, TWO)
    # A foreign record between them whose header name is no UTF-8 must not end the search.
    await send_with_header(shop, topics.CUSTOMER_IDENTIFIED, b"x", b"\xff", partition=1)
    await shop.run("replay", "0/1")
    replayed = await shop.run("replay", "--all")
    assert replayed.exit_code == 0
    assert replayed.stdout.splitlines() == [
        "0/1 was replayed before, as customer-identified/1/3: see --again",
        "0/0 replayed as customer-identified/1/4",
    ]
    nothing = await shop.run("replay", "--all")
    assert (nothing.exit_code, nothing.stdout.count("was replayed before")) == (0, 2)
    again = await shop.run("replay", "0/1", "--again")
    assert (again.exit_code, again.stdout) == (0, "0/1 replayed as customer-identified/1/5\n")


async def test_a_replay_of_another_letter_that_lay_at_the_same_address_does_not_count(
    shop: Shop,
) -> None:
    await shop.set_aside(b"1")
    headers = [(REPLAYED_FROM, b"0/0"), (FIRST_WRITTEN, b"1700000000000")]
    await shop.write(Record(topics.CUSTOMER_IDENTIFIED, KEY, b"0", headers, partition=1))
    replayed = await shop.run("replay", "0/0")
    assert (replayed.exit_code, replayed.stdout) == (
        0,
        "0/0 replayed as customer-identified/1/2\n",
    )


async def test_more_than_one_is_replayed_only_after_a_yes(shop: Shop) -> None:
    await shop.set_aside(ONE, TWO)
    refused = await shop.run("replay", "--all", answer="n\n")
    assert refused.exit_code == 1
    assert "Replay 2 dead letters?" in refused.stderr
    assert await shop.replays() == []
    agreed = await shop.run("replay", "--all", answer="y\n")
    assert agreed.exit_code == 0
    assert len(await shop.replays()) == 2


async def test_a_dry_run_replays_nothing(shop: Shop) -> None:
    await shop.set_aside(ONE, TWO)
    told = await shop.run("replay", "--all", "--dry-run")
    assert (told.exit_code, told.stdout.splitlines()) == (
        0,
        [f"0/{n} would be replayed to customer-identified/1" for n in range(2)],
    )
    assert await shop.replays() == []


async def test_a_replay_by_reason_takes_no_other(shop: Shop) -> None:
    await shop.write(
        letter(b"one"),
        letter(b"two", reason=DeadLetterReason.INVALID_FIELD),
        letter(b"three"),
    )
    replayed = await shop.run("replay", "--reason", "INVALID_FIELD")
    assert replayed.exit_code == 0
    assert [(value, origin) for _, _, value, origin in await shop.replays()] == [(b"two", "0/1")]


async def test_what_cannot_be_replayed_is_refused_with_a_sentence_and_the_rest_goes_on(
    shop: Shop,
) -> None:
    await shop.write(
        letter(b"x" * (MAX_DEAD_VALUE + 5)),
        letter(topic=topics.REKEYED),
        letter(topic=PLUGIN_CONFIGURATION),
        letter(None, reason=DeadLetterReason.TOMBSTONE),
        letter(source=(2, 0)),
        letter(b"good"),
    )
    replayed = await shop.run("replay", *[f"0/{n}" for n in range(6)], "--yes")
    assert replayed.exit_code == 1
    lines = replayed.stdout.splitlines()
    most, size = MAX_DEAD_VALUE, MAX_DEAD_VALUE + 5
    takes = "replays go to customer-identified and customer-updated"
    assert lines == [
        f"0/0 is not replayed: its value was cut: {most} of {size} bytes are left",
        f"0/1 is not replayed: {topics.REKEYED} is internal; {takes}",
        f"0/2 is not replayed: plugin-configuration is not consumed by posstream; {takes}",
        "0/3 is not replayed: it has no value",
        "0/4 is not replayed: customer-identified has no partition 2",
        "0/5 replayed as customer-identified/1/0",
    ]
    assert await shop.replays() == [(1, KEY, b"good", "0/5")]
    assert await shop.read(PLUGIN_CONFIGURATION) == []


async def test_all_leaves_out_what_cannot_succeed_and_says_why(shop: Shop) -> None:
    cut = letter(b"x" * (MAX_DEAD_VALUE + 5))
    await shop.write(letter(b"{"), letter(ONE), letter(b"{"), letter(b'{"basket_id": 1}'), cut)
    skipped = [
        "4 skipped, because a replay cannot succeed; name one to replay it anyway:",
        f"     1  its value was cut: {MAX_DEAD_VALUE} of {MAX_DEAD_VALUE + 5} bytes are left",
        "     2  it still cannot be read (NOT_JSON)",
        "     1  it still cannot be read (INVALID_FIELD)",
    ]
    replayed = await shop.run("replay", "--all", "--yes")
    assert replayed.exit_code == 0
    *told, last = replayed.stdout.splitlines()
    assert sorted(told) == sorted(skipped)
    assert last == "0/1 replayed as customer-identified/1/0"
    named = await shop.run("replay", "0/0")
    assert named.stdout == "0/0 replayed as customer-identified/1/1\n"


async def test_a_replay_says_what_came_of_it(shop: Shop, tmp_path: Path) -> None:
    await shop.set_aside(ONE, TWO, b"{", ONE)
    await shop.run("replay", "0/0", "0/1", "0/2", "--yes")
    await shop.write(letter(b"{", source=(1, 6)))
    answered = derived("one")
    url = f"sqlite+aiosqlite:///{tmp_path / 'posstream.sqlite3'}"
    engine = create_engine(url)
    await upgrade(engine, find_plugins())
    await SqlProjection(engine).apply([found("e1", lookup_id=answered)])
    await engine.dispose()
    environment = {"POSSTREAM_DATABASE_URL": url}
    listed = await shop.run("list", "--replays", "--json", environment=environment)
    states = {it["address"]: it["replay"] for it in orjson.loads(listed.stdout)["letters"]}
    assert {address: it and it["state"] for address, it in states.items()} == {
        "0/0": "ANSWERED",
        "0/1": "NOT_READ_YET",
        "0/2": "FAILED_AGAIN",
        "0/3": None,
        "0/4": None,
    }
    assert states["0/0"]["event_id"] == answered
    assert states["0/2"]["letter"] == "0/4"
    shown = await shop.run("show", "0/0", environment=environment)
    place = "customer-identified/1/4"
    assert f"replay   {place}, answered API: {answered} of basket basket_1\n" in shown.stdout
    text = await shop.run("list", "--replays", environment=environment)
    assert "failed again, as 0/4" in text.stdout
    # A message whose offset its plugin has committed was read.
    tp = aiokafka.TopicPartition(topics.CUSTOMER_IDENTIFIED, 1)
    async with aiokafka.AIOKafkaConsumer(
        bootstrap_servers=shop.servers, group_id=PLUGIN.consumer_group, enable_auto_commit=False
    ) as consumer:
        consumer.assign([tp])
        await consumer.commit({tp: 7})
    shown = await shop.run("show", "0/1", environment=environment)
    assert f"replay   customer-identified/1/5, read: {derived('two')} of" in shown.stdout


async def test_reading_dead_letters_makes_no_topic_and_says_where_they_are(tmp_path: Path) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        listed = await Shop(broker.address, None).run("list", "--replays")
        assert f"reading the broker {broker.address}\n" in listed.stderr
        async with administering([broker.address]) as admin:
            assert await admin.list_topics() == []
    finally:
        broker.stop()


@pytest.mark.parametrize(
    "args",
    [
        ["replay"],
        ["replay", "0/1", "--all"],
        ["replay", "--all", "--reason", "EMPTY"],
        ["replay", "0-1"],
        ["replay", "--reason", "NOPE"],
        ["show"],
        ["show", "1"],
        ["show", "0/-1"],
        ["list", "--since", "yesterday"],
        ["list", "--limit", "0"],
    ],
    ids=" ".join,
)
async def test_wrong_usage_exits_2_before_any_broker_is_asked(args: list[str]) -> None:
    used = await Shop(f"127.0.0.1:{free_port()}", None).run(*args)
    assert used.exit_code == 2
    assert "Usage:" in used.stderr


# -- several plugins


async def test_the_letters_of_all_plugins_are_listed_shown_and_replayed(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    box = DeadLetterBox([shop.servers], [other_plugin(), PLUGIN])
    await shop.set_aside(ONE)
    await shop.write(Record(POS_EVENTS, KEY, b"[1]", partition=1))
    await shop.write(letter(b"[1]", topic=POS_EVENTS, into=OTHER_LETTERS, at=1))
    assert await list_letters(box, reason=None, since_ms=None, limit=9, as_json=True) == 0
    listed = orjson.loads(capsys.readouterr().out)
    assert [it["address"] for it in listed["letters"]] == ["0/0", "pos-events.dlq/1/0"]
    assert listed["counts"] == {"NOT_JSON": 2}
    address = Address(1, 0, OTHER_LETTERS)
    assert await show_letter(box, address) == 0
    assert "source   pos-events/1/0" in capsys.readouterr().out
    said = {"dry_run": False, "again": False}
    assert await replay(box, Selection(), **said, confirm=lambda _: True) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "0/0 replayed as customer-identified/1/1",
        "pos-events.dlq/1/0 replayed as pos-events/1/1",
    ]
    assert await replay(box, Selection([address]), **said, confirm=lambda _: True) == 0
    assert capsys.readouterr().out == (
        "pos-events.dlq/1/0 was replayed before, as pos-events/1/1: see --again\n"
    )
