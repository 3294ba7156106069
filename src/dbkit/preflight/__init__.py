"""Preflight: what the pending migrations ask of the rows of a live database, and how many rows they will touch."""
