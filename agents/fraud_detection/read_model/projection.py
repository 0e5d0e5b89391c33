"""Writes alerts and verdicts into SQL: the highest revision of each alert, and every verdict."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agents.fraud_detection.events.outputs import (
    FraudEpisode,
    FraudHits,
    FraudReading,
    FraudVerdict,
)
from agents.fraud_detection.read_model.rows import (
    name_rows,
    reading_row,
    row_of,
    stored_alert,
    traces_of,
)
from agents.fraud_detection.read_model.rows import verdict_row as row_of_verdict
from agents.fraud_detection.read_model.schema import (
    FRAUD_ALERT_NAMES,
    FRAUD_ALERTS,
    FRAUD_READINGS,
    FRAUD_VERDICTS,
)
from agents.fraud_detection.read_model.verdicts import forget_notes, judge
from agents.fraud_detection.topics import EPISODES, VERDICTS
from posstream.domain.times import parse_utc
from posstream.forgetting.forgotten import ForgottenSubjects
from posstream.forgetting.marks import Marks
from posstream.json.undecodable import UNDECODABLE
from posstream.read_model.engine import Insert
from posstream.read_model.projection import BatchProjection, ProjectedEvent, log_skipped
from posstream.read_model.rows_writer import RowsWriter, written_columns

_Read = TypeVar("_Read", FraudEpisode, FraudVerdict)
_decode_hits: Final = msgspec.json.Decoder(FraudHits).decode
_decode_reading: Final = msgspec.json.Decoder(FraudReading).decode
#: What only verdicts change.
_OF_VERDICTS: Final = frozenset({"status", "verdict_id"})


class FraudProjection(BatchProjection):
    """The projection of alerts and verdicts, into SQLite or PostgreSQL."""

    decoders = MappingProxyType({EPISODES: bytes, VERDICTS: bytes})

    def __init__(self, engine: AsyncEngine, **options: float) -> None:
        super().__init__(engine, **options)
        self._forgotten = ForgottenSubjects(engine)
        self._alerts = RowsWriter(engine, FRAUD_ALERTS, _upsert)
        self._names = RowsWriter(engine, FRAUD_ALERT_NAMES, _insert_once)
        self._verdicts = RowsWriter(engine, FRAUD_VERDICTS, _insert_once)
        self._readings = RowsWriter(engine, FRAUD_READINGS, _newer)

    async def write(self, connection: AsyncConnection, events: Sequence[ProjectedEvent]) -> None:
        """Write what is new, without the names of customers who were forgotten since."""
        episodes, hits = newest(events)
        verdicts = told(events)
        # An alert and its verdict may come to two workers at once. Each must see what the other
        # has written, so a verdict (they are rare) waits for the alerts, and the other way round.
        await self._forgotten.lock(connection, to_forget=bool(verdicts))
        marks = await self._marks(connection, episodes.values())
        # By key, so that two workers cannot wait for each other.
        rows = [row_of(episode, marks) for _, episode in sorted(episodes.items())]
        if rows:
            await self._alerts.write(connection, rows)
        if hits:
            await connection.execute(_GROWN, [_hits_row(it) for _, it in sorted(hits.items())])
        names = [one for row in rows for one in name_rows(stored_alert(row["document"]))]
        if names:
            await self._names.write(connection, names)
        if verdicts:
            said = [row_of_verdict(verdict) for _, verdict in sorted(verdicts.items())]
            await self._verdicts.write(connection, said)
        read = readings(events)
        if read:
            await self._readings.write(connection, [row for _, row in sorted(read.items())])
        touched = {*episodes, *(verdict.alert_id for verdict in verdicts.values())}
        judged = await judge(connection, touched)
        await forget_notes(connection, judged)

    async def _marks(self, connection: AsyncConnection, episodes: Iterable[FraudEpisode]) -> Marks:
        traces = [trace for episode in episodes for trace in traces_of(episode.alert)]
        earliest = min((trace.at for trace in traces), default=None)
        if earliest is None or not await self._forgotten.any_since(connection, earliest):
            return Marks()
        return await self._forgotten.marks(connection, traces)


def newest(
    events: Iterable[ProjectedEvent],
) -> tuple[Mapping[str, FraudEpisode], Mapping[str, FraudHits]]:
    """By alert_id: the newest whole alerts, and the newest hits of alerts that came before."""
    whole: dict[str, FraudEpisode] = {}
    hits: dict[str, FraudHits] = {}
    for event in events:
        if event.topic != EPISODES or _read_reading(event) is not None:
            continue
        more = _read_hits(event)
        if more is not None:
            if more.alert_id not in hits or more.hits >= hits[more.alert_id].hits:
                hits[more.alert_id] = more
        elif (episode := _read(event, EPISODES, FraudEpisode)) is not None:
            known = whole.get(episode.alert.alert_id)
            if known is None or episode.revision >= known.revision:
                whole[episode.alert.alert_id] = episode
    for alert_id in whole.keys() & hits.keys():
        more, episode = hits.pop(alert_id), whole[alert_id]
        if more.hits > episode.hits:
            whole[alert_id] = replace(
                episode, hits=more.hits, last_hit_at=more.last_hit_at, revision=more.hits
            )
    return whole, hits


def readings(events: Iterable[ProjectedEvent]) -> Mapping[str, Mapping[str, Any]]:
    """The newest rows of readings, by their key."""
    found: dict[str, Mapping[str, Any]] = {}
    for event in events:
        row = _read_reading(event) if event.topic == EPISODES else None
        if row is not None and (
            row["reading"] not in found or row["at"] >= found[row["reading"]]["at"]
        ):
            found[row["reading"]] = row
    return found


def told(events: Iterable[ProjectedEvent]) -> Mapping[str, FraudVerdict]:
    """The verdicts, by verdict_id."""
    read = (_read(event, VERDICTS, FraudVerdict) for event in events)
    return {verdict.verdict_id: verdict for verdict in read if verdict is not None}


def _read_reading(event: ProjectedEvent) -> Mapping[str, Any] | None:
    # They are rare, and their keys have a slash, which ids of alerts have not.
    if b"/" not in (event.key or b""):
        return None
    try:
        return reading_row(_decode_reading(event.value))
    except UNDECODABLE:
        return None


def _read_hits(event: ProjectedEvent) -> FraudHits | None:
    try:
        read = _decode_hits(event.value)
    except UNDECODABLE:
        return None  # a whole alert, or not readable; hits are tried first as most records are hits
    return None if parse_utc(read.last_hit_at) is None else read


def _read(event: ProjectedEvent, topic: str, model: type[_Read]) -> _Read | None:
    if event.topic != topic:
        return None
    try:
        read = msgspec.json.decode(event.value, type=model)
    except UNDECODABLE:
        read = None
    if read is None or None in map(parse_utc, _times(read)):
        log_skipped(event, "it is none that this version can read")
        return None
    return read


def _times(read: FraudEpisode | FraudVerdict) -> Iterable[str]:
    if isinstance(read, FraudVerdict):
        return [read.at]
    alert = read.alert
    return [read.last_hit_at, alert.occurred_at, *(it.occurred_at for it in alert.observations)]


def _upsert(insert: Insert) -> Insert:
    """The higher revision wins; of two that are equal, the later one."""
    new, old = insert.excluded, FRAUD_ALERTS.c
    changed = set(written_columns(FRAUD_ALERTS)) - {"alert_id", *_OF_VERDICTS}
    return insert.on_conflict_do_update(
        index_elements=["alert_id"],
        set_={name: new[name] for name in sorted(changed)},
        where=new.revision >= old.revision,
    )


def _hits_row(it: FraudHits) -> Mapping[str, Any]:
    last = parse_utc(it.last_hit_at)
    return {"of": it.alert_id, "new_hits": it.hits, "new_last": last, "new_revision": it.hits}


#: Hits come after their alert, on its partition. The stored alert may have more hits already.
_GROWN: Final = (
    update(FRAUD_ALERTS)
    .where(
        FRAUD_ALERTS.c.alert_id == bindparam("of"),
        FRAUD_ALERTS.c.revision < bindparam("new_revision"),
    )
    .values(
        hits=bindparam("new_hits"),
        last_hit_at=bindparam("new_last"),
        revision=bindparam("new_revision"),
    )
)


def _newer(insert: Insert) -> Insert:
    """The newest record wins."""
    new, old = insert.excluded, FRAUD_READINGS.c
    changed = set(written_columns(FRAUD_READINGS)) - {"reading"}
    return insert.on_conflict_do_update(
        index_elements=["reading"],
        set_={name: new[name] for name in sorted(changed)},
        where=new.at >= old.at,
    )


def _insert_once(insert: Insert) -> Insert:
    return insert.on_conflict_do_nothing()
