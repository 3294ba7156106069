"""Made-up rows for proofs: each table of a scratch database is filled with values that look for trouble."""
