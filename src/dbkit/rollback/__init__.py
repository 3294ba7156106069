"""What a rollback would lose: a trial in a scratch database, and the preview of it."""
