"""`posstream dlq`: list the dead letters of all plugins, show one, replay some."""

import dataclasses
import heapq
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, Final

import click

from posstream.commands.group import CommandGroup
from posstream.commands.moment import MOMENT
from posstream.commands.progress import Progress
from posstream.commands.running import (
    JSON_OPTION,
    confirmed,
    print_json,
    print_table,
    read_settings,
    run,
    tell_broker,
)
from posstream.dead_letters.box import DeadLetterBox, Selection, Survey
from posstream.dead_letters.letter import (
    Address,
    Letter,
    NotReplayed,
    Replay,
    Replayed,
    Source,
    WholeLetter,
)
from posstream.domain.errors import DatabaseUnusable, DeadLetterReason
from posstream.domain.payment_card import mask
from posstream.domain.printable import printable
from posstream.domain.times import iso_utc_ms, to_ms
from posstream.plugins.discovery import find_plugins

#: How much of a value is shown: of text in characters, of anything else in bytes.
_SHOWN_TEXT: Final = 64 * 1024
_SHOWN_BYTES: Final = 256
_BYTES_PER_LINE: Final = 16
_SHOWN_ERROR: Final = 200

_REASON: Final = click.Choice([str(reason) for reason in DeadLetterReason], case_sensitive=False)
#: How many reasons for skipping letters are told.
_TOLD_REASONS: Final = 20


@click.group("dlq", cls=CommandGroup)
def command() -> None:
    """List, show and replay dead letters: the messages that could not be read.

    A dead letter's ADDRESS is PARTITION/OFFSET on the dead-letter topic of the default plugin, and
    TOPIC/PARTITION/OFFSET on that of another plugin.
    """


# -- list


@command.command("list")
@click.option("--reason", type=_REASON, help="Only those with this reason.")
@click.option(
    "--since", type=MOMENT, help="Only those written since then: 2h, 30m, 7d, or an ISO-8601 time."
)
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(min=1), help="How many to show."
)
@click.option("--replays", is_flag=True, help="Show what came of each replay; takes longer.")
@JSON_OPTION
def _list(
    reason: str | None, since: datetime | None, limit: int, *, replays: bool, as_json: bool
) -> None:
    """List the newest dead letters, the newest last, and count them by reason."""
    run(
        _boxed(
            lambda box: list_letters(
                box,
                reason=reason,
                since_ms=None if since is None else to_ms(since),
                limit=limit,
                replays=replays,
                as_json=as_json,
            ),
            answers=replays,
        )
    )


async def list_letters(  # noqa: PLR0913 - one for each option
    box: DeadLetterBox,
    *,
    reason: str | None,
    since_ms: int | None,
    limit: int,
    replays: bool = False,
    as_json: bool,
) -> int:
    """Print the newest dead letters, the newest last, and how many there are for each reason.

    Args:
        box: the dead letters.
        reason: only these.
        since_ms: only of messages that were written since, in milliseconds since 1970.
        limit: how many at most; all are counted.
        replays: say what came of each that was replayed.
        as_json: one JSON document instead of a table.

    Returns:
        0.
    """
    newest: list[tuple[int, Address, Letter]] = []
    counts: Counter[str] = Counter()
    async for letter in box.letters():
        if reason not in {None, letter.reason}:
            continue
        if since_ms is not None and letter.timestamp_ms < since_ms:
            continue
        counts[letter.reason] += 1
        heapq.heappush(newest, (letter.timestamp_ms, letter.address, letter))
        if len(newest) > limit:
            heapq.heappop(newest)
    letters = [letter for _, _, letter in sorted(newest)]
    found = (await box.replays(letters)).found if replays else {}
    if as_json:
        documents = [
            {
                **_document(it),
                **({"replay": _replay_document(found.get(it.address))} if replays else {}),
            }
            for it in letters
        ]
        print_json({"letters": documents, "counts": dict(counts)})
    else:
        if letters:
            _print_letters(letters, found if replays else None)
        _print_summary(counts, len(letters))
    return 0


