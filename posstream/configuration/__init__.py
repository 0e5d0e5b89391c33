"""The live configuration of every plugin: versions, records, topic, store, follower."""
