"""The mock external customer API: the seed's customers, and faults on demand for drills and tests.

Its data is made up and its faults are query parameters, so a configured `api_endpoint` can
carry them. A worker with a directory of its own has no use for it, and does not serve it.
"""

import asyncio
import hashlib
import random
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from aiohttp import hdrs, web

from agents.customer_lookup.settings import MOCK_PATH, LookupSettings
from posstream.domain.customer import CUSTOMER_FIELDS, TIERS
from posstream.domain.identifier import Identifier, IdentifierKind, normalise
from posstream.settings import Settings
from posstream.startup.hosts import is_loopback
from web.http.answers import error_answer, json_answer
from web.http.reading import DEFAULT_PORTS

#: How long `body=slow` takes and in how many pieces.
SLOW_SECONDS: Final = 10.0
SLOW_PIECES: Final = 100
HUGE_BYTES: Final = 1_000_000
#: `body=huge` is written in pieces of this many bytes: it is never whole in memory.
_HUGE_PIECE: Final = 65_536
#: Delayed answers at the same time: each holds a connection of the web view.
MAX_DELAYED: Final = 500

_MAX_DELAY_MS: Final = 600_000
_MAX_RETRY_AFTER: Final = 86_400
#: name -> (lowest, highest)
_WHOLE_NUMBERS: Final[Mapping[str, tuple[int, int]]] = {
    "delay_ms": (0, _MAX_DELAY_MS),
    "jitter_ms": (0, _MAX_DELAY_MS),
    "status": (200, 599),
    "retry_after": (0, _MAX_RETRY_AFTER),
}

#: Statuses whose answers have no body (RFC 9110, 6.4.1).
_WITHOUT_BODY: Final = frozenset({204, 304})
_OFF: Final = (
    "the mock directory answers only while it is the configured api_endpoint, "
    "or with POSSTREAM_MOCK_DIRECTORY=on"
)
_FIRST_NAMES: Final = ("Ada", "Ben", "Chloe", "Dev", "Emma", "Femi", "Gita", "Hugo")
_LAST_NAMES: Final = ("Adams", "Baker", "Costa", "Dunn", "Evans", "Fox", "Green", "Hill")


def _customer(*values: str | int) -> Mapping[str, Any]:
    """A customer by the values of the contract's fields, in their order."""
    return dict(zip(CUSTOMER_FIELDS, values, strict=True))


_JOHN: Final = _customer(
    "CUST_001", "John", "Doe", "john@example.com", "+1234567890",
    1250, "GOLD", "1234.50", "2026-01-15T10:30:00.000Z",
)  # fmt: skip
_JANE: Final = _customer(
    "CUST_002", "Jane", "Smith", "jane@example.com", "+0987654321",
    5000, "PLATINUM", "9876.00", "2026-01-20T14:45:00.000Z",
)  # fmt: skip
_BOB: Final = _customer(
    "CUST_003", "Bob", "Wilson", "bob@example.com", "+1112223333",
    500, "SILVER", "456.75", "2025-12-10T09:15:00.000Z",
)  # fmt: skip
_ALICE: Final = _customer(
    "CUST_004", "Alice", "Johnson", "alice@example.com", "+5555555555",
    250, "BRONZE", "125.25", "2025-11-05T16:20:00.000Z",
)  # fmt: skip

#: Normalised identifier -> customer: five identifiers, four people, exactly those of the seed.
CUSTOMERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "+1234567890": _JOHN,
    "+0987654321": _JANE,
    "john@example.com": _JOHN,
    "CARD_123456": _BOB,
    "+5555555555": _ALICE,
}


