"""The workers of one cluster: each reports how it is, and knows the others."""
