"""The customer directory by HTTP: one aiohttp session per worker, each answer judged.

Everything the API does (404, HTML, a megabyte, silence) becomes an `AttemptOutcome`; no exception
of aiohttp leaves this module.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Final, Self
from urllib.parse import quote

import aiohttp
import orjson
from aiohttp.helpers import parse_content_type
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from yarl import URL

from agents.customer_lookup.answers import Attempt, AttemptOutcome, AttemptRequest
from agents.customer_lookup.directory.answer_text import UnreadableText, utf8_of
from agents.customer_lookup.directory.credentials import Credentials, OAuthClient
from agents.customer_lookup.directory.oauth_tokens import NoToken, OAuthTokens
from agents.customer_lookup.directory.ordinary_customer import ordinary_customer
from agents.customer_lookup.directory.response_mapping import ResponseMapping
from agents.customer_lookup.directory.session import (
    DirectorySession,
    RefusedAddress,
    same_origin,
    wire_url,
)
from agents.customer_lookup.events.outputs import MAX_RESPONSE_DATA
from agents.customer_lookup.reasons import AttemptStatus, Reason
from agents.customer_lookup.settings import LookupSettings
from posstream.domain.customer import (
    Customer,
    InvalidCustomer,
    judge_fields,
    needs_no_scrub,
    read_customer_id,
    scrub,
)
from posstream.domain.identifier import is_normal
from posstream.json.reading import read_json_exactly
from posstream.json.writing import write_json
from posstream.resilience.clock import Clock
from posstream.resilience.retry import RETRYABLE_STATUSES, retry_after_seconds
from posstream.startup.tls_files import TlsFiles

#: Largest body that is read; a customer is under 2 KB.
MAX_BODY_BYTES: Final = 64 * 1024
_OK: Final = int(HTTPStatus.OK)  # finding a member of an enumeration takes longer
_FIRST_ERROR: Final = 400
_FIRST_SERVER_ERROR: Final = 500


@dataclass(eq=False, repr=False, kw_only=True)
class HttpDirectory:
    """`CustomerDirectory` over aiohttp. Open it before use, close it last.

    Args:
        clock: time.
        card_guard: mask payment-card numbers in what comes back.
        auth: credentials, or an OAuth client that gets tokens; sent to the origin of its own
            endpoint, and to no other.
        mapping: where the fields of a customer are, if not under the contract's names.
        empty_means_unknown: whether an empty answer says that there is no such customer.
        proxy: see `DirectorySession`.
        tls: see `DirectorySession`; the certificate is shown to `own_endpoint` and the token
            endpoint.
        own_endpoint: the endpoint of the settings.
    """

    clock: Clock
    card_guard: bool
    auth: Credentials | OAuthClient | None = None
    mapping: ResponseMapping = field(default_factory=ResponseMapping)
    empty_means_unknown: bool = True
    proxy: str | None = None
    tls: TlsFiles | None = None
    own_endpoint: str | None = None

    def __post_init__(self) -> None:
        oauth = self.auth if isinstance(self.auth, OAuthClient) else None
        own = [self.own_endpoint, None if oauth is None else oauth.token_url]
        self._session = DirectorySession(
            proxy=self.proxy, tls=self.tls, own=[wire_url(url) for url in own if url is not None]
        )
        self._tokens = None if oauth is None else OAuthTokens(oauth, self._session, self.clock)

    @classmethod
    def of(cls, settings: LookupSettings, *, card_guard: bool, clock: Clock) -> Self:
        """Build the directory's client from the settings."""
        return cls(
            clock=clock,
            card_guard=card_guard,
            auth=settings.credentials or settings.oauth,
            mapping=settings.api_mapping or ResponseMapping(),
            empty_means_unknown=settings.empty_means_unknown,
            proxy=settings.api_proxy,
            tls=settings.tls,
            own_endpoint=settings.explicit_api_endpoint,
        )

    async def open(self) -> None:
        """Make the pool of connections."""
        await self._session.open()

    async def close(self) -> None:
        """Close every connection."""
        if self._tokens is not None:
            await self._tokens.close()
        await self._session.close()

    def authorises(self, endpoint: str) -> bool:
        """Whether calls to an endpoint carry credentials."""
        return self.auth is not None and same_origin(
            wire_url(endpoint), wire_url(self.auth.endpoint)
        )

    async def attempt(self, asked: AttemptRequest) -> AttemptOutcome:
        """Ask once; see `CustomerDirectory.attempt`."""
        requested_at_ms, started = self.clock.now_ms(), self.clock.monotonic()
        seen = _Seen()
        try:
            async with asyncio.timeout(asked.timeout_seconds):
                await self._get(asked, seen)
        except TimeoutError:
            seconds = f"{asked.timeout_seconds:g} s"
            seen.failure = (
                _Failure(str(NoToken(f"the token endpoint took more than {seconds}")))
                if seen.awaits_token
                else _Failure(f"no answer within {seconds}", Reason.TIMEOUT)
            )
        except NoToken as why:
            seen.failure = _Failure(str(why))
        except aiohttp.ClientHttpProxyError as why:
            seen.failure = _Failure(_proxy_refused(why.status))
        except aiohttp.ClientPayloadError as why:
            undecodable = isinstance(why.__cause__, ContentEncodingError)
            seen.failure = _UNDECODABLE if undecodable else _BROKEN_OFF
        except (aiohttp.ClientResponseError, HttpProcessingError):
            seen.failure = _UNDECODABLE
        except (aiohttp.ClientError, OSError, ValueError) as why:
            if isinstance(getattr(why, "os_error", why), RefusedAddress):
                seen.failure = _REFUSED_ADDRESS
            else:
                # The text of some aiohttp errors holds the URL, and so the identifier.
                seen.failure = _Failure(f"cannot reach the directory ({type(why).__name__})")
        duration_ms = round((self.clock.monotonic() - started) * 1000)

        def made(status: AttemptStatus, error: str | None, response: object = None) -> Attempt:
            return Attempt(
                number=asked.number,
                api_endpoint=asked.endpoint,
                requested_at_ms=requested_at_ms,
                responded_at_ms=self.clock.now_ms(),
                duration_ms=duration_ms,
                status=status,
                http_status=seen.http_status,
                response_data=response,
                error_message=error,
                customer_id=seen.customer_id,
            )

        failure = seen.failure
        if failure is None or (
            # An error status decides the outcome; the body does not matter.
            seen.http_status not in {None, HTTPStatus.OK} and failure.reason is not Reason.TIMEOUT
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

    async def _get(self, asked: AttemptRequest, seen: "_Seen") -> None:
        with_auth = self.authorises(asked.endpoint)
        await self._ask(asked, seen, with_auth=with_auth)
        if seen.http_status == HTTPStatus.UNAUTHORIZED and with_auth and self._tokens and seen.auth:
            # The token was revoked before it expired. Get a new one and ask once more.
            self._tokens.refused(seen.auth)
            seen.start_again()
            await self._ask(asked, seen, with_auth=True)

    async def _ask(self, asked: AttemptRequest, seen: "_Seen", *, with_auth: bool) -> None:
        base, target = customer_target(asked.endpoint, asked.identifier)
        headers = {} if asked.traceparent is None else {"traceparent": asked.traceparent}
        if with_auth:
            seen.auth = await self._credentials(seen)
            headers["Authorization"] = seen.auth.authorization
        body = await self._session.get(
            base, target, headers=headers, heard=seen.hear, limit=MAX_BODY_BYTES
        )
        if body is None:
            seen.failure = _TOO_LONG
        else:
            seen.body = body

    async def _credentials(self, seen: "_Seen") -> Credentials:
        if isinstance(self.auth, Credentials):
            return self.auth
        if self._tokens is None:
            raise RuntimeError("there are no credentials for the directory")
        seen.awaits_token = True
        credentials = await self._tokens.credentials()
        seen.awaits_token = False
        return credentials

    def _judge(self, seen: "_Seen", made: Callable[..., Attempt]) -> AttemptOutcome:
        text, document, unreadable = _decode(seen.body, seen.charset)
        clean = document
        if needs_no_scrub(text) and (seen.auth is None or not seen.auth.may_be_in(text)):
            ordinary = None
            if (
                seen.http_status == _OK
                and not self.mapping.paths
                and len(text) <= MAX_RESPONSE_DATA
            ):
                ordinary = ordinary_customer(document)
            if ordinary is not None:
                seen.customer_id = ordinary.customer_id
                return AttemptOutcome(
                    made(AttemptStatus.SUCCESS, None, document), customer=ordinary
                )
        else:
            if seen.auth is not None:
                document = seen.auth.redacted(document)
            clean = scrub(document, card_guard=self.card_guard)
        shown = _shown(clean)
        if isinstance(clean, dict):
            seen.customer_id = read_customer_id(self.mapping.find(clean, "customer_id"))
        status = seen.http_status or 0
        is_empty = status == HTTPStatus.NO_CONTENT or (
            status == HTTPStatus.OK and unreadable is None and self.mapping.is_empty(document)
        )
        if status == HTTPStatus.NOT_FOUND or (is_empty and self.empty_means_unknown):
            attempt = made(AttemptStatus.NOT_FOUND, None, shown)
            return AttemptOutcome(attempt, reason=Reason.NOT_FOUND)
        if status != HTTPStatus.OK:
            attempt = made(AttemptStatus.FAILED, _status_error(status, seen.auth), shown)
            return AttemptOutcome(
                attempt,
                reason=Reason.API_ERROR if status >= _FIRST_ERROR else Reason.INVALID_RESPONSE,
                retryable=status in RETRYABLE_STATUSES,
                retry_after_seconds=retry_after_seconds(seen.retry_after, self.clock.now_ms()),
                healthy=_FIRST_ERROR <= status < _FIRST_SERVER_ERROR
                and status not in RETRYABLE_STATUSES,
            )
        if unreadable is not None:
            attempt = made(AttemptStatus.FAILED, unreadable)
            return AttemptOutcome(attempt, reason=Reason.INVALID_RESPONSE, healthy=False)
        customer = self._read(document, clean)
        if isinstance(customer, InvalidCustomer):
            attempt = made(AttemptStatus.FAILED, f"invalid answer: {customer.why}", shown)
            return AttemptOutcome(attempt, reason=Reason.INVALID_RESPONSE, healthy=False)
        return AttemptOutcome(made(AttemptStatus.SUCCESS, None, shown), customer=customer)

    def _read(self, document: object, clean: object) -> Customer | InvalidCustomer:
        if not isinstance(clean, dict):
            return InvalidCustomer("the body is not a JSON object")
        mapped = self.mapping.apply(clean)
        customer_id = self.mapping.find(document, "customer_id")
        return judge_fields(customer_id, mapped.fields, mapped.extra, card_guard=self.card_guard)


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
    "the answer is not HTTP, has a header of more than 32 KB, or is in a content encoding that "
    "nobody asked for",
    Reason.INVALID_RESPONSE,
    retryable=False,
)
_REFUSED_ADDRESS: Final = _Failure(
    "the directory is at a link-local or cloud metadata address", retryable=False
)


