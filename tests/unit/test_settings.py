from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from agents.customer_lookup.directory.credentials import OAuthClient
from agents.customer_lookup.settings import _READERS as LOOKUP_READERS
from agents.customer_lookup.settings import SETTINGS, LookupSettings
from posstream.domain.errors import InvalidSettings
from posstream.domain.roles import Caller, Role
from posstream.settings import _READERS, _SECRETS, Settings, unknown_settings
from posstream.startup import broker_settings
from posstream.startup.tls_files import TlsFiles

KEY = "0123456789abcdef"


def read(**environ: str) -> Settings:
    return Settings.from_environment({f"POSSTREAM_{name}": raw for name, raw in environ.items()})


def own(**environ: str) -> LookupSettings:
    """The settings of the customer lookup."""
    return LookupSettings.of(read(**environ))


def errors(**environ: str) -> list[str]:
    with pytest.raises(InvalidSettings) as refused:
        read(**environ)
    return refused.value.errors


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings() == Settings.from_environment({})


def test_the_defaults_are_the_contract_s() -> None:
    settings = Settings()
    assert settings.broker is None
    assert settings.web_host == "127.0.0.1"
    assert settings.web_port == 8000
    assert settings.dev_broker_port == 9092
    assert settings.topic_partitions == 2, "of the embedded broker"
    assert Settings(broker="kafka://one:9092").topic_partitions == 8
    assert settings.topic_replication == 1
    assert settings.api_key is None
    assert settings.payment_card_guard


def test_an_empty_value_is_as_good_as_none() -> None:
    assert Settings() == read(BROKER="", WEB_PORT="  ", API_KEY="")


def test_every_setting_is_read() -> None:
    expected = Settings(
        broker="kafka://one:9092;two:9093",
        datadir=Path("/data"),
        explicit_database_url="postgresql+asyncpg://u:p@db:5432/posstream",
        web_host="0.0.0.0",
        web_port=80,
        dev_broker_port=19092,
        explicit_topic_partitions=16,
        topic_replication=3,
        api_key=KEY,
        plugin_values={"POSSTREAM_API_ENDPOINT": "https://crm.example.com/"},
        projection="alone",
        payment_card_guard=False,
        session_timeout_seconds=60,
    )
    assert expected == read(
        BROKER="kafka://one:9092;two:9093",
        DATADIR="/data",
        DATABASE_URL="postgresql+asyncpg://u:p@db:5432/posstream",
        WEB_HOST="0.0.0.0",
        WEB_PORT="80",
        DEV_BROKER_PORT="19092",
        TOPIC_PARTITIONS="16",
        TOPIC_REPLICATION="3",
        API_KEY=KEY,
        API_ENDPOINT="https://crm.example.com/",
        PAYMENT_CARD_GUARD="Off",
        PROJECTION="Alone",
        SESSION_TIMEOUT_SECONDS="60",
    )


