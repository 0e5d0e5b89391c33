"""A Prometheus with the shipped alerts, in front of workers of a test (Debian's `prometheus`)."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.servers.process import ServerProcess, lasting_ports

_OPS = Path(__file__).parents[2] / "ops" / "prometheus"


def lacking() -> str | None:
    """Why there can be none on this machine; None: there can."""
    return None if shutil.which("prometheus") else "Debian's prometheus is not installed"


class Prometheus(ServerProcess):
    """Scrapes and evaluates as often as `ops/prometheus/prometheus.yml` says."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            folder / "log",
        )
        self._url = f"http://127.0.0.1:{port}"

    async def answers(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with aiohttp.ClientSession() as http, http.get(f"{self._url}/-/ready") as ready:
                return ready.ok
        return False

    async def firing(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The annotations of each alert that fires now, by the alert's name."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for alert in await self._api("alerts", "alerts"):
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["annotations"])
        return found

    async def scrapes(self, count: int, seconds: float = 30) -> None:
        """Wait until so many targets answer."""
        async with asyncio.timeout(seconds):
            while True:
                targets = await self._api("targets", "activeTargets")
                if sum(target["health"] == "up" for target in targets) >= count:
                    return
                await asyncio.sleep(0.2)

    async def _api(self, path: str, part: str) -> list[Any]:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self._url}/api/v1/{path}") as response,
        ):
            found: list[Any] = (await response.json())["data"][part]
            return found


@contextlib.contextmanager
def server(targets: Sequence[str]) -> Iterator[Prometheus]:
    """One that scrapes these `host:port`, started; gone after the block."""
    config = yaml.safe_load((_OPS / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    del job["authorization"]  # workers of a test are open on loopback
    job["static_configs"] = [{"targets": list(targets)}]
    with tempfile.TemporaryDirectory(prefix="prometheus-") as name:
        folder = Path(name)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        shutil.copy(_OPS / "rules.yml", folder)
        (port,) = lasting_ports(1)
        made = Prometheus(folder, port)
        made.start()
        try:
            yield made
        finally:
            made.kill()
