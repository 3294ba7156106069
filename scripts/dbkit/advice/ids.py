"""The ids of all findings; a page in docs/rules/ explains each."""

RULES = {
    "check-in-one-step": "a check is added and validated in one step",
    "commit-by-hand": "a migration ends Alembic's transaction by itself",
    "concurrently-if-not-exists": "IF NOT EXISTS on a concurrent index passes over one that is invalid",
    "concurrently-shares-revision": "a concurrent index shares its revision with other changes",
    "constraint-builds-index": "a unique, primary key or exclusion constraint builds its index",
    "data-in-one-transaction": "all rows of a table are changed in one transaction",
    "drop-breaks-code": "a table or a column goes that running code may use",
    "foreign-key-in-one-step": "a foreign key is added and validated in one step",
    "foreign-key-of-new-table": "a new table's foreign key stops writes to the table that it references",
    "index-without-concurrently": "an index is built while nobody can write",
    "lock-kept-during-data-change": "rows are worked on under the lock of an earlier statement",
    "no-lock-timeout": "migrations wait for locks without an end",
    "not-null-by-scan": "SET NOT NULL reads the whole table",
    "not-traced": "a revision could not be run, so nothing is known of it",
    "rename-breaks-code": "a table or a column gets another name while code uses the old one",
    "rewrite-under-lock": "a table is written anew",
    "scan-under-lock": "a table is read as a whole under a lock that others wait for",
    "squawk-unavailable": "squawk could not be asked",
    "type-change-rewrites": "another type makes the table or its indexes be written anew",
    "unused-comment": "a comment accepts what was not found",
    "volatile-default": "a new column's value is worked out and written for each row",
}
"""By id, what it is about."""
SQUAWK = "squawk/"
"""What the ids of squawk's own findings begin with."""


def is_id(word: str) -> bool:
    """Whether it may be the id of a finding."""
    return word in RULES or word.startswith(SQUAWK)
