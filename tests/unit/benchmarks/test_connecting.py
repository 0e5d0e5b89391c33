"""The benchmarks take the security of a broker from the settings of a worker."""

from pathlib import Path

import pytest

from benchmarks import connecting
from posstream.domain.errors import InvalidSettings

SECURED = {
    "POSSTREAM_BROKER_SECURITY": "sasl_ssl",
    "POSSTREAM_BROKER_SASL_MECHANISM": "SCRAM-SHA-512",
    "POSSTREAM_BROKER_USERNAME": "measures",
    "POSSTREAM_BROKER_PASSWORD": "a-password",
}


@pytest.fixture
def secured(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set first, so that the fixture also takes it back.
    monkeypatch.setenv(connecting.BROKER, "kafka://before:1")
    for name, value in SECURED.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("secured")
def test_both_kinds_of_clients_get_the_same_security() -> None:
    connecting.choose("kafka://one:9093;two:9093")
    servers = connecting.given()
    assert servers == "one:9093,two:9093"
    assert connecting.by_librdkafka(servers) == {
        "bootstrap.servers": servers,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "measures",
        "sasl.password": "a-password",
    }
    options = connecting.by_aiokafka(servers)
    assert options.pop("ssl_context") is not None
    assert options == {
        "bootstrap_servers": servers,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "measures",
        "sasl_plain_password": "a-password",
    }
    assert connecting.worker_settings()["broker_username"] == "measures"


@pytest.mark.usefixtures("secured")
def test_a_password_in_a_file_and_a_certificate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("from-a-file\n")
    monkeypatch.delenv("POSSTREAM_BROKER_PASSWORD")
    monkeypatch.setenv("POSSTREAM_BROKER_PASSWORD_FILE", str(tmp_path / "password"))
    connecting.choose("kafka://one:9093")
    assert connecting.by_librdkafka("one:9093")["sasl.password"] == "from-a-file"


@pytest.mark.usefixtures("secured")
def test_a_broker_of_our_own_is_not_secured() -> None:
    connecting.choose(None)
    assert connecting.given() is None
    assert connecting.by_librdkafka("one:1") == {"bootstrap.servers": "one:1"}
    assert connecting.by_aiokafka("one:1") == {"bootstrap_servers": "one:1"}
    assert connecting.worker_settings() == {}


@pytest.mark.usefixtures("secured")
def test_a_setting_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSSTREAM_BROKER_PASSWORD")
    with pytest.raises(InvalidSettings, match="POSSTREAM_BROKER_PASSWORD"):
        connecting.choose("kafka://one:9093")
