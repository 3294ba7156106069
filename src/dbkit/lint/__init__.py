"""What a trace means for a live database, and what to write instead."""
