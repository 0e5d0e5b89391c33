"""PostgreSQL as people have it: TLS, options, several hosts, services, and what refuses us."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from agents.customer_lookup import PLUGIN
from posstream.domain.errors import DatabaseAway, DatabaseUnusable
from posstream.read_model.asking import ask
from posstream.read_model.engine import create_engine
from posstream.settings import Settings
from posstream.startup.membership import Membership
from posstream.startup.preflight import Passed, Refusal, Start, Waits, outcomes
from tests.component.sql_databases import SERVER, make_tables
from tests.integration.harness import free_port
from tests.servers import postgres
from tests.servers.needed import need

pytestmark = pytest.mark.skipif(not SERVER, reason="the SQL suite runs without PostgreSQL")


@pytest.fixture(scope="module")
def started() -> Iterator[postgres.Server]:
    """A server without TLS; `secured` has it on."""
    need(postgres)
    with postgres.server() as server:
        yield server


@pytest.fixture
async def server(started: postgres.Server) -> postgres.Server:
    await started.ready()
    return started


async def value(url: str, statement: str) -> Any:
    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.scalar(text(statement))
    finally:
        await engine.dispose()


async def refusal(url: str) -> DatabaseAway | DatabaseUnusable:
    engine = create_engine(url)
    try:
        with pytest.raises((DatabaseAway, DatabaseUnusable)) as refused:
            await ask(engine, [PLUGIN])
        return refused.value
    finally:
        await engine.dispose()


async def run(server: postgres.Server, *commands: str) -> None:
    connection = await server.connect(5)
    try:
        for command in commands:
            await connection.execute(command)
    finally:
        await connection.close()


def url(server: postgres.Server, query: str = "", *, user: str = "posstream") -> str:
    return f"postgresql://{user}@127.0.0.1:{server.port}/postgres{query}"


@pytest.mark.parametrize("scheme", ["postgresql+asyncpg", "postgresql", "postgres"])
async def test_every_scheme_leads_there(server: postgres.Server, scheme: str) -> None:
    assert await value(url(server).replace("postgresql", scheme), "SELECT 1") == 1


@pytest.mark.parametrize(
    ("query", "statement", "expected"),
    [
        ("", "SHOW application_name", "posstream"),
        ("?application_name=till", "SHOW application_name", "till"),
        ("?options=-csearch_path%3Dshop", "SHOW search_path", "shop"),
        ("", "SHOW timezone", "UTC"),
    ],
)
async def test_options_reach_the_session(
    server: postgres.Server, query: str, statement: str, expected: str
) -> None:
    assert await value(url(server, query), statement) == expected


async def test_the_socket_is_reached_by_its_folder(server: postgres.Server) -> None:
    folder = server.log_file.parent
    found = f"postgresql://posstream@/postgres?host={folder}&port={server.port}"
    assert await value(found, "SELECT inet_client_addr() IS NULL") is True


async def test_of_several_hosts_the_one_that_is_there_is_taken(server: postgres.Server) -> None:
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{server.port}"
    found = f"postgresql://posstream@{hosts}/postgres?target_session_attrs=read-write"
    assert await value(found, "SELECT 1") == 1


async def test_a_service_is_read_from_its_file(
    server: postgres.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services").write_text(
        f"[shop]\nhost=127.0.0.1\nport={server.port}\nuser=posstream\ndbname=postgres\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    assert await value("postgresql:///?service=shop", "SELECT 1") == 1
    assert not (await refusal("postgresql:///?service=other")).passes  # type: ignore[union-attr]


async def test_the_environment_of_other_programs_changes_nothing(
    server: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, wrong in {
        "PGSSLMODE": "require",
        "PGOPTIONS": "-csearch_path=elsewhere",
        "PGTZ": "Asia/Tokyo",
        "PGDATESTYLE": "German",
        "PGAPPNAME": "elsewhere",
        "PGSERVICE": "elsewhere",
        "PGHOSTADDR": "192.0.2.1",
        "PGDATABASE": "elsewhere",
        "PGTARGETSESSIONATTRS": "standby",
    }.items():
        monkeypatch.setenv(name, wrong)
    shown = (
        "SELECT concat_ws(' ', current_setting('timezone'), current_setting('datestyle'), "
        "current_setting('application_name'), current_setting('search_path'), current_database())"
    )
    expected = 'UTC ISO, MDY posstream "$user", public postgres'
    assert await value(url(server), shown) == expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?sslmode=require", "server does not support SSL, but SSL was required"),
        ("?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "server does not support SSL"),
        ("?sslmode=perhaps", "invalid sslmode value"),
        ("?dbname=nowhere", 'SQLSTATE 3D000: database "nowhere" does not exist'),
        ("?user=nobody", 'SQLSTATE 28000: role "nobody" does not exist'),
    ],
)
async def test_a_server_that_refuses_us_is_not_away(
    server: postgres.Server, query: str, words: str
) -> None:
    refused = await refusal(url(server, query))
    assert isinstance(refused, DatabaseAway)
    assert words in str(refused)
    assert not refused.passes


async def test_a_role_without_rights_is_refused_in_the_servers_own_words(
    server: postgres.Server,
) -> None:
    await run(
        server,
        "DROP DATABASE IF EXISTS rights",
        "CREATE DATABASE rights",
        "DROP ROLE IF EXISTS poor",
        "CREATE ROLE poor LOGIN",
    )
    owner = url(server).replace("/postgres", "/rights")
    poor = owner.replace("posstream@", "poor@")
    assert "SQLSTATE 42501: permission denied for schema public" in str(await refusal(poor))
    engine = create_engine(owner)
    await make_tables(engine)
    assert await ask(engine, [PLUGIN])
    async with engine.begin() as connection:
        await connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO poor"))
    assert "SQLSTATE 42501: permission denied for table" in str(await refusal(poor))
    async with engine.begin() as connection:
        await connection.execute(
            text("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO poor")
        )
    assert "SQLSTATE 42501: permission denied for sequence" in str(await refusal(poor))
    async with engine.begin() as connection:
        await connection.execute(text("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO poor"))
    await engine.dispose()
    allowed = create_engine(poor)
    assert await ask(allowed, [PLUGIN])
    await allowed.dispose()


async def test_asking_leaves_nothing_behind(server: postgres.Server) -> None:
    await run(server, "DROP DATABASE IF EXISTS empty", "CREATE DATABASE empty")
    empty = url(server).replace("/postgres", "/empty")
    engine = create_engine(empty)
    assert await ask(engine, [PLUGIN])
    await engine.dispose()
    count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert await value(empty, count) == 0


async def test_a_wrong_password_is_refused_and_no_password_is_shown(
    server: postgres.Server,
) -> None:
    hba = server.log_file.parent / "data" / "pg_hba.conf"
    before = hba.read_text()
    await run(server, "CREATE ROLE locked LOGIN PASSWORD 'right-one'")
    hba.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{before}")
    try:
        await run_reload(server)
        wrong = f"postgresql://locked:wrong-one@127.0.0.1:{server.port}/postgres"
        refused = await refusal(wrong)
        right = wrong.replace("wrong", "right")
        assert await value(right, "SELECT 1") == 1
    finally:
        hba.write_text(before)
        await run_reload(server)
    expected = 'SQLSTATE 28P01: password authentication failed for user "locked"'
    assert str(refused) == expected


async def run_reload(server: postgres.Server) -> None:
    """Have the server read pg_hba.conf again."""
    subprocess.run(["kill", "-HUP", str(server.processes()[0])], check=True)
    await server.ready()


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[tuple[postgres.Server, Path]]:
    """A server that takes TLS only, and the certificate of its authority."""
    need(postgres)
    with postgres.server(tls=True) as server:
        await server.ready()
        yield server, server.log_file.parent / "server.crt"


@pytest.mark.parametrize("query", ["sslmode=require", "sslmode=verify-full&sslrootcert={}"])
async def test_tls_is_spoken(secured: tuple[postgres.Server, Path], query: str) -> None:
    server, certificate = secured
    used = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    found = url(server, f"?{query.format(certificate)}").replace("127.0.0.1", "localhost")
    assert await value(found, used) is True


async def test_a_certificate_that_nobody_vouches_for_is_a_refusal(
    secured: tuple[postgres.Server, Path],
) -> None:
    server, certificate = secured
    refused = await refusal(url(server, f"?sslmode=verify-full&sslrootcert={certificate}"))
    assert isinstance(refused, DatabaseAway)
    assert 'server certificate for "localhost" does not match host name "127.0.0.1"' in str(refused)
    assert not refused.passes


async def test_check_and_start_call_a_missing_server_away_and_a_refusing_one_by_its_reason(
    server: postgres.Server, tmp_path: Path
) -> None:
    async def outcome(database_url: str) -> Passed | Waits | Refusal:
        settings = Settings(
            datadir=tmp_path,
            explicit_database_url=database_url,
            broker=f"kafka://127.0.0.1:{free_port()}",
        )
        start = Start(
            settings=settings,
            membership=Membership(tmp_path),
            web=None,
            patience_seconds=0,
        )
        return [found async for found in outcomes(start)][-1]

    away = await outcome(f"postgresql://127.0.0.1:{free_port()}/x")
    assert isinstance(away, Waits)
    assert "Connection refused" in away.line
    assert await outcome(url(server, "?sslmode=require")) == Refusal(
        "the read model cannot be opened (server does not support SSL, but SSL was required): "
        "check POSSTREAM_DATABASE_URL"
    )
    assert isinstance(await outcome(url(server)), Passed)