BAD = [
    ("BROKER", "kafka://user:hunter2@host:9092"),
    ("BROKER", "kafka://"),
    ("BROKER", "kafka://host:0"),
    ("BROKER", "kafka://host:65536"),
    ("BROKER", "kafka://host:port"),
    ("BROKER", "kafka://::1:9092"),
    ("BROKER", "kafka://[:::]:9092"),
    ("MOCK_DIRECTORY", "yes"),
    ("WEB_CONNECTIONS", "0"),
    ("LOOKUPS_PER_MINUTE", "0"),
    ("BROKER", "http://host:9092"),
    ("BROKER", "kafka://one:9092,two:9092"),
    ("BROKER", "kafka://first:9092;"),
    ("DATABASE_URL", "postgresql://u:hunter2@db/posstream?sslmod=require"),
    ("DATABASE_URL", "mysql://db/hunter2"),
    ("DATABASE_URL", "sqlite:///hunter2?mode=rw"),
    ("DATABASE_URL", "postgresql+asyncpg:hunter2"),
    ("DATABASE_URL", "postgresql+asyncpg://u:hunter2@db:port/x"),
    ("WEB_HOST", "two words"),
    ("WEB_HOST", "http://localhost"),
    ("WEB_PORT", "0"),
    ("WEB_PORT", "65536"),
    ("WEB_PORT", "eighty"),
    ("WEB_PORT", "-8000"),
    ("WEB_PORT", "8000.0"),
    ("WEB_PORT", "٨٠٠٠"),
    ("WEB_PORT", "9" * 5000),
    ("DEV_BROKER_PORT", "0"),
    ("DEV_BROKER_PORT", "70000"),
    ("TOPIC_PARTITIONS", "0"),
    ("TOPIC_PARTITIONS", "1001"),
    ("TOPIC_PARTITIONS", "eight"),
    ("TOPIC_REPLICATION", "0"),
    ("TOPIC_REPLICATION", "33"),
    ("API_KEY", "hunter2"),
    ("API_KEYS", "hunter2"),
    ("API_KEYS", "operator:hunter2"),
    ("API_KEYS", "hunter2:0123456789abcdef"),
    ("API_KEYS", "viewer:hunter2hunter2hunter2:two hunter2"),
    ("API_KEYS", "viewer:hunter2hunter2hunter2;support:hunter2hunter2hunter2"),
    ("API_ENDPOINT", "ftp://hunter2/"),
    ("API_ENDPOINT", "http://u:hunter2@host/"),
    ("API_ENDPOINT", "http://169.254.169.254/"),
    ("API_AUTH", "hunter2"),
    ("API_AUTH", "digest hunter2"),
    ("API_AUTH", "bearer\thunter2"),
    ("API_AUTH", "bearer hunter2 hunter2"),
    ("API_AUTH", "bearer hunter2\r\nX-Evil: 1"),
    ("API_AUTH", "bearer hünter2"),
    ("API_AUTH", "basic hunter2"),
    ("API_AUTH", "basic user:hunter2\nX-Evil: 1"),
    ("API_AUTH", "bearer " + "hunter2" * 1000),
    ("API_MAPPING", "hunter2"),
    ("API_MAPPING", "id -> hunter2"),
    ("API_MAPPING", "hunter2. -> tier"),
    ("API_MAPPING", "id -> tier; hunter2 -> tier"),
    ("API_MAPPING", "id -> tier -> hunter2"),
    ("API_MAPPING", "hunter2\n2 -> tier"),
    ("API_MAPPING", "-> hunter2"),
    ("API_MAPPING", ";;"),
    ("API_PROXY", "hunter2"),
    ("API_PROXY", "https://hunter2:8080"),
    ("API_PROXY", "socks5://hunter2:1080"),
    ("API_PROXY", "http://u:hunter2@169.254.169.254:3128"),
    ("API_PROXY", "http://hunter2:8080/path"),
    ("API_PROXY", "http://\uff11\uff16\uff19.254.169.254:3128"),
    ("API_PROXY", "http://[hunter2"),
    ("API_CA_FILE", "/hunter2/ca.pem"),
    ("API_CLIENT_KEY_FILE", "/hunter2/key.pem"),
    ("API_OAUTH_TOKEN_URL", "ftp://hunter2/token"),
    ("API_OAUTH_TOKEN_URL", "https://[fd00:ec2::254]/hunter2"),
    ("API_OAUTH_SCOPE", "hunter2\n2"),
    ("API_EMPTY_MEANS_UNKNOWN", "maybe"),
    ("PAYMENT_CARD_GUARD", "maybe"),
    ("PAYMENT_CARD_GUARD", "false"),
    ("PROJECTION", "off"),
    ("REFRESH_AHEAD", "maybe"),
    ("CACHE_MEMORY_MIB", "-1"),
    ("CACHE_MEMORY_MIB", "65537"),
    ("KEEP_ROWS_DAYS", "7"),
    ("KEEP_ROWS_DAYS", "36501"),
    ("SESSION_TIMEOUT_SECONDS", "5"),
    ("SESSION_TIMEOUT_SECONDS", "301"),
    ("SESSION_TIMEOUT_SECONDS", "7.5"),
]


@pytest.mark.parametrize(("name", "raw"), BAD)
def test_a_bad_value_gives_one_line_that_names_its_setting(name: str, raw: str) -> None:
    found = errors(**{name: raw})
    assert len(found) == 1, found
    assert found[0].startswith(f"POSSTREAM_{name} ")
    assert "\n" not in found[0]


@pytest.mark.parametrize(
    ("name", "raw"), [(name, raw) for name, raw in BAD if len(raw) > 3 and raw != "kafka://"]
)
def test_a_bad_value_is_not_echoed(name: str, raw: str) -> None:
    line = errors(**{name: raw})[0]
    assert raw not in line
    assert "hunter2" not in line


