"""The losses of a rollback beforehand: a dry run in a scratch database, and the preview of it."""
