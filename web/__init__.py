"""The web view on ports: GraphQL, the mock directory, health; no Faust, no SQL."""
