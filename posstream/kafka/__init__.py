"""Kafka without Faust: topics, readers, writers, the check before a start, the embedded broker."""
