"""The TLS context for connections to brokers, made again when one of its files has changed."""

import logging
import ssl
from typing import Any, Self

from posstream.startup.tls_files import TlsFiles

log = logging.getLogger(__name__)


class ReloadedContext(ssl.SSLContext):
    """A context whose new connections use the files as they are now: a renewed certificate.

    aiokafka keeps one context for the life of a client. This one hands each connection to a
    context of the newest files; open connections stay as they are. Files that cannot be used,
    such as half-written ones, leave the former context in force.
    """

    def __new__(cls, _files: TlsFiles) -> Self:
        """Make a context of a client: OpenSSL wants to know at once."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamp = files.stamp()
        self._newest = files.context(with_certificate=True)

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """Begin a connection; asyncio and uvloop call this once for each."""
        stamp = self._files.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._newest = self._files.context(with_certificate=True)
            except ValueError:
                log.warning(
                    "a changed certificate or key file cannot be used, TLS to the broker stays as "
                    "it was: see POSSTREAM_BROKER_CA_FILE, POSSTREAM_BROKER_CERT_FILE and "
                    "POSSTREAM_BROKER_KEY_FILE"
                )
        return self._newest.wrap_bio(*args, **options)