class Body(StrEnum):
    """What may be wrong with a body."""

    INVALID = "invalid"
    HTML = "html"
    HUGE = "huge"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults that one request asks for."""

    delay_ms: int = 0
    #: Longest random addition to the delay.
    jitter_ms: int = 0
    #: Status of every failure. Alone, it makes every answer a failure.
    status: int | None = None
    #: Share of answers that fail, 0 to 1.
    error_rate: float | None = None
    #: Seconds in the `Retry-After` header of failures. Alone, it makes every answer a 503.
    retry_after: int | None = None
    body: Body | None = None
    #: Make up a customer for any well-formed identifier.
    generate: bool = False

    @property
    def take_time(self) -> bool:
        """Whether the answer is delayed, slow or long."""
        return bool(self.delay_ms or self.jitter_ms or self.body in {Body.SLOW, Body.HUGE})


@dataclass(eq=False, kw_only=True)
class MockDirectory:
    """The mock API's one endpoint.

    Args:
        is_on: whether it answers now; asked at every request.
        card_guard: refuse payment-card numbers, as the worker does.
        sleep: waits for a number of seconds.
        chance: evenly spread in [0, 1).
    """

    is_on: Callable[[], bool] = lambda: True
    card_guard: bool = True
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    _delayed: int = field(default=0, init=False)

    def routes(self) -> list[web.RouteDef]:
        """The endpoint, with and without its trailing slash."""
        # An e-mail address may have braces, which aiohttp's default pattern does not take.
        path = f"{MOCK_PATH}{{identifier:[^/]+}}"
        return [web.get(f"{path}/", self.answer), web.get(path, self.answer)]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One customer or 404, unless the query string asks for a fault."""
        if not self.is_on():
            return error_answer(404, "MOCK_DIRECTORY_OFF", _OFF)
        faults = read_faults(request.query)
        if isinstance(faults, str):
            return error_answer(400, "BAD_PARAMETER", faults)
        if not faults.take_time:
            return await self._answer(request, faults)
        if self._delayed >= MAX_DELAYED:
            return error_answer(503, "TOO_MANY_DELAYED", "too many answers are delayed already")
        self._delayed += 1
        try:
            return await self._answer(request, faults)
        finally:
            self._delayed -= 1

    async def _answer(self, request: web.Request, faults: Faults) -> web.StreamResponse:
        delay_ms = faults.delay_ms + faults.jitter_ms * self.chance()
        if delay_ms:
            await self.sleep(delay_ms / 1000)
        failing = self._failing_status(faults)
        headers = {}
        if faults.retry_after is not None and failing is not None:
            headers["Retry-After"] = str(faults.retry_after)
        status, document = self._look_up(request.match_info["identifier"], faults)
        if failing is not None:
            status, document = failing, _error("MOCK_FAULT", "a failure that was asked for")
        if faults.body is None:
            return json_answer(document, status=status, headers=headers)
        if faults.body is Body.SLOW:
            body = orjson.dumps(document)
            size = -(-len(body) // SLOW_PIECES)
            pause = SLOW_SECONDS / -(-len(body) // size)
            pieces = (body[start : start + size] for start in range(0, len(body), size))
            return await self._stream(request, status, headers, pieces, pause)
        status = 200 if failing is None else failing
        if faults.body is Body.HUGE:
            return await self._stream(request, status, headers, _huge())
        return _broken(faults.body, status, headers)

    def _failing_status(self, faults: Faults) -> int | None:
        status = 503 if faults.status is None else faults.status
        if faults.error_rate is not None:
            return status if self.chance() < faults.error_rate else None
        return status if faults.status is not None or faults.retry_after is not None else None

    def _look_up(self, scanned: str, faults: Faults) -> tuple[int, Mapping[str, Any]]:
        identifier = normalise(scanned, card_guard=self.card_guard)
        if isinstance(identifier, Identifier):
            customer = CUSTOMERS.get(identifier.value)
            if customer is None and faults.generate:
                customer = made_up_customer(identifier)
            if customer is not None:
                return 200, customer
        return 404, _error("NOT_FOUND", "no customer has this identifier")

    async def _stream(
        self,
        request: web.Request,
        status: int,
        headers: Mapping[str, str],
        pieces: Iterable[bytes],
        pause_seconds: float = 0,
    ) -> web.StreamResponse:
        if request.method == hdrs.METH_HEAD or status in _WITHOUT_BODY:
            return web.Response(status=status, headers=headers)
        response = web.StreamResponse(
            status=status, headers={**headers, "Content-Type": "application/json; charset=utf-8"}
        )
        try:
            await response.prepare(request)
            for piece in pieces:
                await response.write(piece)
                if pause_seconds:
                    await self.sleep(pause_seconds)
            await response.write_eof()
        except ConnectionError:
            pass  # the caller stopped reading, or its timeout passed: as the fault intends
        return response


def points_at_mock(endpoint: str, port: int) -> bool:
    """Whether an endpoint of the configuration is, or may be, the mock of the worker at a port.

    A host name may mean this machine, and a container may have another port outside. Only a
    loopback address with another port is surely no mock of this worker's.
    """
    try:
        parts = urlsplit(endpoint)
        host, found = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return False
    is_mock = f"{parts.path.rstrip('/')}/" == MOCK_PATH
    return is_mock and (found == port or not is_loopback(host))


def shown_addresses(settings: Settings) -> list[tuple[str, str]]:
    """What `posstream dev` prints: the mock while it is served, else the directory."""
    own = LookupSettings.of(settings)
    served = own.mock_directory
    if served is None:
        served = points_at_mock(own.api_endpoint, settings.web_port)
    if served:
        return [("Mock API", f"{settings.web_url}{MOCK_PATH}+1234567890/")]
    return [("Directory", own.api_endpoint)]


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
        first_name,
        last_name,
        identifier.value if is_email else f"{first_name}.{last_name}@example.com".lower(),
        identifier.value if is_phone else made_up_phone,
        int.from_bytes(digest[12:14], "big") % 10_000,
        TIERS[digest[11] % len(TIERS)],
        f"{cents // 100}.{cents % 100:02d}",
        f"2026-01-{1 + digest[14] % 28:02d}T{digest[15] % 24:02d}:00:00.000Z",
    )


def read_faults(query: Mapping[str, str]) -> Faults | str:
    """Read the fault parameters of a query string, or say what is wrong with one.

    Parameters of other names are ignored.
    """
    values: dict[str, Any] = {}
    for name, (lowest, highest) in _WHOLE_NUMBERS.items():
        raw = query.get(name)
        if raw is None:
            continue
        if not re.fullmatch(r"[0-9]{1,9}", raw) or not lowest <= int(raw) <= highest:
            return f"{name} must be a whole number from {lowest} to {highest}"
        values[name] = int(raw)
    if "error_rate" in query:
        raw = query["error_rate"]
        if not re.fullmatch(r"[0-9]*\.?[0-9]+", raw) or not 0 <= float(raw) <= 1:
            return "error_rate must be a number from 0 to 1"
        values["error_rate"] = float(raw)
    if "body" in query:
        if query["body"] not in list(Body):
            return f"body must be one of {', '.join(Body)}"
        values["body"] = Body(query["body"])
    if "generate" in query:
        if query["generate"] not in {"0", "1"}:
            return "generate must be 0 or 1"
        values["generate"] = query["generate"] == "1"
    return Faults(**values)


def _broken(body: Body, status: int, headers: Mapping[str, str]) -> web.Response:
    if body is Body.INVALID:
        return web.Response(
            body=b'{"customer_id": "CUST_001", "first_name": ',
            status=status,
            headers=headers,
            content_type="application/json",
        )
    page = "<!doctype html><title>Maintenance</title><p>We will be back soon.</p>"
    return web.Response(text=page, status=status, headers=headers, content_type="text/html")


def _huge() -> Iterator[bytes]:
    yield orjson.dumps({**_JOHN, "padding": ""}).removesuffix(b'"}')
    left = HUGE_BYTES
    while left > 0:
        yield b"x" * min(left, _HUGE_PIECE)
        left -= _HUGE_PIECE
    yield b'"}'


def _error(code: str, message: str) -> Mapping[str, Any]:
    return {"error": {"code": code, "message": message}}
