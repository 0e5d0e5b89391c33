"""The plugin's events: a model for each, and how they are read and written."""
