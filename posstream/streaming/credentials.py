"""The security of connections to brokers, in the form in which Faust takes it."""

import faust.auth

from posstream.kafka.client_options import security_options
from posstream.kafka.security import OAUTHBEARER, Brokers


def credentials(brokers: Brokers) -> faust.auth.Credentials | None:
    """What Faust hands on to its consumers and producers; None without security."""
    options = security_options(brokers)
    if not options:
        return None
    context, mechanism = options.get("ssl_context"), options.get("sasl_mechanism")
    if mechanism is None:
        return faust.auth.SSLCredentials(context)
    if mechanism == OAUTHBEARER:
        provider = options["sasl_oauth_token_provider"]
        return faust.auth.OAuthCredentials(oauth_cb=provider, ssl_context=context)
    return faust.auth.SASLCredentials(
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        mechanism=mechanism,
        ssl_context=context,
    )
