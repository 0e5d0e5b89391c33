"""The settings of a worker: the environment, read once at start, all errors reported together."""

import difflib
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from posstream.configuration import check_endpoint
from posstream.database_address import read_address, sqlite_url
from posstream.domain.access_key import AccessKey, clash, read_access_keys
from posstream.domain.credentials import Credentials, read_authorization
from posstream.domain.errors import InvalidSettings
from posstream.domain.response_mapping import ResponseMapping
from posstream.domain.roles import Caller, Role

_PREFIX: Final = "POSSTREAM_"
#: Who the key of POSSTREAM_API_KEY is, in the log.
_API_KEY_NAME: Final = "api-key"
#: Read by the test suite and by make, not by a worker; no warning for them.
_NOT_OURS: Final = frozenset({"POSSTREAM_TEST_BROKER", "POSSTREAM_TEST_DATABASE_URL"})
_SERVER: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a worker needs to know before it starts."""

    #: `kafka://host:port;host:port`; None = the embedded broker of `posstream dev`.
    broker: str | None = None
    #: Where tables and the SQLite file live. Each worker needs its own.
    datadir: Path = Path(".data")
    #: Explicit URL of the read model; None = SQLite under `datadir`.
    explicit_database_url: str | None = field(default=None, repr=False)
    #: Address of the web view. Loopback unless an API key is set.
    web_host: str = "127.0.0.1"
    web_port: int = 8000
    #: Port of the embedded broker, on loopback.
    dev_broker_port: int = 9092
    #: Partitions of the lookup topics and of the cache's changelog: one number for all of them.
    topic_partitions: int = 8
    #: Copies of each partition; 3 in production.
    topic_replication: int = 1
    #: An operator's key for the web view. Without this and `named_keys`: no key, loopback only.
    api_key: str | None = field(default=None, repr=False)
    #: More keys, each with its role and the name of who has it.
    named_keys: tuple[AccessKey, ...] | None = None
    #: The directory until the live configuration names another; None = the worker's mock.
    explicit_api_endpoint: str | None = None
    #: The directory's `Authorization` header; None = it asks for none.
    api_auth: str | None = field(default=None, repr=False)
    #: Where the directory keeps the fields of a customer; None = under the contract's names.
    api_mapping: ResponseMapping | None = None
    #: Refuse payment-card numbers; off for shops whose own cards collide with them.
    payment_card_guard: bool = True
    #: Let GraphQL tell about its own schema, in answers and in the hints of errors.
    graphql_introspection: bool = True
    #: Refresh entries that are in use before their fresh window ends.
    refresh_ahead: bool = True
    #: Dead letters in a minute after which a worker stops taking events.
    dead_letters_per_minute: int = 600
    #: How long the broker waits for a silent worker before it gives its partitions to another;
    #: None = as the broker at hand needs it (30, and 6 on the embedded broker).
    session_timeout_seconds: int | None = None

    @property
    def access_keys(self) -> tuple[AccessKey, ...]:
        """Every key of the web view; empty = it asks for none."""
        named = self.named_keys or ()
        if self.api_key is None:
            return named
        return (AccessKey(Caller(_API_KEY_NAME, Role.OPERATOR), self.api_key), *named)

    @property
    def operator_key(self) -> str | None:
        """A key with which a command may ask this machine's worker for anything."""
        keys = (key.secret for key in self.access_keys if key.caller.may(Role.OPERATOR))
        return next(keys, None)

    @property
    def database_url(self) -> str:
        """The URL of the read model."""
        if self.explicit_database_url is not None:
            return self.explicit_database_url
        return sqlite_url(self.datadir.absolute() / "posstream.sqlite3")

    @property
    def bootstrap_servers(self) -> list[str]:
        """`host:port` of each broker, for aiokafka."""
        if self.broker is None:
            return [f"127.0.0.1:{self.dev_broker_port}"]
        servers = self.broker.removeprefix("kafka://").split(";")
        return [s if _SERVER.fullmatch(s)[1] else f"{s}:9092" for s in servers]  # type: ignore[index]

    @property
    def faust_broker(self) -> str:
        """The same as Faust wants it."""
        return ";".join(f"kafka://{server}" for server in self.bootstrap_servers)

    @property
    def web_url(self) -> str:
        """Where this machine finds the web view, without a trailing slash."""
        host = "127.0.0.1" if self.web_host in {"0.0.0.0", "::", ""} else self.web_host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.web_port}"

    @property
    def api_endpoint(self) -> str:
        """The directory's base URL before any live configuration."""
        return self.explicit_api_endpoint or f"{self.web_url}/api/mock-customer-lookup/"

    @property
    def credentials(self) -> Credentials | None:
        """The directory's credentials, bound to the endpoint of these settings.

        Whoever edits the live configuration's endpoint must not have them sent elsewhere.
        """
        if self.api_auth is None or self.explicit_api_endpoint is None:
            return None
        return Credentials(self.api_auth, self.explicit_api_endpoint)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings.

        Raises:
            InvalidSettings: with one line for every wrong setting; values are not echoed.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        errors: list[str] = []
        for name, (target, read) in _READERS.items():
            raw = environ.get(name, "").strip()
            if not raw:
                continue
            try:
                values[target] = read(raw)
            except ValueError as why:
                errors.append(f"{name} {why}")
        host = values.get("web_host", "127.0.0.1")
        if not is_loopback(host) and not values.keys() & {"api_key", "named_keys"}:
            errors.append(
                "POSSTREAM_WEB_HOST is not a loopback address: set POSSTREAM_API_KEY as well, "
                "or anyone on the network can read your customers"
            )
        if {"api_key", "named_keys"} <= values.keys():
            alike = clash(cls(**values).access_keys)
            if alike is not None:
                errors.append(f"POSSTREAM_API_KEYS with POSSTREAM_API_KEY {alike}")
        if "api_auth" in values:
            errors += _credentials_at_risk(environ, values.get("explicit_api_endpoint"))
        if errors:
            raise InvalidSettings(errors)
        return cls(**values)


