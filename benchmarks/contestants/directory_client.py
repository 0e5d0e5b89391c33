"""How contestants ask the directory on a miss."""

import time
from types import TracebackType
from typing import Self
from urllib.parse import quote

import aiohttp
import requests

from benchmarks.contestants.answers import Known


class AsyncDirectory:
    """By aiohttp."""

    def __init__(self, base_url: str, *, at_once: int = 100) -> None:
        self._base_url = base_url
        self._at_once = at_once
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=self._at_once))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        why: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._http is not None
        await self._http.close()

    async def fetch(self, identifier: str) -> tuple[Known, int]:
        """The customer, and how many milliseconds it took.

        Raises:
            aiohttp.ClientError: no customer; the benchmarks have none of these.
        """
        assert self._http is not None
        began = time.monotonic()
        url = f"{self._base_url}{quote(identifier, safe='')}/"
        async with self._http.get(url, raise_for_status=True) as response:
            document = await response.read()
        return Known.of(document), round((time.monotonic() - began) * 1000)


class BlockingDirectory:
    """By requests."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._http = requests.Session()

    def fetch(self, identifier: str) -> tuple[Known, int]:
        """The customer, and how many milliseconds it took.

        Raises:
            requests.RequestException: no customer; the benchmarks have none of these.
        """
        began = time.monotonic()
        response = self._http.get(f"{self._base_url}{quote(identifier, safe='')}/", timeout=60)
        response.raise_for_status()
        return Known.of(response.content), round((time.monotonic() - began) * 1000)
