"""An HTTP proxy on loopback that notes what it was asked for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Leads every call, whatever host it names, to one address of this machine."""

    port_behind: int
    #: First line and `Proxy-Authorization` of each request.
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    #: Refuse everything with this status.
    status: int | None = None
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in rest if line)
        self.asked.append((first, headers.get("Proxy-Authorization")))
        try:
            if self.status is not None:
                writer.write(f"HTTP/1.1 {self.status} No\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            behind = await asyncio.open_connection("127.0.0.1", self.port_behind)
            if first.startswith("CONNECT "):
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                method, target, version = first.split(" ")
                path = "/" + target.split("/", 3)[3]
                behind[1].write("\r\n".join([f"{method} {path} {version}", *rest]).encode())
            await asyncio.gather(_pump(reader, behind[1]), _pump(behind[0], writer))
        finally:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(65_536):
            writer.write(block)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def proxy(port_behind: int, *, status: int | None = None) -> AsyncIterator[Proxy]:
    """A proxy before one port of this machine."""
    made = Proxy(port_behind, status=status)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
