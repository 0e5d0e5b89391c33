"""Starts on a secured Kafka: each way in, with right and wrong credentials, and a missing right."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from posstream.domain.errors import StartRefused
from posstream.settings import Settings
from posstream.startup.membership import Membership
from posstream.startup.preflight import Start, check_projecting, check_start
from tests.integration.secured import ways
from tests.integration.secured.users import MISSING, NOT_PROJECTING, POSSTREAM
from tests.integration.secured.ways import WAYS, TokenEndpoint
from tests.servers import secured
from tests.servers.certificates import Authority
from tests.servers.tokens import Signer

pytestmark = pytest.mark.kafka

WRONG = "not-the-password"


@pytest.fixture
async def tokens(started: secured.SecuredKafka) -> AsyncIterator[TokenEndpoint]:
    async with ways.token_endpoint(started) as endpoint:
        yield endpoint


def settings_of(environ: dict[str, str], datadir: Path) -> Settings:
    given = {f"POSSTREAM_{name}": raw for name, raw in environ.items()}
    return Settings.from_environment(given | {"POSSTREAM_DATADIR": str(datadir)})


async def started_with(environ: dict[str, str], datadir: Path, patience_seconds: float = 0) -> None:
    """Take the steps of a start."""
    await check_start(
        Start(
            settings=settings_of(environ, datadir),
            membership=Membership(datadir),
            web=None,
            patience_seconds=patience_seconds,
        )
    )


async def refusal(environ: dict[str, str], datadir: Path, caplog: pytest.LogCaptureFixture) -> str:
    """The one sentence of a start that is refused; it and the log show no secret."""
    with pytest.raises(StartRefused) as refused:
        await started_with(environ, datadir)
    sentence = str(refused.value)
    for secret in (environ.get("BROKER_PASSWORD"), WRONG, ways.SECRET):
        assert secret is None or secret not in sentence + caplog.text
    assert "\n" not in sentence
    return sentence


@pytest.mark.usefixtures("granted")
@pytest.mark.parametrize("way", WAYS)
async def test_the_rights_of_the_page_are_enough(
    started: secured.SecuredKafka, tokens: TokenEndpoint, tmp_path: Path, way: str
) -> None:
    await started_with(ways.settings(started, way, POSSTREAM, token_url=tokens.url), tmp_path)


@pytest.mark.parametrize("way", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "clear"])
async def test_a_wrong_password(
    started: secured.SecuredKafka, tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    environ = ways.settings(started, way, POSSTREAM) | {"BROKER_PASSWORD": WRONG}
    address = environ["BROKER"].removeprefix("kafka://")
    mechanism = environ["BROKER_SASL_MECHANISM"]
    assert await refusal(environ, tmp_path, caplog) == (
        f"the broker at {address} refuses POSSTREAM_BROKER_USERNAME with "
        f"POSSTREAM_BROKER_PASSWORD ({mechanism})"
    )


async def test_a_wrong_secret_of_a_client(
    started: secured.SecuredKafka,
    tokens: TokenEndpoint,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    environ = ways.settings(started, "OAUTHBEARER", POSSTREAM, token_url=tokens.url)
    said = await refusal(environ | {"BROKER_PASSWORD": WRONG}, tmp_path, caplog)
    assert said.startswith("no access token for the broker at ")
    assert "answered with HTTP status 401, invalid_client; see POSSTREAM_BROKER_" in said


async def test_a_token_that_the_broker_does_not_believe(
    started: secured.SecuredKafka,
    tokens: TokenEndpoint,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tokens.signer = Signer()
    environ = ways.settings(started, "OAUTHBEARER", POSSTREAM, token_url=tokens.url)
    environ["BROKER_OAUTH_SCOPE"] = "another"  # no token of an earlier test
    said = await refusal(environ, tmp_path, caplog)
    assert "refuses the access token: see POSSTREAM_BROKER_OAUTH_TOKEN_URL" in said


async def test_a_mechanism_that_the_broker_does_not_take(
    started: secured.SecuredKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = ways.settings(started, "clear", POSSTREAM)
    environ["BROKER_SASL_MECHANISM"] = "SCRAM-SHA-256"
    said = await refusal(environ, tmp_path, caplog)
    assert said.endswith(" takes no SCRAM-SHA-256: see POSSTREAM_BROKER_SASL_MECHANISM")


async def test_no_certificate_where_one_is_wanted(
    started: secured.SecuredKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = ways.settings(started, "mutual", POSSTREAM)
    del environ["BROKER_CERT_FILE"]
    said = await refusal(environ, tmp_path, caplog)
    assert "wants a certificate of ours" in said
    assert said.endswith("set POSSTREAM_BROKER_CERT_FILE")


async def test_a_certificate_of_ours_that_has_expired(
    started: secured.SecuredKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = ways.settings(started, "mutual", POSSTREAM)
    environ["BROKER_CERT_FILE"] = str(started.authority.issue("late", expired=True))
    said = await refusal(environ, tmp_path, caplog)
    assert said.endswith(
        "refuses the certificate of POSSTREAM_BROKER_CERT_FILE (certificate has expired)"
    )


async def test_a_certificate_of_ours_of_an_unknown_authority(
    started: secured.SecuredKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = ways.settings(started, "mutual", POSSTREAM)
    environ["BROKER_CERT_FILE"] = str(Authority(tmp_path).issue(POSSTREAM))
    said = await refusal(environ, tmp_path, caplog)
    assert "refuses the certificate of POSSTREAM_BROKER_CERT_FILE (" in said


async def test_a_certificate_of_the_broker_s_that_has_expired(
    started: secured.SecuredKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = ways.settings(started, "mutual", POSSTREAM)
    environ["BROKER"] = started.address(secured.EXPIRED)
    said = await refusal(environ, tmp_path, caplog)
    assert said.endswith("is refused (certificate has expired): renew it there")


async def test_an_authority_that_did_not_sign_the_broker_s_certificate(
    started: secured.SecuredKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = ways.settings(started, "PLAIN", POSSTREAM)
    environ["BROKER_CA_FILE"] = str(Authority(tmp_path).file)
    said = await refusal(environ, tmp_path, caplog)
    assert said.endswith("): see POSSTREAM_BROKER_CA_FILE")


async def test_a_host_that_is_not_in_the_certificate(
    started: secured.SecuredKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = ways.settings(started, "PLAIN", POSSTREAM)
    environ["BROKER"] = environ["BROKER"].replace("127.0.0.1", "localhost")
    said = await refusal(environ, tmp_path, caplog)
    assert said.endswith("): see POSSTREAM_BROKER")


@pytest.mark.parametrize(
    ("listener", "speaks"),
    [
        (None, "ssl"),
        (None, "sasl_plaintext"),
        (None, "sasl_ssl"),
        (secured.SASL, "plaintext"),
        (secured.SASL, "ssl"),
        (secured.SASL, "sasl_plaintext"),
        (secured.CLEAR, "plaintext"),
        (secured.CLEAR, "ssl"),
        (secured.CLEAR, "sasl_ssl"),
    ],
)
async def test_the_security_of_another_listener(
    started: secured.SecuredKafka,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    listener: str | None,
    speaks: str,
) -> None:
    environ = {
        "BROKER": started.address(listener) if listener else started.cluster.address,
        "BROKER_SECURITY": speaks,
    }
    full = ways.settings(started, "PLAIN", POSSTREAM)
    if "ssl" in speaks:
        environ["BROKER_CA_FILE"] = full["BROKER_CA_FILE"]
    if "sasl" in speaks:
        names = ("BROKER_SASL_MECHANISM", "BROKER_USERNAME", "BROKER_PASSWORD")
        environ |= {name: full[name] for name in names}
    said = await refusal(environ, tmp_path, caplog)
    assert said.endswith(": see POSSTREAM_BROKER_SECURITY")


@pytest.mark.parametrize("user", MISSING)
async def test_a_right_that_is_missing(
    started: secured.SecuredKafka,
    admin: AIOKafkaAdminClient,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    user: str,
) -> None:
    environ = ways.settings(started, "SCRAM-SHA-512", user)
    address = environ["BROKER"].removeprefix("kafka://")
    assert await refusal(environ, tmp_path, caplog) == (
        f"the broker at {address} does not grant POSSTREAM_BROKER_USERNAME {user} "
        f"{MISSING[user][1]}: add an ACL (docs/how-to/secure-the-broker.md)"
    )


@pytest.mark.parametrize("way", WAYS)
async def test_the_right_is_named_whatever_the_way_in(
    started: secured.SecuredKafka,
    tokens: TokenEndpoint,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    environ = ways.settings(started, way, "no-write", token_url=tokens.url)
    said = await refusal(environ, tmp_path, caplog)
    assert "Write on topic pos-events: add an ACL" in said


@pytest.mark.parametrize("user", [POSSTREAM, *MISSING])
@pytest.mark.usefixtures("granted")
async def test_what_projects_alone_needs_the_rights_to_read(
    started: secured.SecuredKafka,
    admin: AIOKafkaAdminClient,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    user: str,
) -> None:
    environ = ways.settings(started, "SCRAM-SHA-512", user)
    projecting = check_projecting(settings_of(environ, tmp_path), patience_seconds=0)
    if user not in NOT_PROJECTING:
        assert await projecting
        return
    with pytest.raises(StartRefused) as refused:
        await projecting
    assert str(refused.value) == await refusal(environ, tmp_path, caplog)


async def test_what_projects_alone_is_refused_by_the_same_sentence(
    started: secured.SecuredKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = ways.settings(started, "SCRAM-SHA-512", POSSTREAM) | {"BROKER_PASSWORD": WRONG}
    with pytest.raises(StartRefused) as refused:
        await check_projecting(settings_of(environ, tmp_path), patience_seconds=0)
    assert str(refused.value) == await refusal(environ, tmp_path, caplog)
