"""What to write instead, as Alembic code to paste, for a version of PostgreSQL."""

import re

from dbkit.postgres.sql_text import plain, without_comments
from dbkit.trace.records import Change

BLOCK = "with op.get_context().autocommit_block():\n    "
PLAIN_INDEX = re.compile(r"CREATE (UNIQUE )?INDEX \S+ ON \S+ USING btree \(([a-z_0-9, ]+)\)")


def index(change: Change, *, partitioned: bool) -> str:
    """An index that is built while others write."""
    if partitioned:
        return (
            "# CONCURRENTLY does not work on a partitioned table: make the index ON ONLY it, then one of each\n"
            "# partition concurrently, and attach those with ALTER INDEX … ATTACH PARTITION."
        )
    simple = PLAIN_INDEX.fullmatch(change.after)
    if simple:
        columns = ", ".join(f'"{name}"' for name in simple[2].split(", "))
        unique = "unique=True, " if simple[1] else ""
        call = f'op.create_index("{change.name}", "{change.table}", [{columns}], {unique}postgresql_concurrently=True)'
    else:
        call = f'op.execute("""{re.sub("INDEX ", "INDEX CONCURRENTLY ", change.after, count=1)}""")'
    return f"# in a revision of its own\n{BLOCK}{call}"


def constraint_with_index(change: Change, *, partitioned: bool) -> str:
    """A unique or primary key constraint on an index that is there already."""
    if change.kind == "exclusion":
        return (
            "# An exclusion constraint cannot be built while others write: do it when nobody does, or on a new table."
        )
    if partitioned:
        return "# On a partitioned table this cannot be done while others write: add it when nobody does."
    columns = ", ".join(f'"{name}"' for name in change.columns)
    kind = change.kind.upper()
    needs_not_null = kind == "PRIMARY KEY"
    first = "# its columns must be NOT NULL already, or all rows are scanned\n" if needs_not_null else ""
    return (
        f"{first}# in a revision of its own\n{BLOCK}"
        f'op.create_index("{change.name}", "{change.table}", [{columns}], unique=True, postgresql_concurrently=True)\n'
        f"# in the next revision\n"
        f'op.execute("ALTER TABLE {change.table} ADD CONSTRAINT {change.name} {kind} USING INDEX {change.name}")'
    )


def rewrite(table: str, sql: str) -> str:
    """What makes a new copy of a table beside those who use it."""
    if plain(sql).startswith("refresh"):
        return f'op.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY {table}")  # it needs a unique index'
    return "# do it when nobody uses the table, or with a tool that copies it beside its users, such as pg_repack"


def scan(sql: str) -> str:
    """What reads a table beside those who use it."""
    statement = without_comments(sql).strip()
    reindex = re.match(r"reindex\s+(?:\([^)]*\)\s*)?(index|table)\s+(\S+)", statement, re.IGNORECASE)
    if reindex:
        return f'{BLOCK}op.execute("REINDEX {reindex[1].upper()} CONCURRENTLY {reindex[2]}")'
    return (
        "# what is checked by reading can be validated before, under a weaker lock: a CHECK that says the\n"
        "# same, NOT VALID and then VALIDATE CONSTRAINT in a revision of its own"
    )


def check(change: Change) -> str:
    """A check that is made first, and validated in a transaction of its own."""
    text = change.after.removesuffix(" NOT VALID").removeprefix("CHECK (").removesuffix(")")
    return (
        f'op.create_check_constraint("{change.name}", "{change.table}", "{text}", postgresql_not_valid=True)\n'
        + validate(change)
    )


def validate(change: Change) -> str:
    """The second step."""
    return (
        f"# in the next revision: reads and writes go on\n"
        f'op.execute("ALTER TABLE {change.table} VALIDATE CONSTRAINT {change.name}")'
    )


def foreign_key(change: Change, version: int, *, partitioned: bool) -> str:
    """A foreign key that is made first, and validated in a transaction of its own."""
    if partitioned and version < 18:
        return "# NOT VALID does not work here before PostgreSQL 18: add the key to each partition, in two steps."
    text = change.after.removesuffix(" NOT VALID")
    return f'op.execute("ALTER TABLE {change.table} ADD CONSTRAINT {change.name} {text} NOT VALID")\n' + validate(
        change
    )


def named(change: Change) -> str:
    """A constraint with a name of its own."""
    return (
        "# in the models, once for all: MetaData(naming_convention={…}); here: a name in place of None\n"
        f'op.execute("ALTER TABLE {change.table} ADD CONSTRAINT {change.name} {change.after}")'
    )


def foreign_key_of_new_table(change: Change) -> str:
    """A foreign key whose lock on the parent is short."""
    text = change.after.removesuffix(" NOT VALID")
    return (
        f"# make {change.table} without it, and fill it; then, in a revision of its own, which ends at once\n"
        f'op.execute("ALTER TABLE {change.table} ADD CONSTRAINT {change.name} {text}")'
    )


def not_null(change: Change, version: int) -> str:
    """NOT NULL without a scan under the strongest lock."""
    table, column = change.table, change.name
    name = f"{table.rpartition('.')[2]}_{column}_not_null"
    if version >= 18:
        return (
            f'op.execute("ALTER TABLE {table} ADD CONSTRAINT {name} NOT NULL {column} NOT VALID")\n'
            "# in the next revision: reads and writes go on\n"
            f'op.execute("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")'
        )
    return (
        f'op.execute("ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({column} IS NOT NULL) NOT VALID")\n'
        "# in the next revision: reads and writes go on\n"
        f'op.execute("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")\n'
        "# in the one after it: no scan, the check says it\n"
        f'op.alter_column("{table}", "{column}", nullable=False)\n'
        f'op.drop_constraint("{name}", "{table}")'
    )


def type_change(change: Change) -> str:
    """Another column, filled in batches."""
    table, column = change.table, change.name
    return (
        f'op.add_column("{table}", sa.Column("{column}_new", …))  # {change.after}; a trigger keeps it up to date\n'
        "# in a revision of its own\n"
        f'backfill(op, "{table}", "{column}_new = {column}::{change.after}", where="{column}_new IS NULL")\n'
        "# when the code uses the new one: drop the old one"
    )


def volatile_default(change: Change) -> str:
    """The column first, its default for new rows next, and old rows in batches."""
    table, column, default = change.table, change.name, change.after
    if default.endswith(("s", "v", "a", "d")) and default[:-1].endswith(")"):
        return (
            "# a generated or identity column is written for all rows that are there; instead a plain column,\n"
            "# a trigger for new rows, and the old ones in batches"
        )
    return (
        f'op.add_column("{table}", sa.Column("{column}", …, nullable=True))  # {change.before}\n'
        f'op.alter_column("{table}", "{column}", server_default=sa.text("{default}"))\n'
        "# in a revision of its own\n"
        f'backfill(op, "{table}", "{column} = {default}", where="{column} IS NULL")'
    )


def in_batches(table: str) -> str:
    """Rows by batches."""
    return (
        "from dbkit.backfill import backfill\n\n"
        "# in a revision of its own: batches by key, each in a short transaction\n"
        f'backfill(op, "{table}", "…", where="…")'
    )


def rename(change: Change) -> str:
    """Both names, for as long as old code runs."""
    if change.name:
        return "# add the new column, write both, backfill, read the new one; drop the old one in a later release"
    view = f"CREATE VIEW {change.before} AS SELECT * FROM {change.after}"  # noqa: S608
    return f'# in the same transaction: the old name, for as long as old code runs\nop.execute("{view}")'
