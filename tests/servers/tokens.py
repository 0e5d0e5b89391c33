"""Access tokens for tests: signed JWTs, and the keys by which Kafka checks them."""

import base64
import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Signer:
    """Signs tokens with a key of its own."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def jwks(self) -> str:
        """The public key as a JSON Web Key Set."""
        numbers = self._key.public_key().public_numbers()
        parts = {
            name: _encoded(value.to_bytes((value.bit_length() + 7) // 8))
            for name, value in (("n", numbers.n), ("e", numbers.e))
        }
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "tests", **parts}
        return json.dumps({"keys": [key]})

    def token(self, subject: str, seconds: int = 300) -> str:
        """A token for a subject, valid for so many seconds from now."""
        now = int(time.time())
        head = {"alg": "RS256", "kid": "tests", "typ": "JWT"}
        claims = {"sub": subject, "iat": now, "exp": now + seconds}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encoded(signature)}"
