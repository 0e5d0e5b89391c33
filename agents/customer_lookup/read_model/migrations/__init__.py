"""The Alembic environment of the read model, shipped inside the package."""
