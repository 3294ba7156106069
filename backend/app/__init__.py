"""The example: a small shop."""
