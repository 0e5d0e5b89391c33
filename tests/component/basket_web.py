"""A running web view with the customer lookup and the baskets, on SQLite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agents.baskets import PLUGIN
from agents.baskets.basket_ports import BasketPorts
from agents.baskets.read_model.projection import BasketProjection
from agents.baskets.read_model.queries import TillBaskets
from posstream.read_model.migrate import upgrade
from posstream.read_model.projection import ProjectedEvent
from posstream.settings import Settings
from tests.component.sql_web import SqlWebView, running_sql_web


@asynccontextmanager
async def running_basket_web(
    folder: Path, settings: Settings | None = None
) -> AsyncIterator[SqlWebView]:
    async with running_sql_web(folder, settings, plugins=[PLUGIN]) as view:
        assert view.web.failures == {}
        assert await upgrade(view.engine, [PLUGIN]) == {}
        ports = BasketPorts(baskets=TillBaskets(view.readers), publisher=view.web.publisher)
        view.web.runs(PLUGIN.name, ports)
        yield view


async def project(view: SqlWebView, *copies: ProjectedEvent) -> None:
    await BasketProjection(view.engine).apply(copies)
