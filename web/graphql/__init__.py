"""GraphQL on the ports: the contract's schema and our own view over HTTP."""
