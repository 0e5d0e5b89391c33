"""The order in which groups are written: a crash after any step leaves what comes again whole."""

from collections.abc import Mapping
from typing import Any

import pytest

from agents.fraud_detection.engine.judged import Put
from agents.fraud_detection.judge import _keep

#: As `Kept.take_puts` gives them: a new segment, the head, a revised segment, and an old one.
PUTS = (
    Put(segment=2, value=b"new"),
    Put(segment=None, value=b"head"),
    Put(segment=1, value=b"revised"),
    Put(segment=0, value=None),
)


class Part:
    """A partition that takes no value of one kind."""

    def __init__(self, refused: bytes = b"") -> None:
        self.refused = refused
        self.steps: list[list[bytes]] = []

    def write_all(self, values: Mapping[str, bytes]) -> dict[str, Exception]:
        whys = {at: OSError("full") for at, value in values.items() if value == self.refused}
        self.steps.append([value for at, value in values.items() if at not in whys])
        return whys

    def remove(self, at: str) -> None:  # noqa: ARG002
        self.steps.append([b"removed"])


def test_what_a_revision_changes_is_written_after_the_head() -> None:
    """Else the revision would come again as a repeat, and its alert would be lost."""
    part: Any = Part()
    assert _keep(part, {"a": PUTS, "b": PUTS[1:2]}) == {}
    assert part.steps == [[b"new"], [b"head", b"head"], [b"revised"], [b"removed"]]


@pytest.mark.parametrize(
    ("refused", "written"),
    [
        (b"new", [[], [b"other"]]),
        (b"head", [[b"new"], [b"other"]]),
        (b"revised", [[b"new"], [b"head", b"other"], []]),
    ],
)
def test_a_group_that_cannot_be_kept_is_written_no_further(
    refused: bytes, written: list[list[bytes]]
) -> None:
    part: Any = Part(refused)
    groups = {"a": PUTS, "b": (Put(segment=None, value=b"other"),)}
    assert list(_keep(part, groups)) == ["a"]
    assert part.steps == written
