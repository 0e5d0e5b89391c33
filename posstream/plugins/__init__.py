"""Finds plugins, folds what they declare, and runs each apart from the others."""
