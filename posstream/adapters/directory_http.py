"""The customer directory by HTTP: one aiohttp session per worker, each answer judged.

Whatever the API does (404, HTML, a megabyte, silence) becomes an `AttemptOutcome`; no exception
of aiohttp leaves this module.
"""

import asyncio
import codecs
import socket
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
import orjson
from aiohttp.abc import ResolveResult
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from posstream.configuration import is_link_local
from posstream.domain.credentials import Credentials
from posstream.domain.customer import (
    Customer,
    InvalidCustomer,
    judge_fields,
    read_customer_id,
    scrub,
)
from posstream.domain.identifier import is_normal
from posstream.domain.lookup import Attempt, AttemptStatus, Reason
from posstream.domain.response_mapping import ResponseMapping
from posstream.events import MAX_RESPONSE_DATA
from posstream.json_input import read_json
from posstream.ports import AttemptOutcome
from posstream.resilience.clock import Clock
from posstream.resilience.retry import RETRYABLE_STATUSES, retry_after_seconds

#: Largest body that is read; a customer is under 2 KB.
MAX_BODY_BYTES: Final = 64 * 1024
_OK: Final = 200
_NOT_FOUND: Final = 404
_REFUSED: Final = frozenset({401, 403})
_FIRST_ERROR: Final = 400
_FIRST_SERVER_ERROR: Final = 500


