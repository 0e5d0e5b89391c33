"""The web view: HTTP, access, GraphQL and the console; no Faust, no Kafka, no SQL."""
