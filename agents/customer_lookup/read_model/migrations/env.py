"""Run the migrations on the connection that `migrate.upgrade` hands over."""

from alembic import context

from agents.customer_lookup.read_model.schema import METADATA

# The caller holds the lock and the transaction; a connection of our own would have neither.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
