"""The room of patches: its table names every module and its test, and nothing patches by itself."""

import configparser
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import consumer, fetcher
from aiokafka.record.memory_records import MemoryRecords

from posstream.streaming import patches
from posstream.streaming.patches import client, records
from tests.component.test_driver import app_for, thread_of

ROOT = Path(patches.__file__).parents[3]
UPSTREAM = ("faust-streaming", "mode-streaming", "aiokafka", "rocksdict")
#: A line of the table that begins with a module and ends with a test.
LINE = re.compile(r"^    (\w+)  .* (test_\w+)$", re.MULTILINE)


def test_the_table_names_every_module_with_a_test_that_is_there() -> None:
    table = dict(LINE.findall(patches.__doc__ or ""))
    modules = {it.stem for it in (ROOT / "posstream/streaming/patches").glob("[a-z]*.py")}
    assert set(table) == modules
    missing = {
        test for test in table.values() if not (ROOT / f"tests/component/{test}.py").is_file()
    }
    assert missing == set()


@pytest.mark.parametrize("package", UPSTREAM)
def test_a_patched_package_has_the_version_that_the_patches_were_written_for(package: str) -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    required = setup["options"]["install_requires"]
    (pinned,) = re.findall(rf"^{package}(?:\[.*\])? == (\S+)$", required, re.MULTILINE)
    assert version(package) == pinned


def test_no_private_name_of_a_patched_package_is_touched_elsewhere() -> None:
    """ruff refuses private names (SLF001); what is excused must not be about these packages."""
    imports = re.compile(
        r"^\s*(?:from|import) (?:faust|mode|aiokafka|rocksdict)\b(.*)", re.MULTILINE
    )
    excused = {
        str(path.relative_to(ROOT))
        for folder in ("posstream", "tables", "web", "agents")
        for path in (ROOT / folder).rglob("*.py")
        if "patches" not in path.parts
        and (found := imports.findall(text := path.read_text()))
        and ("SLF001" in text or any(re.search(r"\b_[a-z]", names) for names in found))
    }
    assert excused == set()


async def test_making_a_consumer_changes_nothing_for_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "AIOKafkaClient", AIOKafkaClient)
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    monkeypatch.setattr(fetcher, "PartitionRecords", records._UpstreamRecords)
    app = app_for(tmp_path)
    made = thread_of(app)._create_worker_consumer(app.transport)
    await made.stop()
    assert consumer.AIOKafkaClient is AIOKafkaClient
    assert fetcher.MemoryRecords is MemoryRecords
    assert fetcher.PartitionRecords is records._UpstreamRecords
    patches.install()
    assert consumer.AIOKafkaClient is client.Client
    assert fetcher.MemoryRecords is records.TolerantRecords
    assert fetcher.PartitionRecords is records.PartitionRecords
