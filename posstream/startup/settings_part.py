"""How a plugin declares settings of its own in the environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posstream.settings import Settings

#: Reads the text of one setting; raises ValueError with what is wrong, such as "must be on or off".
Reader = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class GivenSettings:
    """The settings of one part as the environment has them."""

    #: Name -> value of each setting that is set and right.
    values: Mapping[str, Any] = field(default_factory=dict)
    #: Names that are set and wrong; each has its error line already.
    wrong: frozenset[str] = frozenset()

    def is_missing(self, name: str) -> bool:
        """Whether a setting is not set at all."""
        return name not in self.values and name not in self.wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsPart:
    """The `POSSTREAM_` names of a plugin, and what is made of them."""

    #: Name -> what reads its text.
    readers: Mapping[str, Reader]
    #: Names that can also come from a file, by the same name with `_FILE`.
    secrets: frozenset[str] = frozenset()
    #: Makes the plugin's settings of the platform's, and of its own values as far as they are set.
    make: "Callable[[Settings, Mapping[str, Any]], Any]"
    #: One line for each error in settings that are right one by one and wrong together.
    check: Callable[[GivenSettings], list[str]] = field(default=lambda _: [])
