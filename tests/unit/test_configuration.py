import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agents.customer_lookup.configuration import MAX_TTL_SECONDS, LookupConfiguration
from agents.customer_lookup.directory.endpoint import check_endpoint, wire_endpoint
from posstream.configuration.current import CurrentConfiguration
from posstream.configuration.model import edited, merged
from posstream.configuration.version import UNEDITED, ConfigurationVersion
from posstream.domain.errors import InvalidConfiguration
from tables.cache_spec import CACHE_RETENTION_MS
from tables.freshness import Windows
from tests.component.configuration_fakes import KEYS, RANGES

PLAN = LookupConfiguration(api_endpoint="http://127.0.0.1:8000/api/")


def test_the_defaults_are_the_contract_s() -> None:
    assert structs.asdict(PLAN) == {
        "api_endpoint": "http://127.0.0.1:8000/api/",
        "timeout_seconds": 5,
        "retry_attempts": 2,
        "cache_ttl_seconds": 3600,
        "fallback_to_cache_on_error": True,
        "stale_ttl_seconds": 86400,
        "negative_ttl_seconds": 60,
        "deadline_seconds": 12,
        "max_concurrent_lookups": 100,
        "default_country_code": None,
        "enabled": True,
        "version": 0,
    }


def test_the_defaults_are_inside_their_own_ranges() -> None:
    assert edited(PLAN, {key: getattr(PLAN, key) for key in RANGES}) == PLAN


def test_the_windows_are_the_ttls_in_milliseconds() -> None:
    expected = Windows(fresh_ms=3_600_000, stale_ms=86_400_000, negative_ms=60_000)
    assert expected == PLAN.windows


def test_a_ttl_may_be_a_fraction_of_a_second() -> None:
    assert edited(PLAN, {"cache_ttl_seconds": 0.0015}).windows.fresh_ms == 2


def test_an_edit_changes_its_keys_and_nothing_else() -> None:
    expected = structs.replace(PLAN, retry_attempts=3, cache_ttl_seconds=0.5)
    assert expected == edited(PLAN, {"retry_attempts": 3, "cache_ttl_seconds": 0.5})


def test_an_empty_edit_changes_nothing() -> None:
    assert edited(PLAN, {}) == PLAN


@pytest.mark.parametrize("key", RANGES)
def test_both_ends_of_a_range_are_inside_it(key: str) -> None:
    for value in RANGES[key]:
        assert value == getattr(edited(PLAN, {key: value}), key)


@pytest.mark.parametrize("key", RANGES)
def test_a_value_out_of_range_is_refused_by_name(key: str) -> None:
    lowest, highest = RANGES[key]
    for value in (lowest - 1, highest + 1, float("nan"), float("inf"), float("-inf")):
        with pytest.raises(InvalidConfiguration, match=f"^{key}: must be a ") as refused:
            edited(PLAN, {key: value})
        assert key == refused.value.key


@pytest.mark.parametrize("key", RANGES)
@pytest.mark.parametrize("value", [None, "1", True, [], {}])
def test_a_number_of_another_type_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(InvalidConfiguration, match=f"^{key}: must be a "):
        edited(PLAN, {key: value})


@pytest.mark.parametrize("key", ["retry_attempts", "max_concurrent_lookups"])
def test_a_count_is_a_whole_number(key: str) -> None:
    with pytest.raises(InvalidConfiguration, match=f"^{key}: must be a whole number"):
        edited(PLAN, {key: 2.0})


@pytest.mark.parametrize("value", [None, 1, 0, "true", []])
def test_a_switch_is_true_or_false(value: object) -> None:
    with pytest.raises(InvalidConfiguration, match=r"^fallback_to_cache_on_error: must be true"):
        edited(PLAN, {"fallback_to_cache_on_error": value})


