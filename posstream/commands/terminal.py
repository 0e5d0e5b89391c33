"""What a terminal gets: tables, and foreign text, which cannot drive it whatever it holds."""

from collections.abc import Iterable, Sequence


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their head, each column as wide as its longest cell."""
    table = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(map(str.ljust, row, widths)).rstrip())


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with every character that does not print as an escape.

    Control characters, and those that turn the direction of writing, are among them.

    Args:
        text: anything.
        lines: leave line ends and tabs as they are.
    """
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
