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

from agents.customer_lookup.directory.credentials import (
    Credentials,
    OAuthClient,
    read_authorization,
)
from agents.customer_lookup.directory.endpoint import check_endpoint, wire_endpoint
from agents.customer_lookup.directory.response_mapping import ResponseMapping
from posstream.domain.access_key import AccessKey, clash, read_access_keys
from posstream.domain.addresses import REFUSED, is_refused
from posstream.domain.errors import InvalidSettings
from posstream.domain.roles import Caller, Role
from posstream.read_model.address import read_address, sqlite_url
from posstream.startup.secret_file import read_secret
from posstream.startup.tls_files import TlsFiles

_PREFIX: Final = "POSSTREAM_"
#: Who the key of POSSTREAM_API_KEY is, in the log.
_API_KEY_NAME: Final = "api-key"
#: Read by the test suite and by make, not by a worker; no warning for them.
_NOT_OURS: Final = frozenset({"POSSTREAM_TEST_BROKER", "POSSTREAM_TEST_DATABASE_URL"})
#: Settings that can also come from a file, which `NAME_FILE` names.
_SECRETS: Final = frozenset(
    {
        "POSSTREAM_API_AUTH",
        "POSSTREAM_API_KEY",
        "POSSTREAM_API_KEYS",
        "POSSTREAM_API_OAUTH_CLIENT_SECRET",
        "POSSTREAM_API_PROXY",
        "POSSTREAM_DATABASE_URL",
    }
)
_FILE: Final = "_FILE"
_MAX_TEXT: Final = 4096
_CLIENT_CERTIFICATE: Final = "POSSTREAM_API_CLIENT_CERT_FILE"
_CLIENT_KEY: Final = "POSSTREAM_API_CLIENT_KEY_FILE"
#: A client of OAuth needs all of these.
_OAUTH: Final = (
    "POSSTREAM_API_OAUTH_TOKEN_URL",
    "POSSTREAM_API_OAUTH_CLIENT_ID",
    "POSSTREAM_API_OAUTH_CLIENT_SECRET",
)
_PROXY_FORM: Final = "must look like http://host:port or http://user:password@host:port"
#: Proxy settings of other programs, also written in small letters.
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
#: Where each worker serves its mock of a directory.
MOCK_PATH: Final = "/api/mock-customer-lookup/"
#: POSSTREAM_PROJECTION: each worker projects, or none does.
WORKER: Final = "worker"
ALONE: Final = "alone"
_SERVER: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")


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
    #: Connections of the web view, in all and from one address.
    web_connections: int = 2000
    web_connections_by_address: int = 1000
    #: Identifiers that support's and operators' keys may each look up in a minute.
    lookups_per_minute: int = 600
    #: Serve the mock directory; None = while it is the directory that lookups go to.
    mock_directory: bool | None = None
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
    #: The proxy on the way to the directory, maybe with its password; None = no proxy.
    api_proxy: str | None = field(default=None, repr=False)
    #: PEM files for TLS to the directory: authorities beside the machine's own, and our own
    #: certificate and key.
    api_ca_file: Path | None = None
    api_client_cert_file: Path | None = None
    api_client_key_file: Path | None = None
    #: OAuth 2.0 client credentials, instead of `api_auth`.
    oauth_token_url: str | None = None
    oauth_client_id: str | None = None
    oauth_client_secret: str | None = field(default=None, repr=False)
    oauth_scope: str | None = None
    #: Take 204, `null`, `[]` and `{}` of the directory for a customer that it does not know.
    empty_means_unknown: bool = True
    #: Where the directory keeps the fields of a customer; None = under the contract's names.
    api_mapping: ResponseMapping | None = None
    #: Refuse payment-card numbers; off for shops whose own cards collide with them.
    payment_card_guard: bool = True
    #: Let GraphQL tell about its own schema, in answers and in the hints of errors.
    graphql_introspection: bool = True
    #: Refresh entries that are in use before their fresh window ends.
    refresh_ahead: bool = True
    #: More dead letters in a minute are an alarm.
    dead_letters_per_minute: int = 60
    #: Where the projections run: in a child process of each worker, or as `posstream project`.
    projection: str = WORKER
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
        return [s if _SERVER.fullmatch(s)[2] else f"{s}:9092" for s in servers]  # type: ignore[index]

    @property
    def faust_broker(self) -> str:
        """The same as Faust wants it."""
        return ";".join(f"kafka://{server}" for server in self.bootstrap_servers)

    @property
    def web_url(self) -> str:
        """Where this machine finds the web view, without a trailing slash."""
        # Right for `::`, too, which also listens for IPv4.
        host = "127.0.0.1" if is_unspecified(self.web_host) else self.web_host
        return f"http://{in_url(host)}:{self.web_port}"

    @property
    def api_endpoint(self) -> str:
        """The directory's base URL before any live configuration."""
        return self.explicit_api_endpoint or f"{self.web_url}{MOCK_PATH}"

    @property
    def credentials(self) -> Credentials | None:
        """The directory's credentials, bound to the endpoint of these settings.

        Whoever edits the live configuration's endpoint must not have them sent elsewhere.
        """
        if self.api_auth is None or self.explicit_api_endpoint is None:
            return None
        return Credentials(self.api_auth, self.explicit_api_endpoint)

    @property
    def oauth(self) -> OAuthClient | None:
        """The client that gets tokens for the directory, bound as `credentials` are."""
        url, name, secret = self.oauth_token_url, self.oauth_client_id, self.oauth_client_secret
        endpoint = self.explicit_api_endpoint
        if url is None or name is None or secret is None or endpoint is None:
            return None
        return OAuthClient(url, name, secret, self.oauth_scope, endpoint)

    @property
    def tls(self) -> TlsFiles | None:
        """The files for TLS to the directory; None = the machine's authorities alone."""
        files = TlsFiles(self.api_ca_file, self.api_client_cert_file, self.api_client_key_file)
        return None if files == TlsFiles() else files

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings.

        Raises:
            InvalidSettings: with one line for every wrong setting; values are not echoed.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        errors: list[str] = []
        given: set[str] = set()
        for name, (target, read) in _READERS.items():
            source = _source(environ, name)
            if source is None:
                continue
            given.add(target)
            try:
                values[target] = read(_raw(environ, name, source))
            except ValueError as why:
                errors.append(f"{source} {why}")
        host = values.get("web_host", "127.0.0.1")
        if not is_loopback(host) and not given & {"api_key", "named_keys"}:
            errors.append(
                "POSSTREAM_WEB_HOST is not a loopback address: set POSSTREAM_API_KEY as well, "
                "or anyone on the network can read your customers"
            )
        if {"api_key", "named_keys"} <= values.keys():
            alike = clash(cls(**values).access_keys)
            if alike is not None:
                errors.append(f"POSSTREAM_API_KEYS with POSSTREAM_API_KEY {alike}")
        errors += _directory_errors(environ, values)
        if errors:
            raise InvalidSettings(errors)
        return cls(**values)