@pytest.mark.parametrize("key", ["enabled", "version", "", "__class__"])
def test_an_unknown_key_is_refused_by_name(key: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        edited(PLAN, {key: 1})
    assert key == refused.value.key
    assert refused.value.why == "is not a key of this configuration"


def test_an_unknown_key_is_refused_with_the_nearest_one_named() -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        edited(PLAN, {"timeout": 1})
    assert refused.value.key == "timeout"
    assert refused.value.why == "is not a key of this configuration; did you mean timeout_seconds?"


def test_one_bad_key_refuses_the_whole_edit() -> None:
    with pytest.raises(InvalidConfiguration, match=r"^retry_attempts"):
        edited(PLAN, {"cache_ttl_seconds": 1, "retry_attempts": 0})
    assert PLAN.cache_ttl_seconds == 3600


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "https://crm.example.com/v1/customers?tenant=7",
        "http://127.0.0.1:8000/api/mock-customer-lookup/?delay_ms=5",
        "http://[::1]:8000/",
        "http://10.0.0.1/",
    ],
)
def test_an_http_url_with_a_host_is_an_endpoint(url: str) -> None:
    assert check_endpoint(url) is None
    assert url == edited(PLAN, {"api_endpoint": url}).api_endpoint


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "crm.example.com",
        "ftp://crm.example.com/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://[::1",
        "http://host:port/",
        "http://host:99999/",
        "http://user@host/",
        "http://user:secret@host/",
        "http://:secret@host/",
        "http://host/#part",
        "http://host/a b",
        "http://host/\n",
        "http://host/\0",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://host/" + "x" * 2000,
    ],
)
def test_what_is_no_safe_endpoint_is_refused_by_name(url: object) -> None:
    with pytest.raises(InvalidConfiguration, match=r"^api_endpoint: ") as refused:
        edited(PLAN, {"api_endpoint": url})
    assert "secret" not in str(refused.value)


def test_no_window_outlives_the_changelog() -> None:
    assert MAX_TTL_SECONDS * 1000 < CACHE_RETENTION_MS


def test_the_version_in_force_can_be_replaced() -> None:
    current = CurrentConfiguration(PLAN)
    current.value = newer = structs.replace(PLAN, version=1)
    assert newer is current.value


@given(st.text(max_size=40))
def test_no_text_breaks_the_endpoint_check(url: str) -> None:
    assert isinstance(check_endpoint("http://" + url), str | None)


# -- versions


def test_a_version_sets_its_keys_and_leaves_the_others_at_this_worker_s_defaults() -> None:
    current = CurrentConfiguration(PLAN)
    version = ConfigurationVersion(3, enabled=False, config={"retry_attempts": 4})
    current.put_in_force(version)
    expected = structs.replace(PLAN, retry_attempts=4, enabled=False, version=3)
    assert expected == current.value
    assert current.in_force is version
    current.put_in_force(UNEDITED)
    assert current.value == PLAN


def test_a_version_that_is_not_usable_leaves_the_old_one_in_force() -> None:
    current = CurrentConfiguration(PLAN)
    with pytest.raises(InvalidConfiguration, match=r"^retry_attempts: "):
        current.put_in_force(ConfigurationVersion(1, config={"retry_attempts": 0}))
    assert (current.value, current.in_force) == (PLAN, UNEDITED)


def test_a_watcher_is_told_what_is_in_force_and_what_comes() -> None:
    current, told = CurrentConfiguration(PLAN), []
    current.watch(lambda value: told.append(value.version))
    current.put_in_force(ConfigurationVersion(1))
    assert told == [0, 1]


