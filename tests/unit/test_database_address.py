"""POSSTREAM_DATABASE_URL: libpq's URLs for PostgreSQL, and any path for SQLite."""

from pathlib import Path

import pytest

from posstream.read_model.address import PostgresServer, SqliteFile, read_address, sqlite_url
from posstream.settings import Settings

PATHS = ["a b.db", "100%.db", "a%20b.db", "what?.db", "#1.db", "größe.db", "日本.db", "a\udcffb.db"]


@pytest.mark.parametrize("name", PATHS)
def test_any_path_comes_back_from_its_url(name: str) -> None:
    path = Path("/data") / name
    assert read_address(sqlite_url(path)) == SqliteFile(path)


@pytest.mark.parametrize("name", ["a b", "100%", "a%20b", "what?", "#1", "größe"])
def test_a_data_directory_may_have_any_name(name: str, tmp_path: Path) -> None:
    settings = Settings.from_environment({"POSSTREAM_DATADIR": str(tmp_path / name)})
    assert read_address(settings.database_url) == SqliteFile(tmp_path / name / "posstream.sqlite3")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite+aiosqlite:////data/x.db", "/data/x.db"),
        ("sqlite+aiosqlite:///data/x.db", "data/x.db"),
        ("sqlite:///x.db", "x.db"),
        ("sqlite+aiosqlite:////data/what%3F/x.db", "/data/what?/x.db"),
        ("sqlite+aiosqlite:////data/100%/#1.db", "/data/100%/#1.db"),
    ],
)
def test_a_file_is_named_as_in_any_url(url: str, path: str) -> None:
    assert read_address(url) == SqliteFile(Path(path))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite+aiosqlite:///:memory:"])
def test_sqlite_without_a_file_is_in_memory(url: str) -> None:
    assert read_address(url) == SqliteFile(None)


@pytest.mark.parametrize(
    ("url", "parameters"),
    [
        (
            "postgresql+asyncpg://u:p%40w@db:5432/x",
            {"user": "u", "password": "p@w", "host": "db", "port": "5432", "dbname": "x"},
        ),
        ("postgres://u@/x", {"user": "u", "dbname": "x"}),
        ("postgresql+psycopg://db", {"host": "db"}),
        (
            "postgresql://a:1,b:2/x?target_session_attrs=read-write",
            {"host": "a,b", "port": "1,2", "dbname": "x", "target_session_attrs": "read-write"},
        ),
        (
            "postgresql://db/x?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            {"host": "db", "dbname": "x", "sslmode": "verify-full", "sslrootcert": "/etc/ca.pem"},
        ),
        (
            "postgresql://db/x?application_name=till%20view+1&options=-csearch_path%3Dshop",
            {
                "host": "db",
                "dbname": "x",
                "application_name": "till view+1",
                "options": "-csearch_path=shop",
            },
        ),
        ("postgresql:///x?host=/run/postgresql", {"dbname": "x", "host": "/run/postgresql"}),
        ("postgresql:///?service=shop", {"service": "shop"}),
        ("postgresql://[::1]:5432/x", {"host": "::1", "port": "5432", "dbname": "x"}),
        # As SQLAlchemy's asyncpg took it.
        (
            "postgresql+asyncpg://db/x?ssl=require&prepared_statement_cache_size=0",
            {"host": "db", "dbname": "x", "sslmode": "require"},
        ),
        (
            "postgresql+asyncpg:///x?host=a:1&host=b:2",
            {"dbname": "x", "host": "a,b", "port": "1,2"},
        ),
    ],
)
def test_a_server_is_named_as_libpq_reads_it(url: str, parameters: dict[str, str]) -> None:
    assert read_address(url) == PostgresServer(parameters)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@db/x",
        "postgresql+asyncpg:hunter2",
        "postgresql://u:hunter2@db:port/x",
        "postgresql://u:hunter2@db:65536/x",
        "postgresql://u:hunt?er2@db/x",
        "postgresql://u@db/x?hunter2=1",
        "postgresql://u@[::1/hunter2",
        "sqlite://hunter2.db",
        "sqlite:///hunter2.db?mode=ro",
        "sqlite:///hunter2%00.db",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|is|takes|names) ") as refused:
        read_address(url)
    assert "hunt" not in str(refused.value)
