"""The kinds of answers as the boxes of a bar in SVG. Pure."""

from dataclasses import dataclass

from agents.customer_lookup.lookup_split import LookupSplit


@dataclass(frozen=True, slots=True)
class Segment:
    """One kind of answers in a bar that is 100 wide."""

    kind: str
    count: int
    #: Of all answers; None without any.
    share: float | None
    start: float

    @property
    def label(self) -> str:
        """As people read it."""
        return "API" if self.kind == "api" else self.kind

    @property
    def width(self) -> float:
        """In hundredths of the bar."""
        return (self.share or 0) * 100


def segments(answers: LookupSplit) -> list[Segment]:
    """The bar of all kinds, the best ones first; all empty without any."""
    drawn: list[Segment] = []
    start, total = 0.0, answers.lookups
    for kind in ("fresh", "api", "stale", "unknown", "failed"):
        count = getattr(answers, kind)
        drawn.append(Segment(kind, count, count / total if total else None, start))
        start += drawn[-1].width
    return drawn
