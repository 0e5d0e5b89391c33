"""Replays the dead letters of a filter at once: asked first, and never a letter twice."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from posstream.dead_letters.box import DeadLetterBox, Selection, Survey
from posstream.dead_letters.letter import Address, NotReplayed, Source
from posstream.domain.errors import BrokerUnreachable
from posstream.domain.roles import Role
from web.access import audit
from web.access.guard import caller_of
from web.console.dead_letter_filter import DONE, LEFT, AskedLetters
from web.console.pages import Pages, with_query
from web.http.reading import read_form

#: Letters that are replayed at a time: tills share the event loop.
MOST_LETTERS: Final = 100
_LIST: Final = "/dead-letters"
PATH: Final = f"{_LIST}/replay"
_NEEDED: Final = Role.OPERATOR


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a replay of some letters would do."""

    chosen: dict[Address, Source]
    #: Why the others are left out -> how many.
    skipped: Counter[str]
    is_known: bool

    @classmethod
    def of(cls, survey: Survey) -> "_Plan":
        skipped = Counter(it.why for it in (*survey.refused, *survey.hopeless))
        skipped["it was replayed before"] = sum(it.before is not None for it in survey.prospects)
        skipped["it is gone by now"] += len(survey.missing)
        return cls(
            {it.address: it.source for it in survey.prospects if it.before is None},
            +skipped,
            all(it.is_known for it in survey.prospects),
        )


class BulkReplayPages:
    """`/dead-letters/replay`: the letters of the list's filter, in the list's order."""

    def __init__(self, pages: Pages, box: DeadLetterBox) -> None:
        self._pages = pages
        self._box = box

    def routes(self) -> list[web.RouteDef]:
        """The question, and the answer to it."""
        return [web.get(PATH, self.confirm), web.post(PATH, self.replay)]

    async def confirm(self, request: web.Request) -> web.Response:
        """Say what would be replayed, and ask."""
        if not caller_of(request).may(_NEEDED):
            return self._pages.forbidden(request, _NEEDED)
        asked = AskedLetters(request)
        if asked.is_refused:
            return web.Response(status=303, headers={"Location": with_query(request, _LIST)})
        try:
            wanted = asked.of((await self._box.newest()).letters)
            plan = await self._planned([it.address for it in wanted[:MOST_LETTERS]])
        except BrokerUnreachable as why:
            return self._unreachable(request, why)
        return self._shown(request, plan, more=len(wanted) - MOST_LETTERS)

    async def replay(self, request: web.Request) -> web.Response:
        """Replay the letters that were shown, but for those that were replayed meanwhile."""
        caller, outcome, count = caller_of(request), "failed", 0
        try:
            if not caller.may(_NEEDED):
                outcome = "FORBIDDEN"
                return self._pages.forbidden(request, _NEEDED)
            texts = (await read_form(request)).get("addresses", "").split()[:MOST_LETTERS]
            addresses = [it for text in texts if (it := Address.parse(text)) is not None]
            count = len(addresses)
            outcome, answer = await self._replay(request, addresses)
            return answer
        finally:
            audit.changed(caller, "replayDeadLetters", {"letters": count}, outcome)

    async def _replay(
        self, request: web.Request, addresses: list[Address]
    ) -> tuple[str, web.Response]:
        done, failed = 0, list[NotReplayed]()
        try:
            async with self._box.replaying:
                plan = await self._planned(addresses)
                if not plan.is_known:
                    return "refused, NOT_KNOWN", self._shown(request, plan, status=409)
                async for outcome in self._box.replay_each(plan.chosen):
                    if isinstance(outcome, NotReplayed):
                        failed.append(outcome)
                    else:
                        done += 1
        except BrokerUnreachable as why:
            if not done:
                return "refused, BROKER_UNAVAILABLE", self._unreachable(request, why)
        where = with_query(request, _LIST, **{DONE: str(done), LEFT: str(len(addresses) - done)})
        told = f"done, {done} replayed" + (f", {failed[0].why}" if failed else "")
        return told, web.Response(status=303, headers={"Location": where})

    async def _planned(self, addresses: list[Address]) -> _Plan:
        if not addresses:
            return _Plan({}, Counter(), is_known=True)
        selection = Selection(addresses, skips_hopeless=True)
        return _Plan.of(await self._box.survey(selection, look_back=True))

    def _shown(
        self, request: web.Request, plan: _Plan, *, more: int = 0, status: int = 200
    ) -> web.Response:
        return self._pages.render(
            request,
            "dead_letters_replay.html",
            status=status,
            plan=plan,
            topics=sorted(Counter(it.topic for it in plan.chosen.values()).items()),
            more=max(0, more),
            back=with_query(request, _LIST),
            here=with_query(request),
        )

    def _unreachable(self, request: web.Request, why: BrokerUnreachable) -> web.Response:
        return self._pages.missing(
            request,
            "The dead letters cannot be read",
            f"{why}.",
            (with_query(request, _LIST), "Back to the list"),
            status=503,
        )
