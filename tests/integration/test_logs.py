"""The log of a worker as JSON, from outside: every line an object, and no identifier in any."""

import re
from pathlib import Path
from typing import Any

import orjson

from agents.customer_lookup import topics
from posstream.kafka.embedded_broker import EmbeddedBroker
from tests.integration.harness import Scan, Tally, Worker, foreign_client, free_port

PAN = "4111111111111111"
IDENTIFIERS = ("+1234567890", "john@example.com", "CARD_123456", "+4917012345678")
API_KEY = "a-key-that-nobody-may-read"
TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_each_line_is_json_and_none_holds_an_identifier(tmp_path: Path) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    worker = Worker(broker.address, tmp_path, log_level="debug", log_format="json", api_key=API_KEY)
    worker.start()
    try:
        await worker.ready()
        scans = [Scan(f"e{n}", f"b{n}", it) for n, it in enumerate((*IDENTIFIERS, *IDENTIFIERS))]
        async with foreign_client(broker.address) as client:
            send = client.producer.send_and_wait
            for scan in scans:
                trace = [("traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())]
                await send(topics.CUSTOMER_IDENTIFIED, scan.value, headers=trace)
            tally = Tally(client)
            await tally.all_of(scans)
            card = Scan("e-card", "b-card", PAN)
            await send(topics.CUSTOMER_IDENTIFIED, card.value)
            await send(topics.CUSTOMER_IDENTIFIED, b"john@example.com is no JSON")
            await tally.all_of([card])
            await client.read_until(
                lambda seen: any(r.topic == topics.DEAD_LETTERS for r in seen.records)
            )
        state = {"plugin": "baskets", "state": "RUNNING"}  # in a process beside the lookups
        assert await worker.metric("posstream_plugin_state", **state) == 1
        lag = {"plugin": "customer_lookup", "topic": topics.CUSTOMER_IDENTIFIED, "partition": "0"}
        assert await worker.metric("posstream_consumer_lag", **lag) == 0
        assert await worker.metric("posstream_brokers") == 1
        for process in ("worker", "baskets", "fraud_detection", "projections"):
            assert await worker.metric("posstream_process_open_fds", process=process) > 0
        assert worker.stop() == 0
    finally:
        worker.kill()
        broker.stop()
    lines = [orjson.loads(line) for line in worker.log.splitlines()]
    assert not [it for it in (*IDENTIFIERS, PAN, API_KEY) if it in worker.log]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)

    def about(pattern: str) -> list[dict[str, Any]]:
        return [line for line in lines if re.search(pattern, line["message"])]

    for plugin in ("customer_lookup", "baskets"):  # one is in a process of its own
        (runs,) = about(f"plugin {plugin} runs")
        assert runs["plugin"] == plugin
        assert about("rebalance of posstream")[0]["worker"].endswith(f":{worker.port}")
    (dead,) = about("dead letter: customer-identified/")
    assert (dead["level"], dead["plugin"]) == ("WARNING", "customer_lookup")
    answers = {line["lookup_id"]: line for line in lines if "lookup_id" in line}
    for scan in scans:
        line = answers[scan.lookup_id]
        assert (line["basket_id"], line["trace_id"]) == (scan.basket_id, TRACE)
    assert about("INVALID_IDENTIFIER")
