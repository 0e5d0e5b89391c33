"""`posstream dev` for a browser: broker, worker and view as an engineer starts them."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.integration.harness import READY_SECONDS, environment, free_port


@asynccontextmanager
async def running_dev(
    datadir: Path, *, api_query: str = "", cwd: Path | None = None, **settings: object
) -> AsyncIterator[str]:
    """The address of its view, once it is ready.

    Args:
        datadir: for all its files.
        api_query: faults of its mock directory, as `?delay_ms=500`.
        cwd: another checkout to run.
        settings: as the environment has them, without the prefix.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    datadir.mkdir(parents=True, exist_ok=True)
    own = {
        "datadir": datadir,
        "web_port": port,
        "dev_broker_port": free_port(),
        "api_endpoint": f"{url}/api/mock-customer-lookup/{api_query}",
    }
    log = datadir / "dev.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "posstream.cli",
            "dev",
            env=environment(**own | settings),
            cwd=cwd,
            stdout=output,
            stderr=output,
        )
        try:
            await _ready(f"{url}/health/ready", process, log)
            yield url
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                await process.wait()


async def _ready(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    give_up_at = time.monotonic() + READY_SECONDS
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < give_up_at and process.returncode is None:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(url) as response:
                    if response.ok:
                        return
            await asyncio.sleep(0.1)
    raise AssertionError(f"not ready: {log.read_text(errors='replace')[-3000:]}")
