"""Stashes: backups of the rows that a rollback loses, kept on disk, and restored after the next upgrade."""
