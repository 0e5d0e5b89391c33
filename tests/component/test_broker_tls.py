"""TLS to brokers: renewed files count for the next connection, in both event loops."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from posstream.kafka.tls import ReloadedContext
from posstream.startup.tls_files import TlsFiles
from tests.servers.certificates import Authority


@contextlib.asynccontextmanager
async def broker(authority: Authority) -> AsyncIterator[tuple[int, list[str]]]:
    """A server that wants a certificate; its port, and the names that were shown to it."""
    shown: list[str] = []

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = dict(part[0] for part in writer.get_extra_info("peercert")["subject"])
        shown.append(subject["commonName"])
        writer.close()

    context = authority.server("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], shown


async def connect(port: int, context: ssl.SSLContext) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


def replace(file: Path, content: bytes) -> None:
    """As a renewal does it: another file under the same name."""
    new = file.with_suffix(".new")
    new.write_bytes(content)
    new.rename(file)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_renewed_certificate_is_shown_by_the_next_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    authority = Authority(tmp_path)
    first, second = (authority.issue(name).read_bytes() for name in ("first", "second"))
    ours = tmp_path / "ours.pem"
    replace(ours, first)
    context = ReloadedContext(TlsFiles(authority.file, ours))

    async def use() -> list[str]:
        async with broker(authority) as (port, shown):
            await connect(port, context)
            replace(ours, b"half of it")
            await connect(port, context)
            replace(ours, second)
            await connect(port, context)
            await connect(port, context)
            return shown

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(use()) == ["first", "first", "second", "second"]
    assert caplog.text.count("a changed certificate or key file cannot be used") == 1


async def test_an_authority_that_is_taken_out_is_trusted_no_longer(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    old, new = Authority(tmp_path / "old"), Authority(tmp_path)
    trusted = tmp_path / "trusted.pem"
    replace(trusted, old.file.read_bytes())
    ours = old.issue("posstream")
    context = ReloadedContext(TlsFiles(trusted, ours))
    async with broker(old) as (port, _):
        await connect(port, context)
        replace(trusted, new.file.read_bytes())
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(port, context)


def test_why_a_certificate_is_out_of_date(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    late, good = authority.issue("late", expired=True), authority.issue("good")
    assert TlsFiles(None, late).out_of_date() == "certificate has expired"
    assert TlsFiles(None, good).out_of_date() is None
    assert TlsFiles(authority.file).out_of_date() is None
