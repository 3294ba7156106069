"""Goals: which rows, in which tables, a statement would have to meet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dbkit.coverage.conditions import Atoms

IS_WISH = "dbkit_wish"
"""Marks an atom that single rows need not satisfy, such as `amount > 20000` for `sum(amount) > 20000`."""


Replacement = Callable[[exp.Column], exp.Expr | None]


class UnreadableError(Exception):
    """A statement that cannot be read: its conditions are not known."""


@dataclass(frozen=True, order=True)
class Table:
    """A table that a statement names."""

    schema: str
    """"" where it is not qualified."""
    name: str


@dataclass(frozen=True)
class Absence:
    """A row that must not exist: of a table, with the value of a column in a key."""

    column: exp.Column
    table: Table
    key: str


@dataclass(frozen=True)
class Goal:
    """Rows that a statement would meet: one in each table, which together satisfy the atoms.

    In atoms, each column has the key of its table here: `t1.status = 'sent'`.
    """

    tables: Mapping[str, Table] = field(default_factory=dict)
    """By key, the tables; those of subqueries first."""
    atoms: Atoms = ()
    values: Atoms = ()
    """Expressions whose values are computed from the rows, such as `regexp_replace(t1.phone, '[^0-9]', '')`."""
    equal: Atoms = ()
    """Columns in which several rows are to be equal, as GROUP BY and PARTITION BY have them."""
    copies: int = 1
    """How many rows are to be equal in `equal`."""
    absent: tuple[Absence, ...] = ()
    """The rows that NOT EXISTS and NOT IN forbid."""

    @property
    def has_particular_rows(self) -> bool:
        """Whether it needs more than any row: one with a literal, several that are equal, two of one table."""
        has_literals = any(each.find(exp.Literal, exp.Boolean) for each in (*self.atoms, *self.values))
        return has_literals or self.copies > 1 or len(set(self.tables.values())) < len(self.tables)

    def replace_columns(self, replacement: "Replacement") -> "Goal":
        """Return the goal with its columns replaced, as the function `replace_columns` does."""
        atoms, values, equal = (
            tuple(replace_columns(each, replacement) for each in parts)
            for parts in (self.atoms, self.values, self.equal)
        )
        columns = [(each, replace_columns(each.column, replacement)) for each in self.absent]
        absent = tuple(replace(each, column=column) for each, column in columns if isinstance(column, exp.Column))
        return replace(self, atoms=atoms, values=values, equal=equal, absent=absent)

    def qualified(self, qualify: "Callable[[Table], Table]") -> "Goal":
        """Return the goal with other names of its tables."""
        return replace(self, tables={key: qualify(table) for key, table in self.tables.items()})

    def rename(self, old: str, new: str) -> "Goal":
        """Return the goal with another key of a table; a comparison of a column with itself is left out."""
        goal = self.replace_columns(lambda each: make_column(new, each.name) if each.table == old else None)
        atoms = tuple(each for each in goal.atoms if not (isinstance(each, exp.EQ) and each.this == each.expression))
        tables = {key: table for key, table in self.tables.items() if key != old}
        return replace(goal, tables=tables, atoms=atoms)

    def join(self, other: "Goal") -> "Goal":
        """Return the goal of both."""
        return Goal(
            {**self.tables, **other.tables},
            (*self.atoms, *other.atoms),
            (*self.values, *other.values),
            (*self.equal, *other.equal),
            max(self.copies, other.copies),
            (*self.absent, *other.absent),
        )

    @property
    def words(self) -> str:
        """Return the condition as people read it."""
        return " AND ".join(describe_atom(atom) for atom in self.atoms)


def replace_columns(expression: exp.Expr, replacement: Replacement) -> exp.Expr:
    """Return an expression with its columns replaced; where `replacement` returns None, a column stays."""
    copied = expression.copy()
    for column in [*copied.find_all(exp.Column)]:
        found = replacement(column)
        if found is None:
            continue
        if column is copied:
            return found.copy()
        column.replace(found.copy())
    return copied


def make_column(key: str, name: str) -> exp.Column:
    """Return the column of a table, by its key."""
    return exp.Column(this=exp.to_identifier(name, quoted=True), table=exp.to_identifier(key))


def describe_atom(atom: exp.Expr) -> str:
    """Return an atom as people write it: without keys."""
    plain = replace_columns(atom, lambda each: exp.column(each.name, quoted=not each.name.islower()))
    return plain.sql("postgres")
