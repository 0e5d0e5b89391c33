"""The workers of one cluster: each tells how it is, and each knows the others."""
