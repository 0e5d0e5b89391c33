"""The plugin's pages of the console."""
