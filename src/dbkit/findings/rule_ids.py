"""The ids of all findings; a page in src/dbkit/lint/pages/ explains each."""

from dataclasses import dataclass

from dbkit.findings.finding import Level


@dataclass(frozen=True)
class Rule:
    """One kind of finding."""

    level: Level
    """The gravest that it has."""
    about: str


RULES = {
    "autocommit-block-shared": Rule(
        Level.WARNING, "an autocommit block, such as of a concurrent index, shares its revision with other changes"
    ),
    "check-in-one-step": Rule(Level.DANGER, "a check is added and validated in one step"),
    "commit-by-hand": Rule(Level.DANGER, "a migration ends Alembic's transaction by itself"),
    "concurrently-if-not-exists": Rule(
        Level.WARNING, "IF NOT EXISTS on a concurrent index passes over one that is invalid"
    ),
    "constraint-builds-index": Rule(Level.DANGER, "a unique, primary key or exclusion constraint builds its index"),
    "data-in-one-transaction": Rule(Level.WARNING, "all rows of a table are changed in one transaction"),
    "drop-breaks-code": Rule(Level.WARNING, "a table or a column goes that running code may use"),
    "empty-downgrade": Rule(Level.WARNING, "downgrade() does nothing, and upgrade() does something"),
    "enum-without-type": Rule(Level.DANGER, "a column has an enum type that nothing has made"),
    "foreign-key-in-one-step": Rule(Level.DANGER, "a foreign key is added and validated in one step"),
    "foreign-key-of-new-table": Rule(
        Level.WARNING, "a new table's foreign key stops writes to the table that it references"
    ),
    "index-without-concurrently": Rule(Level.DANGER, "an index is built while nobody can write"),
    "lock-kept-during-data-change": Rule(Level.DANGER, "rows are worked on under the lock of an earlier statement"),
    "no-lock-timeout": Rule(Level.WARNING, "migrations wait for locks without an end"),
    "not-null-by-scan": Rule(Level.DANGER, "SET NOT NULL reads the whole table"),
    "not-traced": Rule(
        Level.WARNING, "a revision could not be run, or only on empty tables, so that little is known of it"
    ),
    "rename-breaks-code": Rule(Level.WARNING, "a table or a column gets another name while code uses the old one"),
    "rewrite-under-lock": Rule(Level.DANGER, "a table is written anew"),
    "scan-under-lock": Rule(Level.DANGER, "a table is read as a whole under a lock that others wait for"),
    "squawk-unavailable": Rule(Level.NOTE, "squawk could not be asked"),
    "stray-file": Rule(Level.WARNING, "a file lies among the migrations that Alembic does not read"),
    "type-change-rewrites": Rule(Level.DANGER, "another type makes the table or its indexes be written anew"),
    "unbound-parameter": Rule(Level.DANGER, "a colon and a word in a string are taken for a parameter"),
    "unnamed-constraint": Rule(Level.WARNING, "a constraint has the name that the server has made up"),
    "unused-comment": Rule(Level.WARNING, "a comment accepts what was not found"),
    "volatile-default": Rule(Level.DANGER, "a new column's value is worked out and written for each row"),
}
"""By id, in the order of the index."""
SQUAWK = "squawk/"
"""What the ids of squawk's own findings begin with."""


def is_id(word: str) -> bool:
    """Whether it may be the id of a finding."""
    return word in RULES or word.startswith(SQUAWK)
