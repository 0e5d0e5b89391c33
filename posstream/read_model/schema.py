"""The platform's SQL tables: configuration versions, and marks of forgotten subjects."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Table, Text

from posstream.read_model.columns import DOCUMENT, KEY, MAX_TEXT, UtcDateTime, new_metadata

METADATA: Final = new_metadata()

#: One row per version of a plugin's configuration; the primary key lets each be written once.
PLUGIN_CONFIGURATIONS: Final = Table(
    "plugin_configurations",
    METADATA,
    Column("plugin", KEY, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("enabled", Boolean, nullable=False),
    Column("config", DOCUMENT, nullable=False),
    Column("description", Text, nullable=False),
    Column("updated_at", UtcDateTime),
    Column("updated_by", String(MAX_TEXT)),
    # What it replaced.
    Column("old_enabled", Boolean, nullable=False),
    Column("old_config", DOCUMENT, nullable=False),
)

#: One row per forgotten subject, a hash of `forgetting.marks`. A rebuild keeps these rows: no row
#: about a subject may come from an event of `forgotten_at` or before.
FORGOTTEN_SUBJECTS: Final = Table(
    "forgotten_subjects",
    METADATA,
    Column("subject", KEY, primary_key=True),
    Column("forgotten_at", UtcDateTime, nullable=False),
    Column("cache_entries", BigInteger, nullable=False),
    Index(None, "forgotten_at"),
)
