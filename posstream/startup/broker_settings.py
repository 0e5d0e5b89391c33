"""Reads the settings that secure the connection to the broker."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from posstream.kafka.security import OAUTHBEARER, BrokerSecurity
from posstream.startup.hosts import is_loopback
from posstream.startup.setting_readers import one_of, text
from posstream.startup.settings_part import GivenSettings, Reader

SECURITY: Final = "POSSTREAM_BROKER_SECURITY"
MECHANISM: Final = "POSSTREAM_BROKER_SASL_MECHANISM"
USERNAME: Final = "POSSTREAM_BROKER_USERNAME"
PASSWORD: Final = "POSSTREAM_BROKER_PASSWORD"  # noqa: S105 - a setting's name
CA_FILE: Final = "POSSTREAM_BROKER_CA_FILE"
CERT_FILE: Final = "POSSTREAM_BROKER_CERT_FILE"
KEY_FILE: Final = "POSSTREAM_BROKER_KEY_FILE"
TOKEN_URL: Final = "POSSTREAM_BROKER_OAUTH_TOKEN_URL"  # noqa: S105 - a setting's name
OAUTH_SCOPE: Final = "POSSTREAM_BROKER_OAUTH_SCOPE"

_PLAINTEXT: Final = "plaintext"
_SSL: Final = "ssl"
_SASL_PLAINTEXT: Final = "sasl_plaintext"
_SASL_SSL: Final = "sasl_ssl"
_WITH_TLS: Final = (_SSL, _SASL_SSL)
_WITH_SASL: Final = (_SASL_PLAINTEXT, _SASL_SSL)


def _token_url(raw: str) -> str:
    try:
        parts = urlsplit(text(raw))
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.username is not None or parts.fragment or " " in raw:
        raise ValueError("must look like https://host/path, without user name and password")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("must start with https://")
    return raw


#: Name -> (field of `BrokerSecurity`, how to read it). `SECURITY` has no field of its own.
READERS: Final[Mapping[str, tuple[str, Reader]]] = {
    SECURITY: ("", one_of(_PLAINTEXT, _SSL, _SASL_PLAINTEXT, _SASL_SSL)),
    MECHANISM: ("mechanism", one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", OAUTHBEARER)),
    USERNAME: ("username", text),
    PASSWORD: ("password", text),
    CA_FILE: ("ca_file", text),
    CERT_FILE: ("cert_file", text),
    KEY_FILE: ("key_file", text),
    TOKEN_URL: ("oauth_token_url", _token_url),
    OAUTH_SCOPE: ("oauth_scope", text),
}
#: Settings that can also come from a file.
SECRETS: Final = frozenset({PASSWORD})


def read(given: GivenSettings, errors: list[str]) -> BrokerSecurity | None:
    """What the settings make together; None = no security, or they are wrong.

    Args:
        given: the settings that are set.
        errors: gets one line for each error.
    """
    if SECURITY in given.wrong:
        return None
    chosen = given.values.get(SECURITY, _PLAINTEXT)
    found = [
        *_out_of_place(given, (CA_FILE, CERT_FILE, KEY_FILE), chosen, _WITH_TLS),
        *_out_of_place(given, (MECHANISM, USERNAME, PASSWORD), chosen, _WITH_SASL),
        *_oauth_errors(given),
    ]
    if chosen in _WITH_SASL:
        found += _missing(given, f"{SECURITY}={chosen}", (MECHANISM, USERNAME, PASSWORD))
    if KEY_FILE in given.values:
        found += _missing(given, KEY_FILE, (CERT_FILE,))
    errors += found
    if found or given.wrong or chosen == _PLAINTEXT:
        return None
    values = {
        field: given.values[name]
        for name, (field, _) in READERS.items()
        if field and name in given.values
    }
    security = BrokerSecurity(tls=chosen in _WITH_TLS, **values)
    errors += _file_errors(security)
    return security


def _out_of_place(
    given: GivenSettings, names: tuple[str, ...], chosen: str, needed: tuple[str, ...]
) -> list[str]:
    if chosen in needed:
        return []
    first = [name for name in names if name in given.values][:1]
    return [f"{name} needs {SECURITY}={' or '.join(needed)}" for name in first]


def _oauth_errors(given: GivenSettings) -> list[str]:
    if MECHANISM in given.wrong:
        return []
    if given.values.get(MECHANISM) == OAUTHBEARER:
        return _missing(given, f"{MECHANISM}={OAUTHBEARER}", (TOKEN_URL,))
    first = [name for name in (TOKEN_URL, OAUTH_SCOPE) if name in given.values][:1]
    return [f"{name} needs {MECHANISM}={OAUTHBEARER}" for name in first]


def _missing(given: GivenSettings, what: str, names: tuple[str, ...]) -> list[str]:
    missing = " and ".join(filter(given.is_missing, names))
    return [f"{what} needs {missing} as well"] if missing else []


def _file_errors(security: BrokerSecurity) -> list[str]:
    errors = []
    files = security.tls_files
    for name, some in ((CA_FILE, security.token_files), (CERT_FILE, files.own)):
        try:
            some.context(with_certificate=True)
        except ValueError as why:
            errors.append(f"{name} {why}")
    return errors
