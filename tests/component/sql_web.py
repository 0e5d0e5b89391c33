"""One running web view on a read model of its own, in SQLite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.projection import SqlProjection
from agents.customer_lookup.read_model.queries import SqlReadModel
from agents.customer_lookup.read_model.schema import read_model_tables
from posstream.read_model.engine import create_engine
from posstream.read_model.reading import create_reading_engine
from posstream.read_model.schema import METADATA
from posstream.settings import Settings
from tests.component.html_page import HtmlPage
from tests.component.sql_databases import make_tables
from tests.component.web_client import WebView, running_web


@dataclass
class SqlWebView:
    """A served view, its database, and the SELECTs that it ran."""

    web: WebView
    engine: AsyncEngine
    #: What the web view reads with.
    readers: AsyncEngine
    statements: list[str] = field(default_factory=list)

    async def project(self, *events: Any) -> None:
        await SqlProjection(self.engine).apply(events)
        self.statements.clear()

    async def clear(self) -> None:
        """Delete all rows."""
        async with self.engine.begin() as connection:
            for table in reversed([*METADATA.tables.values(), *read_model_tables()]):
                await connection.execute(table.delete())

    async def page(self, path: str, status: int = 200, **options: Any) -> HtmlPage:
        response = await self.web.client.get(path, **options)
        assert response.status == status
        return HtmlPage.of(await response.text())


@asynccontextmanager
async def running_sql_web(
    folder: Path, settings: Settings | None = None, *, database: str = "", **options: Any
) -> AsyncIterator[SqlWebView]:
    """The options are those of `application_of`, and another database than a SQLite file."""
    engine = create_engine(database or f"sqlite:///{folder / 'posstream.db'}")
    await make_tables(engine)
    readers = create_reading_engine(engine)
    async with running_web(settings, read_model=SqlReadModel(readers), **options) as web:
        view = SqlWebView(web, engine, readers)

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("SELECT"):
                view.statements.append(statement)

        for one in (engine, readers):
            event.listen(one.sync_engine, "before_cursor_execute", note)
        yield view
    await readers.dispose()
    await engine.dispose()
