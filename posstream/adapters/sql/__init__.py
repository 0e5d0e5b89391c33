"""The read model in SQL (SQLite or PostgreSQL): written by the projection, read by the web."""
