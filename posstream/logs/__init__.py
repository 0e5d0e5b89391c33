"""The log of a worker and of commands: one line for each record, as text or as JSON, masked."""
