"""Tries one call to a directory on an operator's request, and says how to cure a failure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agents.customer_lookup.answers import AttemptOutcome, AttemptRequest, CustomerDirectory
from agents.customer_lookup.directory.credentials import UNAUTHORISED
from agents.customer_lookup.directory.endpoint import check_endpoint
from agents.customer_lookup.reasons import Reason
from posstream.domain.identifier import Identifier, InvalidIdentifier, normalise

#: An operator waits no longer than this.
TRIAL_TIMEOUT_SECONDS: Final = 5
#: HTTP status -> what to do about it.
_CURES: Final = {
    400: "the path or query of {endpoint} may be wrong",
    401: "see POSSTREAM_API_AUTH",
    403: "see POSSTREAM_API_AUTH, and whether this user may read customers",
    407: "see the user and the password in POSSTREAM_API_PROXY",
    405: "it must answer a GET; see {endpoint}",
    429: "it limits our calls; ask its owner for more, or try later",
}


@dataclass(frozen=True, slots=True)
class Tried:
    """What one call gave."""

    identifier: Identifier
    endpoint: str
    outcome: AttemptOutcome


@dataclass(frozen=True, slots=True)
class NotTried:
    """What was wrong with the question, by field: `api_endpoint` or `identifier`."""

    errors: dict[str, str]


@dataclass(eq=False)
class DirectoryTrial:
    """Calls beside all lookups: no cache, no breaker, no drill, nothing written.

    Args:
        directory: asked once per trial.
        card_guard: refuse payment-card numbers.
        country_code: gives the `default_country_code` in force; see `normalise`.
    """

    directory: CustomerDirectory
    card_guard: bool
    country_code: Callable[[], str | None] = lambda: None

    async def __call__(self, identifier: str, endpoint: str) -> Tried | NotTried:
        """Ask an endpoint for an identifier, in any spelling."""
        errors = {}
        why = check_endpoint(endpoint)
        if why is not None:
            errors["api_endpoint"] = why
        found = normalise(identifier, card_guard=self.card_guard, country_code=self.country_code())
        if isinstance(found, InvalidIdentifier):
            errors["identifier"] = found.why
        if errors or isinstance(found, InvalidIdentifier):
            return NotTried(errors)
        asked = AttemptRequest(found.value, endpoint, TRIAL_TIMEOUT_SECONDS, number=1)
        outcome = await self.directory.attempt(asked)
        return Tried(found, endpoint, outcome)


def cure(outcome: AttemptOutcome, endpoint: str) -> str:  # noqa: PLR0911 - one cure each
    """What to do about a failed call.

    Args:
        outcome: of a call that failed: neither a customer nor NOT_FOUND.
        endpoint: what the reader sets the address by: a setting or a field.
    """
    status, reason = outcome.attempt.http_status, outcome.reason
    if reason is Reason.TIMEOUT:
        return "check that it is up and that no firewall blocks the call"
    if (outcome.attempt.error_message or "").startswith(UNAUTHORISED):
        return "see POSSTREAM_API_OAUTH_TOKEN_URL, its client and its secret"
    if status is None and reason is Reason.INVALID_RESPONSE:
        return f"is the port of {endpoint} that of a web service, by the right scheme?"
    if status is None:
        return (
            f"see host, port and scheme of {endpoint}, and the certificate; for networks of your "
            "own there are POSSTREAM_API_PROXY and POSSTREAM_API_CA_FILE"
        )
    if 300 <= status < 400:  # noqa: PLR2004
        return f"redirects are not followed: put the final address into {endpoint}"
    if reason is Reason.INVALID_RESPONSE:
        return (
            "it must be one customer in JSON, in at most 64 KB and in the charset that it says; "
            "POSSTREAM_API_MAPPING says where the fields are"
        )
    if status in _CURES:
        return _CURES[status].format(endpoint=endpoint)
    return "ask its owner" if status < 500 else "the directory itself has a fault; try later"  # noqa: PLR2004
