"""Run one chain of migrations on the connection that `migrate.upgrade` hands over."""

from alembic import context

# The caller holds the lock and the transaction; a connection of our own would have neither.
context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
