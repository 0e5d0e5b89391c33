"""A worker whose projections run elsewhere says whether somebody runs them."""

from posstream.domain.errors import BrokerUnreachable
from posstream.metrics import Metrics
from posstream.read_model.projections_apart import ProjectionsApart
from tests.manual_clock import ManualClock


class Bench:
    def __init__(self) -> None:
        self.clock, self.metrics = ManualClock(), Metrics()
        self.lag = 0
        self.broker_is_there = True
        self.apart = ProjectionsApart(
            {"toy": self._ask},
            metrics=self.metrics,
            clock=self.clock,  # type: ignore[arg-type]
        )

    async def _ask(self) -> int:
        if not self.broker_is_there:
            raise BrokerUnreachable("no broker answers")
        return self.lag

    async def look(self, lag: int, after: float = 0) -> list[str]:
        self.clock.advance(after)
        self.lag = lag
        await self.apart.look()
        return list(self.apart.warnings())

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"posstream_{name}", {"plugin": "toy"})


async def test_events_that_do_not_get_fewer_for_a_minute_are_told() -> None:
    bench = Bench()
    assert await bench.look(0) == []
    assert await bench.look(10, after=15) == []
    assert (bench.value("projection_lag"), bench.value("projection_up")) == (10, 1)
    (told,) = await bench.look(1_200, after=45)
    assert told.startswith("1,200 events wait for the projection of toy, and do not get fewer")
    assert (bench.value("projection_lag"), bench.value("projection_up")) == (1_200, 0)
    assert await bench.look(1_100, after=15) == []
    assert bench.value("projection_up") == 1


async def test_who_keeps_up_is_not_told_even_if_something_always_waits() -> None:
    bench = Bench()
    for lag in (5, 9, 3, 7, 4) * 4:
        assert await bench.look(lag, after=15) == []


async def test_without_a_broker_nothing_is_known_anew() -> None:
    bench = Bench()
    await bench.look(3)
    bench.broker_is_there = False
    assert await bench.look(0, after=15) == []
    assert bench.value("projection_lag") == 3
