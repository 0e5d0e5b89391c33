"""The settings of a worker: the environment, read once at start, all errors reported together."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from posstream.domain.access_key import MIN_LENGTH, AccessKey, clash, read_access_keys
from posstream.domain.errors import InvalidSettings
from posstream.domain.near_names import did_you_mean
from posstream.domain.roles import Caller, Role
from posstream.kafka.security import Brokers, BrokerSecurity, SecuredBrokers
from posstream.logs.setup import JSON, TEXT
from posstream.plugin import Plugin
from posstream.plugins.discovery import SETTING as PLUGINS
from posstream.plugins.discovery import find_plugins
from posstream.plugins.found import Plugins
from posstream.read_model.address import read_address, sqlite_url
from posstream.startup import broker_settings
from posstream.startup.hosts import (
    address_of,
    in_url,
    is_loopback,
    is_unspecified,
    without_brackets,
)
from posstream.startup.setting_readers import number, one_of, secret, switch
from posstream.startup.settings_part import GivenSettings, Reader

_PREFIX: Final = "POSSTREAM_"
_LOG_FORMAT: Final = "POSSTREAM_LOG_FORMAT"
#: The name in the log of a caller with the key of POSSTREAM_API_KEY.
_API_KEY_NAME: Final = "api-key"
#: Read by the test suite and by make, not by a worker; no warning for them.
_NOT_OURS: Final = frozenset({"POSSTREAM_TEST_BROKER", "POSSTREAM_TEST_DATABASE_URL"})
#: Settings that can also come from a file, which `NAME_FILE` names.
_SECRETS: Final = frozenset({"POSSTREAM_API_KEY", "POSSTREAM_API_KEYS", "POSSTREAM_DATABASE_URL"})
_FILE: Final = "_FILE"
#: Proxy settings of other programs, also written in small letters.
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
#: POSSTREAM_PROJECTION: each worker projects, or none does.
WORKER: Final = "worker"
ALONE: Final = "alone"
#: Partitions of a topic, unless settings or the topic's owner state a number.
PARTITIONS: Final = 8
_EMBEDDED_PARTITIONS: Final = 2
_SERVER: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a worker needs to know before it starts."""

    #: `kafka://host:port;host:port`; None = the embedded broker of `posstream dev`.
    broker: str | None = None
    #: How connections to the broker are secured; None = they are not.
    security: BrokerSecurity | None = None
    #: Where tables and the SQLite file live. Each worker needs its own.
    datadir: Path = Path(".data")
    #: Explicit URL of the read model; None = SQLite under `datadir`.
    explicit_database_url: str | None = field(default=None, repr=False)
    #: Address of the web view. Loopback unless an API key is set.
    web_host: str = "127.0.0.1"
    web_port: int = 8000
    #: Connections of the web view, in all and from one address.
    web_connections: int = 2000
    web_connections_by_address: int = 1000
    #: Identifiers that support's and operators' keys may each look up in a minute.
    lookups_per_minute: int = 600
    #: Port of the embedded broker, on loopback.
    dev_broker_port: int = 9092
    #: POSSTREAM_TOPIC_PARTITIONS; None if it is not set (see `topic_partitions`).
    explicit_topic_partitions: int | None = None
    #: Copies of each partition; 3 in production.
    topic_replication: int = 1
    #: An operator's key for the web view. Without this and `named_keys`: no key, loopback only.
    api_key: str | None = field(default=None, repr=False)
    #: More keys, each with its role and the name of its caller.
    named_keys: tuple[AccessKey, ...] | None = None
    #: Refuse payment-card numbers; off for shops whose own cards collide with them.
    payment_card_guard: bool = True
    #: Let GraphQL tell about its own schema, in answers and in the hints of errors.
    graphql_introspection: bool = True
    #: More dead letters in a minute are an alarm.
    dead_letters_per_minute: int = 60
    #: Where the projections run: in a child process of each worker, or as `posstream project`.
    projection: str = WORKER
    #: How the log is written: text for people, or JSON.
    log_format: str = TEXT
    #: Days that lookups, attempts and baskets stay in SQL; None = for ever.
    keep_rows_days: int | None = None
    #: How long the broker waits for a silent worker before it gives its partitions to another;
    #: None = as the broker at hand needs it (30, and 6 on the embedded broker).
    session_timeout_seconds: int | None = None
    #: The plugins that run.
    plugins: Plugins = field(default_factory=find_plugins)
    #: The plugins' settings by name, as far as they are set; `own` makes something of them.
    plugin_values: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def own(self, plugin: Plugin) -> Any:
        """What a plugin's `SettingsPart` makes of the environment; None if it has none."""
        return plugin.settings and plugin.settings.make(self, self.plugin_values)

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
    def topic_partitions(self) -> int:
        """Partitions of each topic and changelog that states no number of its own.

        On the embedded broker 2, as its CPU while idle grows with the number of partitions.
        """
        if self.explicit_topic_partitions is not None:
            return self.explicit_topic_partitions
        return _EMBEDDED_PARTITIONS if self.broker is None else PARTITIONS

    @property
    def bootstrap_servers(self) -> Brokers:
        """`host:port` of each broker, and how to connect to it."""
        if self.broker is None:
            return [f"127.0.0.1:{self.dev_broker_port}"]
        servers = self.broker.removeprefix("kafka://").split(";")
        found = [s if _SERVER.fullmatch(s)[2] else f"{s}:9092" for s in servers]  # type: ignore[index]
        return found if self.security is None else SecuredBrokers(tuple(found), self.security)

    @property
    def faust_broker(self) -> str:
        """The URL of each broker, for Faust."""
        return ";".join(f"kafka://{server}" for server in self.bootstrap_servers)

    @property
    def web_url(self) -> str:
        """The URL of the web view on this machine, without a trailing slash."""
        # Right for `::`, too, which also listens for IPv4.
        host = "127.0.0.1" if is_unspecified(self.web_host) else self.web_host
        return f"http://{in_url(host)}:{self.web_port}"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings.

        Raises:
            InvalidSettings: with one line for every wrong setting; values are not echoed.
        """
        environ = os.environ if environ is None else environ
        errors: list[str] = []
        plugins = _plugins(environ, errors)
        read = {name: reader for name, (_, reader) in _READERS.items()}
        ours = _given(environ, read, _SECRETS, errors)
        values = {_READERS[name][0]: value for name, value in ours.values.items()}
        readers = {name: reader for name, (_, reader) in broker_settings.READERS.items()}
        secured = _given(environ, readers, broker_settings.SECRETS, errors)
        values["security"] = broker_settings.read(secured, errors)
        if values["security"] is not None and ours.is_missing("POSSTREAM_BROKER"):
            errors.append(
                f"{broker_settings.SECURITY} needs POSSTREAM_BROKER as well: the embedded broker "
                "has no security"
            )
        host = values.get("web_host", "127.0.0.1")
        has_no_key = ours.is_missing("POSSTREAM_API_KEY") and ours.is_missing("POSSTREAM_API_KEYS")
        if not is_loopback(host) and has_no_key:
            errors.append(
                "POSSTREAM_WEB_HOST is not a loopback address: set POSSTREAM_API_KEY as well, "
                "or anyone on the network can read your customers"
            )
        if {"api_key", "named_keys"} <= values.keys():
            alike = clash(cls(**values, plugins=plugins).access_keys)
            if alike is not None:
                errors.append(f"POSSTREAM_API_KEYS with POSSTREAM_API_KEY {alike}")
        own: dict[str, Any] = {}
        for plugin in plugins:
            if plugin.settings is None:
                continue
            given = _given(environ, plugin.settings.readers, plugin.settings.secrets, errors)
            try:
                errors += plugin.settings.check(given)
            except Exception as why:  # noqa: BLE001 - a plugin's own code
                errors.append(f"the settings of {plugin.name} fail their check ({_kind(why)})")
            own |= given.values
        if errors:
            raise InvalidSettings(errors)
        return cls(**values, plugins=plugins, plugin_values=own)


def asked_log_format(environ: Mapping[str, str] | None = None) -> str:
    """The log's format, for lines from before the settings are read, or about refused ones."""
    environ = os.environ if environ is None else environ
    return JSON if environ.get(_LOG_FORMAT, "").lower() == JSON else TEXT


