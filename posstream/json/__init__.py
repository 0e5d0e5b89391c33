"""Reads and writes JSON with every number as it was sent."""
