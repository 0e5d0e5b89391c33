"""Finds out why brokers refuse a client, and says it in one sentence that names the setting.

aiokafka logs why it could not connect to each address, but its error says only that it reached
none. So this module connects once more to each address.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aiokafka.conn import create_conn, get_ip_port_afi
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from posstream.kafka.bearer_tokens import NoBrokerToken
from posstream.kafka.client_options import security_options
from posstream.kafka.security import OAUTHBEARER, Brokers, BrokerSecurity, SecuredBrokers

#: The list of the rights that a worker needs.
RIGHTS: Final = "docs/how-to/secure-the-broker.md"
_ANSWER_MS: Final = 5_000
_UNAUTHORISED: Final = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)
_SECURITY: Final = "see POSSTREAM_BROKER_SECURITY"
#: What OpenSSL says when the other side speaks no TLS.
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING")
#: OpenSSL's numbers of a certificate that does not fit its time, or its host.
_TIME: Final = (9, 10)
_HOST: Final = (62, 64)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a broker that answers does not let us in."""

    sentence: str
    #: True: waiting changes nothing. False: the broker may just be starting.
    lasts: bool = True


async def refusal_of(brokers: Brokers) -> Refusal | None:
    """Why the first broker that answers refuses us; None if none answers, or one lets us in."""
    for server in brokers:
        try:
            await _connect(server, brokers)
        except (KafkaError, OSError, EOFError, ValueError) as why:  # TimeoutError is an OSError
            security = brokers.security if isinstance(brokers, SecuredBrokers) else None
            refusal = _refusal(f"the broker at {server}", why, security)
            if refusal is not None:
                return refusal
        else:
            return None
    return None


async def sentence_of(brokers: Brokers, why: BaseException) -> str:
    """What went wrong with brokers, for an error of a client of theirs."""
    where = ", ".join(brokers)
    if isinstance(why, _UNAUTHORISED):
        return f"the broker at {where} refuses: a right is missing ({reason(why)}); see {RIGHTS}"
    refusal = await refusal_of(brokers)
    if refusal is not None:
        return refusal.sentence
    return (
        f"the Kafka broker at {where} does not answer ({type(why).__name__}): see POSSTREAM_BROKER"
    )


def reason(why: BaseException) -> str:
    """Kafka's name of an error, and its message."""
    words = str(why).removeprefix(f"[Error {getattr(why, 'errno', '')}] ")
    words = words.removeprefix(type(why).__name__).strip(": ")
    return f"{type(why).__name__}: {words}" if words else type(why).__name__


async def _connect(server: str, brokers: Brokers) -> None:
    host, port, _ = get_ip_port_afi(server)
    connection = await create_conn(
        host, port, request_timeout_ms=_ANSWER_MS, **security_options(brokers)
    )
    try:
        # A broker that wants SASL refuses a client without it at the first request only.
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


def _refusal(broker: str, why: BaseException, security: BrokerSecurity | None) -> Refusal | None:
    for cause in _causes(why):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Refusal(_unverified(broker, cause))
        if isinstance(cause, ssl.SSLError):
            return _not_by_tls(broker, cause, security)
        sentence = _not_by_sasl(broker, cause, security)
        if sentence is not None:
            return Refusal(sentence)
    return _closed(broker, why)


def _not_by_sasl(broker: str, why: BaseException, security: BrokerSecurity | None) -> str | None:
    match why:
        case NoBrokerToken():
            return (
                f"no access token for {broker}: {why.args[0]}; see "
                "POSSTREAM_BROKER_OAUTH_TOKEN_URL, POSSTREAM_BROKER_USERNAME and "
                "POSSTREAM_BROKER_PASSWORD"
            )
        case SaslAuthenticationFailed():
            return _unauthenticated(broker, security)
        case UnsupportedSaslMechanismError():
            return (
                f"{broker} takes no {security and security.mechanism}: see "
                "POSSTREAM_BROKER_SASL_MECHANISM"
            )
        case IllegalSaslStateError():
            return f"{broker} takes no SASL there: {_SECURITY}"
    return None


def _causes(why: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = why
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _unauthenticated(broker: str, security: BrokerSecurity | None) -> str:
    mechanism = security and security.mechanism
    if mechanism == OAUTHBEARER:
        return (
            f"{broker} refuses the access token: see POSSTREAM_BROKER_OAUTH_TOKEN_URL, "
            "POSSTREAM_BROKER_USERNAME and POSSTREAM_BROKER_OAUTH_SCOPE"
        )
    return (
        f"{broker} refuses POSSTREAM_BROKER_USERNAME with POSSTREAM_BROKER_PASSWORD ({mechanism})"
    )


def _unverified(broker: str, why: ssl.SSLCertVerificationError) -> str:
    if why.verify_code in _TIME:
        return f"the certificate of {broker} is refused ({why.verify_message}): renew it there"
    see = "POSSTREAM_BROKER" if why.verify_code in _HOST else "POSSTREAM_BROKER_CA_FILE"
    return f"the certificate of {broker} is refused ({why.verify_message.rstrip('.')}): see {see}"


def _not_by_tls(broker: str, why: ssl.SSLError, security: BrokerSecurity | None) -> Refusal:
    said = why.reason or type(why).__name__
    if said in _NO_TLS:
        return Refusal(f"{broker} speaks no TLS there: {_SECURITY}", lasts=False)
    if "ALERT" in said and security is not None:
        words = said.partition("ALERT_")[2].replace("_", " ").lower()
        if security.cert_file is None:
            return Refusal(
                f"{broker} wants a certificate of ours ({words}): set POSSTREAM_BROKER_CERT_FILE"
            )
        # A broker's Java does not tell that our certificate has expired.
        words = security.tls_files.out_of_date() or words
        return Refusal(f"{broker} refuses the certificate of POSSTREAM_BROKER_CERT_FILE ({words})")
    return Refusal(f"TLS to {broker} fails ({said}): {_SECURITY}", lasts=False)


def _closed(broker: str, why: BaseException) -> Refusal | None:
    """The refusal of a broker that took the connection and closed it; None for other errors.

    A broker does so if the client uses another security protocol, or while the broker starts.
    """
    if isinstance(why, ConnectionRefusedError) or not (
        isinstance(why, ConnectionError) or "closed" in str(why)
    ):
        return None
    return Refusal(
        f"{broker} closes the connection, maybe because it wants another security: {_SECURITY}",
        lasts=False,
    )