def unknown_settings(environ: Mapping[str, str] | None = None) -> list[str]:
    """One warning for each `POSSTREAM_*` name that means nothing to us, and one for proxies."""
    environ = os.environ if environ is None else environ
    known = [*_READERS, *(name + _FILE for name in sorted(_SECRETS))]
    warnings = []
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in known and name not in _NOT_OURS:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            warnings.append(f"{name} is not a setting of posstream and is ignored{hint}")
    proxies = [name for name in sorted(environ) if name.upper() in _PROXIES and environ[name]]
    if proxies:
        verb = "is" if len(proxies) == 1 else "are"
        warnings.append(
            f"{', '.join(proxies)} {verb} not used: calls to the directory take a proxy from "
            "POSSTREAM_API_PROXY alone"
        )
    return warnings


def _source(environ: Mapping[str, str], name: str) -> str | None:
    """The variable that has a setting, or names its file; None if it is not set."""
    names = [name + _FILE, name] if name in _SECRETS else [name]
    return next((it for it in names if environ.get(it, "").strip()), None)


def _raw(environ: Mapping[str, str], name: str, source: str) -> str:
    raw = environ[source].strip()
    if source == name:
        return raw
    if environ.get(name, "").strip():
        raise ValueError(f"and {name} are both set: leave one out")
    return read_secret(Path(raw))


