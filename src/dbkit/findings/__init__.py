"""What a check reports: findings, their levels, and the ids of the rules."""
