"""Sample rows for proofs: each table of a scratch database is filled with values that migrations may fail on."""
