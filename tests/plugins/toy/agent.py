"""The agent of the toy: counts each answer of a basket in a table."""

from typing import Any

from posstream.domain.times import iso_utc_ms
from posstream.events.envelope import event_record
from posstream.events.ids import derived
from posstream.events.reading import invalid, read_event
from posstream.plugin import Kit

from .events import CustomerAnswered, VisitCounted
from .topics import ANSWERS, TABLE, VISIT_COUNTED


class VisitsAgent:
    """Consumes the answers with a customer. One per app."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._visits = kit.app.Table(
            TABLE.name,
            key_type=bytes,
            value_type=bytes,
            partitions=kit.settings.topic_partitions,
            extra_topic_configs=TABLE.changelog.config,
        )
        kit.app.consume(ANSWERS, self._handle)

    async def _handle(self, message: Any) -> None:
        event = read_event(CustomerAnswered, message.value)
        customer_id = event.customer.get("customer_id")
        if not isinstance(customer_id, str):
            raise invalid("customer", "must have a customer_id")
        key = event.basket_id.encode()
        visits = int(self._visits.get(key) or b"0") + 1
        self._visits[key] = b"%d" % visits
        self._kit.metrics["toy_visits"].inc()
        config = self._kit.configuration
        if config is not None and config.value.enabled and visits % config.value.every == 0:
            await self._tell(event, customer_id, visits)

    async def _tell(self, event: CustomerAnswered, customer_id: str, visits: int) -> None:
        now_ms = self._kit.clock.now_ms()
        counted = VisitCounted(
            event_id=derived(f"{event.event_id}/{VISIT_COUNTED}"),
            occurred_at=iso_utc_ms(now_ms),
            basket_id=event.basket_id,
            customer_id=customer_id,
            customer_identifier=event.customer_identifier,
            visits=visits,
        )
        record = event_record(VISIT_COUNTED, event.basket_id, counted, now_ms, source=b"toy")
        await self._kit.publisher.publish(record)