def unknown_settings(environ: Mapping[str, str] | None = None) -> list[str]:
    """One warning for each `POSSTREAM_*` name that means nothing to us."""
    environ = os.environ if environ is None else environ
    warnings = []
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in _READERS and name not in _NOT_OURS:
            close = difflib.get_close_matches(name, _READERS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            warnings.append(f"{name} is not a setting of posstream and is ignored{hint}")
    return warnings


def _broker(raw: str) -> str:
    if "@" in raw:
        raise ValueError("must not carry a user name or password: the worker's banner prints it")
    servers = raw.removeprefix("kafka://")
    for server in servers.split(";"):
        found = _SERVER.fullmatch(server.removeprefix("kafka://"))
        if found is None or (found[1] and not 1 <= int(found[1]) <= 65_535):  # noqa: PLR2004
            raise ValueError("must look like kafka://host:9092 or kafka://one:9092;two:9092")
    return "kafka://" + servers.replace("kafka://", "")


def _database_url(raw: str) -> str:
    read_address(raw)
    return raw


def _number(lowest: int, highest: int) -> Callable[[str], int]:
    def read(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", raw) or not lowest <= int(raw) <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}")
        return int(raw)

    return read


def _host(raw: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", raw) is None:
        raise ValueError("must be a host name or an IP address")
    return raw


def _endpoint(raw: str) -> str:
    why = check_endpoint(raw)
    if why is not None:
        raise ValueError(why)
    return raw


def _credentials_at_risk(environ: Mapping[str, str], endpoint: str | None) -> list[str]:
    if not environ.get("POSSTREAM_API_ENDPOINT", "").strip():
        return ["POSSTREAM_API_AUTH is sent to one origin only: set POSSTREAM_API_ENDPOINT as well"]
    parts = urlsplit(endpoint or "")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        clear = "POSSTREAM_API_AUTH would cross the network in clear text"
        return [f"{clear}: POSSTREAM_API_ENDPOINT must start with https://"]
    return []


def _secret(raw: str) -> str:
    if len(raw) < 16:  # noqa: PLR2004
        raise ValueError("must have at least 16 characters")
    return raw


def _switch(raw: str) -> bool:
    if raw.lower() not in {"on", "off"}:
        raise ValueError("must be on or off")
    return raw.lower() == "on"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on this host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


#: name -> (field, how to read it). Also the list of names that exist.
_READERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "POSSTREAM_BROKER": ("broker", _broker),
    "POSSTREAM_DATABASE_URL": ("explicit_database_url", _database_url),
    "POSSTREAM_DATADIR": ("datadir", Path),
    "POSSTREAM_WEB_HOST": ("web_host", _host),
    "POSSTREAM_WEB_PORT": ("web_port", _number(1, 65_535)),
    "POSSTREAM_DEV_BROKER_PORT": ("dev_broker_port", _number(1, 65_535)),
    "POSSTREAM_TOPIC_PARTITIONS": ("topic_partitions", _number(1, 1000)),
    "POSSTREAM_TOPIC_REPLICATION": ("topic_replication", _number(1, 32)),
    "POSSTREAM_API_KEY": ("api_key", _secret),
    "POSSTREAM_API_KEYS": ("named_keys", read_access_keys),
    "POSSTREAM_API_ENDPOINT": ("explicit_api_endpoint", _endpoint),
    "POSSTREAM_API_AUTH": ("api_auth", read_authorization),
    "POSSTREAM_API_MAPPING": ("api_mapping", ResponseMapping.parse),
    "POSSTREAM_PAYMENT_CARD_GUARD": ("payment_card_guard", _switch),
    "POSSTREAM_GRAPHQL_INTROSPECTION": ("graphql_introspection", _switch),
    "POSSTREAM_REFRESH_AHEAD": ("refresh_ahead", _switch),
    "POSSTREAM_DEAD_LETTERS_PER_MINUTE": ("dead_letters_per_minute", _number(1, 1_000_000)),
    "POSSTREAM_SESSION_TIMEOUT_SECONDS": ("session_timeout_seconds", _number(6, 300)),
}
