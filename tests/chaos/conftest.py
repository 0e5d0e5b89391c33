import inspect
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.chaos import report
from tests.chaos.ledger import Count
from tests.chaos.stage import Stage
from tests.integration.directory import running_directory
from tests.servers import kafka, postgres
from tests.servers.needed import need


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.chaos)


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """What decides the scenarios' moments: given, or a new one that the figures name."""
    given: int | None = request.config.getoption("--seed")
    return random.SystemRandom().randrange(10**6) if given is None else given


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def database() -> AsyncIterator[postgres.Server]:
    need(postgres)
    with postgres.server() as server:
        await server.ready()
        yield server


@pytest_asyncio.fixture
async def stage(
    request: pytest.FixtureRequest, database: postgres.Server, seed: int, tmp_path: Path
) -> AsyncIterator[Stage]:
    """Brokers and a database of the scenario's own; `@pytest.mark.nodes(3)` makes it three."""
    need(kafka)
    mark = request.node.get_closest_marker("nodes")
    name = f"chaos_{time.time_ns()}"
    connection = await database.connect(10)
    await connection.execute(f'CREATE DATABASE "{name}"')
    await connection.close()
    with kafka.cluster(mark.args[0] if mark else 1) as cluster:
        await cluster.ready()
        async with running_directory() as directory:
            made = Stage(
                cluster=cluster,
                database=database,
                database_url=database.url.removesuffix("postgres") + name,
                directory=directory,
                folder=tmp_path,
                seed=seed,
            )
            try:
                yield made
            finally:
                for worker in made.workers:
                    if worker.starts:
                        worker.kill()


@pytest.fixture
def publish(
    request: pytest.FixtureRequest, stage: Stage, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Count]:
    """Print a scenario's figures, and keep them for `docs/explanation/guarantees.md`."""

    def publish(count: Count, note: str = "") -> Count:
        result = report.Result(
            module=request.path.stem,
            title=(inspect.getdoc(request.function) or request.node.name).splitlines()[0],
            variant=request.node.name.partition("[")[2].removesuffix("]"),
            seed=stage.seed,
            seconds=round(time.monotonic() - stage.started_at),
            note=note,
            count=count,
        )
        with capfd.disabled():
            sys.stdout.write(f"\n{result}\n")
        report.keep(result)
        return count

    return publish
