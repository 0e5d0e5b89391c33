"""Folds a text, so that a search finds all spellings of one name. Pure."""

import unicodedata
from typing import Final

#: In Turkish, I and i are two letters in either case; elsewhere a name is typed with one of them.
_ONE_I: Final = {ord("İ"): "i", ord("\N{LATIN SMALL LETTER DOTLESS I}"): "i"}
_DOTTED: Final = "i\N{COMBINING DOT ABOVE}"


def folded(text: str) -> str:
    """Fold a text: remove what differs by keyboard, system and habit.

    That is: case, the Unicode form (NFC or NFD), width and ligatures (NFKC), characters that
    cannot be seen (Cf), and how many blanks of which kind there are. Accents stay.
    """
    if not text.isascii():
        seen = (c for c in text if unicodedata.category(c) != "Cf")
        text = unicodedata.normalize("NFKC", "".join(seen)).translate(_ONE_I)
        # Twice (Unicode's definition D146): folding can produce characters that must be composed.
        for _ in range(2):
            text = unicodedata.normalize("NFKC", text.casefold())
        text = text.replace(_DOTTED, "i")
    return " ".join(text.casefold().split())
