"""A precondition: what the rows of a table must satisfy before a revision, with the query for those that do not."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Source:
    """The rows that a precondition is about: those of one table, as a condition reads them."""

    sql: str
    """What FROM has: the qualified name of the table, or a subquery; its alias follows."""
    label: str
    """The name of the table, for people."""
    key: tuple[str, ...] = ()
    """The names of the columns of the primary key; where there is none, rows have their `ctid`."""
    table: str = ""
    """The qualified name of the table, as SQL, whatever `sql` is."""
    row_key: tuple[str, ...] = ()
    """The names of the columns of the key in the table, where the source has other names for them."""
    is_computed: bool = False
    """Whether statements of the revision make its values, not only names and types."""

    @property
    def is_made(self) -> bool:
        """Whether it is a subquery, whose columns may have other names or values than those of the table."""
        return self.sql.startswith("(")


@dataclass(frozen=True)
class Precondition:
    """A condition on the rows of one table, in the state of the database before the revision or the statement."""

    kind: str
    """not null, check, foreign key, unique, exclusion, type, domain, partition or cast."""
    source: Source
    words: str
    """What the rows must satisfy: "purchase.currency is not NULL"."""
    query: str
    """A query that returns the key of each row that violates it. Names in it are qualified, but for pg_catalog's."""
    columns: tuple[str, ...]
    """The names of the columns that the query returns."""
    good: tuple[str, ...] = field(default=(), compare=False)
    """Queries for rows that satisfy it, from which rows for a proof are planted."""
    bad: tuple[str, ...] = field(default=(), compare=False)
    """Queries for rows that violate it, likewise."""
    repair: str = field(default="", compare=False)
    """An assignment, for UPDATE, with which rows of a proof satisfy it: `"number" = '7'`."""
    sql: str = ""
    """The statement of the revision that asks it, shortened; empty where that is not known."""
    line: int | None = None
    """The line of the revision file."""
    is_in_project_path: bool = field(default=False, compare=False)
    """Whether the query has expressions as a migration writes them: names in it are looked up in the project's path."""
    is_proven: bool = False
    """Whether rows that satisfy it were seen to pass, and a row that violates it to fail."""

    @property
    def table(self) -> str:
        """The name of the table, for people."""
        return self.source.label

    def with_place(self, sql: str, line: int | None) -> "Precondition":
        """Return it with the statement that asks it, and its line."""
        return replace(self, sql=sql, line=line)

    def first_query(self, most: int) -> str:
        """Return the query for the first rows that violate it."""
        return f"{self.query} LIMIT {most}"

    def count_query(self) -> str:
        """Return the query for the number of rows that violate it."""
        return f"SELECT pg_catalog.count(*) FROM ({self.query}) AS violating"  # noqa: S608  # its own query
