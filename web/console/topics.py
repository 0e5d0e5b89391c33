"""The topics of posstream and its consumer groups, read only, and a look at the newest messages."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from aiohttp import web

from posstream.domain.errors import BrokerUnreachable
from posstream.domain.roles import Role
from posstream.domain.times import from_ms
from posstream.kafka.survey import FoundRecord
from posstream.kafka.topics import DAY_MS, TopicSpec
from web.access.guard import caller_of
from web.access.reveals import Reveals
from web.console.numbers import read_whole
from web.console.pages import Pages
from web.console.shown_value import ShownValue, shown_value
from web.graphql.context import GraphQLContext

_PATH: Final = "/topics"
_NEEDED: Final = Role.OPERATOR
#: Messages that are shown unless the URL says otherwise.
_MESSAGES: Final = 20
#: Outermost fields of our events that name no customer: their values are shown. All else is masked,
#: also what is within an object, as that may be a customer of the directory.
_PLAIN: Final = frozenset(
    {
        "action", "age_ms", "alert_id", "attempt", "attempts", "basket_id", "completed_at",
        "config_version", "control", "currency", "duration_ms", "ends_at", "event_id",
        "event_type", "fetched_at", "fresh_until", "http_status", "identified_at",
        "identifier_kind", "lookup_id", "occurred_at", "plugin", "reason", "request_timestamp",
        "response_timestamp", "revision", "rule_id", "rule_version", "schema_version", "severity",
        "source", "started_at", "status", "tier", "topic", "version", "waiters", "window_seconds",
        "worker",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """One message as the page shows it."""

    record: FoundRecord
    #: Masked; None = the message has none.
    key: str | None
    value: ShownValue | None


@dataclass(eq=False)
class TopicPages:
    """`/topics`, a page for each topic, and its newest messages."""

    pages: Pages
    context: GraphQLContext

    def routes(self) -> list[web.RouteDef]:
        """The list, a topic, and its messages."""
        topic = _PATH + r"/{topic:[A-Za-z0-9._-]{1,249}}"
        return [
            web.get(_PATH, self._answered(self._list)),
            web.get(topic, self._answered(self._topic)),
            web.get(f"{topic}/messages", self._answered(self._messages)),
        ]

    def _answered(
        self, answer: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answered(request: web.Request) -> web.Response:
            try:
                return await answer(request)
            except BrokerUnreachable as why:
                title, back = "The topics cannot be read", (request.path, "Try again")
                return self.pages.missing(request, title, f"{why}.", back, status=503)

        return answered

    async def _list(self, request: web.Request) -> web.Response:
        found = await self.context.topics.survey()
        return self.pages.render(
            request, "topics.html", found=found, topic_path=_path_of, kept=_kept
        )

    async def _topic(self, request: web.Request) -> web.Response:
        found = await self.context.topics.survey(request.match_info["topic"])
        if not found.topics:
            return self._unknown(request)
        (topic,) = found.topics
        lags = {
            place.partition: [it.places[at] for it in found.groups]
            for at, place in enumerate(found.groups[0].places if found.groups else ())
        }
        return self.pages.render(
            request,
            "topic.html",
            topic=topic,
            groups=found.groups,
            lags=lags,
            kept=_kept,
            here=_path_of(topic.spec.name),
        )

    async def _messages(self, request: web.Request) -> web.Response:
        if not caller_of(request).may(_NEEDED):
            return self.pages.forbidden(request, _NEEDED)
        topic = request.match_info["topic"]
        count = read_whole(request.query.get("n", ""), digits=3) or _MESSAGES
        found = await self.context.topics.newest(topic, count)
        if found is None:
            return self._unknown(request)
        reveals = Reveals(caller_of(request), asked=False)
        return self.pages.render(
            request,
            "topic_messages.html",
            topic=topic,
            here=_path_of(topic),
            shown=[_shown(it, reveals) for it in found],
            from_ms=from_ms,
        )

    def _unknown(self, request: web.Request) -> web.Response:
        why = "posstream has no topic of this name. Topics of others are not shown."
        return self.pages.missing(request, "No such topic", why, (_PATH, "All topics"))


def _shown(record: FoundRecord, reveals: Reveals) -> ShownRecord:
    key = None if record.key is None else reveals.show(record.key.decode(errors="replace"))
    value = None if record.value is None else shown_value(record.value, reveals, plain=_PLAIN)
    return ShownRecord(record, key, value)


def _path_of(topic: str) -> str:
    return f"{_PATH}/{quote(topic, safe='')}"


def _kept(spec: TopicSpec) -> str:
    """How long a topic keeps records, in words."""
    days = spec.retention_ms // DAY_MS
    newest = "the newest of each key"
    if "delete" not in spec.cleanup_policy:
        return newest
    kept = f"{days} day" + ("s" if days != 1 else "")
    return f"{newest}, for {kept}" if "compact" in spec.cleanup_policy else kept
