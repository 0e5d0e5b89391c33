"""The mock external customer API: the seed's customers, and faults on demand for drills and tests.

Its data is made up and its faults are query parameters, so a configured `api_endpoint` can
carry them. It knows nothing of the rest of posstream but how identifiers are normalised.
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from posstream.domain.identifier import Identifier, IdentifierKind, normalise
from web.json_answer import error_answer, json_answer
from web.mock_faults import BadFault, Body, Faults, read_faults

#: With and without the trailing slash.
MOCK_PATHS: Final = (
    "/api/mock-customer-lookup/{identifier:[^/]+}/",
    "/api/mock-customer-lookup/{identifier:[^/]+}",
)
#: How long `body=slow` takes and in how many pieces.
SLOW_SECONDS: Final = 10.0
SLOW_PIECES: Final = 100
HUGE_BYTES: Final = 1_000_000

_TIERS: Final = ("BRONZE", "SILVER", "GOLD", "PLATINUM")
_FIRST_NAMES: Final = ("Ada", "Ben", "Chloe", "Dev", "Emma", "Femi", "Gita", "Hugo")
_LAST_NAMES: Final = ("Adams", "Baker", "Costa", "Dunn", "Evans", "Fox", "Green", "Hill")


def _customer(  # noqa: PLR0913 - one row of the seed's table
    customer_id: str,
    name: str,
    tier: str,
    points: int,
    email: str,
    phone: str,
    total_purchases: str,
    last_purchase_date: str,
) -> Mapping[str, Any]:
    first_name, last_name = name.split()
    return {
        "customer_id": customer_id,
        "first_name": first_name,
        "last_name": last_name,
        "email": email,
        "phone": phone,
        "loyalty_points": points,
        "tier": tier,
        "total_purchases": total_purchases,
        "last_purchase_date": last_purchase_date,
    }


_JOHN: Final = _customer(
    "CUST_001", "John Doe", "GOLD", 1250,
    "john@example.com", "+1234567890", "1234.50", "2026-01-15T10:30:00.000Z",
)  # fmt: skip
_JANE: Final = _customer(
    "CUST_002", "Jane Smith", "PLATINUM", 5000,
    "jane@example.com", "+0987654321", "9876.00", "2026-01-20T14:45:00.000Z",
)  # fmt: skip
_BOB: Final = _customer(
    "CUST_003", "Bob Wilson", "SILVER", 500,
    "bob@example.com", "+1112223333", "456.75", "2025-12-10T09:15:00.000Z",
)  # fmt: skip
_ALICE: Final = _customer(
    "CUST_004", "Alice Johnson", "BRONZE", 250,
    "alice@example.com", "+5555555555", "125.25", "2025-11-05T16:20:00.000Z",
)  # fmt: skip

#: Normalised identifier -> customer: five identifiers, four people, to the letter of the seed.
CUSTOMERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "+1234567890": _JOHN,
    "+0987654321": _JANE,
    "john@example.com": _JOHN,
    "CARD_123456": _BOB,
    "+5555555555": _ALICE,
}


class MockDirectory:
    """The mock API's one endpoint."""

    def __init__(
        self,
        *,
        card_guard: bool = True,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Make one.

        Args:
            card_guard: refuse payment-card numbers, as the worker does.
            sleep: waits so many seconds.
            chance: evenly spread in [0, 1).
        """
        self._card_guard = card_guard
        self._sleep = sleep
        self._chance = chance

    def routes(self) -> list[web.RouteDef]:
        """The endpoint, with and without its trailing slash."""
        return [web.get(path, self.answer) for path in MOCK_PATHS]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One customer or 404, unless the query string asks for trouble."""
        faults = read_faults(request.query)
        if isinstance(faults, BadFault):
            return error_answer(400, "BAD_PARAMETER", f"{faults.parameter} {faults.why}")
        delay_ms = faults.delay_ms + faults.jitter_ms * self._chance()
        if delay_ms:
            await self._sleep(delay_ms / 1000)
        failing = self._failing_status(faults)
        headers = {}
        if faults.retry_after is not None and failing is not None:
            headers["Retry-After"] = str(faults.retry_after)
        status, document = self._look_up(request.match_info["identifier"], faults)
        if failing is not None:
            status, document = failing, _error("MOCK_FAULT", "a failure that was asked for")
        if faults.body is Body.SLOW:
            return await self._trickle(request, status, document, headers)
        if faults.body is None:
            return json_answer(document, status=status, headers=headers)
        return _broken(faults.body, 200 if failing is None else failing, headers)

    def _failing_status(self, faults: Faults) -> int | None:
        status = 503 if faults.status is None else faults.status
        if faults.error_rate is not None:
            return status if self._chance() < faults.error_rate else None
        return status if faults.status is not None or faults.retry_after is not None else None

    def _look_up(self, scanned: str, faults: Faults) -> tuple[int, Mapping[str, Any]]:
        identifier = normalise(scanned, card_guard=self._card_guard)
        if isinstance(identifier, Identifier):
            customer = CUSTOMERS.get(identifier.value)
            if customer is None and faults.generate:
                customer = made_up_customer(identifier)
            if customer is not None:
                return 200, customer
        return 404, _error("NOT_FOUND", "no customer has this identifier")

    async def _trickle(
        self,
        request: web.Request,
        status: int,
        document: Mapping[str, Any],
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        body = orjson.dumps(document)
        response = web.StreamResponse(
            status=status, headers={**headers, "Content-Type": "application/json; charset=utf-8"}
        )
        await response.prepare(request)
        size = -(-len(body) // SLOW_PIECES)
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        try:
            for piece in pieces:
                await response.write(piece)
                await self._sleep(SLOW_SECONDS / len(pieces))
            await response.write_eof()
        except ConnectionResetError:
            pass  # the caller's timeout was shorter: what this fault is for
        return response


def made_up_customer(identifier: Identifier) -> Mapping[str, Any]:
    """A customer derived from the identifier alone: the same in every worker and every run."""
    digest = hashlib.sha256(identifier.value.encode()).digest()
    first_name = _FIRST_NAMES[digest[0] % len(_FIRST_NAMES)]
    last_name = _LAST_NAMES[digest[1] % len(_LAST_NAMES)]
    cents = int.from_bytes(digest[2:5], "big") % 1_000_000
    is_email = identifier.kind is IdentifierKind.EMAIL
    is_phone = identifier.kind is IdentifierKind.PHONE
    made_up_phone = "+999" + str(int.from_bytes(digest[16:20], "big")).zfill(10)
    return _customer(
        f"GEN_{digest[5:11].hex().upper()}",
        f"{first_name} {last_name}",
        _TIERS[digest[11] % len(_TIERS)],
        int.from_bytes(digest[12:14], "big") % 10_000,
        identifier.value if is_email else f"{first_name}.{last_name}@example.com".lower(),
        identifier.value if is_phone else made_up_phone,
        f"{cents // 100}.{cents % 100:02d}",
        f"2026-01-{1 + digest[14] % 28:02d}T{digest[15] % 24:02d}:00:00.000Z",
    )


def _broken(body: Body, status: int, headers: Mapping[str, str]) -> web.Response:
    if body is Body.INVALID:
        return web.Response(
            body=b'{"customer_id": "CUST_001", "first_name": ',
            status=status,
            headers=headers,
            content_type="application/json",
        )
    if body is Body.HTML:
        page = "<!doctype html><title>Maintenance</title><p>We will be back soon.</p>"
        return web.Response(text=page, status=status, headers=headers, content_type="text/html")
    return json_answer({**_JOHN, "padding": "x" * HUGE_BYTES}, status=status, headers=headers)


def _error(code: str, message: str) -> Mapping[str, Any]:
    return {"error": {"code": code, "message": message}}
