"""One Kafka node with listeners for TLS and SASL, and ACLs that deny by default.

Its plain listener has every right: tests administer by it.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String

from tests.servers import kafka
from tests.servers.certificates import Authority
from tests.servers.process import lasting_ports
from tests.servers.tokens import Signer

#: The listeners: SASL with TLS, SASL in clear text, mutual TLS, and one whose certificate expired.
SASL, CLEAR, MUTUAL, EXPIRED = LISTENERS = ("SASL", "CLEAR", "MUTUAL", "EXPIRED")
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_MODULES = "org.apache.kafka.common.security"


def password_of(user: str) -> str:
    """The password of a user of PLAIN and SCRAM."""
    return f"password-of-{user}"


@dataclass(frozen=True)
class SecuredKafka:
    """The node with its listeners."""

    cluster: kafka.Cluster
    authority: Authority
    signer: Signer
    ports: Mapping[str, int]

    def address(self, listener: str) -> str:
        """As POSSTREAM_BROKER takes it."""
        return f"kafka://127.0.0.1:{self.ports[listener]}"


@contextlib.contextmanager
def running(folder: Path, *users: str) -> Iterator[SecuredKafka]:
    """The node, started; `cluster.ready` waits for it.

    Args:
        folder: for certificates.
        users: who has a password. They have no rights.
    """
    authority, signer = Authority(folder), Signer()
    (folder / "keys.json").write_text(signer.jwks)
    ports = dict(zip(LISTENERS, lasting_ports(len(LISTENERS)), strict=True))
    extras = kafka.Extras(
        listeners=ports,
        properties=_properties(folder, authority, users),
        format=[
            part
            for mechanism in SCRAM
            for user in users
            for part in (
                "--add-scram",
                f"{mechanism}=[name={user},iterations=4096,password={password_of(user)}]",
            )
        ],
        java=[f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={_keys(folder)}"],
    )
    with kafka.cluster(extras=extras) as cluster:
        yield SecuredKafka(cluster, authority, signer, ports)


def _keys(folder: Path) -> str:
    return (folder / "keys.json").as_uri()


def _properties(folder: Path, authority: Authority, users: tuple[str, ...]) -> dict[str, object]:
    passwords = " ".join(f'user_{user}="{password_of(user)}"' for user in users)
    plain = f"{_MODULES}.plain.PlainLoginModule required {passwords};"
    server = authority.issue("server", "127.0.0.1")
    expired = authority.issue("expired-server", "127.0.0.1", expired=True)
    sasl, clear = (f"listener.name.{name.lower()}" for name in (SASL, CLEAR))
    bearer = f"{sasl}.oauthbearer.sasl"
    return {
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            f"{SASL}:SASL_SSL,{CLEAR}:SASL_PLAINTEXT,{MUTUAL}:SSL,{EXPIRED}:SSL"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        **_tls(SASL, server),
        **_tls(MUTUAL, server),
        **_tls(EXPIRED, expired),
        f"listener.name.{MUTUAL.lower()}.ssl.client.auth": "required",
        f"listener.name.{MUTUAL.lower()}.ssl.truststore.type": "PEM",
        f"listener.name.{MUTUAL.lower()}.ssl.truststore.location": authority.file,
        "ssl.principal.mapping.rules": "RULE:^.*CN=([a-z-]+).*$/$1/",
        f"{clear}.sasl.enabled.mechanisms": "PLAIN",
        f"{clear}.plain.sasl.jaas.config": plain,
        f"{sasl}.sasl.enabled.mechanisms": ",".join(["PLAIN", *SCRAM, "OAUTHBEARER"]),
        f"{sasl}.plain.sasl.jaas.config": plain,
        **{
            f"{sasl}.{mechanism.lower()}.sasl.jaas.config": (
                f"{_MODULES}.scram.ScramLoginModule required;"
            )
            for mechanism in SCRAM
        },
        f"{bearer}.jaas.config": f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required;",
        f"{bearer}.server.callback.handler.class": (
            f"{_MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
        ),
        f"{sasl}.sasl.oauthbearer.jwks.endpoint.url": _keys(folder),
        # The default one overlooks the keys of a listener, and believes any signature.
        f"{sasl}.sasl.oauthbearer.jwt.validator.class": (
            f"{_MODULES}.oauthbearer.BrokerJwtValidator"
        ),
    }


def _tls(listener: str, file: Path) -> dict[str, object]:
    prefix = f"listener.name.{listener.lower()}.ssl.keystore"
    return {f"{prefix}.type": "PEM", f"{prefix}.location": file}


# -- ACLs, each in a request instead of a start of Java

TOPIC, GROUP, CLUSTER = 2, 3, 4
ALL, READ, WRITE, CREATE, DESCRIBE_CONFIGS = 2, 3, 4, 5, 10
DENY, ALLOW = 2, 3
_LITERAL = 3
_CREATE_ACLS = 30


class _CreateAclsResponse(Response):
    API_KEY = _CREATE_ACLS
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", Array(("error_code", Int16), ("error_message", String("utf-8")))),
    )


class _CreateAcls1(RequestStruct):
    API_KEY = _CREATE_ACLS
    API_VERSION = 1
    RESPONSE_TYPE = _CreateAclsResponse
    SCHEMA = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("pattern_type", Int8),
                ("principal", String("utf-8")),
                ("host", String("utf-8")),
                ("operation", Int8),
                ("permission", Int8),
            ),
        )
    )


class _CreateAcls(Request[_CreateAcls1]):
    API_KEY = _CREATE_ACLS

    def __init__(self, creations: list[tuple[object, ...]]) -> None:
        self._creations = creations

    def build(self, request_struct_class: type[_CreateAcls1]) -> _CreateAcls1:
        return request_struct_class(self._creations)


@dataclass(frozen=True)
class Acl:
    """What a user may do with a topic or a group, or may not."""

    user: str
    kind: int
    name: str
    operation: int = ALL
    permission: int = ALLOW


async def grant(admin: AIOKafkaAdminClient, *acls: Acl) -> None:
    """Add ACLs."""
    request = _CreateAcls(
        [
            (it.kind, it.name, _LITERAL, f"User:{it.user}", "*", it.operation, it.permission)
            for it in acls
        ]
    )
    client = admin._client
    answer = await client.send(client.get_random_node(), request)
    assert [error for error, _ in answer.results] == [0] * len(acls), answer
