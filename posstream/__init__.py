"""posstream: customer lookup at the till as a Faust stream processor."""

__version__ = "0.1.0"
