"""Results of the checks: verdicts, findings, the ids of rules, and the comments that accept findings."""
