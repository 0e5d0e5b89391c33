"""`posstream dlq`: list the dead letters of all plugins, show one, replay some."""

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import click
import orjson

from posstream.commands.group import CommandGroup
from posstream.commands.running import print_table, read_settings, run
from posstream.dead_letters.box import DeadLetterBox, Selection, Survey
from posstream.dead_letters.letter import Address, Letter, Replayed
from posstream.domain.errors import DeadLetterReason
from posstream.domain.payment_card import mask
from posstream.domain.printable import printable
from posstream.domain.times import iso_utc_ms, parse_utc, to_ms
from posstream.plugins.discovery import find_plugins
from posstream.resilience.clock import Clock
from posstream.settings import Settings

#: How much of a value is shown: of text in characters, of anything else in bytes.
_SHOWN_TEXT: Final = 64 * 1024
_SHOWN_BYTES: Final = 256
_BYTES_PER_LINE: Final = 16
_SHOWN_ERROR: Final = 200

_REASON: Final = click.Choice([str(reason) for reason in DeadLetterReason], case_sensitive=False)
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@click.group("dlq", cls=CommandGroup)
def command() -> None:
    """List, show and replay dead letters: the messages that could not be read.

    A dead letter's ADDRESS is PARTITION/OFFSET on the dead-letter topic of the default plugin, and
    TOPIC/PARTITION/OFFSET on that of another plugin.
    """


# -- list


@command.command("list")
@click.option("--reason", type=_REASON, help="Only those with this reason.")
@click.option("--since", help="Only of messages since then: 2h, 30m, 7d, or an ISO-8601 time.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(min=1), help="How many to show."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def _list(reason: str | None, since: str | None, limit: int, *, as_json: bool) -> None:
    """List the newest dead letters, the newest last, and count them by reason."""
    since_ms = None if since is None else parse_since(since, Clock().now_ms())
    if since is not None and since_ms is None:
        raise click.BadParameter(
            "must be like 2h, 30m or 7d, or an ISO-8601 time", param_hint="--since"
        )
    box = _box(read_settings())
    run(list_letters(box, reason=reason, since_ms=since_ms, limit=limit, as_json=as_json))


def parse_since(text: str, now_ms: int) -> int | None:
    """Read a moment, in milliseconds since 1970: ISO-8601, or how long ago, like `90s` or `2h`.

    Returns:
        None if it is neither.
    """
    ago = _DURATION.fullmatch(text)
    if ago is not None:
        length = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return now_ms - length // timedelta(milliseconds=1)
    moment = parse_utc(text)
    return None if moment is None else to_ms(moment)


async def list_letters(
    box: DeadLetterBox, *, reason: str | None, since_ms: int | None, limit: int, as_json: bool
) -> int:
    """Print the newest dead letters, the newest last, and how many there are for each reason.

    Args:
        box: the dead letters.
        reason: only these.
        since_ms: only of messages that were written since, in milliseconds since 1970.
        limit: how many at most; all are counted.
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


@command.command("show")
@click.argument("address")
def _show(address: str) -> None:
    """Show the dead letter at ADDRESS with its value, which may name a customer.

    Exits with 1 if there is none.
    """
    box = _box(read_settings())
    run(show_letter(box, _addresses(box, [address])[0]))


async def show_letter(box: DeadLetterBox, address: Address) -> int:
    """Print one dead letter, its value too.

    Returns:
        0, or 1 if there is none at this address.
    """
    found = await box.find(address)
    if found is None:
        print(f"there is no dead letter {address}")
        return 1
    letter = found.letter
    key = "none" if found.key is None else mask(found.key.decode(errors="replace"))
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
    if found.value is not None:
        print(_shown(found.value))
    return 0


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
@click.option("--reason", type=_REASON, help="All with this reason.")
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

    Helps after a fix of settings or code; the same message that still cannot be read becomes a
    dead letter again. Exits with 0 if each was replayed, now or before, 1 if one was not.
    """
    if [bool(addresses), reason is not None, everything].count(True) != 1:
        raise click.UsageError("give addresses, or --reason, or --all")
    box = _box(read_settings())
    outcome = replay(
        box,
        Selection(_addresses(box, addresses), reason),
        dry_run=dry_run,
        again=again,
        confirm=lambda question: yes or click.confirm(question),
    )
    run(outcome)


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
            print("nothing was replayed")
            return 1
        async for outcome in box.replay_each(chosen):
            if isinstance(outcome, Replayed):
                print(f"{outcome.address} replayed as {outcome.place}")
            else:
                print(f"{outcome.address} is not replayed: {outcome.why}")
                passed = False
    return 0 if passed else 1


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


def _box(settings: Settings) -> DeadLetterBox:
    return DeadLetterBox(settings.bootstrap_servers, find_plugins(), patience_seconds=None)


def _addresses(box: DeadLetterBox, given: Sequence[str]) -> list[Address]:
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
