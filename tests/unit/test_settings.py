from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.domain.errors import InvalidSettings
from posstream.domain.roles import Caller, Role
from posstream.settings import Settings, unknown_settings

KEY = "0123456789abcdef"


def read(**environ: str) -> Settings:
    return Settings.from_environment({f"POSSTREAM_{name}": raw for name, raw in environ.items()})


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
    assert settings.topic_partitions == 8
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
        topic_partitions=16,
        topic_replication=3,
        api_key=KEY,
        explicit_api_endpoint="https://crm.example.com/",
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
        SESSION_TIMEOUT_SECONDS="60",
    )


BAD = [
    ("BROKER", "kafka://user:hunter2@host:9092"),
    ("BROKER", "kafka://"),
    ("BROKER", "kafka://host:0"),
    ("BROKER", "kafka://host:65536"),
    ("BROKER", "kafka://host:port"),
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
    ("PAYMENT_CARD_GUARD", "maybe"),
    ("PAYMENT_CARD_GUARD", "false"),
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
    credentials = read(API_AUTH=raw, API_ENDPOINT=CRM).credentials
    assert credentials is not None
    assert (credentials.authorization, credentials.endpoint) == (expected, CRM)


def test_without_credentials_there_are_none() -> None:
    assert read(API_ENDPOINT=CRM).credentials is None


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
    assert read(API_AUTH="bearer x", API_ENDPOINT=f"http://{host}/").credentials is not None


def test_a_mapping_is_read() -> None:
    mapping = read(API_MAPPING="customer.id -> customer_id; phones.0.number -> phone;").api_mapping
    assert mapping is not None
    assert mapping.paths == {
        "customer_id": ("customer", "id"),
        "phone": ("phones", "0", "number"),
    }


def test_settings_do_not_show_their_secrets() -> None:
    shown = repr(
        read(
            API_KEY="hunter2hunter2hunter2",
            API_KEYS="viewer:hunter2hunter2hunter3",
            API_AUTH="bearer hunter2",
            API_ENDPOINT=CRM,
            DATABASE_URL="postgresql+asyncpg://u:hunter2@db/posstream",
        )
    )
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
        ("localhost", "http://localhost:8000"),
    ],
)
def test_this_machine_finds_the_web_view_by_its_url(host: str, expected: str) -> None:
    assert expected == Settings(web_host=host).web_url


def test_the_directory_is_the_worker_s_own_mock_unless_told() -> None:
    mock = "http://127.0.0.1:8000/api/mock-customer-lookup/"
    assert mock == Settings().api_endpoint
    assert read(API_ENDPOINT="https://crm/").api_endpoint == "https://crm/"


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
        assert settings.api_endpoint
