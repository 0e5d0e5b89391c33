"""How the clients of the benchmarks meet the broker: by POSSTREAM_BROKER_..., as workers do.

Contestants are processes of their own; they inherit the environment and read it here. Without
security nothing else is imported: their memory is measured.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from posstream.kafka.bearer_tokens import BearerTokens
    from posstream.kafka.security import Brokers, BrokerSecurity

#: The setting of a broker that is given; those of its security begin with it.
BROKER: Final = "POSSTREAM_BROKER"
#: librdkafka asks for a token again after most of this time.
_TOKEN_SECONDS: Final = 60


def choose(broker: str | None) -> None:
    """Measure on this broker, with the security that the environment says, or on one of our own.

    Raises:
        InvalidSettings: if the address or the security is wrong.
    """
    if broker is None:
        for name in [name for name in os.environ if name.startswith(BROKER)]:
            del os.environ[name]
        return
    os.environ[BROKER] = broker
    _brokers(broker)


def given() -> str | None:
    """host:port of each broker that was chosen, separated by commas; None = one of our own."""
    broker = os.environ.get(BROKER)
    return None if broker is None else ",".join(_brokers(broker))


def worker_settings() -> Mapping[str, Any]:
    """The security for a worker, as the harness takes settings."""
    return {name.removeprefix("POSSTREAM_").lower(): it for name, it in _of_security().items()}


def by_aiokafka(servers: str) -> dict[str, Any]:
    """How a client of aiokafka connects.

    Args:
        servers: host:port of each broker, separated by commas.
    """
    options: dict[str, Any] = {"bootstrap_servers": servers}
    if not _of_security():
        return options
    from posstream.kafka.client_options import security_options

    return {**options, **security_options(_brokers(_url(servers)))}


def by_librdkafka(servers: str) -> dict[str, Any]:
    """How a client of librdkafka connects; `servers` as in `by_aiokafka`."""
    options: dict[str, Any] = {"bootstrap.servers": servers}
    if not _of_security():
        return options
    from posstream.kafka.security import SecuredBrokers

    brokers = _brokers(_url(servers))
    return options | (_secured(brokers.security) if isinstance(brokers, SecuredBrokers) else {})


def _of_security() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(f"{BROKER}_")}


def _url(servers: str) -> str:
    return f"kafka://{servers.replace(',', ';')}"


def _brokers(broker: str) -> "Brokers":
    from posstream.settings import Settings

    return Settings.from_environment({**_of_security(), BROKER: broker}).bootstrap_servers


def _secured(it: "BrokerSecurity") -> dict[str, Any]:
    from posstream.kafka.bearer_tokens import BearerTokens
    from posstream.kafka.security import OAUTHBEARER

    options: dict[str, Any] = {
        "security.protocol": it.protocol,
        "ssl.ca.location": it.ca_file,
        "ssl.certificate.location": it.cert_file,
        "ssl.key.location": it.key_file or it.cert_file,
        "sasl.mechanism": it.mechanism,
    }
    if it.mechanism == OAUTHBEARER:
        options["oauth_cb"] = _token(BearerTokens(it))
    elif it.mechanism is not None:
        options |= {"sasl.username": it.username, "sasl.password": it.password}
    return {name: value for name, value in options.items() if value is not None}


def _token(tokens: "BearerTokens") -> Callable[[str], tuple[str, float]]:
    return lambda _: (asyncio.run(tokens.token()), time.time() + _TOKEN_SECONDS)
