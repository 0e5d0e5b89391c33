"""Outage drills: calls to the directory fail for a while, on purpose."""