def test_errors_of_plugins_are_reported_with_those_of_the_platform() -> None:
    found = errors(WEB_PORT="x", API_ENDPOINT="ftp://crm/", PLUGINS="carts,customer_lookup")
    assert found == [
        (
            "POSSTREAM_PLUGINS names carts, which is not found: choose from "
            "baskets, customer_lookup, fraud_detection"
        ),
        "POSSTREAM_WEB_PORT must be a whole number from 1 to 65535",
        errors(API_ENDPOINT="ftp://crm/")[0],
    ]


def test_all_errors_are_reported_together() -> None:
    found = errors(BROKER="kafka://", WEB_PORT="x", API_KEY="short", TOPIC_PARTITIONS="0")
    names = [line.split()[0] for line in found]
    assert sorted(names) == [
        "POSSTREAM_API_KEY",
        "POSSTREAM_BROKER",
        "POSSTREAM_TOPIC_PARTITIONS",
        "POSSTREAM_WEB_PORT",
    ]


def test_the_message_has_one_line_per_error() -> None:
    with pytest.raises(InvalidSettings) as refused:
        read(WEB_PORT="x", TOPIC_REPLICATION="y")
    assert refused.value.errors == str(refused.value).splitlines()
    assert len(refused.value.errors) == 2


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.5", "till.example.com", "localhost.example.com"]
)
def test_a_host_beyond_loopback_is_refused_without_an_api_key(host: str) -> None:
    found = errors(WEB_HOST=host)
    assert len(found) == 1
    assert found[0].startswith("POSSTREAM_WEB_HOST is not a loopback address")
    assert "POSSTREAM_API_KEY" in found[0]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "till.example.com"])
def test_a_host_beyond_loopback_is_accepted_with_an_api_key(host: str) -> None:
    assert host == read(WEB_HOST=host, API_KEY=KEY).web_host


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("localhost", "localhost"),
    ],
)
def test_an_address_of_this_machine_needs_no_key_in_either_family(host: str, expected: str) -> None:
    assert expected == read(WEB_HOST=host).web_host


