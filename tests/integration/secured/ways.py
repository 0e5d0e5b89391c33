"""The ways in which a client proves who it is, as settings."""

import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

from aiohttp import web

from tests.component.directory_server import serving
from tests.servers import secured
from tests.servers.secured import password_of
from tests.servers.tokens import Signer

SECRET = "secret-of-the-client"
#: Each way by its name. OAUTHBEARER and certificates have no password of a user.
WAYS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "clear", "mutual", "OAUTHBEARER")


@dataclass
class TokenEndpoint:
    """Gives tokens for every client with the secret, and counts them."""

    kafka: secured.SecuredKafka
    url: str = ""
    given: int = 0
    #: Whose tokens; None = those that the broker believes.
    signer: Signer | None = None

    async def answer(self, request: web.Request) -> web.Response:
        raw = request.headers["Authorization"].removeprefix("Basic ")
        client, secret = map(unquote_plus, base64.b64decode(raw).decode().split(":"))
        form = await request.post()
        if secret != SECRET or form["grant_type"] != "client_credentials":
            return web.json_response({"error": "invalid_client"}, status=401)
        self.given += 1
        token = (self.signer or self.kafka.signer).token(client)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 300})


@contextlib.asynccontextmanager
async def token_endpoint(kafka: secured.SecuredKafka) -> AsyncIterator[TokenEndpoint]:
    made = TokenEndpoint(kafka)
    async with serving(made.answer, tls=kafka.authority.server("127.0.0.1")) as url:
        made.url = url
        yield made


def settings(
    kafka: secured.SecuredKafka, way: str, user: str, *, token_url: str = ""
) -> dict[str, str]:
    """The settings of a way for a user, with the right credentials."""
    authority = {"BROKER_CA_FILE": str(kafka.authority.file)}
    if way == "mutual":
        return authority | {
            "BROKER": kafka.address(secured.MUTUAL),
            "BROKER_SECURITY": "ssl",
            "BROKER_CERT_FILE": str(kafka.authority.issue(user)),
        }
    named = {"BROKER_USERNAME": user, "BROKER_PASSWORD": password_of(user)}
    if way == "clear":
        return named | {
            "BROKER": kafka.address(secured.CLEAR),
            "BROKER_SECURITY": "sasl_plaintext",
            "BROKER_SASL_MECHANISM": "PLAIN",
        }
    chosen = {
        "BROKER": kafka.address(secured.SASL),
        "BROKER_SECURITY": "sasl_ssl",
        "BROKER_SASL_MECHANISM": way,
    }
    if way == "OAUTHBEARER":
        named |= {"BROKER_PASSWORD": SECRET, "BROKER_OAUTH_TOKEN_URL": token_url}
    return authority | named | chosen
