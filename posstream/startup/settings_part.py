"""How a plugin declares settings of its own in the environment."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from posstream.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsPart:
    """The `POSSTREAM_` names of a plugin, and what reads them."""

    names: tuple[str, ...]
    #: Names that can also come from a file, by the same name with `_FILE`.
    secrets: frozenset[str] = frozenset()
    #: Takes the settings of the platform and the plugin's own raw values by name; gives the
    #: plugin's settings, or one line for each error.
    read: "Callable[[Settings, Mapping[str, str]], Any | list[str]]"
