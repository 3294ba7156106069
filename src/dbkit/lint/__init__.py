"""Lint of migrations: their effect on a live database, and what to write instead."""
