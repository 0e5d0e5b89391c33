"""The baskets in SQL: their table, the projection that writes it, and what reads it."""
