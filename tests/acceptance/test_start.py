"""Starting and stopping as an engineer sees it: two commands, clear refusals, quick ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import packages_distributions
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from posstream.cli import main
from posstream.startup.membership import Membership
from tests.integration.harness import environment, free_port

ROOT = Path(__file__).parents[2]


def posstream(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "posstream.cli", *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def ready_after(url: str, process: "subprocess.Popen[str]", seconds: float = 60) -> float:
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310
            return time.monotonic() - started
        time.sleep(0.1)
    raise AssertionError("not ready")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_make_run_says_where_everything_is_and_ends_cleanly(
    tmp_path: Path, how: signal.Signals
) -> None:
    web, broker = free_port(), free_port()
    process = subprocess.Popen(
        ["make", "--no-print-directory", "run"],
        cwd=ROOT,
        env=environment(datadir=tmp_path, web_port=web, dev_broker_port=broker)
        | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    ready_after(f"http://127.0.0.1:{web}/health/ready", process)
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    if how is signal.SIGINT:  # a terminal's Ctrl-C reaches the whole group
        os.killpg(process.pid, how)
    else:
        os.kill(int(children.stdout.split()[0]), how)
    output, _ = process.communicate(timeout=30)
    for address in (
        f"Console    http://127.0.0.1:{web}/\n",
        f"http://127.0.0.1:{web}/graphql/",
        f"http://127.0.0.1:{web}/api/mock-customer-lookup/",
        f"kafka://127.0.0.1:{broker}",
    ):
        assert address in output
    assert "Traceback" not in output
    assert "Fatal" not in output
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", broker)) != 0, "the broker outlived its worker"
    if how is signal.SIGTERM:
        assert process.returncode == 0


def test_the_demo_shows_every_step_and_exits_with_0() -> None:
    shown = posstream("demo")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for word in (
        "basket_",
        "CUST_001 from API",
        "CUST_001 from CACHE",
        "NOT_FOUND",
        "'tier': 'GOLD'",
    ):
        assert word in shown.stdout


def test_wrong_settings_stop_the_start_with_one_line_for_each() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "posstream.app", "worker", "-l", "info"],
        env=environment(web_port="eighty", topic_partitions=0, broker="amqp://x/y", brokr="z"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode != 0
    lines = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split()[1] for line in lines] == [
        "POSSTREAM_BROKER",
        "POSSTREAM_WEB_PORT",
        "POSSTREAM_TOPIC_PARTITIONS",
    ]
    assert "POSSTREAM_BROKR is not a setting" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("taken", "setting"),
    [("web_port", "POSSTREAM_WEB_PORT"), ("dev_broker_port", "POSSTREAM_DEV_BROKER_PORT")],
)
def test_a_port_in_use_is_named_with_the_setting_that_changes_it(
    tmp_path: Path, taken: str, setting: str
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ports = {"web_port": free_port(), "dev_broker_port": free_port()} | {taken: port}
        refused = posstream("dev", datadir=tmp_path, **ports)
    output = refused.stdout + refused.stderr
    assert refused.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in output
    assert setting in output
    assert "Traceback" not in output
    assert "Fatal" not in output


@pytest.mark.parametrize(
    "command", [("posstream.cli", "dev"), ("faust", "-A", "posstream.app", "reset")]
)
def test_nothing_is_deleted_in_the_data_directory_of_a_running_worker(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    entries = tmp_path / "tables" / "v1" / "tables" / "customer-cache-0.db" / "CURRENT"
    broker_log = tmp_path / "embedded-broker.log"
    entries.parent.mkdir(parents=True)
    for file in (entries, broker_log):
        file.write_text("the running worker's")
    running = Membership(tmp_path)
    running.claim()
    refused = subprocess.run(
        [sys.executable, "-m", *command],
        env=environment(datadir=tmp_path, web_port=free_port(), dev_broker_port=free_port()),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    running.release()
    assert refused.returncode == 1
    assert f"another worker uses the data directory {tmp_path}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert [file.read_text() for file in (entries, broker_log)] == ["the running worker's"] * 2


def test_without_a_running_worker_faust_reset_deletes_the_tables(tmp_path: Path) -> None:
    entries = tmp_path / "tables" / "v1" / "tables" / "customer-cache-0.db" / "CURRENT"
    entries.parent.mkdir(parents=True)
    entries.touch()
    done = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "posstream.app", "reset"],
        env=environment(datadir=tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not entries.parent.exists()


def test_check_says_what_is_missing(tmp_path: Path) -> None:
    checked = posstream("check", datadir=tmp_path, broker=f"kafka://127.0.0.1:{free_port()}")
    assert checked.returncode == 1
    assert "FAILED   no Kafka broker answers at 127.0.0.1:" in checked.stdout
    assert "ok       read model on sqlite" in checked.stdout


def test_a_worker_that_may_not_start_says_why_and_no_more(tmp_path: Path) -> None:
    running = Membership(tmp_path)
    running.claim()
    refused = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "posstream.app", "worker"],
        env=environment(datadir=tmp_path) | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    running.release()
    assert refused.stdout == ""
    assert "another worker uses" in refused.stderr


def test_help_is_there_in_a_process_of_its_own() -> None:
    shown = posstream("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert len(shown.stdout.splitlines()) > 8


@pytest.mark.parametrize("command", main.list_commands(click.Context(main)))
def test_help_is_there_for_every_command(command: str) -> None:
    shown = CliRunner().invoke(main, [command, "--help"])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("Usage: ")
    assert "  -h, --help" in shown.stdout


@pytest.mark.parametrize("name", ["posstream", "agents", "tables", "web"])
def test_each_top_level_name_belongs_to_this_distribution_alone(name: str) -> None:
    assert set(packages_distributions()[name]) == {"posstream"}