def unknown_settings(environ: Mapping[str, str] | None = None) -> list[str]:
    """One warning for each `POSSTREAM_*` name that means nothing to us, and one for proxies."""
    environ = os.environ if environ is None else environ
    parts = [it.settings for it in _plugins(environ, []) if it.settings is not None]
    secrets = _SECRETS.union(broker_settings.SECRETS, *(part.secrets for part in parts))
    known = [
        *_READERS,
        *broker_settings.READERS,
        PLUGINS,
        *(name for part in parts for name in part.readers),
        *(name + _FILE for name in sorted(secrets)),
    ]
    warnings = []
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in known and name not in _NOT_OURS:
            hint = did_you_mean(name, known)
            warnings.append(f"{name} is not a setting of posstream and is ignored{hint}")
    proxies = [name for name in sorted(environ) if name.upper() in _PROXIES and environ[name]]
    if proxies:
        verb = "is" if len(proxies) == 1 else "are"
        warnings.append(
            f"{', '.join(proxies)} {verb} not used: calls to the directory take a proxy from "
            "POSSTREAM_API_PROXY alone"
        )
    return warnings


def _plugins(environ: Mapping[str, str], errors: list[str]) -> Plugins:
    """The chosen plugins; after a wrong choice, an error and all plugins, to check the rest."""
    try:
        return find_plugins(environ.get(PLUGINS, ""))
    except InvalidSettings as why:
        errors += why.errors
        return find_plugins("")


