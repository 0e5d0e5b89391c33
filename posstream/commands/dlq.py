"""`posstream dlq`: list the dead letters, show one, replay some."""

import heapq
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiokafka
import orjson
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from posstream.commands.dead_letters import (
    REPLAYED_FROM,
    Address,
    Letter,
    Source,
    read_letter,
    replayed_from,
    why_not_replayed,
)
from posstream.commands.terminal import print_table, printable
from posstream.commands.topic_reader import TopicReader, topic_reader
from posstream.domain.payment_card import mask
from posstream.domain.times import iso_utc_ms
from posstream.settings import Settings
from posstream.topics import DEAD_LETTER_MAX_BYTES, DEAD_LETTERS

#: How much of a value is shown: of text in characters, of anything else in bytes.
_SHOWN_TEXT: Final = 64 * 1024
_SHOWN_BYTES: Final = 256
_BYTES_PER_LINE: Final = 16
_SHOWN_ERROR: Final = 200


# -- list


async def list_letters(
    settings: Settings, *, reason: str | None, since_ms: int | None, limit: int, as_json: bool
) -> int:
    """Print the newest dead letters, the newest last, and how many there are for each reason.

    Args:
        settings: where the broker is.
        reason: only these.
        since_ms: only of messages that were written since, in milliseconds since 1970.
        limit: how many at most; all are counted.
        as_json: one JSON document instead of a table.

    Returns:
        0.
    """
    newest: list[tuple[int, Address, Letter]] = []
    counts: Counter[str] = Counter()
    async with topic_reader(settings.bootstrap_servers) as reader:
        async for message in reader.records(DEAD_LETTERS):
            letter = read_letter(message)
            if reason not in {None, letter.reason}:
                continue
            if since_ms is not None and letter.timestamp_ms < since_ms:
                continue
            counts[letter.reason] += 1
            heapq.heappush(newest, (letter.timestamp_ms, letter.address, letter))
            if len(newest) > limit:
                heapq.heappop(newest)
    letters = [letter for _, _, letter in sorted(newest)]
    if as_json:
        document = {"letters": [_document(it) for it in letters], "counts": dict(counts)}
        print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    else:
        if letters:
            print_table(
                ("ADDRESS", "TIME", "SOURCE", "REASON", "ERROR"), [_row(it) for it in letters]
            )
        _print_summary(counts, len(letters))
    return 0


def _row(letter: Letter) -> tuple[str, ...]:
    return (
        str(letter.address),
        iso_utc_ms(letter.timestamp_ms),
        printable(str(letter.source or "?")),
        printable(letter.reason or "?"),
        printable(letter.error[:_SHOWN_ERROR]),
    )


def _print_summary(counts: Mapping[str, int], shown: int) -> None:
    total = sum(counts.values())
    if not total:
        print("no dead letters")
        return
    by_reason = sorted(counts.items(), key=lambda it: (-it[1], it[0]))
    each = ", ".join(f"{count} {printable(reason or '?')}" for reason, count in by_reason)
    print(
        f"{total} dead letter{'s' if total > 1 else ''}: {each}"
        + (f"; the newest {shown} are shown" if shown < total else "")
    )


def _document(letter: Letter) -> dict[str, Any]:
    source = letter.source
    return {
        "address": str(letter.address),
        "time": iso_utc_ms(letter.timestamp_ms),
        "topic": source and source.topic,
        "partition": source and source.partition,
        "offset": source and source.offset,
        "reason": letter.reason,
        "error": letter.error,
        "size": letter.size,
        "size_before_cut": letter.size_before_cut,
    }


# -- show


async def show_letter(settings: Settings, address: Address) -> int:
    """Print one dead letter, its value too.

    Returns:
        0, or 1 if there is none at this address.
    """
    async with topic_reader(settings.bootstrap_servers) as reader:
        message = await _at(reader, address)
    if message is None:
        print(f"there is no dead letter {address}")
        return 1
    letter = read_letter(message)
    key = "none" if message.key is None else mask(message.key.decode(errors="replace"))
    size = "none" if letter.size is None else f"{letter.size} bytes"
    cut = "" if letter.size_before_cut is None else f", cut from {letter.size_before_cut}"
    lines = {
        "address": str(address),
        "time": iso_utc_ms(letter.timestamp_ms),
        "source": str(letter.source or "?"),
        "reason": letter.reason or "?",
        "error": letter.error,
        "key": key,
        "value": size + cut,
    }
    for name, text in lines.items():
        print(f"{name:8} {printable(text)}")
    if message.value is not None:
        print(_shown(message.value))
    return 0


async def _at(reader: TopicReader, address: Address) -> Any:
    async for message in reader.records(DEAD_LETTERS, {address.partition: address.offset}):
        return message if message.offset == address.offset else None
    return None


