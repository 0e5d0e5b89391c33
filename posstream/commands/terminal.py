"""What a terminal gets: tables, and foreign text, which cannot drive it whatever it holds."""

from collections.abc import Iterable, Sequence

from posstream.domain.printable import printable

__all__ = ["print_table", "printable"]


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their head, each column as wide as its longest cell."""
    table = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
