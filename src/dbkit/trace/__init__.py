"""What a migration does to a database while it runs, by statement: locks, rewrites, rows scanned and written."""
