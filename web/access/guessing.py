"""Limits guessing on the web view: wrong keys by address, and look-ups by key. No HTTP.

Both are counted by the minute, and `audit` logs both, so that nobody guesses unseen.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from posstream.domain.roles import Caller, Role
from posstream.metrics import Metrics
from posstream.resilience.clock import Clock
from posstream.resilience.rate_limit import RateLimit
from web.access import audit
from web.access.session import Sessions
from web.http.connections import network_of

#: Wrong keys that one address may send in a minute.
WRONG_KEYS_PER_MINUTE: Final = 20
#: A viewer may look up as many identifiers as others, divided by this.
VIEWERS_SHARE: Final = 10
#: Scans by `identifyCustomer`, as a multiple of look-ups: tills write them, one for each customer.
SCANS_FACTOR: Final = 10
#: Addresses that are counted at a time.
_MAX_ADDRESSES: Final = 1024
#: Lines about keys in a minute, whatever the number of addresses.
_MAX_LINES: Final = 100
_MINUTE: Final = 60.0
#: The message once the budget of a key is used up.
TOO_MANY_LOOKUPS: Final = "your key has tried too many identifiers; go on in a minute"


@dataclass(frozen=True, slots=True)
class TooManyGuesses:
    """The address has sent too many wrong keys."""

    #: In how many seconds it may send another one.
    retry_after: int


@dataclass(slots=True)
class _Visits:
    """Keys and guesses of one address."""

    wrong: RateLimit
    may_log: RateLimit
    #: The names of keys that were right.
    known: set[str] = field(default_factory=set)


class Doorkeeper:
    """Finds the caller of a key, unless the address has sent too many wrong keys.

    After too many wrong keys, a right key that the address has not sent before is refused, too: the
    answer must not tell a right guess from a wrong one. A key that the address has sent before is
    let in: clients behind one proxy share an address, and one must not shut out the others.
    """

    def __init__(self, sessions: Sessions, clock: Clock, metrics: Metrics) -> None:
        self._sessions = sessions
        self._clock = clock
        self._metrics = metrics
        self._visits: OrderedDict[str, _Visits] = OrderedDict()
        self._may_log = RateLimit(clock, _MAX_LINES, per_seconds=_MINUTE)

    def caller(self, secret: str, address: str, what: str) -> Caller | TooManyGuesses | None:
        """The caller of a key; None for a wrong key.

        Args:
            secret: the key.
            address: where it came from.
            what: what it was sent for, for the log.
        """
        visits = self._of(address)
        caller = self._sessions.caller(secret)
        if caller is not None and (caller.name in visits.known or not visits.wrong.wait_seconds):
            visits.known.add(caller.name)
            return caller
        return self._wrong(visits, address, what)

    def forged(self, address: str, what: str) -> TooManyGuesses | None:
        """Count a guess that is no key, such as a session cookie that nobody signed."""
        return self._wrong(self._of(address), address, what)

    def _wrong(self, visits: _Visits, address: str, what: str) -> TooManyGuesses | None:
        self._metrics.wrong_keys.inc()
        if visits.wrong.allows():
            if self._may_log.allows():
                audit.key_refused(what, address, "no such key")
            return None
        if visits.may_log.allows() and self._may_log.allows():
            audit.key_refused(what, address, "too many attempts")
        return TooManyGuesses(math.ceil(visits.wrong.wait_seconds))

    def _of(self, address: str) -> _Visits:
        network = network_of(address)
        visits = self._visits.pop(network, None) or _Visits(
            RateLimit(self._clock, WRONG_KEYS_PER_MINUTE, per_seconds=_MINUTE),
            RateLimit(self._clock, 1, per_seconds=_MINUTE),
        )
        self._visits[network] = visits
        if len(self._visits) > _MAX_ADDRESSES:
            self._visits.popitem(last=False)
        return visits


class LookupBudget:
    """How many identifiers the holder of each key may try in a minute.

    A look-up tells whether a customer has an identifier, however it is asked for and however many
    of them one request holds. Without keys everybody is on this machine, and nothing is counted.
    """

    def __init__(self, clock: Clock, metrics: Metrics, *, per_minute: int) -> None:
        """Make one.

        Args:
            clock: time.
            metrics: counts the refusals.
            per_minute: for support and operators.
        """
        self._clock = clock
        self._metrics = metrics
        self._per_minute = per_minute
        self._spent: dict[tuple[str, bool], RateLimit] = {}
        self._may_log: dict[str, RateLimit] = {}

    def allows(self, caller: Caller, what: str, *, scan: bool = False) -> bool:
        """Whether the caller may try one more identifier now; if so, count it.

        Args:
            caller: who asks.
            what: by which field or page, for the log.
            scan: whether it is written down as an event of a till.
        """
        if not caller.keyed:
            return True
        spent = self._spent.get((caller.name, scan))
        if spent is None:
            spent = RateLimit(self._clock, self._limit(caller, scan=scan), per_seconds=_MINUTE)
            self._spent[caller.name, scan] = spent
            self._may_log[caller.name] = RateLimit(self._clock, 1, per_seconds=_MINUTE)
        if spent.allows():
            return True
        self._metrics.lookups_refused.inc()
        if self._may_log[caller.name].allows():
            audit.lookups_refused(caller, what, spent.limit)
        return False

    def allows_page(self, caller: Caller, where: str) -> bool:
        """`allows` for a page or file; an allowed look-up gets a line in the audit log.

        Args:
            caller: who asks.
            where: the page or file.
        """
        tried = TriedIdentifiers(caller, self)
        allowed = tried.allow(where)
        tried.log(where)
        return allowed

    def _limit(self, caller: Caller, *, scan: bool) -> int:
        if scan:
            return self._per_minute * SCANS_FACTOR
        if caller.role is Role.VIEWER:
            return max(1, self._per_minute // VIEWERS_SHARE)
        return self._per_minute


class TriedIdentifiers:
    """The identifiers that one request tries."""

    def __init__(self, caller: Caller, budget: LookupBudget) -> None:
        self._caller = caller
        self._budget = budget
        self._count = 0

    def allow(self, what: str) -> bool:
        """Whether one more may be tried; if so, count it. See `LookupBudget.allows`."""
        allowed = self._budget.allows(self._caller, what)
        self._count += allowed
        return allowed

    def log(self, where: str) -> None:
        """Write one line if any was tried; call it once the answer is made.

        Args:
            where: the operation or page.
        """
        # Without keys all callers have one name, so a line would tell nothing.
        if self._count and self._caller.keyed:
            audit.looked_up(self._caller, where, self._count)
