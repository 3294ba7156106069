"""What a rollback would lose: worked out beforehand, kept on disk, and put back after the upgrade."""