class HttpDirectory:
    """`CustomerDirectory` over aiohttp. Open it before use, close it last.

    Args:
        clock: time.
        card_guard: mask payment-card numbers in what comes back.
        auth: sent to the origin of its own endpoint, and to no other.
        mapping: where the fields of a customer are, if not under the contract's names.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        card_guard: bool,
        auth: Credentials | None = None,
        mapping: ResponseMapping | None = None,
    ) -> None:
        self._clock = clock
        self._card_guard = card_guard
        self._auth = auth
        self._mapping = mapping or ResponseMapping()
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session; connections are bounded by the bulkhead, not here."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, resolver=_Resolver()),
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
            seen.failure = _Failure(f"no answer within {timeout_seconds:g} s", Reason.TIMEOUT)
        except aiohttp.ClientPayloadError as why:
            undecodable = isinstance(why.__cause__, ContentEncodingError)
            seen.failure = _UNDECODABLE if undecodable else _BROKEN_OFF
        except aiohttp.ClientResponseError:
            seen.failure = _UNDECODABLE
        except (aiohttp.ClientError, OSError, ValueError) as why:
            # The text of some aiohttp errors holds the URL, and so the identifier.
            seen.failure = _Failure(f"cannot reach the directory ({type(why).__name__})")
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
                customer_id=seen.customer_id,
            )

        failure = seen.failure
        if failure is None or (
            # A status that is no success says it all, whatever became of the body.
            seen.http_status not in {None, _OK} and failure.reason is not Reason.TIMEOUT
        ):
            return self._judge(seen, made)
        timed_out = failure.reason is Reason.TIMEOUT
        status = AttemptStatus.TIMEOUT if timed_out else AttemptStatus.FAILED
        return AttemptOutcome(
            made(status, failure.error),
            reason=failure.reason,
            retryable=failure.retryable,
            healthy=False,
        )

    async def _get(self, url: URL, seen: "_Seen") -> None:
        if self._session is None:
            raise RuntimeError("the directory is not open")
        seen.auth = self._auth_for(url)
        headers = {} if seen.auth is None else {"Authorization": seen.auth.authorization}
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
            seen.http_status = response.status
            seen.retry_after = response.headers.get("Retry-After")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    seen.failure = _TOO_LONG
                    response.close()
                    return
            seen.body = bytes(body)

    def _auth_for(self, url: URL) -> Credentials | None:
        if self._auth is None:
            return None
        own = URL(self._auth.endpoint, encoded=True)
        return self._auth if same_origin(url, own) else None

    def _judge(self, seen: "_Seen", made: "_MakeAttempt") -> AttemptOutcome:
        document, is_json = _decode(seen.body)
        if seen.auth is not None:
            document = seen.auth.redacted(document)
        clean = scrub(document, card_guard=self._card_guard)
        shown = _shown(clean)
        if isinstance(clean, dict):
            seen.customer_id = read_customer_id(self._mapping.find(clean, "customer_id"))
        status = seen.http_status or 0
        if status == _NOT_FOUND:
            attempt = made(AttemptStatus.NOT_FOUND, None, shown)
            return AttemptOutcome(attempt, reason=Reason.NOT_FOUND)
        if status != _OK:
            attempt = made(AttemptStatus.FAILED, _status_error(status, seen.auth), shown)
            return AttemptOutcome(
                attempt,
                reason=Reason.API_ERROR if status >= _FIRST_ERROR else Reason.INVALID_RESPONSE,
                retryable=status in RETRYABLE_STATUSES,
                retry_after_seconds=retry_after_seconds(seen.retry_after, self._clock.now_ms()),
                healthy=_FIRST_ERROR <= status < _FIRST_SERVER_ERROR
                and status not in RETRYABLE_STATUSES,
            )
        if not is_json:
            attempt = made(AttemptStatus.FAILED, "the answer is not JSON")
            return AttemptOutcome(attempt, reason=Reason.INVALID_RESPONSE, healthy=False)
        customer = self._read(document, clean)
        if isinstance(customer, InvalidCustomer):
            attempt = made(AttemptStatus.FAILED, f"invalid answer: {customer.why}", shown)
            return AttemptOutcome(attempt, reason=Reason.INVALID_RESPONSE, healthy=False)
        return AttemptOutcome(made(AttemptStatus.SUCCESS, None, shown), customer=customer)

    def _read(self, document: object, clean: object) -> Customer | InvalidCustomer:
        if not isinstance(clean, dict):
            return InvalidCustomer("the body is not a JSON object")
        mapped = self._mapping.apply(clean)
        customer_id = self._mapping.find(document, "customer_id")
        return judge_fields(customer_id, mapped.fields, mapped.extra, card_guard=self._card_guard)


class _Resolver(aiohttp.ThreadedResolver):
    """Never leads to a link-local address (cloud metadata), whatever a name stands for today."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        allowed = [address for address in found if not is_link_local(address["host"])]
        if not allowed:
            raise OSError("the name leads to a link-local address only")
        return allowed


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why there is no whole answer."""

    error: str
    reason: Reason = Reason.API_ERROR
    retryable: bool = True


_BROKEN_OFF: Final = _Failure("the connection broke off in the middle of the answer")
_TOO_LONG: Final = _Failure(
    f"the answer is longer than {MAX_BODY_BYTES} bytes", Reason.INVALID_RESPONSE, retryable=False
)
_UNDECODABLE: Final = _Failure(
    "the answer is not HTTP, or in a content encoding that nobody asked for",
    Reason.INVALID_RESPONSE,
    retryable=False,
)


class _Seen:
    """What one request has shown so far."""

    __slots__ = ("auth", "body", "customer_id", "failure", "http_status", "retry_after")

    def __init__(self) -> None:
        #: The credentials that were sent.
        self.auth: Credentials | None = None
        self.http_status: int | None = None
        self.retry_after: str | None = None
        self.body = b""
        #: Of whom the body tells, with a payment-card number masked.
        self.customer_id: str | None = None
        self.failure: _Failure | None = None


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
    if not is_normal(identifier):
        raise ValueError("not a normalised identifier")
    parts = urlsplit(endpoint)
    path = f"{parts.path.rstrip('/')}/{quote(identifier, safe='')}/"
    return URL(urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")), encoded=True)


def same_origin(one: URL, other: URL) -> bool:
    """Whether two URLs have scheme, host and port in common, as aiohttp connects to them."""
    origins = {(url.scheme, (url.raw_host or "").lower(), url.port) for url in (one, other)}
    return len(origins) == 1


def _status_error(status: int, auth: Credentials | None) -> str:
    if status in _REFUSED:
        none_sent = "" if auth else ": none were sent"
        return f"the directory refused our credentials (HTTP {status}){none_sent}"
    return f"the directory answered with HTTP status {status}"


def _decode(body: bytes) -> tuple[object, bool]:
    try:
        # .NET services send a byte order mark.
        return read_json(body.removeprefix(codecs.BOM_UTF8)), True
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None, False


def _shown(document: object) -> object:
    """The answer for the audit trail, if it is short enough."""
    if len(orjson.dumps(document)) <= MAX_RESPONSE_DATA:
        return document
    return {"truncated": True}
