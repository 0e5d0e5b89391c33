"""`python -m benchmarks.directory PORT`: a directory that takes a fixed time for every answer.

`GET /MS/customers/IDENTIFIER/` gives a customer after so many milliseconds, and `GET
/calls/IDENTIFIER/` says how often somebody was asked for; without one, how often anybody was. It
speaks just enough HTTP to cost little beside what is measured.
"""

import asyncio
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final, cast

import orjson
import uvloop

from posstream.kafka.embedded_broker import free_port

_READY_SECONDS: Final = 10
_END: Final = b"\r\n\r\n"


def customer_id_of(identifier: str) -> str:
    """The id of the customer whom the directory makes up for an identifier."""
    return f"CUST_OF_{identifier}"


class Directory(asyncio.Protocol):
    """One connection; calls are counted over all of them."""

    calls: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Part of a request, or a whole one."""
        self._heard += data
        while _END in self._heard:
            request, _, self._heard = self._heard.partition(_END)
            path = request.split(b" ", 2)[1].decode()
            match path.strip("/").split("/"):
                case ["calls"]:
                    self._answer({"calls": self.calls.total()})
                case ["calls", identifier]:
                    self._answer({"calls": self.calls[identifier]})
                case [milliseconds, _, identifier]:
                    self.calls[identifier] += 1
                    asyncio.get_running_loop().call_later(
                        int(milliseconds) / 1000, self._answer, _customer(identifier)
                    )

    def _answer(self, value: object) -> None:
        body = orjson.dumps(value)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(head % len(body) + body)


def _customer(identifier: str) -> dict[str, object]:
    return {
        "customer_id": customer_id_of(identifier),
        "first_name": "Erika",
        "last_name": "Mustermann",
        "email": "erika.mustermann@example.com",
        "phone": "+4930123456",
        "loyalty_points": 1250,
        "tier": "GOLD",
        "total_purchases": "1234.50",
        "last_purchase_date": None,
    }


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Directory, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


class Running:
    """A directory in a process of its own."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def endpoint(self, milliseconds: int) -> str:
        """The base URL that answers after so long."""
        return f"{self._url}/{milliseconds}/customers/"

    def calls(self, identifier: str = "") -> int:
        """How often somebody, or anybody, was asked for."""
        with urllib.request.urlopen(f"{self._url}/calls/{identifier}") as response:  # noqa: S310 - our own
            return int(orjson.loads(response.read())["calls"])


@contextmanager
def running() -> Iterator[Running]:
    """A directory that answers.

    Raises:
        RuntimeError: if it does not come up.
    """
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.directory", str(port)])
    made = Running(port)
    try:
        give_up_at = time.monotonic() + _READY_SECONDS
        while True:
            try:
                made.calls()
                break
            except OSError as why:
                if time.monotonic() > give_up_at:
                    raise RuntimeError("the directory does not answer") from why
                time.sleep(0.05)
        yield made
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
