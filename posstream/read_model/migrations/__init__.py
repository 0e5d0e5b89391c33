"""The steps of the platform's SQL tables, and the Alembic environment of every chain."""