@dataclass(slots=True)
class _Seen:
    """What one request has shown so far."""

    #: The credentials that were sent.
    auth: Credentials | None = None
    awaits_token: bool = False
    http_status: int | None = None
    retry_after: str | None = None
    charset: str | None = None
    body: bytes = b""
    #: The customer_id in the response body, valid or not, with a payment-card number masked.
    customer_id: str | None = None
    failure: _Failure | None = None

    def hear(self, status: int, headers: Mapping[str, str]) -> None:
        """Note how an answer begins."""
        self.http_status = status
        self.retry_after = headers.get("Retry-After")
        self.charset = _charset(headers.get("Content-Type"))

    def start_again(self) -> None:
        """Drop an answer: the same attempt sends a second request."""
        self.http_status, self.body, self.failure = None, b"", None


def customer_target(endpoint: str, identifier: str) -> tuple[URL, str]:
    """The endpoint, and the path and query that ask it for one customer.

    The quoted identifier and `/` are appended to the endpoint's path.

    Raises:
        ValueError: for an identifier that was not normalised; `.` and `..` would climb out of
            the path, because URL libraries resolve them.
    """
    if not is_normal(identifier):
        raise ValueError("not a normalised identifier")
    base, path, query = _base(endpoint)
    return base, f"{path}/{quote(identifier, safe='')}/{query}"