@pytest.mark.parametrize(
    "host", ["[::1", "::1]:8000", "[::1]:8000", "127.0.0.1:8000", ":::", "a b"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    assert errors(WEB_HOST=host)[0].startswith("POSSTREAM_WEB_HOST must be a host name or an IP")


def test_a_database_at_an_address_of_ipv6_is_found() -> None:
    url = read(DATABASE_URL="postgresql+asyncpg://u:p@[fd00::5]:5433/posstream").database_url
    address = make_url(url)
    assert (address.host, address.port) == ("fd00::5", 5433)


def test_keys_with_roles_are_keys_too() -> None:
    settings = read(WEB_HOST="0.0.0.0", API_KEYS=f"viewer:{KEY}:vera")
    assert [key.caller for key in settings.access_keys] == [Caller("vera", Role.VIEWER)]
    assert settings.operator_key is None


def test_the_one_key_is_an_operator_s_beside_those_with_roles() -> None:
    settings = read(API_KEY=KEY, API_KEYS="operator:another-key-0123:olga")
    expected = [Caller("api-key", Role.OPERATOR), Caller("olga", Role.OPERATOR)]
    assert expected == [key.caller for key in settings.access_keys]
    assert settings.operator_key == KEY


@pytest.mark.parametrize("keys", [f"viewer:{KEY}", "viewer:another-key-0123:api-key"])
def test_a_key_that_is_given_twice_is_one_error(keys: str) -> None:
    found = errors(API_KEY=KEY, API_KEYS=keys)
    assert len(found) == 1
    assert found[0].startswith("POSSTREAM_API_KEYS with POSSTREAM_API_KEY has ")
    assert KEY not in found[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_api_key(host: str) -> None:
    assert host == read(WEB_HOST=host).web_host


# -- the directory's credentials and mapping

CRM = "https://crm.example.com/customers/"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("bearer abc.DEF-123", "Bearer abc.DEF-123"),
        ("BEARER  abc", "Bearer abc"),
        ("basic Aladdin:open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("Basic user:a:b", "Basic dXNlcjphOmI="),
        ("basic :", "Basic Og=="),
        ("basic test:123\u00a3", "Basic dGVzdDoxMjPCow=="),
    ],
)
def test_credentials_become_the_header_of_their_scheme(raw: str, expected: str) -> None:
    credentials = own(API_AUTH=raw, API_ENDPOINT=CRM).credentials
    assert credentials is not None
    assert (credentials.authorization, credentials.endpoint) == (expected, CRM)


def test_without_credentials_there_are_none() -> None:
    assert own(API_ENDPOINT=CRM).credentials is None


def test_credentials_need_an_endpoint_of_their_own() -> None:
    assert errors(API_AUTH="bearer hunter2") == [
        "POSSTREAM_API_AUTH is sent to one origin only: set POSSTREAM_API_ENDPOINT as well"
    ]


def test_a_bad_endpoint_is_one_error_with_credentials_too() -> None:
    found = errors(API_AUTH="bearer hunter2", API_ENDPOINT="ftp://crm/")
    assert [line.split()[0] for line in found] == ["POSSTREAM_API_ENDPOINT"]


@pytest.mark.parametrize(
    "host", ["crm.example.com", "10.0.0.1", "localhost.example.com", "[fd::1]"]
)
def test_credentials_do_not_cross_a_network_in_clear_text(host: str) -> None:
    found = errors(API_AUTH="bearer hunter2", API_ENDPOINT=f"http://{host}/")
    assert len(found) == 1
    assert "must start with https://" in found[0]
    assert "hunter2" not in found[0]


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]"])
def test_credentials_may_stay_on_this_machine_in_clear_text(host: str) -> None:
    assert own(API_AUTH="bearer x", API_ENDPOINT=f"http://{host}/").credentials is not None


def test_a_mapping_is_read() -> None:
    mapping = own(API_MAPPING="customer.id -> customer_id; phones.0.number -> phone;").api_mapping
    assert mapping is not None
    assert mapping.paths == {
        "customer_id": ("customer", "id"),
        "phone": ("phones", "0", "number"),
    }


def test_settings_do_not_show_their_secrets() -> None:
    settings = read(
        API_KEY="hunter2hunter2hunter2",
        API_KEYS="viewer:hunter2hunter2hunter3",
        API_AUTH="bearer hunter2",
        API_ENDPOINT=CRM,
        DATABASE_URL="postgresql+asyncpg://u:hunter2@db/posstream",
    )
    shown = f"{settings!r} {LookupSettings.of(settings)!r}"
    assert CRM in shown
    assert "hunter2" not in shown


# -- what follows from the settings


@pytest.mark.parametrize(
    ("broker", "expected"),
    [
        ("kafka://one:9092", ["one:9092"]),
        ("kafka://one", ["one:9092"]),
        ("one:19092", ["one:19092"]),
        ("kafka://one:1;two:2", ["one:1", "two:2"]),
        ("kafka://one;kafka://two:2", ["one:9092", "two:2"]),
        ("kafka://[::1]:9092", ["[::1]:9092"]),
        ("kafka://[::1]", ["[::1]:9092"]),
    ],
)
def test_every_broker_has_a_host_and_a_port(broker: str, expected: list[str]) -> None:
    settings = read(BROKER=broker)
    assert expected == settings.bootstrap_servers
    assert ";".join(f"kafka://{server}" for server in expected) == settings.faust_broker


def test_without_a_broker_it_is_the_embedded_one_on_loopback() -> None:
    assert read(DEV_BROKER_PORT="19092").bootstrap_servers == ["127.0.0.1:19092"]


def test_without_a_database_it_is_sqlite_under_the_data_directory() -> None:
    url = read(DATADIR="/data").database_url
    assert url == "sqlite+aiosqlite:////data/posstream.sqlite3"


def test_an_explicit_database_is_taken_as_it_is() -> None:
    url = "postgresql+asyncpg://u:p@db/posstream"
    assert url == read(DATABASE_URL=url).database_url


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("fd00::5", "http://[fd00::5]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_this_machine_finds_the_web_view_by_its_url(host: str, expected: str) -> None:
    assert expected == Settings(web_host=host).web_url


def test_the_directory_is_the_worker_s_own_mock_unless_told() -> None:
    mock = "http://127.0.0.1:8000/api/mock-customer-lookup/"
    assert mock == LookupSettings.of(Settings()).api_endpoint
    assert own(API_ENDPOINT="https://crm/").api_endpoint == "https://crm/"


# -- secrets from files

SECRETS = {
    "API_KEY": KEY,
    "API_KEYS": f"viewer:{KEY}:vera",
    "API_AUTH": "bearer abc",
    "API_PROXY": "http://till:hunter2@proxy.example:3128",
    "DATABASE_URL": "postgresql+asyncpg://u:p@db/posstream",
}


def file_of(folder: Path, content: str | bytes) -> str:
    file = folder / "secret"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_every_secret_can_come_from_a_file(tmp_path: Path, name: str, end: str) -> None:
    secret = SECRETS[name]
    expected = read(API_ENDPOINT=CRM, **{name: secret})
    file = file_of(tmp_path, secret + end)
    assert expected == read(API_ENDPOINT=CRM, **{f"{name}_FILE": file})


def test_every_setting_that_is_not_shown_can_come_from_a_file() -> None:
    def of(model: type, readers: Mapping[str, tuple[str, Any]]) -> set[str]:
        hidden = {it.name for it in fields(model) if not it.repr} | {"named_keys"}
        return {name for name, (field, _) in readers.items() if field in hidden}

    assert of(Settings, _READERS) == _SECRETS
    assert of(LookupSettings, LOOKUP_READERS) == SETTINGS.secrets
    secrets = _SECRETS | SETTINGS.secrets | broker_settings.SECRETS
    assert unknown_settings({f"{name}_FILE": "x" for name in secrets}) == []


def test_what_stands_at_the_ends_of_a_secret_stays(tmp_path: Path) -> None:
    secret = " sixteen letters "
    assert read(API_KEY_FILE=file_of(tmp_path, f"{secret}\n")).api_key == secret


def test_a_secret_that_is_set_and_in_a_file_is_an_error_line(tmp_path: Path) -> None:
    assert errors(API_KEY=KEY, API_KEY_FILE=file_of(tmp_path, KEY)) == [
        "POSSTREAM_API_KEY_FILE and POSSTREAM_API_KEY are both set: leave one out"
    ]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "is empty"),
        (" \n", "is empty"),
        (b"hunter2\xff", "is not UTF-8"),
        ("hunter2" * 10_000, "has more than 65536 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_without_path_and_content(
    tmp_path: Path, name: str, content: str | bytes | None, why: str
) -> None:
    file = str(tmp_path / "none") if content is None else file_of(tmp_path, content)
    found = errors(API_ENDPOINT=CRM, **{f"{name}_FILE": file})
    assert found == [f"POSSTREAM_{name}_FILE {why}"]


def test_a_folder_is_no_file_of_a_secret(tmp_path: Path) -> None:
    assert errors(API_KEY_FILE=str(tmp_path)) == [
        "POSSTREAM_API_KEY_FILE cannot be read: Is a directory"
    ]


def test_a_bad_secret_in_a_file_is_not_echoed(tmp_path: Path) -> None:
    found = errors(WEB_HOST="0.0.0.0", API_KEY_FILE=file_of(tmp_path, "hunter2"))
    assert found == ["POSSTREAM_API_KEY_FILE must have at least 16 characters"]


@pytest.mark.parametrize("name", ["BROKER", "WEB_PORT"])
def test_what_is_no_secret_has_no_file(name: str) -> None:
    assert len(unknown_settings({f"POSSTREAM_{name}_FILE": "x"})) == 1


# -- the directory's way and tokens

OAUTH = {
    "API_ENDPOINT": "https://crm/",
    "API_OAUTH_TOKEN_URL": "https://login/token",
    "API_OAUTH_CLIENT_ID": "posstream",
    "API_OAUTH_CLIENT_SECRET": "hunter2",
}


def test_a_client_of_oauth_is_bound_to_the_endpoint_and_shows_no_secret() -> None:
    settings = own(**OAUTH, API_OAUTH_SCOPE="customers.read")
    expected = OAuthClient(
        "https://login/token", "posstream", "hunter2", "customers.read", "https://crm/"
    )
    assert expected == settings.oauth
    assert "hunter2" not in f"{settings!r} {settings.oauth!r}"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"API_OAUTH_CLIENT_SECRET": ""},
            "POSSTREAM_API_OAUTH_TOKEN_URL needs POSSTREAM_API_OAUTH_CLIENT_SECRET as well",
        ),
        (
            {"API_AUTH": "bearer hunter2"},
            "POSSTREAM_API_AUTH and POSSTREAM_API_OAUTH_TOKEN_URL exclude each other",
        ),
        (
            {"API_ENDPOINT": ""},
            (
                "POSSTREAM_API_OAUTH_TOKEN_URL is sent to one origin only: "
                "set POSSTREAM_API_ENDPOINT as well"
            ),
        ),
        (
            {"API_ENDPOINT": "http://crm/"},
            (
                "POSSTREAM_API_OAUTH_TOKEN_URL would cross the network in clear text: "
                "POSSTREAM_API_ENDPOINT must start with https://"
            ),
        ),
        (
            {"API_OAUTH_TOKEN_URL": "http://login/token"},
            "POSSTREAM_API_OAUTH_TOKEN_URL must start with https://",
        ),
    ],
    ids=range(5),
)
def test_half_a_client_of_oauth_is_refused(changed: dict[str, str], said: str) -> None:
    assert errors(**{**OAUTH, **changed}) == [said]


