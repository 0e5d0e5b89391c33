"""The configurations of the plugins of one worker."""

import logging
from pathlib import Path
from typing import Any

import pytest

from posstream.configuration.configurations import Configurations
from posstream.configuration.part import ConfigurationPart
from posstream.configuration.version import ConfigurationVersion
from posstream.metrics import Metrics
from posstream.plugin import Built, Plugin
from posstream.plugins.found import Plugins
from posstream.read_model.engine import create_engine
from posstream.settings import Settings
from tests.component.configuration_fakes import RulesConfiguration
from tests.component.fakes import FixedClock


def a_plugin(name: str, defaults: Any = None, *, is_default: bool = False) -> Plugin:
    part = ConfigurationPart(model=RulesConfiguration, defaults=defaults) if defaults else None
    return Plugin(
        name=name,
        description="For a test.",
        build=lambda _: Built(),
        configuration=part,
        is_default=is_default,
    )


async def of(datadir: Path, *plugins: Plugin) -> Configurations:
    settings = Settings(datadir=datadir, plugins=Plugins(plugins))
    engine = create_engine(settings.database_url)
    configurations = Configurations.of(settings, engine, FixedClock())
    await engine.dispose()
    return configurations


def fail(*_: object) -> RulesConfiguration:
    raise RuntimeError("no such setting")


async def test_each_plugin_with_a_model_has_one_with_its_own_defaults(tmp_path: Path) -> None:
    found = await of(
        tmp_path,
        a_plugin("few", lambda *_: RulesConfiguration(warn_at=1)),
        a_plugin("many", lambda *_: RulesConfiguration(warn_at=9), is_default=True),
        a_plugin("none"),
    )
    assert {name: live.current.value.warn_at for name, live in found.items()} == {
        "few": 1,
        "many": 9,
    }
    assert found.default == "many"
    assert found.current("none") is None


async def test_a_plugin_whose_defaults_fail_has_none_and_the_others_have_theirs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        found = await of(
            tmp_path, a_plugin("bad", fail), a_plugin("good", lambda *_: RulesConfiguration())
        )
    assert list(found) == ["good"]
    assert "plugin bad has no defaults" in caplog.text


async def test_the_version_in_force_of_each_plugin_is_counted(tmp_path: Path) -> None:
    found = await of(
        tmp_path,
        a_plugin("one", lambda *_: RulesConfiguration(), is_default=True),
        a_plugin("other", lambda *_: RulesConfiguration()),
    )
    metrics = Metrics()
    followers = found.followers(metrics)
    assert set(followers) == {"one", "other"}
    found["one"].current.put_in_force(ConfigurationVersion(3))
    found["other"].current.put_in_force(ConfigurationVersion(5))
    read = metrics.registry.get_sample_value
    name = "posstream_plugin_configuration_version"
    assert [read(name, {"plugin": plugin}) for plugin in found] == [3, 5]
    assert read("posstream_configuration_version") == 3
