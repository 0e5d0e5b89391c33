"""`posstream demo`: the quick test end to end, on a posstream of its own, step by step."""

import asyncio
import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from posstream.commands.running import run
from posstream.kafka.embedded_broker import free_port
from posstream.settings import Settings

if TYPE_CHECKING:
    import aiohttp

    from agents.customer_lookup.commands.topic_client import Arrived, TopicClient

_READY_SECONDS: Final = 60
_ANSWER_SECONDS: Final = 15
#: The read model gives way to everything else, and a busy machine makes it late.
_ROWS_SECONDS: Final = 60


@click.command("demo")
def command() -> None:
    """Show the quick test end to end, step by step, with timings.

    Starts a posstream of its own on free ports, starts a basket, scans a known phone twice and
    an unknown one, and shows each answer as it arrives on the topics, then the customer from
    GraphQL. Exits with 0 if everything was right.
    """
    run(demo())


class DemoFailed(Exception):
    """A step did not do what it must."""


@dataclasses.dataclass
class _Demo:
    http: "aiohttp.ClientSession"
    topics: "TopicClient"
    url: str
    step: int = 0

    async def graphql(self, query: str) -> tuple[dict[str, Any], float]:
        started = time.monotonic()
        async with self.http.post(f"{self.url}/graphql/", json={"query": query}) as response:
            body = await response.json()
        if "errors" in body:
            raise DemoFailed(f"GraphQL: {body['errors']}")
        return body["data"], (time.monotonic() - started) * 1000

    def say(self, title: str, *lines: str) -> None:
        self.step += 1
        print(f"\n{self.step}. {title}", *(f"   {line}" for line in lines), sep="\n", flush=True)

    async def identify(
        self, basket: str, identifier: str, title: str, check: "Callable[[Arrived], bool]"
    ) -> "Arrived":
        started = time.monotonic()
        data, took = await self.graphql(
            f'mutation {{ identifyCustomer(basketId: "{basket}", '
            f'customerIdentifier: "{identifier}") {{ success error {{ message }} }} }}'
        )
        if not data["identifyCustomer"]["success"]:
            raise DemoFailed(f"identifyCustomer: {data['identifyCustomer']['error']}")
        arrived = await self.topics.answer(
            _ANSWER_SECONDS, basket_id=basket, customer_identifier=identifier
        )
        if arrived is None:
            raise DemoFailed(f"no answer within {_ANSWER_SECONDS} s")
        self.say(
            title, f"acknowledged by the broker after {took:.0f} ms", *_shown(arrived, started)
        )
        if not check(arrived):
            raise DemoFailed(f"not the answer it must be: {arrived.value}")
        return arrived


def _shown(arrived: "Arrived", started: float) -> list[str]:
    value = arrived.value
    what = value.get("reason") or f"{value['customer']['customer_id']} from {value['source']}"
    where = f"{arrived.topic}[{arrived.partition}]@{arrived.offset}"
    return [
        f"answer on {where} after {(arrived.at - started) * 1000:.0f} ms",
        f"{what}; calls: {value['attempts']}; in the lookup: {value['duration_ms']} ms",
    ]


async def demo() -> int:
    """Run the demo.

    Returns:
        0 if every step succeeded, 1 otherwise.
    """
    import aiohttp

    from agents.customer_lookup.commands.topic_client import topic_client

    started = time.monotonic()
    try:
        async with _posstream() as settings:
            print(f"posstream is ready after {time.monotonic() - started:.1f} s", flush=True)
            async with (
                aiohttp.ClientSession() as http,
                topic_client(settings.bootstrap_servers, from_beginning=True) as client,
            ):
                await _steps(_Demo(http, client, settings.web_url))
    except (DemoFailed, aiohttp.ClientError) as why:
        print(f"\nFAILED: {why}", file=sys.stderr)
        return 1
    print("\nAll steps succeeded.")
    return 0


async def _steps(demo: _Demo) -> None:
    data, took = await demo.graphql(
        'mutation { startBasket(employeeId: 1, terminalId: "t1") { success basketId } }'
    )
    basket = data["startBasket"]["basketId"]
    demo.say("An employee starts a basket (GraphQL startBasket)", f"{basket} after {took:.0f} ms")
    await demo.identify(
        basket,
        "+1234567890",
        "The customer's phone is scanned (identifyCustomer +1234567890): unknown here, so the "
        "directory is asked",
        lambda it: (
            it.value.get("source") == "API" and it.value["customer"]["customer_id"] == "CUST_001"
        ),
    )
    await demo.identify(
        basket,
        "+1234567890",
        "It is scanned again: answered from the cache, no call",
        lambda it: it.value.get("source") == "CACHE" and it.value["attempts"] == 0,
    )
    await demo.identify(
        basket,
        "+4900000000",
        "An unknown customer is scanned",
        lambda it: it.value.get("reason") == "NOT_FOUND",
    )
    await _customer(demo, basket)


async def _customer(demo: _Demo, basket: str) -> None:
    started = time.monotonic()
    query = (
        '{ customer(customerId: "CUST_001") { firstName lastName tier loyaltyPoints } '
        f'basket(basketId: "{basket}") {{ customerId terminalId }} }}'
    )
    expected = {
        "customer": {
            "firstName": "John",
            "lastName": "Doe",
            "tier": "GOLD",
            "loyaltyPoints": 1250,
        },
        "basket": {"customerId": "CUST_001", "terminalId": "t1"},
    }
    while True:
        data, took = await demo.graphql(query)
        if data == expected:
            break
        if time.monotonic() - started > _ROWS_SECONDS:
            raise DemoFailed(f"the read model says {data} after {_ROWS_SECONDS} s")
        await asyncio.sleep(0.05)
    demo.say(
        "The customer and the basket from the read model (GraphQL)",
        str(data["customer"]),
        str(data["basket"]),
        f"query answered in {took:.0f} ms, rows there {(time.monotonic() - started) * 1000:.0f} ms "
        "after the last answer",
    )


@contextlib.asynccontextmanager
async def _posstream() -> AsyncIterator[Settings]:
    """A `posstream dev` of its own: free ports, a directory that goes away."""
    with tempfile.TemporaryDirectory(prefix="posstream-demo-") as directory:
        settings = Settings(
            datadir=Path(directory), web_port=free_port(), dev_broker_port=free_port()
        )
        kept = {k: v for k, v in os.environ.items() if not k.startswith("POSSTREAM_")}
        process = subprocess.Popen(  # noqa: ASYNC220 - our own command, started once
            [sys.executable, "-P", "-m", "posstream.cli", "dev"],
            env=kept
            | {
                "POSSTREAM_DATADIR": directory,
                "POSSTREAM_WEB_PORT": str(settings.web_port),
                "POSSTREAM_DEV_BROKER_PORT": str(settings.dev_broker_port),
            },
            stdout=subprocess.DEVNULL,
        )
        try:
            await _ready(settings, process)
            yield settings
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


async def _ready(settings: Settings, process: "subprocess.Popen[bytes]") -> None:
    import aiohttp

    give_up_at = time.monotonic() + _READY_SECONDS
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < give_up_at:
            if process.poll() is not None:
                raise DemoFailed(f"posstream dev ended with {process.returncode}")
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{settings.web_url}/health/ready") as response:
                    if response.ok:
                        return
            await asyncio.sleep(0.1)
    raise DemoFailed(f"not ready within {_READY_SECONDS} s")
