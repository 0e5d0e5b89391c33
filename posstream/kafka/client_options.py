"""The arguments with which every client secures its connections to brokers: ours and Faust's."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from posstream.kafka.bearer_tokens import BearerTokens
from posstream.kafka.security import OAUTHBEARER, Brokers, BrokerSecurity, SecuredBrokers
from posstream.kafka.tls import ReloadedContext


def security_options(brokers: Brokers) -> Mapping[str, Any]:
    """How a client secures its connections, as aiokafka names it; empty without security."""
    return _options_of(brokers.security) if isinstance(brokers, SecuredBrokers) else {}


@cache  # the clients of a process share the context and the token
def _options_of(security: BrokerSecurity) -> Mapping[str, Any]:
    options: dict[str, Any] = {"security_protocol": security.protocol}
    if security.tls:
        options["ssl_context"] = ReloadedContext(security.tls_files)
    if security.mechanism == OAUTHBEARER:
        options["sasl_oauth_token_provider"] = BearerTokens(security)
    elif security.mechanism is not None:
        options["sasl_plain_username"] = security.username
        options["sasl_plain_password"] = security.password
    if security.mechanism is not None:
        options["sasl_mechanism"] = security.mechanism
    return options
