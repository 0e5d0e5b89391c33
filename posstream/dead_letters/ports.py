"""What reads dead letters and replays them, as a Protocol."""

from typing import Protocol

from posstream.dead_letters.letter import (
    Address,
    LetterList,
    NotReplayed,
    Prospect,
    Replayed,
    WholeLetter,
)


class DeadLetterBox(Protocol):
    """The messages that were set aside: read within bounds, and written once more.

    Every method raises BrokerUnreachable if the broker does not answer.
    """

    async def newest(self) -> LetterList:
        """The newest letters, as many as the box reads at a time."""
        ...

    async def find(self, address: Address) -> WholeLetter | None:
        """One letter with key and value; None if there is none at this address."""
        ...

    async def prospect(self, address: Address) -> Prospect | NotReplayed:
        """What a replay of a letter would do, or why there can be none."""
        ...

    async def replay(self, address: Address) -> Replayed | NotReplayed:
        """Write a letter once more to where it came from, whether it was before or not."""
        ...
