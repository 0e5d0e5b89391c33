"""The box of dead letters as a worker has it, on an embedded broker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.customer_lookup import PLUGIN, topics
from posstream.dead_letters import box as dead_letter_topic
from posstream.dead_letters.box import DeadLetterBox, Selection
from posstream.dead_letters.letter import (
    Address,
    NotReplayed,
    Prospect,
    Replayed,
    Replays,
    Source,
)
from posstream.dead_letters.record import MAX_DEAD_VALUE
from posstream.domain.errors import BrokerUnreachable
from posstream.kafka.record import Record
from tests.component.other_plugin import DEAD_LETTERS as OTHER_LETTERS
from tests.component.other_plugin import POS_EVENTS, other_plugin
from tests.component.test_dlq import KEY, REPLAYED_FROM, Shop, letter, running_shop
from tests.integration.harness import free_port

#: The customer lookup has the short addresses; the other plugin reads baskets.
PLUGINS = (other_plugin(), PLUGIN)
IDENTIFIED = topics.CUSTOMER_IDENTIFIED


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with running_shop(tmp_path) as shop:
        yield shop


@pytest.fixture
def box(shop: Shop) -> DeadLetterBox:
    return DeadLetterBox([shop.servers], PLUGINS)


async def test_the_newest_letters_of_all_partitions_come_newest_first(
    shop: Shop, box: DeadLetterBox
) -> None:
    await shop.write(letter(age_ms=2000), letter(age_ms=1000, at=1), letter(age_ms=0))
    found = await box.newest()
    assert [str(it.address) for it in found.letters] == ["0/1", "1/0", "0/0"]
    assert (found.has_older, found.missing) == (False, None)


async def test_without_letters_the_list_is_empty(box: DeadLetterBox) -> None:
    found = await box.newest()
    assert (list(found.letters), found.has_older, found.missing) == ([], False, None)


async def test_no_more_letters_are_read_than_may_be(shop: Shop, box: DeadLetterBox) -> None:
    most = dead_letter_topic.MOST_LETTERS
    total = 2 * most
    await shop.write(*[letter(b"", age_ms=total - n, at=n % 2) for n in range(total)])
    found = await box.newest()
    assert len(found.letters) == most
    assert found.has_older
    offsets = {it.address.offset for it in found.letters}
    assert offsets == set(range(total // 2 - most // 2, total // 2))


async def test_one_letter_comes_whole(shop: Shop, box: DeadLetterBox) -> None:
    await shop.write(letter(b"first"), letter(b"second"))
    found = await box.find(Address(0, 1))
    assert found is not None
    assert (found.key, found.value) == (KEY, b"second")
    assert ("posstream.dlq.reason", b"NOT_JSON") in found.headers
    assert await box.find(Address(0, 9)) is None


async def test_a_replay_is_foretold_done_and_found_again(shop: Shop, box: DeadLetterBox) -> None:
    (place,) = await shop.set_aside(b"not json")
    address = Address.parse(place)
    assert address is not None
    assert await box.prospect(address) == Prospect(address, Source(IDENTIFIED, 1, 0))
    done = await box.replay(address)
    assert done == Replayed(address, Source(IDENTIFIED, 1, 1))
    assert await shop.replays() == [(1, KEY, b"not json", place)]
    assert await box.prospect(address) == Prospect(
        address, Source(IDENTIFIED, 1, 0), before=Source(IDENTIFIED, 1, 1)
    )


async def test_what_cannot_be_replayed_says_why(shop: Shop, box: DeadLetterBox) -> None:
    await shop.write(letter(b"x" * (MAX_DEAD_VALUE + 1)))
    for judged in (await box.prospect(Address(0, 0)), await box.replay(Address(0, 0))):
        assert isinstance(judged, NotReplayed)
        assert "its value was cut" in judged.why
    gone = NotReplayed(Address(0, 5), "it is gone by now")
    assert await box.prospect(Address(0, 5)) == await box.replay(Address(0, 5)) == gone


async def test_where_too_much_came_since_nobody_knows_of_an_earlier_replay(
    shop: Shop, box: DeadLetterBox
) -> None:
    (place,) = await shop.set_aside(b"not json")
    address = Address.parse(place)
    assert address is not None
    many = dead_letter_topic.MOST_SEARCHED + 1
    await shop.write(*[Record(IDENTIFIED, None, b"", partition=1) for _ in range(many)])
    headers = ((REPLAYED_FROM, place.encode()),)
    await shop.write(Record(IDENTIFIED, KEY, b"not json", headers, partition=1))
    judged = await box.prospect(address)
    assert judged == Prospect(address, Source(IDENTIFIED, 1, 0), is_known=False)
    survey = await box.survey(Selection([address]), look_back=True)
    assert survey.prospects == [judged]
    assert await box.replays((await box.newest()).letters) == Replays({}, is_known=False)


async def test_a_broker_that_is_away_or_slow_is_one_error() -> None:
    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    held: list[asyncio.StreamWriter] = []
    away = DeadLetterBox([f"127.0.0.1:{free_port()}"], PLUGINS)
    with pytest.raises(BrokerUnreachable, match="does not answer"):
        await away.newest()
    async with await asyncio.start_server(hold, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        slow = DeadLetterBox([f"127.0.0.1:{port}"], PLUGINS, patience_seconds=0.2)
        for ask in (slow.newest, lambda: slow.find(Address(0, 0))):
            with pytest.raises(BrokerUnreachable, match=r"within 0\.2 s"):
                await ask()
        for writer in held:
            writer.close()


async def test_the_letters_of_all_plugins_are_listed_and_those_of_another_name_their_topic(
    shop: Shop, box: DeadLetterBox
) -> None:
    await shop.write(letter(age_ms=1000), letter(topic=POS_EVENTS, into=OTHER_LETTERS))
    found = await box.newest()
    assert [str(it.address) for it in found.letters] == ["pos-events.dlq/0/0", "0/0"]


async def test_a_letter_is_replayed_to_a_topic_of_its_own_plugin_only(
    shop: Shop, box: DeadLetterBox
) -> None:
    source = (await shop.write(Record(POS_EVENTS, KEY, b"{}", partition=1)))[0]
    assert source == "1/0"
    await shop.write(letter(b"{}", topic=POS_EVENTS, into=OTHER_LETTERS))
    await shop.set_aside(b"not json", topic=POS_EVENTS)
    address = box.address("pos-events.dlq/0/0")
    assert address is not None
    assert await box.replay(address) == Replayed(address, Source(POS_EVENTS, 1, 2))
    assert [it[1:] for it in await shop.replays(POS_EVENTS)] == [(KEY, b"{}", "pos-events.dlq/0/0")]
    foreign = await box.prospect(Address(0, 0))
    assert isinstance(foreign, NotReplayed)
    assert foreign.why == (
        "pos-events is not consumed by posstream; replays go to customer-identified and "
        "customer-updated"
    )


async def test_a_topic_that_holds_no_dead_letters_has_no_address(box: DeadLetterBox) -> None:
    assert box.address("customer-identified/0/0") is None
    assert box.address("customer-identified.dlq/0/7") == Address(0, 7)
