"""Faust's clients secure their connections as all others do."""

from pathlib import Path

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from posstream.kafka.client_options import security_options
from posstream.kafka.security import BrokerSecurity, SecuredBrokers
from posstream.streaming.credentials import credentials
from tests.servers.certificates import Authority

USER = {"username": "posstream", "password": "correct horse battery"}


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
def test_a_user(mechanism: str, *, tls: bool) -> None:
    security = BrokerSecurity(
        tls=tls, mechanism=mechanism, **USER, oauth_token_url="https://idp.example/"
    )
    brokers = SecuredBrokers(("one:9093",), security)
    expected = security_options(brokers)
    assert expected["security_protocol"] == security.protocol
    assert expected["sasl_mechanism"] == mechanism
    assert ("ssl_context" in expected) == tls
    asked = credentials_to_aiokafka_auth(credentials(brokers))
    assert {name: asked[name] for name in expected} == expected
    assert {asked[name] for name in asked.keys() - expected.keys()} <= {None}


def test_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = {"ca_file": str(authority.file), "cert_file": str(authority.issue("posstream"))}
    brokers = SecuredBrokers(("one:9093",), BrokerSecurity(tls=True, **files))
    expected = security_options(brokers)
    assert expected["security_protocol"] == "SSL"
    assert credentials_to_aiokafka_auth(credentials(brokers)) == expected


def test_plain_addresses() -> None:
    assert security_options(["one:9092"]) == {}
    assert credentials(["one:9092"]) is None