def _broker(raw: str) -> str:
    if "@" in raw:
        raise ValueError("must not carry a user name or password: the worker's banner prints it")
    servers = raw.removeprefix("kafka://")
    for server in servers.split(";"):
        found = _SERVER.fullmatch(server.removeprefix("kafka://"))
        if (
            found is None
            or (found[2] and not 1 <= int(found[2]) <= 65_535)  # noqa: PLR2004
            or (found[1].startswith("[") and _address(found[1]) is None)
        ):
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
    """A host name, or an address as sockets want it: that of IPv6 without brackets."""
    if raw.startswith("[") or ":" in raw:
        try:
            address = ipaddress.IPv6Address(without_brackets(raw))
        except ValueError:
            raise ValueError("must be a host name or an IP address, without a port") from None
        return str(address.ipv4_mapped or address)
    if re.fullmatch(r"[A-Za-z0-9._-]{1,253}", raw) is None:
        raise ValueError("must be a host name or an IP address")
    return raw


def _endpoint(raw: str) -> str:
    why = check_endpoint(raw)
    if why is not None:
        raise ValueError(why)
    return raw


def _proxy(raw: str) -> str:
    try:
        parts = urlsplit(wire_endpoint(raw))
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_PROXY_FORM) from None
    if not host or parts.scheme != "http" or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(_PROXY_FORM)
    if is_refused(host):
        raise ValueError(REFUSED)
    return raw


def _text(raw: str) -> str:
    if not raw.isprintable() or len(raw) > _MAX_TEXT:
        raise ValueError(f"must have at most {_MAX_TEXT:,} printable characters")
    return raw


def _directory_errors(environ: Mapping[str, str], values: Mapping[str, Any]) -> list[str]:
    """Errors in the directory's settings taken together; a wrong value has its own line."""
    right = [name for name, (target, _) in _READERS.items() if target in values]

    def is_missing(name: str) -> bool:
        return name not in right and _source(environ, name) is None

    errors = []
    auth = [name for name in right if name == "POSSTREAM_API_AUTH"]
    oauth = [name for name in right if name.startswith("POSSTREAM_API_OAUTH_")][:1]
    missing = " and ".join(filter(is_missing, _OAUTH))
    if oauth and missing:
        errors.append(f"{oauth[0]} needs {missing} as well")
    if oauth and auth:
        errors.append(f"{auth[0]} and {oauth[0]} exclude each other")
    if _CLIENT_KEY in right and is_missing(_CLIENT_CERTIFICATE):
        errors.append(f"{_CLIENT_KEY} needs {_CLIENT_CERTIFICATE} as well")
    if is_missing("POSSTREAM_API_ENDPOINT"):
        shown = [*auth, *oauth, *(name for name in right if name == _CLIENT_CERTIFICATE)]
        one_origin = "is sent to one origin only: set POSSTREAM_API_ENDPOINT as well"
        errors += [f"{name} {one_origin}" for name in shown]
    elif _in_clear(values.get("explicit_api_endpoint")):
        must = "POSSTREAM_API_ENDPOINT must start with https://"
        errors += [
            f"{name} would cross the network in clear text: {must}" for name in (*auth, *oauth)
        ]
    if _in_clear(values.get("oauth_token_url")):
        errors.append("POSSTREAM_API_OAUTH_TOKEN_URL must start with https://")
    return errors + _tls_errors(values)


def _in_clear(url: str | None) -> bool:
    parts = urlsplit(url or "")
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _tls_errors(values: Mapping[str, Any]) -> list[str]:
    own = TlsFiles(None, values.get("api_client_cert_file"), values.get("api_client_key_file"))
    errors = []
    for name, files in (
        ("POSSTREAM_API_CA_FILE", TlsFiles(values.get("api_ca_file"))),
        (_CLIENT_CERTIFICATE, own),
    ):
        try:
            if files != TlsFiles():
                files.context(with_certificate=True)
        except ValueError as why:
            errors.append(f"{name} {why}")
    return errors


def _secret(raw: str) -> str:
    if len(raw) < 16:  # noqa: PLR2004
        raise ValueError("must have at least 16 characters")
    return raw


