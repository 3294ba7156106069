"""What proofs, traces and lint found, as text and in formats for machines."""
