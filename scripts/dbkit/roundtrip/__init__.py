"""The round trip: a chain of migrations is upgraded, downgraded and upgraded again, and the states are compared."""
