"""Measurements of real processes. Each prints what it found; none asserts a time."""
