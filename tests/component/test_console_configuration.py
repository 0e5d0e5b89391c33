"""The page of the live configuration, as a browser without script uses it."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from agents.customer_lookup.directory.addresses import REFUSED
from agents.customer_lookup.reasons import Reason
from posstream.configuration.configurations import Configurations
from posstream.configuration.version import ConfigurationChange, ConfigurationVersion
from posstream.domain.access_key import read_access_keys
from posstream.domain.customer import Customer
from posstream.domain.errors import PosstreamError
from posstream.resilience.breaker import State
from posstream.settings import Settings
from tests.component.configuration_fakes import (
    DEFAULTS,
    KEYS,
    RANGES,
    FakeStore,
    FakeTopic,
    RulesConfiguration,
    live_configuration,
    live_configuration_of,
)
from tests.component.fakes import NOW
from tests.component.html_page import HtmlPage
from tests.component.sql_databases import failed, found
from tests.component.sql_web import running_sql_web
from tests.component.web_client import WebView, application_of, running_web

VIEWER, SUPPORT = "viewer-key-01234", "support-key-0123"
KEYED = Settings(named_keys=read_access_keys(f"viewer:{VIEWER}:vera;support:{SUPPORT}:sam"))
POSTS = ("", "/preview", "/try", "/rollback")


@pytest.fixture
async def web() -> AsyncIterator[WebView]:
    async with running_web() as view:
        yield view


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "posstream.audit")
    return caplog


async def get(web: WebView, path: str = "/configuration", status: int = 200) -> HtmlPage:
    response = await web.client.get(path)
    assert response.status == status
    return HtmlPage.of(await response.text())


async def post(web: WebView, path: str, status: int = 200, **fields: str) -> HtmlPage:
    """Send a form; its redirect is followed."""
    response = await web.client.post(f"/configuration{path}", data=fields)
    assert response.status == status
    return HtmlPage.of(await response.text())


async def sent(web: WebView, path: str, status: int = 200, **typed: str) -> HtmlPage:
    """Open the page, type something, and send the form."""
    return await post(web, path, status, **((await get(web)).values | typed))


async def edit(web: WebView, **typed: str) -> HtmlPage:
    """Type, preview, and save what the preview holds."""
    preview = await sent(web, "/preview", **typed)
    return await post(web, "", **preview.values)


def another_editor(web: WebView, number: int, **config: object) -> None:
    version = ConfigurationVersion(number, config=config, updated_at=NOW, updated_by="anna")
    web.store.changes[number] = ConfigurationChange(version, old_enabled=True, old_config={})


async def test_the_form_has_a_field_for_the_switch_and_every_key(web: WebView) -> None:
    page = await get(web)
    assert page.titles == ["Configuration"]
    assert {"enabled", *KEYS} <= set(page.values)
    # At its default a field is empty; the switch is one that a version always has.
    assert {name: page.values[name] for name in KEYS} == dict.fromkeys(KEYS, "")
    assert page.values["enabled"] == "yes"


async def test_the_schema_is_served_and_has_bounds_and_defaults(web: WebView) -> None:
    response = await web.client.get("/configuration/schema.json")
    assert response.content_type == "application/schema+json"
    schema = await response.json(content_type=None)
    properties = schema["properties"]
    assert tuple(properties) == KEYS
    assert {key: known["default"] for key, known in properties.items()} == {
        key: getattr(DEFAULTS, key) for key in KEYS
    }
    bounds = {key: (properties[key]["minimum"], properties[key]["maximum"]) for key in RANGES}
    assert bounds == RANGES
    assert properties["retry_attempts"]["type"] == "integer"
    assert schema["additionalProperties"] is False


async def test_a_change_is_shown_before_it_is_saved_and_nothing_happens_yet(web: WebView) -> None:
    page = await sent(web, "/preview", cache_ttl_seconds="600", description="slow CRM")
    assert "A customer who was fetched is served for 10 min without asking" in page.text
    assert "Save version 1" in page.text
    assert page.values["cache_ttl_seconds"] == "600"
    assert page.values["description"] == "slow CRM"
    assert web.topic.published == []


async def test_a_saved_change_says_who_when_and_why(
    web: WebView, audit: pytest.LogCaptureFixture
) -> None:
    page = await edit(
        web,
        retry_attempts="3",
        fallback_to_cache_on_error="no",
        enabled="no",
        description="slow CRM",
    )
    assert "Saved." in page.text
    (version,) = web.topic.published
    assert version.config == {"retry_attempts": 3, "fallback_to_cache_on_error": False}
    assert (version.enabled, version.updated_by, version.description) == (
        False,
        "console",
        "slow CRM",
    )
    assert page.rows[0][0:2] == [
        "console, 2026-01-31 08:00:00“slow CRM”",
        "Customer lookup: on → offAttempts: 2 → 3Stale on error: on → off",
    ]
    (line,) = (record.getMessage() for record in audit.records)
    assert line.startswith("updatePluginConfiguration(")
    assert line.endswith("by local (operator): done")


async def test_an_emptied_field_is_at_its_default_again_and_others_stay(web: WebView) -> None:
    await edit(web, retry_attempts="3", timeout_seconds="2.5")
    page = await edit(web, retry_attempts="")
    assert web.topic.published[-1].config == {"timeout_seconds": 2.5}
    assert page.values["timeout_seconds"] == "2.5"


@pytest.mark.parametrize(
    ("name", "typed", "message"),
    [
        ("retry_attempts", "2.5", "must be a whole number from 1 to 10"),
        ("retry_attempts", "99", "must be a whole number from 1 to 10"),
        ("timeout_seconds", "soon", "must be a number from 0.05 to 60"),
        ("timeout_seconds", "nan", "must be a number from 0.05 to 60"),
        ("timeout_seconds", "1_0", "must be a number from 0.05 to 60"),
        ("cache_ttl_seconds", "9" * 5000, "must be a number from 0 to 604800"),
        ("api_endpoint", "ftp://crm/", "must start with http:// or https:// and name a host"),
        (
            "api_endpoint",
            "http://169.254.169.254/",
            REFUSED,
        ),
        ("fallback_to_cache_on_error", "perhaps", "must be true or false"),
    ],
)
async def test_a_bad_value_gets_its_message_at_the_field_and_nothing_typed_is_lost(
    web: WebView, name: str, typed: str, message: str
) -> None:
    others = {"description": "why <not>", "max_concurrent_lookups": "7", name: typed}
    for path, status in (("/preview", 200), ("", 422)):
        page = await sent(web, path, status, **others)
        assert page.errors == {name: message}
        kept = {key: page.values[key] for key in others if key != "fallback_to_cache_on_error"}
        assert kept == {key: others[key] for key in kept}
        assert "Save version" not in page.text
    assert web.topic.published == []


async def test_all_bad_values_are_told_at_once(web: WebView) -> None:
    page = await sent(web, "/preview", retry_attempts="x", deadline_seconds="-1")
    assert set(page.errors) == {"retry_attempts", "deadline_seconds"}


async def test_a_description_that_no_history_takes_is_refused_at_its_field(web: WebView) -> None:
    page = await sent(web, "", 422, retry_attempts="3", description="a\x07b")
    assert page.errors == {"description": "must be at most 1000 printable characters"}
    assert page.values["retry_attempts"] == "3"


async def test_the_second_writer_sees_the_change_of_the_first_and_keeps_the_own_one(
    web: WebView,
) -> None:
    preview = await sent(web, "/preview", timeout_seconds="2", description="mine")
    another_editor(web, 1, retry_attempts=7)
    page = await post(web, "", 409, **preview.values)
    assert "Version 1, anna, 2026-01-31 08:00:00 Attempts: 2 → 7" in page.text
    assert page.values["timeout_seconds"] == "2"
    assert page.values["description"] == "mine"
    assert page.values["retry_attempts"] == "7", "what was not touched is the other's"
    assert web.topic.published == []
    await post(web, "", **page.values)
    assert web.topic.published[-1].config == {"retry_attempts": 7, "timeout_seconds": 2}


async def test_a_preview_on_an_old_version_says_so_as_well(web: WebView) -> None:
    opened = await get(web)
    another_editor(web, 1, retry_attempts=7)
    page = await post(web, "/preview", **(opened.values | {"timeout_seconds": "2"}))
    assert "Somebody else was faster" in page.text
    assert "Save version 2" in page.text


async def test_an_edit_that_changes_nothing_makes_no_version(web: WebView) -> None:
    assert "Nothing would change" in (await sent(web, "/preview")).text
    await sent(web, "", 422)
    assert web.topic.published == []


async def test_a_broker_that_is_away_keeps_the_form(web: WebView) -> None:
    web.topic.down = True
    page = await sent(web, "", 503, retry_attempts="3")
    assert "the broker did not acknowledge the change" in page.text
    assert page.values["retry_attempts"] == "3"


async def test_what_is_typed_is_never_markup(web: WebView) -> None:
    response = await web.client.post(
        "/configuration/preview", data={"api_endpoint": '"><script>alert(1)</script>'}
    )
    assert "<script>alert" not in await response.text()


# -- trying an endpoint


async def test_an_endpoint_is_tried_before_it_is_saved(
    web: WebView, audit: pytest.LogCaptureFixture
) -> None:
    customer = Customer("id-+49301234567", "Johanna", "Q", phone="+49301234567", tier="GOLD")
    asked: list[str] = []

    def answer(identifier: str) -> tuple[Customer | None, Reason | None]:
        asked.append(identifier)
        return customer, None

    web.directory.outcome = answer
    page = await sent(web, "/try", api_endpoint="http://crm.test/new", identifier="+49 30 1234567")
    assert asked == ["+49301234567"]
    assert "One call, for +4******567" in page.text
    assert "id-+4******567" in page.text
    assert "Johanna Q" in page.text
    assert "found in 0 ms" in page.text
    assert "http://crm.test/new" in page.text
    assert "301234567" not in page.text
    assert page.values["api_endpoint"] == "http://crm.test/new"
    assert page.values["identifier"] == "+49 30 1234567"
    assert web.topic.published == []
    (line,) = (record.getMessage() for record in audit.records)
    assert line.startswith("tryDirectory(api_endpoint='http://crm.test/new', identifier=")
    assert "301234567" not in line


async def test_an_endpoint_that_fails_shows_the_exact_reason_and_its_cure(web: WebView) -> None:
    web.directory.outcome = lambda _: (None, Reason.TIMEOUT)
    page = await sent(web, "/try", identifier="+49301")
    assert "Why TIMEOUT" in page.text
    assert "check that it is up and that no firewall blocks the call" in page.text
    web.directory.outcome = lambda _: (None, Reason.NOT_FOUND)
    page = await sent(web, "/try", identifier="+49301")
    assert "the directory does not know this identifier" in page.text


@pytest.mark.parametrize(
    ("typed", "errors"),
    [
        (
            {"identifier": "4111 1111 1111 1111"},
            {"identifier": "it holds a payment-card number"},
        ),
        (
            {"identifier": "+49301", "api_endpoint": "http://0xa9fea9fe/"},
            {"api_endpoint": REFUSED},
        ),
        (
            {"identifier": "", "api_endpoint": "file:///etc/passwd"},
            {
                "identifier": "it is not 1 to 128 letters, digits or + @ . _ - once spaces are "
                "removed",
                "api_endpoint": "must start with http:// or https:// and name a host",
            },
        ),
    ],
)
async def test_what_must_not_be_called_is_not(
    web: WebView, typed: dict[str, str], errors: dict[str, str]
) -> None:
    page = await sent(web, "/try", **typed)
    assert page.errors == errors
    assert web.directory.calls == []


# -- the breaker


async def test_the_breaker_is_worked_by_hand(web: WebView, audit: pytest.LogCaptureFixture) -> None:
    page = await post(web, "/breaker", action="open")
    assert (web.breaker.state, web.breaker.held) == (State.OPEN, True)
    assert "Breaker of this worker open held by hand" in page.text
    await post(web, "/breaker", action="close")
    assert (web.breaker.state, web.breaker.held) == (State.CLOSED, True)
    await post(web, "/breaker", action="reset")
    assert (web.breaker.state, web.breaker.held) == (State.CLOSED, False)
    lines = [record.getMessage() for record in audit.records]
    assert lines[0] == "controlBreaker(action='open') by local (operator): done"
    assert (await web.client.post("/configuration/breaker", data={"action": "x"})).status == 400


# -- history


async def test_a_rollback_is_asked_for_and_becomes_a_new_version(
    web: WebView, audit: pytest.LogCaptureFixture
) -> None:
    await edit(web, retry_attempts="3")
    page = await edit(web, retry_attempts="5")
    question = await get(web, page.links["Compare"])
    assert question.titles == ["Roll back to version 1?"]
    assert question.rows == [
        [
            "5",
            "3",
            "A call that fails is tried again, 3 attempts in all, while the deadline lets it.",
        ]
    ]
    page = await post(web, "/rollback", **question.values)
    assert "Rolled back, as a new version." in page.text
    newest = web.topic.published[-1]
    assert (newest.version, newest.config) == (3, {"retry_attempts": 3})
    assert newest.description == "rollback to version 1"
    assert audit.records[-1].getMessage() == "rollback(to=1) by local (operator): done"
    page = await post(web, "/rollback", to="0", expected_version="3")
    assert web.topic.published[-1].config == {}


async def test_a_rollback_of_something_that_changed_meanwhile_is_asked_for_again(
    web: WebView,
) -> None:
    await edit(web, retry_attempts="3")
    question = await get(web, "/configuration/rollback?to=0")
    another_editor(web, 2, retry_attempts=9)
    page = await post(web, "/rollback", 409, **question.values)
    assert "somebody else was faster" in page.text
    assert page.rows[0][:2] == ["9", "2"]
    assert len(web.topic.published) == 1


@pytest.mark.parametrize("to", ["7", "x", "", "-1", "٣"])
async def test_a_version_that_there_is_not_is_not_found(web: WebView, to: str) -> None:
    assert (await web.client.get("/configuration/rollback", params={"to": to})).status == 404


async def test_the_history_compares_what_tills_got_before_and_after(tmp_path: Path) -> None:
    async with running_sql_web(tmp_path) as view:
        await edit(view.web, retry_attempts="3")
        await edit(view.web, retry_attempts="5")
        await view.project(
            found("e1", config_version=1),
            found("e2", config_version=1, source="CACHE"),
            found("e3", config_version=2, source="CACHE"),
            failed("e4", config_version=2),
            failed("e5", config_version=2),
            failed("e6", config_version=2),
        )
        page = await view.page("/configuration")
        ratios = [row[2:4] for row in page.rows]
        assert ratios == [
            ["50.0 % → 25.0 %4 answers", "0 % → 75.0 %"],
            ["- → 50.0 %2 answers", "- → 0 %"],
        ]
        assert len(view.statements) == 1, "beside two of the store of versions"


async def test_a_long_history_is_shown_in_part_and_further_by_its_link(web: WebView) -> None:
    for number in range(1, 31):
        another_editor(web, number, retry_attempts=1 + number % 9)
    page = await get(web)
    assert len(page.rows) == 10
    assert len((await get(web, page.links["Older versions"])).rows) == 30


# -- roles


async def test_a_viewer_reads_and_has_no_form() -> None:
    async with running_web(KEYED) as web:
        headers = {"Authorization": f"Bearer {VIEWER}"}
        response = await web.client.get("/configuration", headers=headers)
        page = HtmlPage.of(await response.text())
        assert "Fresh window" in page.text
        assert set(page.values) <= {"form_token"}


@pytest.mark.parametrize("path", [*POSTS, "/breaker"])
async def test_support_changes_nothing(path: str, audit: pytest.LogCaptureFixture) -> None:
    async with running_web(KEYED) as web:
        fields = {"was.retry_attempts": "", "retry_attempts": "3", "action": "open"}
        response = await web.client.post(
            f"/configuration{path}",
            data=fields | {"identifier": "+49301", "to": "0"},
            headers={"Authorization": f"Bearer {SUPPORT}"},
        )
        assert response.status == 403
        assert "role operator" in await response.text()
        assert (web.topic.published, web.directory.calls) == ([], [])
        assert not web.breaker.held
        denied = [record.getMessage() for record in audit.records]
        expected = [] if path == "/preview" else ["FORBIDDEN"]
        assert [line.rpartition(": ")[2] for line in denied] == expected


async def test_an_edit_is_by_the_name_of_its_key() -> None:
    keys = read_access_keys("operator:operator-key-0123:olga")
    async with running_web(Settings(named_keys=keys)) as web:
        fields: dict[str, Any] = {"retry_attempts": "3", "expected_version": "0"}
        response = await web.client.post(
            "/configuration",
            data=fields,
            headers={"Authorization": "Bearer operator-key-0123"},
            allow_redirects=False,
        )
        assert response.status == 303
        assert web.topic.published[0].updated_by == "olga"


# -- several plugins

RULES_PATH = "/configuration/plugin/rules"


@pytest.fixture
async def two() -> AsyncIterator[WebView]:
    async with running_web(two_plugins=True) as view:
        yield view


async def test_one_plugin_alone_is_no_choice(web: WebView) -> None:
    assert "Customer lookup" not in (await get(web)).links


async def test_the_page_of_each_plugin_leads_to_the_others(two: WebView) -> None:
    page = await get(two)
    assert page.links["Rules"] == RULES_PATH
    assert (await get(two, RULES_PATH)).links["Customer lookup"] == "/configuration"


async def test_the_form_of_another_plugin_is_made_of_its_schema(two: WebView) -> None:
    page = await get(two, RULES_PATH)
    assert {"enabled", "rules", "warn_at", "stop_at"} <= set(page.values)
    assert "retry_attempts" not in page.values
    assert "Breaker" not in page.text
    assert "Try this address" not in page.text
    schema = await (await two.client.get(f"{RULES_PATH}/schema.json")).json(content_type=None)
    assert schema["title"] == "Live configuration of rules"
    assert "Rule" in schema["$defs"]


async def test_a_list_is_typed_as_json_and_shown_before_and_after(two: WebView) -> None:
    rules = '[\r\n {"id": "a", "window_seconds": 60}\r\n]'
    preview = await post(two, "/plugin/rules/preview", **((await get(two, RULES_PATH)).values))
    assert "Nothing would change" in preview.text
    preview = await post(two, "/plugin/rules/preview", rules=rules, enabled="yes")
    assert "Save version 1" in preview.text
    page = await post(two, "/plugin/rules", **preview.values)
    assert "Saved." in page.text
    assert two.rules_topic.published[0].config == {"rules": [{"id": "a", "window_seconds": 60}]}
    assert two.topic.published == []
    assert 'Rules: [] → [{"id": "a", "window_seconds": 60}]' in page.text
    page = await post(two, "/plugin/rules/rollback", to="0", expected_version="1")
    assert "Rolled back" in page.text
    assert two.rules_topic.published[-1].config == {}


@pytest.mark.parametrize(
    ("typed", "errors"),
    [
        ({"rules": "[{"}, {"rules": "must be JSON"}),
        ({"rules": "5"}, {"rules": "must be a list"}),
        (
            {"rules": '[{"id": "a", "window_seconds": 0}]'},
            {"rules": "rules[0].window_seconds must be a whole number from 1 to 604800"},
        ),
        ({"warn_at": "60"}, {"warn_at": "must be at most `stop_at`"}),
    ],
)
async def test_what_is_wrong_in_a_list_or_together_is_told_at_the_field(
    two: WebView, typed: dict[str, str], errors: dict[str, str]
) -> None:
    opened = (await get(two, RULES_PATH)).values
    for path, status in (("/plugin/rules/preview", 200), ("/plugin/rules", 422)):
        page = await post(two, path, status, **(opened | typed))
        assert page.errors == errors
        assert "Save version" not in page.text
    assert two.rules_topic.published == []


async def test_the_audit_log_names_the_plugin(
    two: WebView, audit: pytest.LogCaptureFixture
) -> None:
    await post(two, "/plugin/rules", warn_at="6", enabled="yes", **{"was.enabled": "yes"})
    line = audit.records[-1].getMessage()
    assert line.startswith("updatePluginConfiguration(name='rules', config=")


async def test_a_plugin_may_be_named_as_a_page_of_the_default_plugin() -> None:
    view = WebView(two_plugins=True)
    view.configurations = Configurations(
        [
            live_configuration(view.store, view.topic),
            *(
                live_configuration_of(name, RulesConfiguration(), FakeStore(), FakeTopic())
                for name in ("rollback", "try", "plugin")
            ),
        ],
        default="customer_lookup",
    )
    async with TestClient(TestServer(application_of(view))) as view.client:
        question = await get(view, "/configuration/rollback?to=0")
        assert "Roll back to the defaults" in question.text
        page = await get(view)
        for name in ("rollback", "try", "plugin"):
            assert page.links[name.capitalize()] == f"/configuration/plugin/{name}"
            assert "rules" in (await get(view, f"/configuration/plugin/{name}")).values


async def test_a_failed_plugin_has_its_page_and_says_why_it_failed(web: WebView) -> None:
    await edit(web, retry_attempts="3")
    web.fails("customer_lookup", "the address is wrong")
    page = await get(web)
    assert {"enabled", *KEYS} <= set(page.values)
    assert "The plugin customer_lookup has failed: the address is wrong." in page.text
    assert "Breaker" not in page.text
    preview = await post(web, "/preview", **(page.values | {"retry_attempts": "4"}))
    assert "Save version 2" in preview.text
    assert "Saved." in (await post(web, "", **preview.values)).text
    assert (await get(web, "/configuration/rollback?to=1")).errors == {}
    assert "Rolled back" in (await post(web, "/rollback", to="1", expected_version="2")).text
    assert [it.config for it in web.topic.published] == [
        {"retry_attempts": 3}, {"retry_attempts": 4}, {"retry_attempts": 3},
    ]  # fmt: skip
    assert (await web.client.post("/configuration/breaker", data={"action": "open"})).status == 503


async def test_a_bug_in_what_a_plugin_adds_leaves_its_page(
    web: WebView, caplog: pytest.LogCaptureFixture
) -> None:
    web.read_model.error = ZeroDivisionError("a bug")
    page = await get(web)
    assert {"enabled", *KEYS} <= set(page.values)
    reference = caplog.records[-1].getMessage().rpartition(" ")[2]
    assert f"What customer_lookup adds cannot be shown, reference {reference}." in page.text


async def test_a_plugin_that_does_not_run_has_its_page_without_its_own_part(
    web: WebView, caplog: pytest.LogCaptureFixture
) -> None:
    web.read_model.error = PosstreamError("the plugin customer_lookup has failed")
    page = await get(web)
    assert {"enabled", *KEYS} <= set(page.values)
    assert "Breaker" not in page.text
    assert "has failed" in caplog.text
    await edit(web, retry_attempts="3")
    assert web.topic.published[-1].config == {"retry_attempts": 3}, "it may be the cure"
