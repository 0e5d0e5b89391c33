"""HTTP beside GraphQL and the console: connections, errors, headers, forms, JSON."""
