"""The files for TLS to a server: authorities to trust, and our own certificate and key."""

import contextlib
import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files, read when a context is made."""

    #: Authorities that are trusted beside the machine's own.
    authorities: Path | None = None
    certificate: Path | None = None
    #: Without a passphrase; None = the key is in the certificate's file.
    key: Path | None = None

    @property
    def own(self) -> "TlsFiles":
        """Our certificate and key alone."""
        return TlsFiles(None, self.certificate, self.key)

    def context(self, *, with_certificate: bool) -> ssl.SSLContext:
        """A new context for connections to a server.

        Args:
            with_certificate: show the certificate to a server that asks for one.

        Raises:
            ValueError: with the end of a sentence about the setting of the file.
        """
        context = ssl.create_default_context()
        if self.authorities is not None:
            try:
                context.load_verify_locations(self.authorities)
            except (OSError, ValueError) as why:  # ssl.SSLError is one
                raise ValueError("must name a file of certificates in PEM") from why
        if with_certificate and self.certificate is not None:
            try:
                # Asked for a passphrase, OpenSSL would wait at the terminal.
                context.load_cert_chain(self.certificate, self.key, password="")
            except (OSError, ValueError) as why:
                raise ValueError(
                    "must name a file with a certificate in PEM, and its key must be in the same "
                    "file or in that of the key, without a passphrase"
                ) from why
        return context

    def out_of_date(self) -> str | None:
        """Why our certificate is not valid today, in the words of OpenSSL; None if it is."""
        if self.certificate is None:
            return None
        ours, theirs = (
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )
        theirs.check_hostname = False
        theirs.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        try:
            ours.load_cert_chain(self.certificate, self.key, password="")
            theirs.load_verify_locations(self.certificate)
        except (OSError, ValueError) as why:  # half of a renewal: one file is new, one old
            return f"{type(why).__name__}: certificate and key do not fit"
        # Python does not tell whether a certificate in a file is valid, but checks one that a
        # server shows. So a server and a client in memory shake hands.
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = theirs.wrap_bio(back, there)
        server = ours.wrap_bio(there, back, server_side=True)
        try:
            for side in (client, server, client):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        except ssl.SSLCertVerificationError as why:
            return why.verify_message
        return None

    def stamp(self) -> tuple[tuple[int, int] | None, ...]:
        """A value that changes when one of the files changes."""
        return tuple(_stamp(each) for each in (self.authorities, self.certificate, self.key))


def _stamp(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ino
