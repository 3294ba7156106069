"""Outcomes of proofs, lint and traces in the formats of the command line: one module for each format."""
