"""The round trip: a chain of migrations is upgraded, downgraded and upgraded again, and the states are compared."""

DRIVERS = ("psycopg", "psycopg_async", "psycopg2", "asyncpg", "pg8000")
"""SQLAlchemy's drivers that a project can be given a URL for."""
