"""Reads and writes JSON without changing any number, and says what a JSON Schema demands."""