def _switch(raw: str) -> bool:
    if raw.lower() not in {"on", "off"}:
        raise ValueError("must be on or off")
    return raw.lower() == "on"


def _switch_or_auto(raw: str) -> bool | None:
    try:
        return None if raw.lower() == "auto" else _switch(raw)
    except ValueError:
        raise ValueError("must be on, off or auto") from None


def _projection(raw: str) -> str:
    if raw.lower() not in {WORKER, ALONE}:
        raise ValueError(f"must be {WORKER} or {ALONE}")
    return raw.lower()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on this host."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_unspecified(host: str) -> bool:
    """Whether this stands for all addresses of the machine."""
    address = _address(host)
    return not host or (address is not None and address.is_unspecified)


def in_url(host: str) -> str:
    """A host as URLs have it: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def without_brackets(host: str) -> str:
    """A host as sockets want it."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a host is, None for a name; an IPv4-mapped one becomes IPv4."""
    try:
        address = ipaddress.ip_address(without_brackets(host))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


#: name -> (field, how to read it). Also the list of names that exist.
_READERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "POSSTREAM_BROKER": ("broker", _broker),
    "POSSTREAM_DATABASE_URL": ("explicit_database_url", _database_url),
    "POSSTREAM_DATADIR": ("datadir", Path),
    "POSSTREAM_WEB_HOST": ("web_host", _host),
    "POSSTREAM_WEB_PORT": ("web_port", _number(1, 65_535)),
    "POSSTREAM_WEB_CONNECTIONS": ("web_connections", _number(10, 100_000)),
    "POSSTREAM_WEB_CONNECTIONS_BY_ADDRESS": ("web_connections_by_address", _number(10, 100_000)),
    "POSSTREAM_LOOKUPS_PER_MINUTE": ("lookups_per_minute", _number(1, 1_000_000)),
    "POSSTREAM_MOCK_DIRECTORY": ("mock_directory", _switch_or_auto),
    "POSSTREAM_DEV_BROKER_PORT": ("dev_broker_port", _number(1, 65_535)),
    "POSSTREAM_TOPIC_PARTITIONS": ("topic_partitions", _number(1, 1000)),
    "POSSTREAM_TOPIC_REPLICATION": ("topic_replication", _number(1, 32)),
    "POSSTREAM_API_KEY": ("api_key", _secret),
    "POSSTREAM_API_KEYS": ("named_keys", read_access_keys),
    "POSSTREAM_API_ENDPOINT": ("explicit_api_endpoint", _endpoint),
    "POSSTREAM_API_AUTH": ("api_auth", read_authorization),
    "POSSTREAM_API_OAUTH_TOKEN_URL": ("oauth_token_url", _endpoint),
    "POSSTREAM_API_OAUTH_CLIENT_ID": ("oauth_client_id", _text),
    "POSSTREAM_API_OAUTH_CLIENT_SECRET": ("oauth_client_secret", _text),
    "POSSTREAM_API_OAUTH_SCOPE": ("oauth_scope", _text),
    "POSSTREAM_API_PROXY": ("api_proxy", _proxy),
    "POSSTREAM_API_CA_FILE": ("api_ca_file", Path),
    _CLIENT_CERTIFICATE: ("api_client_cert_file", Path),
    _CLIENT_KEY: ("api_client_key_file", Path),
    "POSSTREAM_API_EMPTY_MEANS_UNKNOWN": ("empty_means_unknown", _switch),
    "POSSTREAM_API_MAPPING": ("api_mapping", ResponseMapping.parse),
    "POSSTREAM_PAYMENT_CARD_GUARD": ("payment_card_guard", _switch),
    "POSSTREAM_GRAPHQL_INTROSPECTION": ("graphql_introspection", _switch),
    "POSSTREAM_REFRESH_AHEAD": ("refresh_ahead", _switch),
    "POSSTREAM_DEAD_LETTERS_PER_MINUTE": ("dead_letters_per_minute", _number(1, 1_000_000)),
    "POSSTREAM_PROJECTION": ("projection", _projection),
    "POSSTREAM_SESSION_TIMEOUT_SECONDS": ("session_timeout_seconds", _number(6, 300)),
}
