"""Certificates for tests, as Kafka reads them: PEM with keys in PKCS 8."""

import datetime as dt
import ssl
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

_NOW = dt.datetime.now(dt.UTC)


class Authority:
    """An authority of its own, with a folder for what it issues."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        #: Its certificate.
        self.file = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def server(self, *identities: str) -> ssl.SSLContext:
        """The context of a server with these hosts."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*identities).configure_cert(context)
        return context

    def issue(self, name: str, *identities: str, expired: bool = False) -> Path:
        """Issue a certificate; the file has it and its key.

        Args:
            name: its common name, and the name of the file.
            identities: hosts and mail addresses.
            expired: it was valid until yesterday.
        """
        day = dt.timedelta(days=1)
        leaf = self._ca.issue_cert(
            *(identities or (f"{name}@shop.example",)),
            common_name=name,
            not_before=_NOW - 2 * day,
            not_after=_NOW - day if expired else _NOW + day,
        )
        key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        encoded = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file = self._folder / f"{name}.pem"
        file.write_bytes(encoded + b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        return file
