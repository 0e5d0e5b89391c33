"""The map of the README and the table of CONTRIBUTING, held to the folders and files that exist."""

import re

from tests.acceptance.test_docs import README, ROOT, table_rows

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
#: Their folders each have a row; of the other top-level folders with code there is one row.
MAPPED = ("posstream", "agents", "web", "tests")
#: Python's own, and data for tests.
LEFT_OUT = {"__pycache__"}


def code_folders() -> set[str]:
    """The folders of the first two levels that hold Python files, as the map names them."""
    found = {"tables/", "benchmarks/", "ops/", "posstream/", "web/"}
    for top in MAPPED:
        for folder in (ROOT / top).iterdir():
            if folder.is_dir() and folder.name not in LEFT_OUT and any(folder.glob("*.py")):
                found.add(f"{top}/{folder.name}/")
    return found


def test_the_map_has_each_folder_and_no_other() -> None:
    mapped = {name for name in table_rows(README) if name.endswith("/")}
    assert mapped == code_folders()


def test_the_map_names_files_that_exist() -> None:
    root = table_rows(README)["posstream/"][0]
    named = re.findall(r"`(\w+\.py)`", root)
    assert [name for name in named if not (ROOT / "posstream" / name).is_file()] == []


def test_the_file_of_each_common_change_exists() -> None:
    section = CONTRIBUTING.read_text().split("## Where is what")[1].split("## ")[0]
    files = re.findall(r"^\| .* \| `(.+)` \|$", section, flags=re.MULTILINE)
    assert len(files) == 15
    assert [name for name in files if not (ROOT / name).is_file()] == []
