"""A worker keeps its name over restarts, and its data directory to itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from posstream.domain.errors import StartRefused
from posstream.startup.membership import Membership
from posstream.streaming.host import HostApp

CLAIM = """
import sys
from pathlib import Path
from posstream.streaming.host import HostApp
from posstream.startup.membership import Membership

membership = Membership(Path(sys.argv[1]))
print(membership.claim(), flush=True)
sys.stdin.read()
"""


def test_a_name_is_kept_over_restarts_and_differs_between_directories(tmp_path: Path) -> None:
    names = []
    for folder in ("one", "one", "two"):
        membership = Membership(tmp_path / folder)
        names.append(membership.claim())
        membership.release()
    assert names[0] == names[1] != names[2]


def test_a_second_worker_in_one_directory_is_refused_until_the_first_is_gone(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        name = first.stdout.readline().decode().strip()
        with pytest.raises(StartRefused, match="POSSTREAM_DATADIR"):
            Membership(tmp_path).claim()
        first.kill()
        first.wait()
    second = Membership(tmp_path)
    assert second.claim() == name
    second.release()


def test_a_name_that_was_not_written_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "worker-name").touch()
    membership = Membership(tmp_path)
    assert membership.claim().startswith("posstream-")
    membership.release()


def test_a_claim_that_is_held_is_given_again(tmp_path: Path) -> None:
    membership = Membership(tmp_path)
    assert membership.claim() == membership.claim()
    membership.release()


async def test_a_worker_whose_data_directory_is_a_file_ends_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").write_text("")
    app = HostApp("posstream", broker="kafka://127.0.0.1:1", datadir=tmp_path / "data")
    with pytest.raises(SystemExit) as ended:
        await app.on_first_start()
    assert ended.value.code == 1
    assert re.match(r"error: the data directory .* is a file", capsys.readouterr().err)


def test_two_workers_of_one_host_are_told_apart_also_without_a_web_view(tmp_path: Path) -> None:
    def app(name: str, *, web: bool) -> HostApp:
        return HostApp(
            "posstream", broker="kafka://127.0.0.1:1", datadir=tmp_path / name, web_enabled=web
        )

    seen = app("one", web=True)
    assert seen.own_address == seen.address
    blind = [app(name, web=False) for name in ("two", "three")]
    addresses = {it.own_address for it in blind}
    for it in blind:
        it.membership.release()
    assert len(addresses) == 2
    host = seen.address.partition(":")[0]
    assert all(it.startswith(f"{host}/") for it in addresses)