@lru_cache(maxsize=16)  # each call asks
def _base(endpoint: str) -> tuple[URL, str, str]:
    """An endpoint as a URL, its path without a `/` at the end, and its query with the `?`."""
    url = wire_url(endpoint)
    query = f"?{url.raw_query_string}" if url.raw_query_string else ""
    return url, url.raw_path.rstrip("/"), query


def _charset(content_type: str | None) -> str | None:
    return None if content_type is None else parse_content_type(content_type)[1].get("charset")


def _proxy_refused(status: int) -> str:
    return f"the proxy refused the call (HTTP {status})"


def _status_error(status: int, auth: Credentials | None) -> str:
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _proxy_refused(status)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        none_sent = "" if auth else ": none were sent"
        return f"the directory refused our credentials (HTTP {status}){none_sent}"
    return f"the directory answered with HTTP status {status}"


def _decode(body: bytes, charset: str | None) -> tuple[bytes, object, str | None]:
    """Decode an answer: its text in UTF-8, its JSON, and why it cannot be read if it cannot."""
    try:
        text = utf8_of(body, charset)
        return text, read_json_exactly(text), None
    except UnreadableText as why:
        return b"", None, str(why)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return b"", None, "the answer is not JSON"


def _shown(document: object) -> object:
    """The answer for the audit trail, if it is short enough."""
    if len(write_json(document)) <= MAX_RESPONSE_DATA:
        return document
    return {"truncated": True}
