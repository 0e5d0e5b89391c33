"""How a plugin declares its SQL tables, their migrations and what writes them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadModelPart:
    """The part of the read model that one plugin owns."""

    #: The package of its Alembic migrations, as `package:path`.
    migrations: str
    #: Topics that its projection reads, in the order of a replay.
    projected: tuple[str, ...]
