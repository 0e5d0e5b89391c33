"""Foreign text that cannot drive whoever shows it. Pure."""


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
