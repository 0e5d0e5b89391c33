"""The documentation held to what exists: commands run, links lead, tables are whole."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.customer_lookup import settings as lookup_settings
from agents.customer_lookup.configuration import LookupConfiguration
from posstream import settings
from posstream.configuration.model import json_schema
from posstream.plugins.discovery import SETTING as PLUGINS_SETTING
from posstream.plugins.discovery import find_plugins
from posstream.read_model.projections import projections
from posstream.startup import broker_settings
from tests.chaos.guarantees import PAGE, scenarios

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
CHANGELOG = ROOT / "CHANGELOG.md"
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
RUNBOOKS = DOCS / "runbooks"
REFERENCE = DOCS / "reference"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
AT_THE_ROOT = [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
READY_SECONDS = 60
STOP_SECONDS = 30
BLOCK_SECONDS = 60

#: The block that is started in the background, for the others to talk to.
RUN = "make run"

#: A block with this line is not run here, for this reason.
ELSEWHERE = {
    "make test": "it is the suite that this test belongs to",
    "make demo": "it starts a posstream of its own and has an acceptance test of its own",
    "git clone": "this is the clone",
    "docker": "it needs an engine; `make compose` lints the file without one",
}

#: What a block's output must hold: the block is known by a piece of its text.
EXPECTED = {
    "startBasket": '"basketId":"basket_',
    "identifyCustomer": '{"data":{"identifyCustomer":{"success":true}}}',
    "customer(customerId": '"firstName":"John","lastName":"Doe","tier":"GOLD","loyaltyPoints":1250',
    "posstream send": '"customer_id": "CUST_001"',
    "posstream check": "directory at",
    "/health/ready": '"status":"ok"',
    "/api/mock-customer-lookup/": '"customer_id":"CUST_001"',
}

#: A block that may be asked again for a while: the read model follows the topics.
READS_THE_VIEW = "customer(customerId"
VIEW_SECONDS = 60


def blocks(page: Path) -> list[str]:
    """The commands of a page: its fenced blocks of the language sh."""
    found = re.findall(r"^```sh\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [block.strip() for block in found]


def reason_to_run_elsewhere(block: str) -> str | None:
    lines = block.splitlines()
    for start, reason in ELSEWHERE.items():
        if any(line == start or line.startswith(f"{start} ") for line in lines):
            return reason
    return None


@dataclasses.dataclass(frozen=True)
class Running:
    """A `make run` of the test's own, and how to call a shell beside it."""

    web_port: int
    environment: dict[str, str]

    def shell(self, block: str) -> "subprocess.CompletedProcess[str]":
        """Run a block as a reader would paste it, but against this one's port."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.replace(":8000", f":{self.web_port}")],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_SECONDS,
            check=False,
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`make run`, until it is ready; afterwards SIGTERM, and it must end with 0."""
    missing = [tool for tool in ("make", "bash", "curl", "ps") if shutil.which(tool) is None]
    if missing:
        reason = f"the README's commands need {' and '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("documented")
    web_port, broker_port = free_ports(2)
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("POSSTREAM_", "MAKE", "MFLAGS"))
    }
    environment = kept | {
        "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{kept['PATH']}",
        "POSSTREAM_DATADIR": str(folder / "data"),
        "POSSTREAM_WEB_PORT": str(web_port),
        "POSSTREAM_DEV_BROKER_PORT": str(broker_port),
    }
    log = folder / "run.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            RUN.split(),
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_ready(web_port, process, log)
        yield Running(web_port, environment)
        os.kill(child_of(process.pid), signal.SIGTERM)
        code = process.wait(STOP_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert code == 0, log.read_text(errors="replace")[-3000:]


def child_of(pid: int) -> int:
    """The process that make started: a signal to make itself would be make's own failure."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "ppid=,pid="], capture_output=True, text=True, check=True
    )
    pairs = (line.split() for line in listed.stdout.splitlines())
    (child,) = [int(child) for parent, child in pairs if int(parent) == pid]
    return child


def wait_until_ready(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up_at = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up_at:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5),
        ):
            return
        time.sleep(0.1)
    raise AssertionError(
        f"not ready in {READY_SECONDS} s: {log.read_text(errors='replace')[-3000:]}"
    )


def free_ports(count: int) -> list[int]:
    """Ports that nobody has, each a different one."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(contextlib.closing(socket.socket())) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def test_the_readme_shows_how_to_run_and_how_to_test() -> None:
    commands = "\n".join(blocks(README)).splitlines()
    assert [line for line in commands if line in {RUN, "make test"}] == [RUN, "make test"]


HERE = [b for b in blocks(README) if b != RUN and reason_to_run_elsewhere(b) is None]


def test_every_expectation_belongs_to_a_block_of_the_readme() -> None:
    assert [piece for piece in EXPECTED if not any(piece in block for block in HERE)] == []


@pytest.mark.parametrize("block", HERE, ids=lambda block: block.splitlines()[0][:60])
def test_a_command_block_of_the_readme_does_what_it_says(running: Running, block: str) -> None:
    expected = [output for piece, output in EXPECTED.items() if piece in block]
    assert expected, "no expectation for this block: add one to EXPECTED"

    ended = running.shell(block)
    give_up_at = time.monotonic() + VIEW_SECONDS
    while READS_THE_VIEW in block and time.monotonic() < give_up_at:
        if all(output in ended.stdout for output in expected):
            break
        ended = running.shell(block)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert [output for output in expected if output not in ended.stdout] == [], ended.stdout


def commands_beside_a_worker() -> list[str]:
    """Each command of the runbooks, and of an upgrade, once."""
    pages = [*sorted(RUNBOOKS.glob("*.md")), DOCS / "how-to" / "upgrade.md"]
    shown = "\n".join(page.read_text() for page in pages)
    found = re.findall(r"^ *```sh\n(.*?)^ *```$", shown, flags=re.MULTILINE | re.DOTALL)
    return list(dict.fromkeys(line.strip() for block in found for line in block.splitlines()))


@pytest.mark.parametrize("command", commands_beside_a_worker())
def test_a_command_beside_a_worker_works(running: Running, command: str) -> None:
    ended = running.shell(command)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.strip()


def without_code(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", it.lower()).replace(" ", "-") for it in headings}


@pytest.mark.parametrize(
    "page", [*PAGES, *AT_THE_ROOT], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(page))
    relative = [link for link in map(urllib.parse.urlsplit, targets) if not link.scheme]
    assert [link.geturl() for link in relative if not leads(page, link)] == []


def leads(page: Path, link: urllib.parse.SplitResult) -> bool:
    """Whether a link of a page leads to a file, and to a heading if it names one."""
    there = page.parent / link.path if link.path else page
    is_heading = link.fragment and there.suffix == ".md"
    return there.exists() and (not is_heading or link.fragment in anchors(there))


def test_every_page_of_the_documentation_is_in_the_index() -> None:
    pages = [page for page in PAGES[1:] if page != INDEX and page.parent != RUNBOOKS]
    names = {str(page.relative_to(DOCS)) for page in pages} | {"runbooks/index.md"}
    assert names - set(linked(INDEX)) == set()


def test_every_runbook_is_in_the_index_of_the_runbooks() -> None:
    names = {page.name for page in RUNBOOKS.glob("*.md")} - {"index.md"}
    assert names - set(linked(RUNBOOKS / "index.md")) == set()


def test_no_line_of_the_changelog_is_there_twice() -> None:
    """Git keeps both sides of a merge there."""
    lines = Counter(line for line in CHANGELOG.read_text().splitlines() if len(line) > 30)
    assert [line for line, count in lines.items() if count > 1] == []


def test_the_readme_leads_to_the_index_and_to_few_other_pages() -> None:
    section = README.read_text().split("## Documentation")[1]
    links = re.findall(r"\]\((docs/[^)]+)\)", section)
    assert ("docs/README.md" in links, len(links) <= 6) == (True, True)


PICTURES = sorted((DOCS / "pictures").glob("*.png"))


def test_every_picture_is_on_a_page() -> None:
    shown = {(page.parent / link).resolve() for page in PAGES for link in linked(page)}
    assert [picture.name for picture in PICTURES if picture not in shown] == []


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_small(picture: Path) -> None:
    content = picture.read_bytes()
    width = int.from_bytes(content[16:20], "big")  # of a PNG
    assert (content[:4], width <= 1280, len(content) < 150_000) == (b"\x89PNG", True, True)


def linked(page: Path) -> list[str]:
    """Where the links of a page lead."""
    return re.findall(r"\]\(([^)#\s]+)", page.read_text())


def test_the_words_are_in_the_order_of_the_alphabet() -> None:
    page = (REFERENCE / "words.md").read_text()
    words = re.findall(r"^\| ([A-Za-z].*?) \|", page, re.MULTILINE)[1:]
    assert words == sorted(words, key=str.lower)


def table_rows(page: Path) -> dict[str, list[str]]:
    """The rows of a page's tables by their first cell, which is code."""
    rows = {}
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `"):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def test_the_reference_has_every_setting_and_no_other() -> None:
    described = {name for name in table_rows(REFERENCE / "settings.md") if name.isupper()}
    platform = {*settings._READERS, *broker_settings.READERS, PLUGINS_SETTING}
    assert {*platform, *lookup_settings._READERS} == described


def test_the_reference_has_the_default_of_every_setting() -> None:
    rows = table_rows(REFERENCE / "settings.md")
    plain = settings.Settings()
    shown = {None: "none", True: "`on`"}
    own = lookup_settings.LookupSettings.of(plain)
    defaults = {
        name: getattr(model, field)
        for model, readers in ((plain, settings._READERS), (own, lookup_settings._READERS))
        for name, (field, _) in readers.items()
    }
    expected = {
        name: f"`{default}`" if default is not None and default is not True else shown[default]
        for name, default in defaults.items()
    }
    expected["POSSTREAM_TOPIC_PARTITIONS"] = f"`{settings.PARTITIONS}`"
    expected |= dict.fromkeys(broker_settings.READERS, "none")
    expected[broker_settings.SECURITY] = "`plaintext`"
    assert expected == {name: rows[name][0] for name in expected}


def test_the_reference_has_every_live_key_with_its_default_and_bounds() -> None:
    rows = table_rows(REFERENCE / "settings.md")
    keys = json_schema(LookupConfiguration(api_endpoint=""), "")["properties"]
    shown = {None: "none", "": "the worker's own mock"}
    expected = {
        key: shown.get(known["default"]) or f"`{json.dumps(known['default'])}`"
        for key, known in keys.items()
    }
    assert expected == {key: rows[key][0] for key in keys}
    bounds = {
        key: f"{known['minimum']} to {known['maximum']}"
        for key, known in keys.items()
        if "minimum" in known
    }
    assert bounds == {key: rows[key][1] for key in bounds}


def test_the_reference_has_every_target_of_make_and_no_other() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.* ## ", makefile, re.MULTILINE))
    section = (REFERENCE / "commands.md").read_text().split("## make")[1].split("\n## ")[0]
    assert set(re.findall(r"`make ([a-z-]+)", section)) == targets


def test_the_rights_on_the_page_are_for_every_topic_and_group() -> None:
    page = (ROOT / "docs/how-to/secure-the-broker.md").read_text()
    plugins = find_plugins()
    named = [spec.name for spec in plugins.topics if not spec.name.startswith("posstream-")]
    assert sorted([*named, "posstream-"]) == sorted(re.findall(r"--topic (\S+)", page))
    groups = [it.consumer_group for it in plugins] + [it.group for it in projections(plugins)]
    assert [name for name in groups if not name.startswith("posstream")] == []
    assert re.findall(r"--group (\S+)", page) == ["posstream"]


def days(milliseconds: int) -> str:
    if milliseconds < 0:
        return "for ever"
    count = milliseconds // 86_400_000
    return f"{count} day" if count == 1 else f"{count} days"


def test_the_reference_has_every_topic_as_it_is_created() -> None:
    declared = {
        spec.name: [
            spec.key,
            spec.value,
            "`POSSTREAM_TOPIC_PARTITIONS`" if spec.partitions is None else str(spec.partitions),
            f"`{spec.cleanup_policy}`",
            days(spec.retention_ms),
        ]
        for spec in find_plugins().topics
    }
    described = table_rows(REFERENCE / "topics.md")
    assert declared == {name: described[name][:5] for name in described if name in declared}


def test_each_scenario_of_the_fault_suite_was_played_for_the_page_of_guarantees() -> None:
    page = (ROOT / PAGE).read_text()
    rows = dict(re.findall(r"^\| (.*?) \| ([\d,]*)", page, flags=re.MULTILINE))
    titles = [title for _, _, played in scenarios() for title in played]
    assert titles
    for title in titles:
        figures = [sent for name, sent in rows.items() if name.startswith(title)]
        assert figures, f"no row for: {title}"
        assert all(figures), f"not played yet: {title}"
