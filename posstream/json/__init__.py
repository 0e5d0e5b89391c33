"""Reads and writes JSON with every number as it was sent, and says what a JSON Schema demands."""
