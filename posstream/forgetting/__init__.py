"""Erases a customer: commands, marks, and the rows that marks cover."""
