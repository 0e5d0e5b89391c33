"""The plugin's configuration by GraphQL, on a store and a topic in memory."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from posstream.configuration.version import ConfigurationChange, ConfigurationVersion
from tests.component.web_client import WebView, running_web

SHOW = """{ pluginConfiguration {
  name enabled version config overrides description updatedAt updatedBy } }"""
UPDATE = """
mutation ($name: String = "customer_lookup", $enabled: Boolean, $config: JSONString,
          $expected: Int, $description: String) {
  updatePluginConfiguration(name: $name, enabled: $enabled, config: $config,
                            expectedVersion: $expected, description: $description) {
    success version error { code message }
    pluginConfiguration { enabled version config overrides description updatedAt updatedBy }
  }
}"""


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


async def update(web: WebView, **variables: Any) -> dict[str, Any]:
    answer = await web.graphql(UPDATE, **variables)
    assert "errors" not in answer, answer
    return answer["data"]["updatePluginConfiguration"]


async def test_a_configuration_that_was_never_edited_is_the_defaults(web: WebView) -> None:
    shown = (await web.graphql(SHOW))["data"]["pluginConfiguration"]
    assert json.loads(shown.pop("config")) == {
        "api_endpoint": "http://directory.test/",
        "timeout_seconds": 5,
        "retry_attempts": 2,
        "cache_ttl_seconds": 3600,
        "fallback_to_cache_on_error": True,
        "stale_ttl_seconds": 86400,
        "negative_ttl_seconds": 60,
        "deadline_seconds": 12,
        "max_concurrent_lookups": 100,
        "default_country_code": None,
    }
    assert shown == {
        "name": "customer_lookup",
        "enabled": True,
        "version": 0,
        "overrides": "{}",
        "description": "",
        "updatedAt": None,
        "updatedBy": None,
    }


async def test_an_edit_is_in_force_when_it_is_answered(web: WebView) -> None:
    edited = await update(
        web, enabled=False, config='{"retry_attempts": 3}', expected=0, description="slow CRM"
    )
    assert (edited["success"], edited["version"], edited["error"]) == (True, 1, None)
    shown = edited["pluginConfiguration"]
    assert json.loads(shown["config"])["retry_attempts"] == 3
    assert json.loads(shown["overrides"]) == {"retry_attempts": 3}
    assert (shown["enabled"], shown["description"]) == (False, "slow CRM")
    assert (shown["updatedAt"], shown["updatedBy"]) == ("2026-01-31T08:00:00.000Z", "graphql")
    again = (await web.graphql(SHOW))["data"]["pluginConfiguration"]
    assert again["config"] == shown["config"]
    assert [version.version for version in web.topic.published] == [1]


async def test_null_is_the_default_again_and_other_keys_stay(web: WebView) -> None:
    await update(web, config='{"retry_attempts": 3, "timeout_seconds": 1}')
    edited = await update(web, config='{"retry_attempts": null}')
    assert json.loads(edited["pluginConfiguration"]["overrides"]) == {"timeout_seconds": 1}


async def test_the_second_writer_of_a_version_gets_a_conflict(web: WebView) -> None:
    await update(web, config='{"retry_attempts": 3}', expected=0)
    late = await update(web, config='{"retry_attempts": 4}', expected=0)
    assert (late["success"], late["version"], late["error"]["code"]) == (False, 1, "CONFLICT")
    assert json.loads(late["pluginConfiguration"]["overrides"]) == {"retry_attempts": 3}


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ('{"retry_attempts": 99}', "retry_attempts: "),
        ('{"no_such_key": 1}', "no_such_key: "),
        ('{"cache_ttl_seconds": NaN}', "cache_ttl_seconds: "),
        ('{"api_endpoint": "file:///etc/passwd"}', "api_endpoint: "),
        ('{"enabled": false}', "enabled: "),
        ("[]", "config: "),
    ],
)
async def test_a_refused_edit_names_the_key_and_changes_nothing(
    web: WebView, config: str, named: str
) -> None:
    refused = await update(web, config=config)
    assert (refused["success"], refused["version"]) == (False, 0)
    assert refused["error"]["code"] == "INVALID_CONFIGURATION"
    assert refused["error"]["message"].startswith(named)
    assert refused["pluginConfiguration"]["version"] == 0
    assert (web.topic.published, web.store.changes) == ([], {})


async def test_a_config_that_is_not_json_is_an_error_of_the_caller(web: WebView) -> None:
    answer = await web.graphql(UPDATE, config="{")
    assert "JSON" in answer["errors"][0]["message"] or "config" in answer["errors"][0]["message"]
    assert web.topic.published == []


async def test_another_plugin_is_unknown(web: WebView) -> None:
    refused = await update(web, name="another", enabled=False)
    assert (refused["success"], refused["error"]["code"]) == (False, "UNKNOWN_PLUGIN")
    answer = await web.graphql('{ pluginConfiguration(name: "another") { version } }')
    assert answer["errors"][0]["extensions"] == {"code": "UNKNOWN_PLUGIN"}


async def test_a_broker_that_does_not_acknowledge_is_no_success(web: WebView) -> None:
    web.topic.down = True
    refused = await update(web, enabled=False)
    assert (refused["success"], refused["error"]["code"]) == (False, "BROKER_UNAVAILABLE")
    assert refused["pluginConfiguration"]["enabled"] is True
    assert web.store.changes == {}


async def test_a_database_that_is_down_is_masked(web: WebView) -> None:
    web.store.error = ConnectionError("postgresql://user:secret@db")
    answer = await web.graphql(UPDATE, enabled=False)
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "secret" not in json.dumps(answer)


async def test_an_editor_on_another_worker_is_a_conflict_too(web: WebView) -> None:
    other = ConfigurationVersion(1, config={"retry_attempts": 9}, updated_by="anna")
    web.store.changes[1] = ConfigurationChange(other, old_enabled=True, old_config={})
    late = await update(web, enabled=False, expected=0)
    assert (late["version"], late["error"]["code"]) == (1, "CONFLICT")


# -- several plugins


async def test_each_plugin_has_a_configuration_of_its_own() -> None:
    async with running_web(two_plugins=True) as web:
        rules = [{"id": "a", "window_seconds": 60, "state": "PAUSED", "lowest": 0, "highest": 1}]
        edited = await update(web, name="rules", config=json.dumps({"rules": rules}))
        assert json.loads(edited["pluginConfiguration"]["config"])["rules"] == rules
        assert [version.version for version in web.rules_topic.published] == [1]
        assert (web.topic.published, list(web.rules_store.changes)) == ([], [1])
        shown = await web.graphql(
            """{ rules: pluginConfiguration(name: "rules") { name version }
                 pluginConfiguration { name version } }"""
        )
        assert shown["data"] == {
            "rules": {"name": "rules", "version": 1},
            "pluginConfiguration": {"name": "customer_lookup", "version": 0},
        }


async def test_a_refusal_in_a_list_names_its_place() -> None:
    async with running_web(two_plugins=True) as web:
        rules = [{"id": "a", "window_seconds": 60}, {"id": "b", "window_seconds": 0}]
        refused = await update(web, name="rules", config=json.dumps({"rules": rules}))
        assert refused["error"] == {
            "code": "INVALID_CONFIGURATION",
            "message": "rules[1].window_seconds: must be a whole number from 1 to 604800",
        }


async def test_an_unknown_plugin_is_told_which_ones_there_are() -> None:
    async with running_web(two_plugins=True) as web:
        refused = await update(web, name="another", enabled=False)
        told = "there is no such plugin; there are customer_lookup, rules"
        assert refused["error"] == {"code": "UNKNOWN_PLUGIN", "message": told}
