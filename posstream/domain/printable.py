"""Makes foreign text safe to show: it controls no terminal and no page. Pure."""

import re
from typing import Final

#: A character that no id may have, as a pattern that a JSON Schema can use: control characters,
#: ends of lines and paragraphs, and characters that turn the direction of writing.
CONTROL: Final = r"[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
#: A character that is no blank: an id has at least one.
VISIBLE: Final = r"[^ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"
#: JSON in UTF-8 cannot hold a lone surrogate, so a JSON Schema need not refuse it.
_FORBIDDEN: Final = re.compile(f"{CONTROL}|[\ud800-\udfff]")
_VISIBLE: Final = re.compile(VISIBLE)


def is_id(text: str, most: int) -> bool:
    """Whether a text can be an id: 1 to `most` characters, one of them at least `VISIBLE`."""
    if not 0 < len(text) <= most:
        return False
    if text.isascii():  # the same, in a tenth of the time
        return text.isprintable() and not text.isspace()
    return is_clean(text) and _VISIBLE.search(text) is not None


def is_clean(text: str) -> bool:
    """Whether no character of a text is a `CONTROL`."""
    return _FORBIDDEN.search(text) is None


def is_storable(text: str) -> bool:
    """Whether a database can hold a text: PostgreSQL takes no NUL, and UTF-8 no lone surrogate."""
    return "\0" not in text and text == text.encode(errors="replace").decode()


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with every character that does not print as an escape.

    Control characters, and those that turn the direction of writing, are among them.

    Args:
        text: anything.
        lines: leave line ends and tabs as they are.
    """
    kept = "\n\t" if lines else ""
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text
    )
