"""Shows identifiers: masked, or in full to a role that may see them, and counted."""

from collections.abc import Mapping
from typing import Any

from posstream.domain.masking import is_personal, mask_identifier
from posstream.domain.printable import printable
from posstream.domain.roles import Caller, Role
from posstream.json.sent_number import SentNumber
from web.access import audit


class Reveals:
    """The identifiers, phones and e-mail addresses that one answer shows.

    GraphQL asks for them in full (`asked=True`). A page masks unless it was asked for more:

        reveals = reveals_of(request)
        ... reveals.show(row.phone) ...
        reveals.log("the page of a basket")
    """

    def __init__(self, caller: Caller, *, asked: bool) -> None:
        """Make one for one answer.

        Args:
            caller: who will see it.
            asked: whether full ones are wanted; only a role that may reveal gets them.
        """
        self.caller = caller
        self.in_full = asked and caller.may(Role.SUPPORT)
        self._count = 0

    def show(self, text: str) -> str:
        """`text` as this caller may see it."""
        if not self.in_full:
            return mask_identifier(text)
        self._count += bool(text)
        return text

    def show_customer_id(self, customer_id: str) -> str:
        """A customer's id as this caller may see it: it may be a phone or an e-mail address."""
        return self.show(customer_id) if is_personal(customer_id) else printable(customer_id)

    def show_document(self, value: Any, *, names: frozenset[str] | None = None) -> Any:
        """A JSON value as this caller may see it, its keys as they are.

        Args:
            value: the value; not changed.
            names: the keys whose values hold identifiers; None = anything in it may be one, as
                in what somebody else wrote.
        """
        if not self.in_full:
            return _masked(value, names)
        self._count += _masked(value, names) != value  # else there was nothing to hide
        return value

    def log(self, where: str) -> None:
        """Write one line if anything was shown in full; call it once the answer is made.

        Args:
            where: the operation or page.
        """
        # Without keys all callers have one name, so a line would tell nothing.
        if self._count and self.caller.keyed:
            audit.revealed(self.caller, where, self._count)


def _names(key: str, item: Any) -> bool:
    """Whether a field of a record is the id of a customer that is a phone or an e-mail address."""
    return key == "customer_id" and isinstance(item, str) and is_personal(item)


def _masked(value: Any, names: frozenset[str] | None) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _masked(
                item, None if names is None or key in names or _names(key, item) else names
            )
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(item, names) for item in value]
    if (
        names is None
        and isinstance(value, str | int | float | SentNumber)
        and not isinstance(value, bool)
    ):
        return mask_identifier(str(value))
    return value
