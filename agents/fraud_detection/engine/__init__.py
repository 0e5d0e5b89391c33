"""Judges observations by rules: exact, and without I/O."""
