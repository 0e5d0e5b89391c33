"""The Faust agents: thin, one per capability; no HTTP, no SQL of their own."""
