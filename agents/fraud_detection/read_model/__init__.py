"""The alerts in SQL: their tables, the projection that writes them, and what reads them."""