def test_a_secret_that_comes_from_a_file_is_not_missing(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hunter2")
    from_file = {"API_OAUTH_CLIENT_SECRET": "", "API_OAUTH_CLIENT_SECRET_FILE": str(file)}
    assert own(**{**OAUTH, **from_file}).oauth_token_url == OAUTH["API_OAUTH_TOKEN_URL"]


def test_a_proxy_and_its_password_are_kept_and_not_shown() -> None:
    proxy = "http://till:hunter2@proxy.example:3128"
    settings = own(API_PROXY=proxy)
    assert proxy == settings.api_proxy
    assert "hunter2" not in repr(settings)


def test_a_client_certificate_needs_an_endpoint_and_its_key(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("posstream")
    whole, cert, key = (tmp_path / name for name in ("whole.pem", "cert.pem", "key.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(whole))
    certificate.cert_chain_pems[0].write_to_path(str(cert))
    certificate.private_key_pem.write_to_path(str(key))
    endpoint = {"API_ENDPOINT": "https://crm/"}
    expected = TlsFiles(certificate=cert, key=key)
    both = {"API_CLIENT_CERT_FILE": str(cert), "API_CLIENT_KEY_FILE": str(key)}
    assert expected == own(**endpoint, **both).tls
    assert own(**endpoint, API_CLIENT_CERT_FILE=str(whole)).tls == TlsFiles(certificate=whole)
    assert own(**endpoint).tls is None
    (line,) = errors(**endpoint, API_CLIENT_CERT_FILE=str(cert))
    assert line.startswith("POSSTREAM_API_CLIENT_CERT_FILE must name a file with a certificate")
    (line,) = errors(API_CLIENT_CERT_FILE=str(whole))
    assert line.startswith("POSSTREAM_API_CLIENT_CERT_FILE is sent to one origin only")


def test_a_proxy_of_the_environment_is_said_not_to_be_used() -> None:
    warnings = unknown_settings({"https_proxy": "http://u:hunter2@p", "HTTP_PROXY": "http://p"})
    assert warnings == [
        (
            "HTTP_PROXY, https_proxy are not used: calls to the directory take a proxy from "
            "POSSTREAM_API_PROXY alone"
        )
    ]
    assert unknown_settings({"NO_PROXY": "x", "HTTP_PROXY": ""}) == []


# -- names that mean nothing


def test_an_unknown_name_is_warned_about_with_a_suggestion() -> None:
    warnings = unknown_settings({"POSSTREAM_BROKR": "x"})
    expected = (
        "POSSTREAM_BROKR is not a setting of posstream and is ignored; "
        "did you mean POSSTREAM_BROKER?"
    )
    assert [expected] == warnings


def test_an_unknown_name_like_no_other_has_no_suggestion() -> None:
    warnings = unknown_settings({"POSSTREAM_": "x"})
    assert len(warnings) == 1
    assert "POSSTREAM_ is not a setting" in warnings[0]


def test_warnings_come_in_order_and_do_not_echo_values() -> None:
    warnings = unknown_settings({"POSSTREAM_ZZ": "hunter2", "POSSTREAM_AA": "hunter2"})
    assert [line.split()[0] for line in warnings] == ["POSSTREAM_AA", "POSSTREAM_ZZ"]
    assert "hunter2" not in "".join(warnings)


def test_known_names_those_of_the_tests_and_those_of_others_are_no_warning() -> None:
    environ = {"POSSTREAM_BROKER": "", "POSSTREAM_TEST_BROKER": "", "PATH": "", "posstream_x": ""}
    assert unknown_settings(environ) == []


@given(
    st.dictionaries(
        st.sampled_from(sorted({f"POSSTREAM_{name}" for name, _ in BAD})), st.text(max_size=30)
    )
)
def test_no_environment_breaks_the_reader(environ: dict[str, str]) -> None:
    try:
        settings = Settings.from_environment(environ)
    except InvalidSettings as refused:
        lines = refused.errors
        assert [line for line in lines if not line.startswith("POSSTREAM_")] == []
    else:
        assert settings.bootstrap_servers
        assert settings.database_url
        assert LookupSettings.of(settings).api_endpoint
