"""Which plugins are found, chosen and refused, and what is folded from them."""

import threading
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from agents.customer_lookup import PLUGIN
from posstream.domain.errors import InvalidSettings, StartRefused
from posstream.kafka.topics import PLATFORM_TOPICS, TopicSpec
from posstream.metrics import Metric
from posstream.plugin import Built, Plugin
from posstream.plugins import discovery
from posstream.plugins.discovery import find_plugins
from posstream.plugins.found import Plugins
from posstream.settings import Settings
from posstream.startup.settings_part import SettingsPart
from posstream.streaming.table_spec import TableSpec


def plugin(name: str, **parts: Any) -> Plugin:
    return Plugin(name=name, description=f"{name}.", build=lambda _: Built(), **parts)


def loaders(*names: str) -> dict[str, Callable[[], Any]]:
    return {name: (lambda name=name: plugin(name)) for name in names}


def raising() -> Any:
    raise RuntimeError("no module of mine")


def interrupting() -> Any:
    raise BaseException("not an Exception")  # noqa: TRY002 - foreign code may


def test_the_folders_of_agents_are_found() -> None:
    assert find_plugins("").find("customer_lookup") is PLUGIN


def test_all_are_found_in_the_order_of_their_names() -> None:
    assert [it.name for it in find_plugins("", loaders("b", "a"))] == ["a", "b"]


def test_the_setting_chooses_and_the_others_are_not_imported() -> None:
    known = loaders("a", "b") | {"broken": raising}
    chosen = find_plugins(" b, a ", known)
    assert ([it.name for it in chosen], chosen.failed) == (["a", "b"], {})


@pytest.mark.parametrize(
    ("chosen", "found"), [("", "ab"), (" ", "ab"), (" , ,", "ab"), ("b,b", "b"), (",a,", "a")]
)
def test_empty_names_are_passed_over_and_a_name_counts_once(chosen: str, found: str) -> None:
    assert [it.name for it in find_plugins(chosen, loaders("a", "b"))] == list(found)


def test_names_that_are_separated_by_blanks_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="names a b, which is not found: choose from a, b"):
        find_plugins("a b", loaders("a", "b"))


def test_an_import_that_takes_long_is_named_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(discovery, "_SLOW_SECONDS", 0)
    told = threading.Event()
    caplog.handler.addFilter(lambda _: told.set() or True)

    def slow() -> Plugin:
        assert told.wait(60)
        return plugin("a")

    assert [it.name for it in find_plugins("", {"a": slow})] == ["a"]
    assert "the plugin a is still being imported" in caplog.messages


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidSettings) as refused:
        find_plugins("a,carts", loaders("b", "a"))
    assert refused.value.errors == [
        "POSSTREAM_PLUGINS names carts, which is not found: choose from a, b"
    ]


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (raising, "no module of mine"),
        (interrupting, "not an Exception"),
        (lambda: None, "it has no PLUGIN"),
        (lambda: plugin("other"), "its PLUGIN has the name other, but it is found as broken"),
        (lambda: plugin("Upper"), "must be lower case"),
        (lambda: plugin("broken", dead_letters="t.dlq"), "is none of its own"),
        (lambda: plugin("broken", consumes=("t",)), "it needs a topic of dead letters"),
        (lambda: plugin("broken", replayable=("t",)), "is none of those that it consumes"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_stops_no_other(load: Callable[[], Any], why: str) -> None:
    found = find_plugins("", loaders("a") | {"broken": load})
    assert [it.name for it in found] == ["a"]
    assert why in str(found.failed["broken"])


def test_without_any_plugin_nothing_starts() -> None:
    with pytest.raises(StartRefused, match=r"no plugin can be loaded \(broken: Runtime.*of mine"):
        find_plugins("", {"broken": raising})
    with pytest.raises(StartRefused, match="none is installed"):
        find_plugins("", {})


TOPIC = TopicSpec("carts", "k", "v", 1)
CLAIMS = {
    "the topic carts": {"topics": (TOPIC,)},
    "the table kept": {"tables": (TableSpec("kept", TopicSpec("one", "k", "v", 1)),)},
    "the topic carts-changelog": {
        "tables": (TableSpec("kept", TopicSpec("carts-changelog", "k", "v", 1)),)
    },
    "the consumer group carts": {"group": "carts"},
    "the setting POSSTREAM_CARTS": {
        "settings": SettingsPart(readers={"POSSTREAM_CARTS": str}, make=lambda *_: None)
    },
    "the metric carts": {"metrics": (Metric("counter", "carts", "Carts."),)},
}


@pytest.mark.parametrize("claimed", CLAIMS)
def test_two_plugins_that_claim_the_same_are_refused_with_both_named(claimed: str) -> None:
    other = dict(CLAIMS[claimed])
    if claimed == "the topic carts-changelog":
        other["tables"] = (TableSpec("other", TopicSpec("carts-changelog", "k", "v", 1)),)
    if claimed == "the table kept":
        other["tables"] = (TableSpec("kept", TopicSpec("two", "k", "v", 1)),)
    with pytest.raises(StartRefused) as refused:
        Plugins((plugin("a", **CLAIMS[claimed]), plugin("b", **other)))
    assert str(refused.value) == (
        f"{claimed} is claimed by a and by b: leave one of them out with POSSTREAM_PLUGINS"
    )


def test_settings_whose_reader_or_check_fails_are_named_without_their_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: object) -> NoReturn:
        raise KeyError("hunter2")

    part = SettingsPart(readers={"POSSTREAM_CARTS": fail}, make=lambda *_: None, check=fail)
    found = Plugins((plugin("a", settings=part),))
    monkeypatch.setattr("posstream.settings.find_plugins", lambda _: found)
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environment({"POSSTREAM_CARTS": "hunter2"})
    assert refused.value.errors == [
        "POSSTREAM_CARTS cannot be read (KeyError)",
        "the settings of a fail their check (KeyError)",
    ]


def test_a_topic_of_the_platform_is_no_plugin_s() -> None:
    with pytest.raises(StartRefused, match="claimed by posstream itself and by a"):
        Plugins((plugin("a", topics=(PLATFORM_TOPICS[0],)),))


def test_lists_are_folded_from_the_plugins() -> None:
    table = TableSpec("kept", TopicSpec("posstream-b-kept-changelog", "k", "v", 1))
    letters = TopicSpec("carts.dlq", "k", "v", 1)
    plugins = Plugins(
        (
            plugin("a", topics=(TOPIC, letters), dead_letters="carts.dlq", is_default=True),
            plugin("b", tables=(table,)),
        )
    )
    assert plugins.topics == (TOPIC, letters, table.changelog, *PLATFORM_TOPICS)
    assert plugins.tables == (table,)
    assert plugins.default is plugins.find("a")
