"""What the files of a chain state is what Alembic finds in them, or is left to Alembic."""

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from agents.customer_lookup.read_model.part import READ_MODEL
from posstream.read_model.migrate import PLATFORM
from posstream.read_model.revisions import Revisions, read_revisions

STATED = "revision = {!r}\ndown_revision = {!r}\n"


def found_by_alembic(migrations: str) -> Revisions:
    config = Config()
    config.set_main_option("script_location", "posstream:read_model/migrations")
    config.set_main_option("version_locations", migrations)
    config.set_main_option("path_separator", "newline")
    scripts = ScriptDirectory.from_config(config)
    known = frozenset(it.revision for it in scripts.walk_revisions())
    return Revisions(known, scripts.get_current_head())


def chain(folder: Path, *texts: str) -> str:
    for number, text in enumerate(texts):
        (folder / f"{number}_.py").write_text(text)
    return str(folder)


@pytest.mark.parametrize(
    "migrations", [PLATFORM.migrations, READ_MODEL.migrations, "tests.plugins.toy:migrations"]
)
def test_each_chain_of_ours_states_its_revisions(migrations: str) -> None:
    assert read_revisions(migrations) == found_by_alembic(migrations)


def test_names_and_order_of_the_files_mean_nothing(tmp_path: Path) -> None:
    migrations = chain(
        tmp_path,
        STATED.format("late", ("a", "b")),
        STATED.format("b", "first"),
        "revision: str = 'a'\ndown_revision: str | None = 'first'\nraise AssertionError\n",
        STATED.format("first", None),
    )
    (tmp_path / "__init__.py").touch()
    assert read_revisions(migrations) == Revisions(frozenset({"first", "a", "b", "late"}), "late")


def test_a_folder_without_files_has_no_revision(tmp_path: Path) -> None:
    assert read_revisions(chain(tmp_path)) == Revisions(frozenset(), None)


@pytest.mark.parametrize(
    "texts",
    [
        ("revision = str(1)\ndown_revision = None\n",),
        ("revision, down_revision = '1', None\n",),
        ("revision = '1'\n",),
        ("revision = [\n",),
        ("revision = '1'\ndown_revision = 7\n",),
        (STATED.format("1", None), STATED.format("1", None)),
        (STATED.format("1", None), STATED.format("2", None)),
    ],
)
def test_what_is_not_plain_is_left_to_alembic(tmp_path: Path, texts: tuple[str, ...]) -> None:
    assert read_revisions(chain(tmp_path, *texts)) is None


@pytest.mark.parametrize("migrations", ["no.such.package:migrations", "/no/such/folder"])
def test_a_folder_that_is_not_there_is_left_to_alembic(migrations: str) -> None:
    assert read_revisions(migrations) is None