def _given(
    environ: Mapping[str, str],
    readers: Mapping[str, Reader],
    secrets: frozenset[str],
    errors: list[str],
) -> GivenSettings:
    """Read the settings of one part; each that is wrong adds its line to the errors."""
    values: dict[str, Any] = {}
    wrong: set[str] = set()
    for name, read in readers.items():
        names = [name + _FILE, name] if name in secrets else [name]
        source = next((it for it in names if environ.get(it, "").strip()), None)
        if source is None:
            continue
        try:
            values[name] = read(_raw(environ, name, source))
        except ValueError as why:
            wrong.add(name)
            errors.append(f"{source} {why}")
        except Exception as why:  # noqa: BLE001 - a plugin's own code; its text may hold a secret
            wrong.add(name)
            errors.append(f"{source} cannot be read ({_kind(why)})")
    return GivenSettings(values, frozenset(wrong))


def _kind(why: Exception) -> str:
    return type(why).__name__


def _raw(environ: Mapping[str, str], name: str, source: str) -> str:
    raw = environ[source].strip()
    if source == name:
        return raw
    if environ.get(name, "").strip():
        raise ValueError(f"and {name} are both set: leave one out")
    return secret(raw)


def _broker(raw: str) -> str:
    if "@" in raw:
        raise ValueError("must not carry a user name or password: the worker's banner prints it")
    servers = raw.removeprefix("kafka://")
    for server in servers.split(";"):
        found = _SERVER.fullmatch(server.removeprefix("kafka://"))
        if (
            found is None
            or (found[2] and not 1 <= int(found[2]) <= 65_535)  # noqa: PLR2004
            or (found[1].startswith("[") and address_of(found[1]) is None)
        ):
            raise ValueError("must look like kafka://host:9092 or kafka://one:9092;two:9092")
    return "kafka://" + servers.replace("kafka://", "")


def _database_url(raw: str) -> str:
    read_address(raw)
    return raw


def _host(raw: str) -> str:
    """A host name, or an address as sockets want it: IPv6 without brackets."""
    if raw.startswith("[") or ":" in raw:
        try:
            address = ipaddress.IPv6Address(without_brackets(raw))
        except ValueError:
            raise ValueError("must be a host name or an IP address, without a port") from None
        return str(address.ipv4_mapped or address)
    if re.fullmatch(r"[A-Za-z0-9._-]{1,253}", raw) is None:
        raise ValueError("must be a host name or an IP address")
    return raw


def _secret(raw: str) -> str:
    if len(raw) < MIN_LENGTH:
        raise ValueError(f"must have at least {MIN_LENGTH} characters")
    return raw


#: name -> (field, how to read it). Also the list of names that exist.
_READERS: Final[Mapping[str, tuple[str, Reader]]] = {
    "POSSTREAM_BROKER": ("broker", _broker),
    "POSSTREAM_DATABASE_URL": ("explicit_database_url", _database_url),
    "POSSTREAM_DATADIR": ("datadir", Path),
    "POSSTREAM_WEB_HOST": ("web_host", _host),
    "POSSTREAM_WEB_PORT": ("web_port", number(1, 65_535)),
    "POSSTREAM_WEB_CONNECTIONS": ("web_connections", number(10, 100_000)),
    "POSSTREAM_WEB_CONNECTIONS_BY_ADDRESS": ("web_connections_by_address", number(10, 100_000)),
    "POSSTREAM_LOOKUPS_PER_MINUTE": ("lookups_per_minute", number(1, 1_000_000)),
    "POSSTREAM_DEV_BROKER_PORT": ("dev_broker_port", number(1, 65_535)),
    "POSSTREAM_TOPIC_PARTITIONS": ("explicit_topic_partitions", number(1, 1000)),
    "POSSTREAM_TOPIC_REPLICATION": ("topic_replication", number(1, 32)),
    "POSSTREAM_API_KEY": ("api_key", _secret),
    "POSSTREAM_API_KEYS": ("named_keys", read_access_keys),
    "POSSTREAM_PAYMENT_CARD_GUARD": ("payment_card_guard", switch),
    "POSSTREAM_GRAPHQL_INTROSPECTION": ("graphql_introspection", switch),
    "POSSTREAM_DEAD_LETTERS_PER_MINUTE": ("dead_letters_per_minute", number(1, 1_000_000)),
    "POSSTREAM_SESSION_TIMEOUT_SECONDS": ("session_timeout_seconds", number(6, 300)),
    _LOG_FORMAT: ("log_format", one_of(TEXT, JSON)),
    "POSSTREAM_PROJECTION": ("projection", one_of(WORKER, ALONE)),
    # `lookupStats` counts up to 7 days back.
    "POSSTREAM_KEEP_ROWS_DAYS": ("keep_rows_days", number(8, 36_500)),
}
