"""`posstream check`: what one real call to the directory shows, and the cure of each failure."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from agents.customer_lookup.commands.check_directory import check_directory
from agents.customer_lookup.directory import trial
from posstream.commands.check import report
from posstream.plugin import CheckLine
from posstream.settings import Settings
from tests.component.directory_server import serving

IDENTIFIER = "+49 30 1234567"
NORMALISED = "+49301234567"
TOKEN = "correct-horse-battery"


def settings(endpoint: str, **environ: str) -> Settings:
    named = {f"POSSTREAM_{name}": raw for name, raw in environ.items()}
    return Settings.from_environment({"POSSTREAM_API_ENDPOINT": endpoint, **named})


async def lines(document: Any, status: int = 200, **environ: str) -> list[tuple[bool, str]]:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(document, status=status)

    async with serving(handler) as endpoint:
        return await check_directory(settings(endpoint, **environ), IDENTIFIER, {})


async def failure(document: Any, status: int = 200) -> str:
    ((good, line),) = await lines(document, status)
    assert not good
    return line


async def test_a_customer_is_shown_by_the_names_of_what_was_filled() -> None:
    document = {
        "id": "C-17",
        "name": {"first": "Johanna", "middle": "Quentin"},
        "mail": "johanna@example.com",
        "level": "DIAMOND",
    }
    found = await lines(
        document,
        API_AUTH=f"bearer {TOKEN}",
        API_MAPPING="id -> customer_id; name.first -> first_name; level -> tier",
    )
    assert [good for good, _ in found] == [True] * 5
    call, filled, empty, attributes, tier = (line for _, line in found)
    assert "with credentials: +49******567 is C-17 (" in call
    assert filled == "filled: customer_id, first_name, tier"
    assert empty == (
        "empty or zero: last_name, email, phone, loyalty_points, total_purchases, "
        "last_purchase_date"
    )
    assert attributes == "attributes: name, mail"
    assert tier == "tier: DIAMOND, which is kept as it is, and counted"


async def test_a_field_of_no_use_is_named() -> None:
    document = {"customer_id": "C", "loyalty_points": "many", "tier": "GOLD"}
    odd = [line for _, line in await lines(document) if line.startswith("odd: ")]
    assert odd == ["odd: loyalty_points has the wrong type or is out of range; it is an attribute"]


async def test_without_a_token_the_settings_to_look_at_are_named() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": "invalid_client"}, status=401)

    async with serving(refuse) as token_url:
        ((good, line),) = await lines(
            {"customer_id": "C"},
            API_OAUTH_TOKEN_URL=token_url,
            API_OAUTH_CLIENT_ID="posstream",
            API_OAUTH_CLIENT_SECRET=TOKEN,
        )
    assert not good
    assert ", with credentials: no access token: the token endpoint answered with HTTP" in line
    assert line.endswith("; see POSSTREAM_API_OAUTH_TOKEN_URL, its client and its secret")
    assert TOKEN not in line


async def test_no_value_of_a_customer_and_no_secret_is_shown() -> None:
    document = {
        "customer_id": f"crm:{NORMALISED}",
        "first_name": "Johanna",
        "secret": "Quentin",
        NORMALISED: 1,
        "\x1b[2J evil": 1,
        "echo": TOKEN,
    }
    shown = "\n".join(line for _, line in await lines(document, API_AUTH=f"bearer {TOKEN}"))
    assert "is crm:+49******567" in shown
    assert [
        what
        for what in ("Johanna", "Quentin", NORMALISED, "301234567", "\x1b", TOKEN)
        if what in shown
    ] == []


async def test_without_credentials_it_says_so() -> None:
    found = await lines({"customer_id": "C"})
    assert "without credentials" in found[0][1]
    assert found[3:] == [(True, "attributes: none"), (True, "tier: none")]


async def test_an_unknown_customer_is_a_right_answer() -> None:
    ((good, line),) = await lines({}, 404)
    assert good
    assert "does not know +49******567" in line


async def test_an_identifier_that_is_none_is_not_asked_for() -> None:
    found = await check_directory(Settings(), "4111 1111 1111 1111", {})
    assert len(found) == 1
    assert not found[0][0]
    assert "4111 1111 1111 1111" not in found[0][1]


@pytest.mark.parametrize(
    ("status", "cure"),
    [
        (301, "put the final address into POSSTREAM_API_ENDPOINT"),
        (400, "the path or query of POSSTREAM_API_ENDPOINT"),
        (401, "see POSSTREAM_API_AUTH"),
        (403, "whether this user may read customers"),
        (405, "it must answer a GET"),
        (418, "ask its owner"),
        (429, "it limits our calls"),
        (503, "the directory itself has a fault"),
    ],
)
async def test_each_status_comes_with_its_cure(status: int, cure: str) -> None:
    assert cure in await failure({}, status)


async def test_an_answer_without_an_id_leads_to_the_mapping() -> None:
    line = await failure({"id": "C"})
    assert "customer_id is missing" in line
    assert "POSSTREAM_API_MAPPING" in line


async def test_a_directory_that_is_not_there_leads_to_its_address() -> None:
    with contextlib.closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))  # held, and nobody listens
        endpoint = f"http://127.0.0.1:{held.getsockname()[1]}/"
        ((good, line),) = await check_directory(settings(endpoint), IDENTIFIER, {})
    assert not good
    assert "see host, port and scheme" in line


async def test_what_speaks_no_http_leads_to_the_port() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        ((good, line),) = await check_directory(settings(endpoint), IDENTIFIER, {})
    assert not good
    assert "is the port of POSSTREAM_API_ENDPOINT that of a web service" in line


async def test_a_silent_directory_leads_to_the_firewall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "TRIAL_TIMEOUT_SECONDS", 0.1)

    async def handler(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("nobody waits for this")

    async with serving(handler) as endpoint:
        ((good, line),) = await check_directory(settings(endpoint), IDENTIFIER, {})
    assert not good
    assert "no answer within 0.1 s" in line
    assert "firewall" in line


@pytest.mark.parametrize(("status", "code"), [(200, 0), (404, 0), (500, 1)])
async def test_the_exit_code_is_the_worst_of_the_lines(
    status: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"customer_id": "C"}, status=status)

    async def all_lines(endpoint: str) -> AsyncIterator[CheckLine]:
        yield True, "there"
        for line in await check_directory(settings(endpoint), IDENTIFIER, {}):
            yield line

    async with serving(handler) as endpoint:
        assert await report(all_lines(endpoint)) == code
    printed = capsys.readouterr().out
    assert ("FAILED   directory at" in printed) is (code == 1)


async def test_an_endpoint_of_the_live_configuration_is_the_one_that_is_asked() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=404)

    async with serving(handler) as endpoint:
        ((good, line),) = await check_directory(
            settings("http://127.0.0.1:1/"), IDENTIFIER, {"api_endpoint": endpoint}
        )
    assert good
    assert f"directory at {endpoint} (live configuration), without credentials" in line
