"""Shows the progress of a long task on stderr: a bar on a terminal, lines elsewhere."""

import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self

import click

_LINE_SECONDS: Final = 5.0
#: The most steps in which the bar moves from beginning to end.
_STEPS: Final = 200


class Progress:
    """The progress of one task.

        with Progress(total, "events replayed") as progress:
            ...
            progress.step(len(batch))

    Args:
        total: how many steps there are, as far as is known.
        what: what a step is, and what is done to it.
    """

    def __init__(self, total: int, what: str) -> None:
        self._total = total
        self._what = what
        self._done = 0
        self._told_at = time.monotonic()
        self._open = ExitStack()
        self._bar: Any = None

    @property
    def is_bar(self) -> bool:
        """Whether the terminal shows a bar: what is printed meanwhile would cut through it."""
        return self._bar is not None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and self._total > 1:
            self._bar = self._open.enter_context(
                click.progressbar(
                    length=self._total,
                    label=self._what,
                    show_pos=True,
                    file=sys.stderr,
                    update_min_steps=max(1, self._total // _STEPS),
                )
            )
        return self

    def step(self, count: int = 1) -> None:
        """`count` more steps are done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._told_at >= _LINE_SECONDS:
            self._told_at = time.monotonic()
            print(f"{self._done} of {self._total} {self._what}", file=sys.stderr)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None and kind is None:
            # Kafka's offsets have gaps, so the total was an upper bound.
            self._bar.update(max(0, self._total - self._done))
        self._open.__exit__(kind, error, trace)
