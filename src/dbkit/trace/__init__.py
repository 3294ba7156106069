"""The trace of a migration: locks, rewrites, rows scanned and written, by executed statement."""
