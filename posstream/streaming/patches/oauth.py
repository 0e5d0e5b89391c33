"""Makes a token that a broker refuses an error when a client connects.

A broker answers a refused token with the reason, and ends the exchange once the client has
acknowledged it (RFC 7628, 3.2.3). aiokafka takes the reason for a success: all later requests get
empty answers, as if the cluster had no topics.
"""

from typing import Any

from aiokafka import conn

_ACKNOWLEDGED = (b"\x01", True)


class Authenticator(conn.OAuthAuthenticator):
    """Shows the token, and hears whether the broker takes it."""

    async def step(self, payload: bytes | None) -> Any:
        """The next message to the broker; None if there is none."""
        return _ACKNOWLEDGED if payload else await super().step(payload)


def install() -> None:
    """Make the connections of this process use `Authenticator`."""
    conn.OAuthAuthenticator = Authenticator
