"""A broken plugin: it raises at its import."""

raise RuntimeError("broken on purpose")
