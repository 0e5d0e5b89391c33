"""An alert on a real worker: streamed, listed, judged, and its rule snoozed."""

import asyncio
import re
import sys
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from agents.fraud_detection.topics import EPISODES, FRAUD_ALERT_RAISED
from tests.component.fraud_alerts import alert, raised
from tests.integration.harness import ForeignClient, Seen, Worker, foreign_client, until

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "find-fraud.md"

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAM = "subscription { fraudAlertRaised { alertId ruleName } }"


async def test_an_alert_is_streamed_listed_and_judged_and_its_rule_snoozed(
    worker: Worker, client: ForeignClient
) -> None:
    alert_id, terminal = str(uuid.uuid4()), f"t-{uuid.uuid4().hex[:8]}"
    told = alert(alert_id, terminal_id=terminal)
    headers = {"Accept": "text/event-stream"}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
        http.post(f"{worker.url}/graphql/", json={"query": STREAM}, headers=headers) as response,
    ):
        await client.producer.send_and_wait(
            FRAUD_ALERT_RAISED, orjson.dumps(told), key=alert_id.encode()
        )
        line = b""
        while not line.startswith(b"data: {"):
            line = await response.content.readline()
    assert orjson.loads(line[6:])["data"]["fraudAlertRaised"] == {
        "alertId": alert_id,
        "ruleName": "Many payments",
    }

    async def listed() -> Any:
        answer = await worker.graphql(
            "query ($t: String) { fraudAlerts(terminalId: $t) "
            "{ edges { node { alertId hits status note } } } }",
            t=terminal,
        )
        return [edge["node"] for edge in answer["data"]["fraudAlerts"]["edges"]]

    episode = raised(alert_id, hits=2, revision=2, terminal_id=terminal)
    await client.producer.send_and_wait(EPISODES, episode.value, key=alert_id.encode())
    known = {"alertId": alert_id, "hits": 2, "status": "OPEN", "note": None}
    await until(listed, [known])

    answer = await worker.graphql(
        "mutation ($id: ID!) { resolveFraudAlert(alertId: $id, verdict: CONFIRMED, note: "
        '"it was so") { success } }',
        id=alert_id,
    )
    assert answer == {"data": {"resolveFraudAlert": {"success": True}}}
    await until(listed, [known | {"status": "CONFIRMED", "note": "it was so"}])

    answer = await worker.graphql(
        'mutation { snoozeFraudRule(ruleId: "payment_velocity", minutes: 5, reason: "a fair") '
        "{ success } }"
    )
    assert answer == {"data": {"snoozeFraudRule": {"success": True}}}

    async def snoozed() -> Any:
        answer = await worker.graphql("{ fraudRules { ruleId snoozes { reason } } }")
        return [it["ruleId"] for it in answer["data"]["fraudRules"] if it["snoozes"]]

    assert await snoozed() == ["payment_velocity"]
    end = 'mutation { snoozeFraudRule(ruleId: "payment_velocity", minutes: 0) { success } }'
    assert (await worker.graphql(end))["data"]["snoozeFraudRule"]["success"]
    assert await snoozed() == []
    assert worker.running


async def test_the_program_of_the_documentation_gets_the_alert_that_the_page_shows(
    servers: str, worker: Worker
) -> None:
    blocks = re.findall(r"^```\w+\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    program, printed, shown = blocks[:3]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program.replace("127.0.0.1:9092", servers.replace(";", ",")),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert (output.decode(), process.returncode) == (printed, 0)
    expected = orjson.loads(shown)
    async with foreign_client(servers, FRAUD_ALERT_RAISED) as client:

        def is_there(seen: Seen) -> bool:
            return any(
                {name: it[name] for name in expected} == expected
                for it in seen.of(FRAUD_ALERT_RAISED)
                if expected.keys() <= it.keys()
            )

        await client.read_until(is_there, seconds=10)
    assert worker.running
