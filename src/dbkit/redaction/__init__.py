"""Redact secrets in all output of the program."""
