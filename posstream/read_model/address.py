"""Reads POSSTREAM_DATABASE_URL: a SQLite file, or a PostgreSQL as libpq addresses it. No I/O."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

_SQLITE: Final = frozenset({"sqlite", "sqlite+aiosqlite"})
_POSTGRESQL: Final = frozenset(
    {"postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg"}
)
#: Options for asyncpg that are ignored: psycopg keeps no prepared statements here.
_WITHOUT_MEANING: Final = frozenset(
    {"prepared_statement_cache_size", "statement_cache_size", "prepared_statement_name_func"}
)
_SSL_SWITCHES: Final = {"true": "require", "false": "disable"}
_SIGNS: Final = "write % as %25, : as %3A, / as %2F, ? as %3F, # as %23 and @ as %40 inside a part"


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A SQLite database; `path` None = in memory."""

    path: Path | None


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A PostgreSQL server: libpq's connection parameters by their names."""

    parameters: dict[str, str]


def read_address(url: str) -> SqliteFile | PostgresServer:
    """Read the URL of a database.

    Raises:
        ValueError: with the end of a sentence that begins with the setting's name. It repeats
            nothing of the URL, which may hold a password.
    """
    scheme, slashes, rest = url.partition("://")
    if slashes and scheme in _SQLITE:
        return _sqlite(rest)
    if slashes and scheme in _POSTGRESQL:
        return _postgresql(rest)
    raise ValueError("must start with postgresql+asyncpg://, postgresql:// or sqlite+aiosqlite://")


def shown_address(url: str) -> str:
    """A URL as it may be shown: without user, password and options.

    Raises:
        ValueError: as `read_address`.
    """
    address = read_address(url)
    if isinstance(address, SqliteFile):
        return f"SQLite {address.path or 'in memory'}"
    told = address.parameters
    if "service" in told:
        return f"PostgreSQL service {told['service']}"
    host = told.get("host") or told.get("hostaddr") or "(local socket)"
    port = f":{told['port']}" if "port" in told else ""
    return f"PostgreSQL {host}{port}/{told.get('dbname', '')}"


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file; special characters of its path are quoted."""
    return f"sqlite+aiosqlite:///{quote(os.fsencode(path))}"


def _sqlite(rest: str) -> SqliteFile:
    encoded, options, _ = rest.partition("?")
    if options:
        raise ValueError("takes no options for SQLite: write a ? in a path as %3F")
    if encoded and not encoded.startswith("/"):
        raise ValueError(
            "must have three slashes before a relative path (sqlite+aiosqlite:///data/x.sqlite3) "
            "and four before an absolute one"
        )
    path = unquote(encoded.removeprefix("/"), errors="surrogateescape")
    if "\0" in path:
        raise ValueError("names a path with NUL in it, which no file can have")
    return SqliteFile(None if path in {"", ":memory:"} else Path(path))


def _postgresql(rest: str) -> PostgresServer:
    from psycopg.conninfo import conninfo_to_dict  # not with SQLite: see `refusals`
    from psycopg.errors import Error

    try:
        read = conninfo_to_dict("postgresql://" + _as_libpq_writes(rest))
    except (Error, ValueError):
        raise ValueError(
            f"is no PostgreSQL URL, or names an option that libpq does not know: {_SIGNS}"
        ) from None
    parameters = {name: str(value) for name, value in read.items() if value is not None}
    for port in parameters.get("port", "").split(","):
        if port and not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65_535):  # noqa: PLR2004
            raise ValueError(f"must have a port from 1 to 65535: {_SIGNS}")
    return PostgresServer(parameters)


def _as_libpq_writes(rest: str) -> str:
    """The URL without its scheme, with asyncpg's options renamed to those of libpq."""
    place, question, query = rest.partition("?")
    if not question:
        return rest
    options: dict[str, str] = {}
    hosts: list[str] = []
    spelled = query.replace("+", "%2B")  # parse_qsl reads + as a blank, libpq does not
    for name, value in parse_qsl(spelled, keep_blank_values=True, strict_parsing=True):
        if name == "host":
            hosts.append(value)
        elif name == "ssl":
            options["sslmode"] = _SSL_SWITCHES.get(value.lower(), value)
        elif name not in _WITHOUT_MEANING:
            options[name] = value
    if len(hosts) > 1:  # host=one:5432&host=two:5433
        parts = [host.partition(":") for host in hosts]
        options |= {
            "host": ",".join(host for host, _, _ in parts),
            "port": ",".join(port for _, _, port in parts),
        }
    elif hosts:
        options["host"] = hosts[0]
    return f"{place}?{urlencode(options, quote_via=quote)}"
