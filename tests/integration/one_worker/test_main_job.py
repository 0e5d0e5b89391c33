"""The main job, seen from outside: a foreign client, a real worker, a real broker."""

import os
import shutil
import subprocess
import uuid
from typing import Any

import aiohttp
import aiokafka
import orjson
import pytest

from agents.customer_lookup import topics
from posstream.dead_letters.record import MAX_DEAD_VALUE
from tests.integration.harness import (
    ForeignClient,
    Scan,
    Seen,
    Worker,
    mixed_scans,
    produce,
    send_with_header,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWERS = (topics.CUSTOMER_DATA_FETCHED, topics.CUSTOMER_LOOKUP_FAILED)


def answers_to(seen: Seen, scans: list[Scan]) -> list[dict[str, object]]:
    wanted = {scan.lookup_id for scan in scans}
    return [value for value in seen.of(*ANSWERS) if value["lookup_id"] in wanted]


async def test_a_thousand_mixed_events_get_one_right_answer_each_and_one_call_per_identifier(
    client: ForeignClient, worker: Worker
) -> None:
    scans = mixed_scans(1000, 90, uuid.uuid4().hex[:4].translate(str.maketrans("abcdef", "012345")))
    await produce(client, scans)
    await client.read_until(lambda seen: len(answers_to(seen, scans)) >= 1000)
    await client.read_for(1)

    answers = {value["lookup_id"]: value for value in answers_to(client.seen, scans)}
    assert len(answers_to(client.seen, scans)) == len(answers) == 1000
    expected = {}
    async with aiohttp.ClientSession() as http:
        for identifier in {str(value["customer_identifier"]) for value in answers.values()}:
            url = f"{worker.url}/api/mock-customer-lookup/{identifier.replace('+', '%2B')}/"
            async with http.get(url, params={"generate": "1"}) as response:
                expected[identifier] = (await response.json())["customer_id"]
    for scan in scans:
        answer = answers[scan.lookup_id]
        assert scan.basket_id == answer["basket_id"]
        assert scan.identifier.lower() == str(answer["customer_identifier"]).lower()
        assert expected[answer["customer_identifier"]] == answer["customer"]["customer_id"]
    calls = client.seen.counts("customer_identifier", topics.CUSTOMER_LOOKUP_LOGGED)
    assert dict.fromkeys(expected, 1) == {name: calls[name] for name in expected}


async def test_the_read_model_has_every_answer_and_both_aliases_of_one_customer(
    client: ForeignClient, worker: Worker
) -> None:
    scans = [
        Scan(str(uuid.uuid4()), "basket-alias-1", "john@example.com"),
        Scan(str(uuid.uuid4()), "basket-alias-2", "+1 (234) 567-890"),
    ]
    await produce(client, scans)
    await client.read_until(lambda seen: len(answers_to(seen, scans)) == 2)
    query = """{ a: customerByIdentifier(identifier: "john@example.com") { customerId identifiers }
                 b: customerByIdentifier(identifier: "+1234567890") { customerId } }"""

    found = {}
    for _ in range(100):
        found = (await worker.graphql(query))["data"]
        if found["a"] and found["b"]:
            break
        await client.read_for(0.05)
    assert found == {
        "a": {"customerId": "CUST_001", "identifiers": ["+1234567890", "john@example.com"]},
        "b": {"customerId": "CUST_001"},
    }


BAD_INPUT = {
    "empty": (b"", "EMPTY"),
    "not UTF-8": (b'{"basket_id": "\xff\xfe"}', "NOT_UTF8"),
    "not JSON": (b"{basket_id: 1}", "NOT_JSON"),
    "null": (b"null", "NOT_AN_OBJECT"),
    "a list": (b"[1, 2]", "NOT_AN_OBJECT"),
    "no basket": (b'{"customer_identifier": "+1"}', "MISSING_FIELD"),
    "no identifier": (b'{"basket_id": "b"}', "MISSING_FIELD"),
    "a number for an identifier": (
        b'{"basket_id": "b", "customer_identifier": 5}',
        "INVALID_FIELD",
    ),
    "an empty basket": (b'{"basket_id": "", "customer_identifier": "+1"}', "INVALID_FIELD"),
    "300 KB": (b'{"basket_id": "b", "pad": "' + b"x" * 300_000 + b'"}', "TOO_LARGE"),
    "a tombstone": (None, "TOMBSTONE"),
}


async def test_bad_input_becomes_dead_letters_byte_for_byte_and_stalls_nothing(
    client: ForeignClient, worker: Worker
) -> None:
    for name, (value, _) in BAD_INPUT.items():
        await client.producer.send_and_wait(
            topics.CUSTOMER_IDENTIFIED, value, key=f"bad {name}".encode()
        )
    nothing = client.producer.create_batch()  # its `send` refuses a record without key and value
    nothing.append(key=None, value=None, timestamp=None)
    await (await client.producer.send_batch(nothing, topics.CUSTOMER_IDENTIFIED, partition=0))
    good = Scan(str(uuid.uuid4()), "basket-after-bad", "+1234567890")
    await produce(client, [good])

    def dead(seen: Seen) -> dict[bytes, object]:
        return {r.key: r for r in seen.records if r.topic == topics.DEAD_LETTERS}

    await client.read_until(
        lambda seen: len(dead(seen)) >= len(BAD_INPUT) + 1 and answers_to(seen, [good]), 20
    )
    for name, (value, reason) in BAD_INPUT.items():
        letter = dead(client.seen)[f"bad {name}".encode()]
        headers = dict(letter.headers)  # type: ignore[attr-defined]
        assert (letter.value or b"") == (value or b"")  # type: ignore[attr-defined]
        assert headers["posstream.dlq.reason"].decode() == reason
        assert headers["posstream.dlq.topic"].decode() == topics.CUSTOMER_IDENTIFIED
        assert headers["posstream.dlq.offset"].isdigit()
    assert worker.running


async def test_a_header_name_that_is_not_utf8_stops_nobody(
    client: ForeignClient, worker: Worker
) -> None:
    odd, good = (Scan(str(uuid.uuid4()), f"basket-header-{n}", "+1234567890") for n in (1, 2))
    topic = topics.CUSTOMER_IDENTIFIED
    await send_with_header(client, topic, odd.value, b"caf\xe9", partition=0)
    await client.producer.send_and_wait(topic, good.value, partition=0)
    await client.read_until(lambda seen: len(answers_to(seen, [odd, good])) == 2, 20)
    assert worker.running


async def test_a_compressed_message_larger_than_any_dead_letter_is_cut_and_set_aside(
    client: ForeignClient, servers: str, worker: Worker
) -> None:
    size = 5 * 1024 * 1024
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=servers, compression_type="gzip", max_request_size=2 * size
    )
    await producer.start()
    await producer.send_and_wait(topics.CUSTOMER_IDENTIFIED, b"4 " * (size // 2), key=b"huge")
    await producer.stop()
    good = Scan(str(uuid.uuid4()), "basket-after-huge", "+1234567890")
    await produce(client, [good])

    def letters(seen: Seen) -> list[Any]:
        return [r for r in seen.records if r.topic == topics.DEAD_LETTERS and r.key == b"huge"]

    await client.read_until(lambda seen: bool(letters(seen) and answers_to(seen, [good])), 30)
    (letter,) = letters(client.seen)
    assert dict(letter.headers)["posstream.dlq.truncated"] == str(size).encode()
    assert letter.value == (b"4 " * size)[:MAX_DEAD_VALUE]
    assert worker.running


async def test_a_payment_card_is_answered_masked_and_reaches_no_topic_log_or_table(
    client: ForeignClient, worker: Worker
) -> None:
    scan = Scan(str(uuid.uuid4()), "basket-pan", "4111 1111 1111 1111")
    await produce(client, [scan])
    await client.producer.send_and_wait(topics.CUSTOMER_IDENTIFIED, b"4111111111111111", key=b"pan")
    await client.read_until(lambda seen: bool(answers_to(seen, [scan])))
    await client.read_for(0.5)

    (answer,) = answers_to(client.seen, [scan])
    assert answer["reason"] == "INVALID_IDENTIFIER"
    everything = b"".join(
        (r.key or b"") + (r.value or b"") + repr(r.headers).encode() for r in client.seen.records
    )
    files = [path for path in worker.datadir.rglob("*") if path.is_file()]
    for haystack in (everything, *(path.read_bytes() for path in files)):
        assert b"4111111111111111" not in haystack.replace(b" ", b"")


async def test_graphql_starts_a_basket_identifies_its_customer_and_shows_it(
    client: ForeignClient, worker: Worker
) -> None:
    started = await worker.graphql(
        'mutation { startBasket(employeeId: 1, terminalId: "t1") { basketId } }'
    )
    basket = started["data"]["startBasket"]["basketId"]
    identified = await worker.graphql(
        f'mutation {{ identifyCustomer(basketId: "{basket}", customerIdentifier: "+1234567890") '
        "{ success } }"
    )
    assert identified == {"data": {"identifyCustomer": {"success": True}}}
    await client.read_until(
        lambda seen: basket in seen.counts("basket_id", topics.CUSTOMER_DATA_FETCHED)
    )
    shown: object = None
    for _ in range(400):
        shown = await worker.graphql(
            '{ customer(customerId: "CUST_001") { firstName lastName tier loyaltyPoints } '
            f'basket(basketId: "{basket}") {{ customerId terminalId employeeId }} }}'
        )
        if None not in (shown["data"]["basket"] or {"employeeId": None}).values():
            break
        await client.read_for(0.05)
    assert shown == {
        "data": {
            "customer": {
                "firstName": "John",
                "lastName": "Doe",
                "tier": "GOLD",
                "loyaltyPoints": 1250,
            },
            "basket": {"customerId": "CUST_001", "terminalId": "t1", "employeeId": "1"},
        }
    }


async def test_answers_carry_cloudevents_headers_and_the_trace_of_the_input(
    client: ForeignClient,
) -> None:
    scan = Scan(str(uuid.uuid4()), "basket-trace", "CARD_123456")
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await client.producer.send_and_wait(
        topics.CUSTOMER_IDENTIFIED, scan.value, headers=[("traceparent", trace)]
    )
    await client.read_until(lambda seen: bool(answers_to(seen, [scan])))

    (record,) = [
        r
        for r in client.seen.records
        if r.topic in ANSWERS and orjson.loads(r.value)["lookup_id"] == scan.lookup_id
    ]
    headers, value = dict(record.headers), orjson.loads(record.value)
    assert headers["traceparent"] == trace
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"].decode() == value["event_id"]
    assert headers["ce_type"] == b"CUSTOMER_DATA_FETCHED"
    assert headers["ce_subject"] == b"basket-trace" == record.key


async def test_kcat_sends_an_event_and_its_answer_comes(
    client: ForeignClient, servers: str
) -> None:
    kcat = shutil.which("kcat")
    if kcat is None:
        pytest.skip("kcat is not installed")
    if "POSSTREAM_TEST_BROKER" not in os.environ:
        pytest.skip("librdkafka and the embedded broker do not agree on ApiVersions")
    scan = Scan(str(uuid.uuid4()), "basket-kcat", "CARD_123456")
    subprocess.run(
        [kcat, "-P", "-b", servers.replace(";", ","), "-t", topics.CUSTOMER_IDENTIFIED],
        input=scan.value,
        check=True,
        timeout=30,
    )
    await client.read_until(lambda seen: bool(answers_to(seen, [scan])))
    (answer,) = answers_to(client.seen, [scan])
    assert answer["customer"]["customer_id"] == "CUST_003"
