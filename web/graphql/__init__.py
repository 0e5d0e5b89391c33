"""GraphQL: the schema of all plugins, over HTTP, WebSocket and event streams."""
