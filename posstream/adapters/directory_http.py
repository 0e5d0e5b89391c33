"""The customer directory by HTTP: one aiohttp session per worker, each answer judged.

Whatever the API does (404, HTML, a megabyte, silence) becomes an `AttemptOutcome`; no exception
of aiohttp leaves this module.
"""

import asyncio
from typing import Final, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
import orjson
from yarl import URL

from posstream.domain.customer import InvalidCustomer, read_customer, scrub
from posstream.domain.identifier import ALLOWED
from posstream.domain.lookup import Attempt, AttemptStatus, Reason
from posstream.events import MAX_RESPONSE_DATA
from posstream.ports import AttemptOutcome
from posstream.resilience.clock import Clock
from posstream.resilience.retry import RETRYABLE_STATUSES, retry_after_seconds

#: Largest body that is read; a customer is under 2 KB.
MAX_BODY_BYTES: Final = 64 * 1024
_OK: Final = 200
_NOT_FOUND: Final = 404


class HttpDirectory:
    """`CustomerDirectory` over aiohttp. Open it before use, close it last."""

    def __init__(self, *, clock: Clock, card_guard: bool) -> None:
        self._clock = clock
        self._card_guard = card_guard
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session; connections are bounded by the bulkhead, not here."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json"},
            auto_decompress=True,
        )

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()

    async def attempt(
        self, identifier: str, *, endpoint: str, timeout_seconds: float, number: int
    ) -> AttemptOutcome:
        """Ask once; see `CustomerDirectory.attempt`."""
        requested_at_ms, started = self._clock.now_ms(), self._clock.monotonic()
        seen = _Seen()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._get(customer_url(endpoint, identifier), seen)
        except TimeoutError:
            seen.error, seen.timed_out = f"no answer within {timeout_seconds:g} s", True
        except aiohttp.ClientPayloadError:
            seen.error = "the connection broke off in the middle of the answer"
        except (aiohttp.ClientError, OSError, UnicodeError) as why:
            # The text of some aiohttp errors holds the URL, and so the identifier.
            seen.error = f"cannot reach the directory ({type(why).__name__})"
        duration_ms = round((self._clock.monotonic() - started) * 1000)

        def made(status: AttemptStatus, error: str | None, response: object = None) -> Attempt:
            return Attempt(
                number=number,
                api_endpoint=endpoint,
                requested_at_ms=requested_at_ms,
                responded_at_ms=self._clock.now_ms(),
                duration_ms=duration_ms,
                status=status,
                http_status=seen.http_status,
                response_data=response,
                error_message=error,
            )

        if seen.timed_out:
            attempt = made(AttemptStatus.TIMEOUT, seen.error)
            return AttemptOutcome(attempt, reason=Reason.TIMEOUT, retryable=True)
        if seen.http_status is None or (seen.error and seen.http_status == _OK):
            reason = Reason.API_ERROR if not seen.oversized else Reason.INVALID_RESPONSE
            attempt = made(AttemptStatus.FAILED, seen.error)
            return AttemptOutcome(attempt, reason=reason, retryable=not seen.oversized)
        return self._judge(seen, made)

    async def _get(self, url: URL, seen: "_Seen") -> None:
        if self._session is None:
            raise RuntimeError("the directory is not open")
        async with self._session.get(url, allow_redirects=False) as response:
            seen.http_status = response.status
            seen.retry_after = response.headers.get("Retry-After")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    seen.oversized = True
                    seen.error = f"the answer is longer than {MAX_BODY_BYTES} bytes"
                    response.close()
                    return
            seen.body = bytes(body)

    def _judge(self, seen: "_Seen", made: "_MakeAttempt") -> AttemptOutcome:
        document, is_json = _decode(seen.body)
        shown = _shown(scrub(document, card_guard=self._card_guard) if is_json else None)
        status = seen.http_status or 0
        if status == _NOT_FOUND:
            attempt = made(AttemptStatus.NOT_FOUND, None, shown)
            return AttemptOutcome(attempt, reason=Reason.NOT_FOUND)
        if status != _OK:
            redirect = 300 <= status < 400  # noqa: PLR2004
            error = f"the directory answered with HTTP status {status}"
            attempt = made(AttemptStatus.FAILED, error, shown)
            return AttemptOutcome(
                attempt,
                reason=Reason.INVALID_RESPONSE if redirect else Reason.API_ERROR,
                retryable=status in RETRYABLE_STATUSES,
                retry_after_seconds=retry_after_seconds(seen.retry_after, self._clock.now_ms()),
            )
        if not is_json:
            attempt = made(AttemptStatus.FAILED, "the answer is not JSON")
            return AttemptOutcome(attempt, reason=Reason.INVALID_RESPONSE)
        customer = read_customer(document, card_guard=self._card_guard)
        if isinstance(customer, InvalidCustomer):
            attempt = made(AttemptStatus.FAILED, f"invalid answer: {customer.why}", shown)
            return AttemptOutcome(attempt, reason=Reason.INVALID_RESPONSE)
        return AttemptOutcome(made(AttemptStatus.SUCCESS, None, shown), customer=customer)


class _Seen:
    """What one request has shown so far."""

    __slots__ = ("body", "error", "http_status", "oversized", "retry_after", "timed_out")

    def __init__(self) -> None:
        self.http_status: int | None = None
        self.retry_after: str | None = None
        self.body = b""
        self.error: str | None = None
        self.oversized = False
        self.timed_out = False


class _MakeAttempt(Protocol):
    def __call__(
        self, status: AttemptStatus, error: str | None, response: object = None
    ) -> Attempt: ...


def customer_url(endpoint: str, identifier: str) -> URL:
    """The URL of one customer: the quoted identifier and `/` appended to the endpoint's path.

    Raises:
        ValueError: for an identifier that was not normalised; `.` and `..` would climb out of
            the path, because URL libraries resolve them.
    """
    if not ALLOWED.fullmatch(identifier) or identifier in {".", ".."}:
        raise ValueError("not a normalised identifier")
    parts = urlsplit(endpoint)
    path = f"{parts.path.rstrip('/')}/{quote(identifier, safe='')}/"
    return URL(urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")), encoded=True)


def _decode(body: bytes) -> tuple[object, bool]:
    try:
        document = orjson.loads(body)
        # Deeper than orjson writes (254), with room for our own envelopes, it is no answer:
        # the worker would crash at the first attempt to publish it, again and again.
        orjson.dumps([[[document]]])
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None, False
    return document, True


def _shown(document: object) -> object:
    """The answer for the audit trail, if it is short enough."""
    if len(orjson.dumps(document)) <= MAX_RESPONSE_DATA:
        return document
    return {"truncated": True}
