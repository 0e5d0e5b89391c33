"""What lies in a data directory is its owner's alone, also in one that was there before."""

import os
from pathlib import Path

import pytest

from posstream.startup.private_files import keep_private

pytestmark = pytest.mark.skipif(os.name != "posix", reason="files have no such rights here")


def rights(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): f"{path.lstat().st_mode & 0o7777:o}"
        for path in (folder, *folder.rglob("*"))
    }


@pytest.fixture
def datadir(tmp_path: Path) -> Path:
    """A data directory as an earlier posstream left it."""
    folder = tmp_path / "data"
    store = folder / "tables" / "v1" / "tables" / "customer-cache-0.db"
    store.mkdir(parents=True)
    names = ("worker-name", "posstream.sqlite3", "posstream.sqlite3-wal", "embedded-broker.log")
    for path in (*(folder / name for name in names), store / "LOG", store / "000004.sst"):
        path.touch()
        path.chmod(0o644)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    return folder


def test_a_data_directory_that_others_could_read_is_its_owner_s_alone_afterwards(
    datadir: Path,
) -> None:
    said = keep_private(datadir)
    assert said == f"others could use the data directory {datadir}: it is its owner's alone now"
    store = "tables/v1/tables/customer-cache-0.db"
    assert rights(datadir) == {
        ".": "700",
        "worker-name": "600",
        "posstream.sqlite3": "600",
        "posstream.sqlite3-wal": "600",
        "embedded-broker.log": "600",
        "tables": "700",
        "tables/v1": "700",
        "tables/v1/tables": "700",
        store: "700",
        f"{store}/LOG": "600",
        f"{store}/000004.sst": "600",
    }


def test_of_a_private_directory_nothing_is_said(datadir: Path) -> None:
    keep_private(datadir)
    assert keep_private(datadir) is None


def test_a_folder_for_everybody_stays_as_it_is(datadir: Path) -> None:
    datadir.chmod(0o1777)
    before = rights(datadir)
    assert "belongs to everybody" in (keep_private(datadir) or "")
    assert rights(datadir) == before


def test_what_a_link_leads_to_stays_as_it_is(datadir: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    elsewhere.chmod(0o644)
    (datadir / "link").symlink_to(elsewhere)
    keep_private(datadir)
    assert rights(tmp_path)["elsewhere"] == "644"


def test_a_directory_without_tables_is_its_owner_s_alone_too(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    keep_private(tmp_path)
    assert rights(tmp_path) == {".": "700"}
