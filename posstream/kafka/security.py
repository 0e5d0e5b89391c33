"""Where secured brokers are, and how a client proves who it is. No I/O.

Every client takes `Brokers`: plain addresses, or addresses with their `BrokerSecurity`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, overload

from posstream.startup.tls_files import TlsFiles

#: `host:port` of each broker. `SecuredBrokers` is one.
Brokers = Sequence[str]

OAUTHBEARER: Final = "OAUTHBEARER"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSecurity:
    """How a connection to a broker is secured: by TLS, by SASL, or by both.

    Child processes get it on stdin as a pickle or as JSON, so the files are named by texts.
    """

    tls: bool
    #: None = no SASL.
    mechanism: str | None = None
    #: The user, or with OAUTHBEARER the client's id at the token endpoint.
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    oauth_token_url: str | None = None
    oauth_scope: str | None = None

    @property
    def protocol(self) -> str:
        """Kafka's name of it."""
        transport = "SSL" if self.tls else "PLAINTEXT"
        return transport if self.mechanism is None else f"SASL_{transport}"

    @property
    def tls_files(self) -> TlsFiles:
        """The files for TLS to the brokers."""
        names = (self.ca_file, self.cert_file, self.key_file)
        return TlsFiles(*(None if name is None else Path(name) for name in names))

    @property
    def token_files(self) -> TlsFiles:
        """The files for TLS to the token endpoint."""
        return TlsFiles(self.tls_files.authorities)


@dataclass(frozen=True, slots=True)
class SecuredBrokers(Sequence[str]):
    """The addresses of brokers that are connected to with `security`."""

    servers: tuple[str, ...]
    security: BrokerSecurity

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        return self.servers[at]

    def __len__(self) -> int:
        return len(self.servers)
