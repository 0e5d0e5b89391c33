"""The steps of the plugin's SQL tables, oldest first."""
