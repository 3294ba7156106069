"""The data that a rollback would lose: a dry run in a scratch database, and the preview of it."""