def test_an_edit_sets_some_keys_resets_others_and_leaves_the_rest() -> None:
    config = {"retry_attempts": 4, "deadline_seconds": 3, "timeout_seconds": 1}
    changes = {"retry_attempts": 5, "deadline_seconds": None, "cache_ttl_seconds": 7}
    assert merged(config, changes, LookupConfiguration) == {
        "retry_attempts": 5,
        "timeout_seconds": 1,
        "cache_ttl_seconds": 7,
    }
    assert config == {"retry_attempts": 4, "deadline_seconds": 3, "timeout_seconds": 1}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"retry_attempts": 1, "cache_ttl_seconds": "1"}, "cache_ttl_seconds"),
        ({"nothing": None}, "nothing"),
        ({"enabled": True}, "enabled"),
        ({"version": None}, "version"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds"),
        ([], "config"),
        ("text", "config"),
    ],
)
def test_an_edit_with_a_bad_key_is_refused_by_name(changes: object, key: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        merged({}, changes, LookupConfiguration)
    assert key == refused.value.key


def test_the_keys_are_the_contract_s_in_its_order() -> None:
    assert KEYS == (
        "api_endpoint",
        "timeout_seconds",
        "retry_attempts",
        "cache_ttl_seconds",
        "fallback_to_cache_on_error",
        "stale_ttl_seconds",
        "negative_ttl_seconds",
        "deadline_seconds",
        "max_concurrent_lookups",
        "default_country_code",
    )


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.169.254.",
        "0xa9fea9fe",
        "2852039166",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "%31%36%39.254.169.254",
        "169%2e254.169.254",
        "%6Detadata.google.internal",
    ],
)
def test_a_link_local_endpoint_is_refused_in_every_spelling(host: str) -> None:
    why = check_endpoint(f"http://{host}/latest/")
    assert why == "must not be a link-local address or a cloud metadata address"


def test_a_host_that_resolvers_fold_into_an_address_is_refused() -> None:
    for host in ("169\u3002254\u3002169\u3002254", "\uff11\uff16\uff19.254.169.254"):
        why = check_endpoint(f"http://{host}/latest/")
        assert why == "must not be a link-local address or a cloud metadata address"


@pytest.mark.parametrize(
    ("endpoint", "sent"),
    [
        ("https://crm.example/kunden/ü", "https://crm.example/kunden/%C3%BC"),
        ("https://crm.example/?größe=ä&x=[1]", "https://crm.example/?gr%C3%B6%C3%9Fe=%C3%A4&x=[1]"),
        ("https://crm.example/%C3%BC/%2F?q=a%20b+c", "https://crm.example/%C3%BC/%2F?q=a%20b+c"),
        ('https://crm.example/{a}|"b"', "https://crm.example/%7Ba%7D%7C%22b%22"),
        ("https://läden.example:8443/x", "https://xn--lden-loa.example:8443/x"),
        ("https://日本語.example/", "https://xn--wgv71a119e.example/"),
        ("http://[::1]:8000/x/", "http://[::1]:8000/x/"),
    ],
)
def test_an_endpoint_is_sent_encoded(endpoint: str, sent: str) -> None:
    assert check_endpoint(endpoint) is None
    assert sent == wire_endpoint(endpoint)
    assert sent == wire_endpoint(sent)


def test_a_host_that_cannot_be_written_in_ascii_is_refused() -> None:
    why = check_endpoint(f"https://{'ä' * 300}/")
    assert why == "must name a host that can be written in ASCII"


# -- national phones


@pytest.mark.parametrize("code", ["1", "49", "358"])
def test_a_country_code_is_one_to_three_digits(code: str) -> None:
    assert edited(PLAN, {"default_country_code": code}).default_country_code == code


@pytest.mark.parametrize(
    "code", ["", "0", "049", "+49", "1234", "4a", "\u0664\u0669", 49, True, ["49"]]
)
def test_anything_else_is_refused_by_name(code: object) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        edited(PLAN, {"default_country_code": code})
    assert refused.value.key == "default_country_code"


def test_null_takes_the_country_code_back() -> None:
    assert (
        merged({"default_country_code": "49"}, {"default_country_code": None}, LookupConfiguration)
        == {}
    )


# -- payment cards


@pytest.mark.parametrize(
    "card", ["4111111111111111", "4111-1111-1111-1111", "4111%201111%201111%201111"]
)
def test_an_endpoint_that_holds_a_payment_card_is_refused(card: str) -> None:
    why = check_endpoint(f"https://directory.example/{card}/")
    assert why == "must hold no payment-card number"


def test_a_key_that_is_a_payment_card_is_not_said_again() -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        merged({}, {"4111111111111111": 1}, LookupConfiguration)
    assert "4111111111111111" not in str(refused.value)
