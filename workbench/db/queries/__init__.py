"""The queries, one module a noun."""
