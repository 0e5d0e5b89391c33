"""The settings of the customer lookup: its directory, and how to reach it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from agents.customer_lookup.directory.addresses import REFUSED, is_refused
from agents.customer_lookup.directory.credentials import (
    Credentials,
    OAuthClient,
    read_authorization,
)
from agents.customer_lookup.directory.endpoint import check_endpoint, wire_endpoint
from agents.customer_lookup.directory.response_mapping import ResponseMapping
from posstream.settings import Settings
from posstream.startup.hosts import is_loopback
from posstream.startup.setting_readers import number, switch, text
from posstream.startup.settings_part import GivenSettings, Reader, SettingsPart
from posstream.startup.tls_files import TlsFiles

#: Where each worker serves its mock of a directory.
MOCK_PATH: Final = "/api/mock-customer-lookup/"
_ENDPOINT: Final = "POSSTREAM_API_ENDPOINT"
_AUTHORIZATION: Final = "POSSTREAM_API_AUTH"
_AUTHORITIES: Final = "POSSTREAM_API_CA_FILE"
_CLIENT_CERTIFICATE: Final = "POSSTREAM_API_CLIENT_CERT_FILE"
_CLIENT_KEY: Final = "POSSTREAM_API_CLIENT_KEY_FILE"
_TOKEN_URL: Final = "POSSTREAM_API_OAUTH_TOKEN_URL"  # noqa: S105 - a setting's name
_OAUTH_SCOPE: Final = "POSSTREAM_API_OAUTH_SCOPE"
#: A client of OAuth needs all of these.
_OAUTH: Final = (
    _TOKEN_URL,
    "POSSTREAM_API_OAUTH_CLIENT_ID",
    "POSSTREAM_API_OAUTH_CLIENT_SECRET",
)
_PROXY_FORM: Final = "must look like http://host:port or http://user:password@host:port"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupSettings:
    """Everything that the lookup needs to know before it starts."""

    #: The worker's own mock of a directory.
    mock_endpoint: str
    #: Serve the mock directory; None = while it is the directory that lookups go to.
    mock_directory: bool | None = None
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
    #: Refresh entries that are in use before their fresh window ends.
    refresh_ahead: bool = True
    #: The most memory for cache entries, in MiB; 0: none.
    cache_memory_mib: int = 512

    @classmethod
    def of(cls, settings: Settings) -> "LookupSettings":
        """The lookup's settings out of those of the worker."""
        return _make(settings, settings.plugin_values)

    @property
    def api_endpoint(self) -> str:
        """The directory's base URL before any live configuration."""
        return self.explicit_api_endpoint or self.mock_endpoint

    @property
    def credentials(self) -> Credentials | None:
        """The directory's credentials, bound to the endpoint of these settings.

        Somebody who edits the endpoint in the live configuration cannot have them sent elsewhere.
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


def _make(settings: Settings, values: Mapping[str, Any]) -> LookupSettings:
    given = {target: values[name] for name, (target, _) in _READERS.items() if name in values}
    return LookupSettings(mock_endpoint=f"{settings.web_url}{MOCK_PATH}", **given)


def _check(given: GivenSettings) -> list[str]:
    """Errors in the directory's settings taken together; a wrong value has its own line."""
    right = given.values
    errors = []
    auth = [name for name in (_AUTHORIZATION,) if name in right]
    oauth = [name for name in (*_OAUTH, _OAUTH_SCOPE) if name in right][:1]
    missing = " and ".join(filter(given.is_missing, _OAUTH))
    if oauth and missing:
        errors.append(f"{oauth[0]} needs {missing} as well")
    if oauth and auth:
        errors.append(f"{auth[0]} and {oauth[0]} exclude each other")
    if _CLIENT_KEY in right and given.is_missing(_CLIENT_CERTIFICATE):
        errors.append(f"{_CLIENT_KEY} needs {_CLIENT_CERTIFICATE} as well")
    if given.is_missing(_ENDPOINT):
        shown = [*auth, *oauth, *(name for name in (_CLIENT_CERTIFICATE,) if name in right)]
        one_origin = f"is sent to one origin only: set {_ENDPOINT} as well"
        errors += [f"{name} {one_origin}" for name in shown]
    elif _in_clear(right.get(_ENDPOINT)):
        must = f"{_ENDPOINT} must start with https://"
        errors += [
            f"{name} would cross the network in clear text: {must}" for name in (*auth, *oauth)
        ]
    if _in_clear(right.get(_TOKEN_URL)):
        errors.append(f"{_TOKEN_URL} must start with https://")
    return errors + _tls_errors(right)


def _in_clear(url: str | None) -> bool:
    parts = urlsplit(url or "")
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _tls_errors(values: Mapping[str, Any]) -> list[str]:
    own = TlsFiles(None, values.get(_CLIENT_CERTIFICATE), values.get(_CLIENT_KEY))
    errors = []
    for name, files in (
        (_AUTHORITIES, TlsFiles(values.get(_AUTHORITIES))),
        (_CLIENT_CERTIFICATE, own),
    ):
        try:
            if files != TlsFiles():
                files.context(with_certificate=True)
        except ValueError as why:
            errors.append(f"{name} {why}")
    return errors


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


def _switch_or_auto(raw: str) -> bool | None:
    try:
        return None if raw.lower() == "auto" else switch(raw)
    except ValueError:
        raise ValueError("must be on, off or auto") from None


#: name -> (field, how to read it).
_READERS: Final[Mapping[str, tuple[str, Reader]]] = {
    "POSSTREAM_MOCK_DIRECTORY": ("mock_directory", _switch_or_auto),
    _ENDPOINT: ("explicit_api_endpoint", _endpoint),
    _AUTHORIZATION: ("api_auth", read_authorization),
    _TOKEN_URL: ("oauth_token_url", _endpoint),
    "POSSTREAM_API_OAUTH_CLIENT_ID": ("oauth_client_id", text),
    "POSSTREAM_API_OAUTH_CLIENT_SECRET": ("oauth_client_secret", text),
    _OAUTH_SCOPE: ("oauth_scope", text),
    "POSSTREAM_API_PROXY": ("api_proxy", _proxy),
    _AUTHORITIES: ("api_ca_file", Path),
    _CLIENT_CERTIFICATE: ("api_client_cert_file", Path),
    _CLIENT_KEY: ("api_client_key_file", Path),
    "POSSTREAM_API_EMPTY_MEANS_UNKNOWN": ("empty_means_unknown", switch),
    "POSSTREAM_API_MAPPING": ("api_mapping", ResponseMapping.parse),
    "POSSTREAM_REFRESH_AHEAD": ("refresh_ahead", switch),
    "POSSTREAM_CACHE_MEMORY_MIB": ("cache_memory_mib", number(0, 65_536)),
}

SETTINGS: Final = SettingsPart(
    readers={name: read for name, (_, read) in _READERS.items()},
    secrets=frozenset({_AUTHORIZATION, "POSSTREAM_API_OAUTH_CLIENT_SECRET", "POSSTREAM_API_PROXY"}),
    make=_make,
    check=_check,
)
