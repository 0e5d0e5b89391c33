"""Measurements of a real worker. Each prints what it found; none asserts a time."""
