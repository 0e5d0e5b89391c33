"""The dead letters: their list, one of them, and its replay."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from posstream.dead_letters.letter import Address, Letter, NotReplayed, Prospect, WholeLetter
from posstream.dead_letters.record import OWN_HEADERS
from posstream.domain.errors import BrokerUnreachable
from posstream.domain.payment_card import mask_payment_cards
from posstream.domain.roles import Role
from posstream.domain.times import from_ms
from web.access import audit
from web.access.guard import caller_of
from web.access.reveals import Reveals
from web.console.csv_file import Columns
from web.console.dead_letter_filter import (
    DONE,
    LEFT,
    REPLAYS,
    AskedLetters,
    listed_letters,
    topic_of,
)
from web.console.dead_letter_replays import PATH as BULK_PATH
from web.console.dead_letter_replays import BulkReplayPages
from web.console.lists import list_file, list_page
from web.console.pages import Pages, reveals_of, with_query
from web.console.shown_value import shown_value
from web.graphql.context import GraphQLContext
from web.http.reading import read_form

_PATH: Final = "/dead-letters"
_NEEDED: Final = Role.OPERATOR
_NUMBER: Final = re.compile(r"[0-9]{1,4}")
_COLUMNS: Final[Columns[Letter]] = (
    ("address", lambda row, _: str(row.address)),
    ("written_at", lambda row, _: from_ms(row.timestamp_ms)),
    ("source_topic", lambda row, _: mask_payment_cards(topic_of(row))),
    ("source_partition", lambda row, _: row.source and row.source.partition),
    ("source_offset", lambda row, _: row.source and row.source.offset),
    ("reason", lambda row, _: row.reason and mask_payment_cards(row.reason)),
    ("error", lambda row, _: row.error and mask_payment_cards(row.error)),
    ("bytes", lambda row, _: row.size),
)
#: `?done=` -> what was done.
_DONE: Final = {
    "replayed": "Written again to the topic that it came from: the broker has it. If it still "
    "cannot be read, it comes back as a new dead letter."
}


class DeadLetterPages:
    """`/dead-letters`, `/dead-letters.csv`, and a page for each letter."""

    def __init__(self, pages: Pages, ports: GraphQLContext) -> None:
        self._pages = pages
        self._box = ports.dead_letters

    def routes(self) -> list[web.RouteDef]:
        """The list as a page and as a file, a letter, and its replay."""
        place = r"/{partition:\d{1,9}}/{offset:\d{1,18}}"
        routes = [
            web.get(_PATH, self.list),
            web.get(f"{_PATH}.csv", self.csv),
            *BulkReplayPages(self._pages, self._box).routes(),
        ]
        for letter in (_PATH + place, _PATH + r"/{topic:[A-Za-z0-9._-]{1,249}}" + place):
            routes += [
                web.get(letter, self.letter),
                web.get(f"{letter}/replay", self.confirm),
                web.post(f"{letter}/replay", self.replay),
            ]
        return routes

    async def list(self, request: web.Request) -> web.Response:
        """The newest letters; 400 for an invalid filter."""
        try:
            found = await self._box.newest()
        except BrokerUnreachable as why:
            return self._unreachable(request, why)
        asked = AskedLetters(request)
        wanted = listed_letters(asked.of(found.letters), rising=asked.order.rising)
        listed = await list_page(request, _PATH, asked, wanted, None)
        with_replays = request.query.get(REPLAYS) == "1" and caller_of(request).may(_NEEDED)
        return self._pages.render(
            request,
            "dead_letters.html",
            status=listed.status,
            found=found,
            listed=listed,
            reasons=_counted(asked.typed["reason"], [it.reason for it in found.letters]),
            topics=_counted(asked.typed["topic"], [topic_of(it) for it in found.letters]),
            count=await wanted.count(most=len(found.letters)),
            replays=await self._box.replays(listed.rows) if with_replays else None,
            with_replays=with_query(request, **{REPLAYS: "1", DONE: None, LEFT: None}),
            replay_all=with_query(
                request, BULK_PATH, after=None, before=None, **{DONE: None, LEFT: None}
            ),
            done=_number(request, DONE),
            left=_number(request, LEFT),
            letter_path=letter_path,
            from_ms=from_ms,
        )

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """The filtered list as a file; for an invalid filter the page says so."""
        asked = AskedLetters(request)
        if asked.is_refused:
            return await self.list(request)
        try:
            found = await self._box.newest()
        except BrokerUnreachable as why:
            return self._unreachable(request, why)
        wanted = listed_letters(asked.of(found.letters), rising=asked.order.rising)
        return await list_file(request, asked, wanted, _COLUMNS, reveals_of(request))

    async def letter(self, request: web.Request) -> web.Response:
        """One letter with its headers and its value."""
        address = _address(request)
        try:
            found = await self._box.find(address)
        except BrokerUnreachable as why:
            return self._unreachable(request, why)
        if found is None:
            return self._gone(request)
        reveals = reveals_of(request)
        may_replay = caller_of(request).may(_NEEDED)
        return self._pages.render(
            request,
            "dead_letter.html",
            replays=await self._box.replays([found.letter]) if may_replay else None,
            letter_path=letter_path,
            reveals=reveals,
            letter=found.letter,
            key=None if found.key is None else found.key.decode(errors="backslashreplace"),
            value=None if found.value is None else shown_value(found.value, reveals),
            headers=_headers(found, reveals),
            done=_DONE.get(request.query.get("done", ""), ""),
            here=letter_path(address),
            reveal=with_query(request, reveal=None if reveals.in_full else "1", done=None),
            from_ms=from_ms,
        )

    async def confirm(self, request: web.Request) -> web.Response:
        """Say what a replay would do, and ask."""
        if not caller_of(request).may(_NEEDED):
            return self._pages.forbidden(request, _NEEDED)
        try:
            prospect = await self._box.prospect(_address(request))
        except BrokerUnreachable as why:
            return self._unreachable(request, why)
        return self._asked(request, prospect)

    async def replay(self, request: web.Request) -> web.Response:
        """Replay a letter; a second time only if the operator confirms that."""
        caller, address, outcome = caller_of(request), _address(request), "failed"
        try:
            if not caller.may(_NEEDED):
                outcome = "FORBIDDEN"
                return self._pages.forbidden(request, _NEEDED)
            outcome, answer = await self._replay(request, address)
            return answer
        finally:
            audit.changed(caller, "replayDeadLetter", {"address": str(address)}, outcome)

    async def _replay(self, request: web.Request, address: Address) -> tuple[str, web.Response]:
        is_sure = (await read_form(request)).get("again") == "1"
        try:
            async with self._box.replaying:
                prospect = await self._box.prospect(address)
                if isinstance(prospect, NotReplayed):
                    return "refused, NOT_REPLAYABLE", self._asked(request, prospect, status=409)
                if _may_be_double(prospect) and not is_sure:
                    answer = self._asked(request, prospect, is_unsure=True, status=409)
                    return "refused, REPLAYED_BEFORE", answer
                replayed = await self._box.replay(address)
        except BrokerUnreachable as why:
            return "refused, BROKER_UNAVAILABLE", self._unreachable(request, why)
        if isinstance(replayed, NotReplayed):
            return "refused, NOT_REPLAYABLE", self._asked(request, replayed, status=409)
        where = f"{letter_path(address)}?done=replayed"
        return f"done, {replayed.place}", web.Response(status=303, headers={"Location": where})

    def _asked(
        self,
        request: web.Request,
        prospect: Prospect | NotReplayed,
        *,
        is_unsure: bool = False,
        status: int = 200,
    ) -> web.Response:
        refused = isinstance(prospect, NotReplayed)
        return self._pages.render(
            request,
            "dead_letter_replay.html",
            status=status,
            here=letter_path(prospect.address),
            address=prospect.address,
            refused=prospect.why if isinstance(prospect, NotReplayed) else "",
            prospect=None if refused else prospect,
            may_be_double=isinstance(prospect, Prospect) and _may_be_double(prospect),
            is_unsure=is_unsure,
        )

    def _unreachable(self, request: web.Request, why: BrokerUnreachable) -> web.Response:
        return self._pages.missing(
            request,
            "The dead letters cannot be read",
            f"{why}.",
            (request.path, "Try again"),
            status=503,
        )

    def _gone(self, request: web.Request) -> web.Response:
        return self._pages.missing(
            request,
            "No such dead letter",
            "There is none at this address: the broker keeps them for a time only.",
            (_PATH, "All dead letters"),
        )


def letter_path(address: Address) -> str:
    """The page of one letter."""
    return f"{_PATH}/{address}"


def _counted(chosen: str, found: Sequence[str]) -> list[tuple[str, str]]:
    """The options of a choice: what was found, with its number, and what is chosen."""
    counts = Counter({chosen: 0})
    counts.update(found)
    return [(name, f"{name} ({count})") for name, count in sorted(counts.items()) if name]


def _number(request: web.Request, name: str) -> int | None:
    """A small number in the query; None for anything else."""
    text = request.query.get(name, "")
    return int(text) if _NUMBER.fullmatch(text) else None


def _address(request: web.Request) -> Address:
    place = request.match_info
    return Address(int(place["partition"]), int(place["offset"]), place.get("topic", ""))


def _may_be_double(prospect: Prospect) -> bool:
    return prospect.before is not None or not prospect.is_known


def _headers(found: WholeLetter, reveals: Reveals) -> list[tuple[str, str]]:
    """The headers to show: ours as they are; others may name a customer, so they may be masked."""
    decoded = [(name, raw.decode(errors="backslashreplace")) for name, raw in found.headers]
    return [
        (name, text if name.startswith(OWN_HEADERS) else reveals.show(text))
        for name, text in decoded
    ]
