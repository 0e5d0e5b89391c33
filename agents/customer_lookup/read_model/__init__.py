"""The plugin's SQL tables, their migrations, projection and queries."""
