"""All projections, folded from the plugins, each with a consumer group of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from posstream.kafka.topics import APP_ID, CUSTOMER_FORGOTTEN, FORGETTING
from posstream.plugin import Plugin
from posstream.read_model.projection import Projection

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedProjection:
    """A projection, and the consumer group that feeds it."""

    #: The plugin's name, or `FORGETTING`.
    name: str
    group: str
    #: In the order of a replay.
    topics: tuple[str, ...]
    make: "Callable[[AsyncEngine], Projection]"
    #: The group that read these topics before; the first start goes on at its offsets.
    former_group: str | None = None


def projections(plugins: Sequence[Plugin]) -> Sequence[GroupedProjection]:
    """The platform's projection and that of each plugin, in the order of a replay.

    Marks of forgotten subjects come first: a replay makes no row that one of them would delete.
    """
    parts = [(it, it.read_model) for it in plugins if it.read_model is not None]

    def forgetting(engine: "AsyncEngine") -> Projection:
        from posstream.forgetting.projection import MarkProjection

        return MarkProjection(engine, [part.erase for _, part in parts if part.erase is not None])

    return [
        GroupedProjection(
            name=FORGETTING,
            group=f"{APP_ID}-{FORGETTING}-projection",
            topics=(CUSTOMER_FORGOTTEN,),
            make=forgetting,
            former_group=APP_ID,
        ),
        *(
            GroupedProjection(
                name=plugin.name,
                group=plugin.projection_group,
                topics=part.projected,
                make=part.projection,
                former_group=part.former_group,
            )
            for plugin, part in parts
        ),
    ]