def _print_letters(letters: Sequence[Letter], replays: Mapping[Address, Replay] | None) -> None:
    shown = () if replays is None else ("REPLAY",)
    print_table(
        ("ADDRESS", "TIME", "SOURCE", "REASON", *shown, "ERROR"),
        [
            (
                str(it.address),
                iso_utc_ms(it.timestamp_ms),
                printable(str(it.source or "?")),
                printable(it.reason or "?"),
                *(() if replays is None else (printable(str(replays.get(it.address, "-"))),)),
                printable(it.error[:_SHOWN_ERROR]),
            )
            for it in letters
        ],
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


@command.command("show")
@click.argument("address")
@JSON_OPTION
def _show(address: str, *, as_json: bool) -> None:
    """Show the dead letter at ADDRESS with its value, which may name a customer.

    With what came of its replay, if it was replayed. Exits with 1 if there is none.
    """
    (found,) = _addresses([address])
    run(_boxed(lambda box: show_letter(box, found, as_json=as_json), answers=True))


async def show_letter(box: DeadLetterBox, address: Address, *, as_json: bool = False) -> int:
    """Print one dead letter, its value too.

    Returns:
        0, or 1 if there is none at this address.
    """
    found = await box.find(address)
    if found is None:
        print(f"there is no dead letter {address}")
        return 1
    letter = found.letter
    replay = (await box.replays([letter])).found.get(letter.address)
    if as_json:
        print_json({**_document(letter), "replay": _replay_document(replay), **_content(found)})
        return 0
    key = "none" if found.key is None else mask(found.key.decode(errors="replace"))
    size = "none" if letter.size is None else f"{letter.size} bytes"
    cut = "" if letter.size_before_cut is None else f", cut from {letter.size_before_cut}"
    lines = {
        "address": str(address),
        "time": iso_utc_ms(letter.timestamp_ms),
        "source": str(letter.source or "?"),
        "reason": letter.reason or "?",
        "error": letter.error,
        **({} if replay is None else {"replay": f"{replay.place}, {replay}"}),
        "key": key,
        "value": size + cut,
    }
    for name, text in lines.items():
        print(f"{name:8} {printable(text)}")
    if found.value is not None:
        print(_shown(found.value))
    return 0


def _content(found: WholeLetter) -> dict[str, Any]:
    """Key and value: text, or in hexadecimal digits where it is none."""
    value = found.value or b""
    try:
        text, raw = value.decode(), None
    except UnicodeDecodeError:
        text, raw = None, value.hex()
    return {
        "key": None if found.key is None else mask(found.key.decode(errors="replace")),
        "value": None if found.value is None else text,
        "value_hex": raw,
    }


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


@command.command("replay")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option("--reason", type=_REASON, help="All those with this reason.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--dry-run", is_flag=True, help="Say what would be replayed, and replay nothing.")
@click.option("--again", is_flag=True, help="Also those that were replayed before.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def _replay(  # noqa: PLR0913 - one for each option
    addresses: tuple[str, ...],
    reason: str | None,
    *,
    everything: bool,
    dry_run: bool,
    again: bool,
    yes: bool,
) -> None:
    """Write dead letters once more to the topics that they came from.

    Helps after a fix of settings or code; a message that still cannot be read becomes a dead
    letter again. --all skips letters that cannot succeed, and says why. Exits with 0 if all
    others were replayed, now or before, and with 1 if one was not.
    """
    if [bool(addresses), reason is not None, everything].count(True) != 1:
        raise click.UsageError("give addresses, or --reason, or --all")
    selection = Selection(_addresses(addresses), reason, skips_hopeless=everything)
    run(
        _boxed(
            lambda box: replay(
                box,
                selection,
                dry_run=dry_run,
                again=again,
                confirm=lambda question: yes or confirmed(question),
            )
        )
    )


async def replay(
    box: DeadLetterBox,
    selection: Selection,
    *,
    dry_run: bool,
    again: bool,
    confirm: Callable[[str], bool],
) -> int:
    """Write dead letters once more to where they came from, and print a line for each.

    Args:
        box: the dead letters.
        selection: which.
        dry_run: say only what would be done.
        again: also those that were replayed before.
        confirm: asked before more than one is replayed.

    Returns:
        0 if each was replayed, now or before; 1 if one was not.
    """
    survey = await box.survey(selection, look_back=not again)
    if selection.skips_hopeless:
        _print_skipped([*survey.refused, *survey.hopeless])
        survey = dataclasses.replace(survey, refused=())
    others = list(_sentences(survey, again=again))
    chosen = {it.address: it.source for it in survey.prospects if again or it.before is None}
    passed = all(good for good, _ in others)
    for _, sentence in others:
        print(sentence)
    if not chosen and not others:
        print("no dead letters to replay")
    elif dry_run:
        for address, source in chosen.items():
            print(f"{address} would be replayed to {source.topic}/{source.partition}")
    elif chosen:
        if len(chosen) > 1 and not confirm(f"Replay {len(chosen)} dead letters?"):
            return 1
        passed = await _replay_each(box, chosen) and passed
    return 0 if passed else 1


async def _replay_each(box: DeadLetterBox, chosen: Mapping[Address, Source]) -> bool:
    """Replay letters and print a line for each; whether all went well."""
    passed, later = True, []
    try:
        with Progress(len(chosen), "dead letters replayed") as progress:
            async for outcome in box.replay_each(chosen):
                if isinstance(outcome, Replayed):
                    line = f"{outcome.address} replayed as {outcome.place}"
                else:
                    line = f"{outcome.address} is not replayed: {outcome.why}"
                    passed = False
                progress.step()
                if progress.is_bar:
                    later.append(line)
                else:
                    print(line)
    finally:
        for line in later:
            print(line)
    return passed


def _print_skipped(skipped: Sequence[NotReplayed]) -> None:
    if not skipped:
        return
    print(f"{len(skipped)} skipped, because a replay cannot succeed; name one to replay it anyway:")
    reasons = Counter(printable(it.why) for it in skipped).most_common()
    for why, count in reasons[:_TOLD_REASONS]:
        print(f"{count:6}  {why}")
    if len(reasons) > _TOLD_REASONS:
        print(f"{sum(count for _, count in reasons[_TOLD_REASONS:]):6}  for other reasons")


def _sentences(survey: Survey, *, again: bool) -> Iterator[tuple[bool, str]]:
    """A sentence for each letter that is not replayed, and whether that is as it should be."""
    for it in survey.refused:
        yield False, f"{it.address} is not replayed: {printable(it.why)}"
    for address in survey.missing:
        yield False, f"there is no dead letter {address}"
    for prospect in survey.prospects:
        if prospect.before is not None and not again:
            place = prospect.before
            yield True, f"{prospect.address} was replayed before, as {place}: see --again"


async def _boxed(work: Callable[[DeadLetterBox], Awaitable[int]], *, answers: bool = False) -> int:
    """Do something with the dead letters of all plugins.

    Args:
        work: what; its result is the exit code.
        answers: whether it asks what came of replays; without a database it does not learn all.
    """
    from posstream.commands.database import opened

    settings = read_settings()
    tell_broker(settings)
    async with AsyncExitStack() as stack:
        engine = None
        if answers:
            try:
                engine = await stack.enter_async_context(opened(settings))
            except DatabaseUnusable as why:
                print(f"warning: {why}. Answers to tills are not known", file=sys.stderr)
        box = DeadLetterBox(
            settings.bootstrap_servers,
            find_plugins(),
            card_guard=settings.payment_card_guard,
            engine=engine,
            patience_seconds=None,
        )
        return await work(box)


def _addresses(given: Sequence[str]) -> list[Address]:
    box = DeadLetterBox([], find_plugins())
    read = []
    for text in given:
        address = box.address(text)
        if address is None:
            raise click.BadParameter(
                "must be PARTITION/OFFSET, like 0/12, or TOPIC/PARTITION/OFFSET with a dead-letter "
                "topic",
                param_hint="ADDRESS",
            )
        read.append(address)
    return read


def _replay_document(replay: Replay | None) -> dict[str, Any] | None:
    if replay is None:
        return None
    place = replay.place
    return {
        "topic": place.topic,
        "partition": place.partition,
        "offset": place.offset,
        "state": replay.state,
        "event_id": replay.event_id,
        "basket_id": replay.basket_id,
        "answer": replay.answer or None,
        "letter": None if replay.letter is None else str(replay.letter),
    }