def _shown(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        shown = value[:_SHOWN_BYTES]
        rows = (shown[at : at + _BYTES_PER_LINE] for at in range(0, len(shown), _BYTES_PER_LINE))
        lines = [row.hex(" ") for row in rows]
        rest = f"{len(value) - len(shown)} bytes more" if len(value) > len(shown) else ""
    else:
        lines = printable(text[:_SHOWN_TEXT], lines=True).split("\n")
        rest = f"{len(text) - _SHOWN_TEXT} characters more" if len(text) > _SHOWN_TEXT else ""
    # Indented: no line of the value can be taken for one of ours.
    return "\n".join(f"    {line}" for line in (*lines, *([f"… {rest}"] if rest else [])))


# -- replay


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters: those at `addresses`, or those with `reason`, or, with neither, all."""

    addresses: Sequence[Address] = ()
    reason: str | None = None

    @property
    def starts(self) -> dict[int, int] | None:
        """Where to start reading in each partition; None: everywhere."""
        if not self.addresses:
            return None
        # The lowest offset of a partition is the last one to be set.
        return dict(sorted(self.addresses, reverse=True))

    def has(self, letter: Letter) -> bool:
        """Whether it is one of them."""
        if self.addresses:
            return letter.address in self.addresses
        return self.reason in {None, letter.reason}


@dataclass(frozen=True, slots=True)
class _Plan:
    #: The letters to replay, and where each goes.
    chosen: Mapping[Address, Source]
    #: A sentence for each that is not replayed, and whether that is as it should be.
    others: Sequence[tuple[bool, str]]


async def replay(
    settings: Settings,
    selection: Selection,
    *,
    dry_run: bool,
    again: bool,
    confirm: Callable[[str], bool],
) -> int:
    """Write dead letters once more to where they came from, and print a line for each.

    Args:
        settings: where the broker is.
        selection: which.
        dry_run: say only what would be done.
        again: also those that were replayed before.
        confirm: asked before more than one is replayed.

    Returns:
        0 if each was replayed, now or before; 1 if one was not.
    """
    async with topic_reader(settings.bootstrap_servers) as reader:
        plan = await _plan(reader, selection, again=again)
    passed = all(good for good, _ in plan.others)
    for _, sentence in plan.others:
        print(sentence)
    if not plan.chosen and not plan.others:
        print("no dead letters to replay")
    elif dry_run:
        for address, source in plan.chosen.items():
            print(f"{address} would be replayed to {_place(source)}")
    elif plan.chosen:
        if len(plan.chosen) > 1 and not confirm(f"Replay {len(plan.chosen)} dead letters?"):
            print("nothing was replayed")
            return 1
        passed = await _replay(settings, plan.chosen) and passed
    return 0 if passed else 1


async def _plan(reader: TopicReader, selection: Selection, *, again: bool) -> _Plan:
    found: dict[Address, Source] = {}
    others: list[tuple[bool, str]] = []
    missing = set(selection.addresses)
    async for letter in _letters(reader, selection):
        missing.discard(letter.address)
        source = letter.source
        why = why_not_replayed(letter, reader.partitions(source.topic) if source else ())
        if why is None and source is not None:
            found[letter.address] = source
        else:
            others.append((False, f"{letter.address} is not replayed: {printable(why or '?')}"))
    others.extend((False, f"there is no dead letter {address}") for address in sorted(missing))
    if not again:
        for address, place in (await _replayed(reader, found)).items():
            if found.pop(address, None) is not None:
                others.append((True, f"{address} was replayed before, as {place}: see --again"))
    return _Plan(found, others)


async def _letters(reader: TopicReader, selection: Selection) -> AsyncIterator[Letter]:
    async for message in reader.records(DEAD_LETTERS, selection.starts):
        letter = read_letter(message)
        if selection.has(letter):
            yield letter


async def _replayed(reader: TopicReader, found: Mapping[Address, Source]) -> dict[Address, Source]:
    """Which letters were replayed before, and as what.

    A replay goes to the partition that its message came from, so it lies behind it there.
    """
    starts: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for source in found.values():
        behind = source.offset + 1
        lowest = starts[source.topic].get(source.partition, behind)
        starts[source.topic][source.partition] = min(lowest, behind)
    replays = {}
    for topic, offsets in starts.items():
        async for message in reader.records(topic, offsets):
            address = replayed_from(message.headers)
            if address is not None:
                replays[address] = Source(topic, message.partition, message.offset)
    return replays


async def _replay(settings: Settings, chosen: Mapping[Address, Source]) -> bool:
    """Replay them; whether the broker took each."""
    passed, left = True, dict(chosen)
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        acks="all",
        max_request_size=DEAD_LETTER_MAX_BYTES,
    )
    # The values are read again and not kept: they may be many and large.
    async with topic_reader(settings.bootstrap_servers) as reader:
        try:
            await producer.start()
            async for message in reader.records(DEAD_LETTERS, Selection(list(chosen)).starts):
                address = Address(message.partition, message.offset)
                source = left.pop(address, None)
                if source is not None:
                    passed = await _send(producer, message, address, source) and passed
        finally:
            await producer.stop()
    for address in left:
        print(f"{address} is not replayed: it is gone by now")
    return passed and not left


async def _send(
    producer: aiokafka.AIOKafkaProducer, message: Any, address: Address, source: Source
) -> bool:
    timestamp_ms = read_letter(message).timestamp_ms
    try:
        sent = await producer.send_and_wait(
            source.topic,
            message.value,
            key=message.key,
            partition=source.partition,
            timestamp_ms=timestamp_ms,  # an event without occurred_at happened then, not now
            headers=[(REPLAYED_FROM, str(address).encode())],
        )
    except (KafkaConnectionError, KafkaTimeoutError):
        raise  # the others would not be taken either
    except KafkaError as why:
        print(f"{address} is not replayed: the broker refused it ({type(why).__name__})")
        return False
    print(f"{address} replayed as {Source(source.topic, source.partition, sent.offset)}")
    return True


def _place(source: Source) -> str:
    return f"{source.topic}/{source.partition}"
