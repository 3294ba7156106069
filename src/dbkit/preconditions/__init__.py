"""The conditions that a migration puts on rows that exist, each with a query for the rows that violate it."""
