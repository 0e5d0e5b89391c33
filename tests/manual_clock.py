"""A clock that a test moves."""


class ManualClock:
    """Stands still until it is advanced; wall and monotonic time go together."""

    def __init__(self, start_ms: int = 1_769_846_400_000) -> None:
        self._start_ms = start_ms
        self._elapsed_ms = 0

    def advance(self, seconds: float) -> None:
        self._elapsed_ms += round(seconds * 1000)

    def now_ms(self) -> int:
        return self._start_ms + self._elapsed_ms

    def monotonic(self) -> float:
        return self._elapsed_ms / 1000
