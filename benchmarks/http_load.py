"""`python -m benchmarks.http_load URL [CONNECTIONS]`: one request after the other on each.

A client that costs little beside the server: it writes the same bytes again and again, and reads
of an answer its status and length. Prints requests a second and percentiles.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import orjson
import uvloop

from benchmarks.windows import percentile

_CONNECTIONS: Final = 8
_SECONDS: Final = 2.0
_WARM_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Served:
    """What a server did."""

    rate: float
    median_ms: float
    p99_ms: float
    #: All its answers, those before the measured seconds too.
    count: int


def ask(url: str, body: bytes | None = None, *, connections: int = _CONNECTIONS) -> Served:
    """Load a server for two seconds.

    Args:
        url: asked for.
        body: posted as JSON; None = GET.
        connections: each has one request at a time.

    Raises:
        RuntimeError: if an answer was not 200, or an error of GraphQL's.
    """
    command = [sys.executable, "-m", "benchmarks.http_load", url, str(connections)]
    done = subprocess.run(command, input=body or b"", capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-2000:])
    return Served(**orjson.loads(done.stdout))


def _request(url: str, body: bytes) -> bytes:
    parts = urlsplit(url)
    accept = "application/json" if body else "text/html"
    lines = [f"Host: {parts.netloc}", f"Accept: {accept}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    method = "POST" if body else "GET"
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines])
    return head.encode() + b"\r\n\r\n" + body


async def _read(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    status, _, fields = head.partition(b"\r\n")
    length = 0
    for line in fields.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    body = await reader.readexactly(length)
    if b" 200 " not in status or body.startswith(b'{"errors"'):
        raise SystemExit(f"{status.decode()}: {body[:500].decode()}")
    return body


async def _main(url: str, body: bytes, connections: int) -> None:
    parts = urlsplit(url)
    request = _request(url, body)
    begin = time.monotonic() + _WARM_SECONDS
    taken: list[tuple[float, float]] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while (began := time.monotonic()) < begin + _SECONDS:
            writer.write(request)
            await _read(reader)
            taken.append((began, time.monotonic() - began))
        writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    seconds = sorted(took for began, took in taken if began >= begin)
    served = {
        "rate": len(seconds) / _SECONDS,
        "median_ms": percentile(seconds, 0.5) * 1000,
        "p99_ms": percentile(seconds, 0.99) * 1000,
        "count": len(taken),
    }
    print(orjson.dumps(served).decode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("connections", nargs="?", type=int, default=_CONNECTIONS)
    given = parser.parse_args()
    uvloop.run(_main(given.url, sys.stdin.buffer.read(), given.connections))
