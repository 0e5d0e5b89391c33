"""Reads and writes the plugin's events. No I/O."""
