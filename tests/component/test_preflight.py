"""Check and start take the same steps; what refuses a start fails a check, by the same sentence."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posstream.commands.check import check
from posstream.domain.errors import StartRefused
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.preflight import prepare_topics
from posstream.plugins.discovery import find_plugins
from posstream.read_model.engine import create_engine
from posstream.settings import Settings
from posstream.startup.membership import Membership
from posstream.startup.preflight import (
    STEPS,
    Passed,
    Refusal,
    Start,
    check_projecting,
    check_start,
    outcomes,
)
from tests.component.sql_databases import make_tables
from tests.integration.harness import free_port

IDENTIFIER = "+1234567890"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path_factory.mktemp("broker") / "log")
    broker.start()
    yield broker
    broker.stop()


def settings(folder: Path, here: EmbeddedBroker, **changes: object) -> Settings:
    values: dict[str, Any] = {
        "datadir": folder / "data",
        "broker": f"kafka://{here.address}",
        "web_port": free_port(),
    }
    return Settings(**{**values, **changes})


def start(settings: Settings) -> Start:
    return Start(
        settings=settings,
        membership=Membership(settings.datadir),
        web=(settings.web_host, settings.web_port),
        patience_seconds=0,
    )


async def refused(settings: Settings, capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence with which a start is refused; a check fails by the same one."""
    with pytest.raises(StartRefused) as why:
        await check_start(start(settings))
    assert await check(settings, IDENTIFIER) == 1
    assert f"FAILED   {why.value}\n" in capsys.readouterr().out
    return str(why.value)


async def refused_to_project(settings: Settings) -> str:
    """The sentence with which `posstream project` is refused."""
    with pytest.raises(StartRefused) as why:
        await check_projecting(settings, patience_seconds=0)
    return str(why.value)


async def test_a_start_that_is_possible_passes_every_step_and_leaves_nothing(
    tmp_path: Path, broker: EmbeddedBroker
) -> None:
    found = [outcome async for outcome in outcomes(start(settings(tmp_path, broker)))]
    assert [type(outcome) for outcome in found] == [Passed] * len(STEPS)
    assert list(tmp_path.iterdir()) == []


async def test_a_data_directory_that_is_a_file(
    tmp_path: Path, broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").write_text("")
    sentence = await refused(settings(tmp_path, broker), capsys)
    assert sentence == (
        f"the data directory {tmp_path / 'data'} cannot be used ({tmp_path / 'data'} is a file): "
        "see POSSTREAM_DATADIR"
    )
    with pytest.raises(StartRefused, match="cannot be used"):
        Membership(tmp_path / "data").claim()


async def test_a_data_directory_that_another_worker_has(
    tmp_path: Path, broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = settings(tmp_path, broker)
    other = Membership(mine.datadir)
    other.claim()
    with pytest.raises(StartRefused, match="another worker uses the data directory"):
        await check_start(start(mine))
    await check(mine, IDENTIFIER)
    assert f"ok       port {mine.web_port} on 127.0.0.1, of the running" in capsys.readouterr().out
    other.release()
    await check_start(start(mine))


async def test_a_web_port_that_another_program_has(
    tmp_path: Path, broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        sentence = await refused(settings(tmp_path, broker, web_port=port), capsys)
    assert sentence.startswith(f"port {port} on 127.0.0.1 is in use: ")


async def test_an_address_that_is_not_this_machines(
    tmp_path: Path, broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = await refused(settings(tmp_path, broker, web_host="192.0.2.1"), capsys)
    assert "(EADDRNOTAVAIL: Cannot assign requested address)" in sentence


async def test_a_broker_that_does_not_answer(
    tmp_path: Path, broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = f"kafka://127.0.0.1:{free_port()}"
    one = settings(tmp_path, broker, broker=nowhere)
    sentence = await refused(one, capsys)
    assert await refused_to_project(one) == sentence
    assert sentence.startswith("no Kafka broker answers at 127.0.0.1:")
    assert "KafkaConnectionError" in sentence


async def test_topics_with_another_number_of_partitions(
    tmp_path: Path, broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    await prepare_topics([broker.address], find_plugins().topics, partitions=2, replication=1)
    sentence = await refused(settings(tmp_path, broker, explicit_topic_partitions=3), capsys)
    assert "2 partitions" in sentence
    await check_start(start(settings(tmp_path, broker, explicit_topic_partitions=2)))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:///{}/file/x.db", "{}/file is a file"),
        pytest.param(
            "sqlite:////proc/posstream/x.db",
            "/proc takes no files: No such file or directory",
            marks=pytest.mark.skipif(
                not os.access("/proc", os.W_OK), reason="/proc says that it cannot be written"
            ),
        ),
        ("sqlite:///{}/file", "SQLITE_NOTADB: file is not a database"),
        ("sqlite:///{}/folder", "SQLITE_CANTOPEN: unable to open database file"),
        ("postgresql:///?service=nowhere", 'definition of service "nowhere" not found'),
    ],
)
async def test_a_database_that_cannot_be_opened(
    tmp_path: Path,
    broker: EmbeddedBroker,
    capsys: pytest.CaptureFixture[str],
    url: str,
    reason: str,
) -> None:
    (tmp_path / "file").write_text("no database, and longer than its header would be " * 9)
    (tmp_path / "folder").mkdir()
    one = settings(
        tmp_path, broker, explicit_topic_partitions=2, explicit_database_url=url.format(tmp_path)
    )
    await prepare_topics([broker.address], find_plugins().topics, partitions=2, replication=1)
    sentence = await refused(one, capsys)
    assert sentence == (
        f"the read model cannot be opened ({reason.format(tmp_path)}): check POSSTREAM_DATABASE_URL"
    )
    assert await refused_to_project(one) == sentence


async def test_a_database_that_a_newer_posstream_has_migrated(
    tmp_path: Path, broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    await prepare_topics([broker.address], find_plugins().topics, partitions=2, replication=1)
    one = settings(tmp_path, broker, explicit_topic_partitions=2)
    engine = create_engine(one.database_url)
    await make_tables(engine)
    await check_start(start(one))
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE posstream_version SET version_num = '9999'")
    await engine.dispose()
    sentence = await refused(one, capsys)
    assert "a newer posstream has migrated it, to 9999" in sentence
    assert await refused_to_project(one) == sentence


async def test_a_projection_waits_for_topics_and_for_a_database_that_is_away(
    tmp_path: Path, broker: EmbeddedBroker
) -> None:
    away = f"postgresql://user@127.0.0.1:{free_port()}/x"
    assert await check_projecting(settings(tmp_path, broker, explicit_database_url=away))
    assert list(tmp_path.iterdir()) == []


async def test_no_password_is_shown(
    tmp_path: Path, broker: EmbeddedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"postgresql://user:secret-word@127.0.0.1:{free_port()}/x"
    await prepare_topics([broker.address], find_plugins().topics, partitions=2, replication=1)
    one = settings(tmp_path, broker, explicit_topic_partitions=2, explicit_database_url=url)
    outcome = [found async for found in outcomes(start(one))][-1]
    await check(one, IDENTIFIER)
    shown = capsys.readouterr().out
    assert not isinstance(outcome, Refusal)
    assert "read model on postgresql: it is away (Connection refused)" in shown
    assert "secret-word" not in shown + outcome.line
