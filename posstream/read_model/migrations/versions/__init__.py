"""The steps of the platform's tables, oldest first."""
