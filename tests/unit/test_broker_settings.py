"""The settings that secure the connection to the broker, as the environment has them."""

import pickle
from pathlib import Path

import msgspec
import orjson
import pytest
import trustme

from posstream.domain.errors import InvalidSettings
from posstream.kafka.security import BrokerSecurity, SecuredBrokers
from posstream.kafka.tuning import Tuning
from posstream.read_model.projecting import Setup
from posstream.read_model.projector import GroupSettings
from posstream.settings import Settings

PASSWORD = "correct horse battery"
SCRAM = {
    "SECURITY": "sasl_ssl",
    "SASL_MECHANISM": "SCRAM-SHA-512",
    "USERNAME": "posstream",
    "PASSWORD": PASSWORD,
}
OAUTH = SCRAM | {
    "SASL_MECHANISM": "OAUTHBEARER",
    "OAUTH_TOKEN_URL": "https://idp.example/token",
}


def read(environ: dict[str, str], broker: str | None = "kafka://one:9093;two:9093") -> Settings:
    given = {f"POSSTREAM_BROKER_{name}": raw for name, raw in environ.items()}
    return Settings.from_environment(
        given if broker is None else given | {"POSSTREAM_BROKER": broker}
    )


def errors(environ: dict[str, str], broker: str | None = "kafka://one:9093") -> list[str]:
    with pytest.raises(InvalidSettings) as refused:
        read(environ, broker)
    return refused.value.errors


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, str]:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made, str(tmp_path / "ca.pem")


def test_without_any_of_them_the_brokers_are_plain_addresses() -> None:
    assert read({}).bootstrap_servers == ["one:9093", "two:9093"]
    assert read({"SECURITY": "plaintext"}) == read({})


def test_a_user_with_a_password() -> None:
    security = BrokerSecurity(
        tls=True, mechanism="SCRAM-SHA-512", username="posstream", password=PASSWORD
    )
    brokers = read(SCRAM | {"SECURITY": "SASL_SSL", "SASL_MECHANISM": "scram-sha-512"})
    assert SecuredBrokers(("one:9093", "two:9093"), security) == brokers.bootstrap_servers
    assert security.protocol == "SASL_SSL"
    assert read(SCRAM | {"SECURITY": "sasl_plaintext"}).security.protocol == "SASL_PLAINTEXT"  # type: ignore[union-attr]


def test_a_password_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    without = {name: raw for name, raw in SCRAM.items() if name != "PASSWORD"}
    assert read(SCRAM) == read(without | {"PASSWORD_FILE": str(file)})


def test_a_client_of_a_token_endpoint() -> None:
    security = read(OAUTH | {"OAUTH_SCOPE": "kafka"}).security
    assert security is not None
    assert security.oauth_token_url == "https://idp.example/token"
    assert security.oauth_scope == "kafka"


def test_a_certificate_with_its_key(authority: tuple[trustme.CA, str], tmp_path: Path) -> None:
    ca, ca_file = authority
    issued = ca.issue_cert("posstream@shop.example", common_name="posstream")
    whole, cert, key = (str(tmp_path / name) for name in ("whole.pem", "cert.pem", "key.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(whole)
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    files = {"SECURITY": "ssl", "CA_FILE": ca_file}
    assert read(files | {"CERT_FILE": whole}).security == BrokerSecurity(
        tls=True, ca_file=ca_file, cert_file=whole
    )
    assert read(files | {"CERT_FILE": cert, "KEY_FILE": key}).security is not None
    (without_key,) = errors(files | {"CERT_FILE": cert})
    assert without_key.startswith("POSSTREAM_BROKER_CERT_FILE must name a file with a certificate")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"SECURITY": "tls"},
            "SECURITY must be plaintext or ssl or sasl_plaintext or sasl_ssl",
        ),
        ({"USERNAME": "x"}, "USERNAME needs POSSTREAM_BROKER_SECURITY=sasl_plaintext or sasl_ssl"),
        ({"CA_FILE": "x"}, "CA_FILE needs POSSTREAM_BROKER_SECURITY=ssl or sasl_ssl"),
        (
            {"SECURITY": "sasl_ssl", "USERNAME": "x"},
            (
                "SECURITY=sasl_ssl needs POSSTREAM_BROKER_SASL_MECHANISM and "
                "POSSTREAM_BROKER_PASSWORD as well"
            ),
        ),
        (
            SCRAM | {"SASL_MECHANISM": "GSSAPI"},
            "SASL_MECHANISM must be PLAIN or SCRAM-SHA-256 or SCRAM-SHA-512 or OAUTHBEARER",
        ),
        (
            SCRAM | {"SASL_MECHANISM": "OAUTHBEARER"},
            "SASL_MECHANISM=OAUTHBEARER needs POSSTREAM_BROKER_OAUTH_TOKEN_URL as well",
        ),
        (
            SCRAM | {"OAUTH_TOKEN_URL": "https://idp.example/"},
            "OAUTH_TOKEN_URL needs POSSTREAM_BROKER_SASL_MECHANISM=OAUTHBEARER",
        ),
        (
            OAUTH | {"OAUTH_TOKEN_URL": "http://idp.example/"},
            "OAUTH_TOKEN_URL must start with https://",
        ),
        (
            OAUTH | {"OAUTH_TOKEN_URL": "https://me:secret@idp.example/"},
            "OAUTH_TOKEN_URL must look like https://host/path, without user name and password",
        ),
        ({"SECURITY": "ssl", "KEY_FILE": "x"}, "KEY_FILE needs POSSTREAM_BROKER_CERT_FILE as well"),
        (
            {"SECURITY": "ssl", "CA_FILE": "nowhere.pem"},
            "CA_FILE must name a file of certificates in PEM",
        ),
    ],
)
def test_what_is_wrong_or_missing_is_named(environ: dict[str, str], expected: str) -> None:
    assert errors(environ) == [f"POSSTREAM_BROKER_{expected}"]


def test_a_secured_broker_is_nobody_s_embedded_one() -> None:
    (line,) = errors(SCRAM, broker=None)
    assert line.startswith("POSSTREAM_BROKER_SECURITY needs POSSTREAM_BROKER as well")


def test_the_password_is_not_shown() -> None:
    settings = read(SCRAM)
    assert PASSWORD not in repr(settings) + repr(settings.bootstrap_servers)


def test_child_processes_get_all_of_it() -> None:
    settings = read(OAUTH)
    told = pickle.dumps(settings.bootstrap_servers)
    assert pickle.loads(told) == settings.bootstrap_servers  # noqa: S301 - our own
    for brokers in (settings.bootstrap_servers, read({}).bootstrap_servers):
        group = GroupSettings(servers=brokers, member=None, tuning=Tuning())
        setup = Setup(group=group, database_url="", plugins=[])
        assert setup == msgspec.json.decode(orjson.dumps(setup), type=Setup)
