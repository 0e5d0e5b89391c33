"""The image and the compose file: what they name exists, and the lock has what is asked for."""

import re
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from posstream import __version__
from posstream.settings import Settings, unknown_settings

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LOCK = (ROOT / "requirements.lock").read_text()


def normalised(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for() -> list[Requirement]:
    """What setup.cfg wants for the image, and pyproject.toml to build it."""
    metadata = ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    lines = [
        *metadata["options"]["install_requires"].splitlines(),
        *metadata["options.extras_require"]["graphiql"].splitlines(),
        *metadata["options.extras_require"]["tracing"].splitlines(),
        *tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"],
    ]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_the_lock_has_every_package_that_setup_cfg_asks_for() -> None:
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE))
    asked = asked_for()
    assert len(asked) > 15
    outdated = [
        str(it) for it in asked if not it.specifier.contains(locked.get(normalised(it.name), "0"))
    ]
    assert outdated == [], "run: make lock"


def test_every_locked_package_has_hashes() -> None:
    packages = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert [it.split()[0] for it in packages if "--hash=sha256:" not in it] == []


def test_the_lock_is_for_the_python_of_the_image() -> None:
    (python,) = set(re.findall(r"^FROM python:(\d+\.\d+)", DOCKERFILE, re.MULTILINE))
    assert f"pip-compile with Python {python}\n" in LOCK


def test_the_image_s_label_has_the_version_of_posstream() -> None:
    assert re.findall(r'image.version="(.+)"', DOCKERFILE) == [__version__]


def compose() -> Any:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_posstream_takes_the_environment_of_the_compose_file() -> None:
    given = compose()["services"]["posstream"]["environment"]
    filled = {
        name: re.sub(r"\$\{(\w+):?[?-][^}]*\}", lambda it: f"secret{it[1]}", value)
        for name, value in given.items()
        if name != "POSSTREAM_API_KEYS"
    }
    assert unknown_settings(filled) == []
    assert Settings.from_environment(filled).broker == "kafka://kafka:19092"


def test_the_example_names_what_the_compose_file_reads() -> None:
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    named = set(re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    # The id of a cluster is not for people to choose.
    assert named == read - {"KAFKA_CLUSTER_ID"}


def test_every_container_has_limits_and_a_check() -> None:
    services = compose()["services"]
    bounded = {"mem_limit", "pids_limit", "security_opt", "healthcheck", "restart"}
    assert {name: bounded - it.keys() for name, it in services.items() if bounded - it.keys()} == {}
