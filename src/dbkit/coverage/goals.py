"""Goals: which rows, in which tables, a statement would have to meet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dbkit.coverage.conditions import Atoms

IS_WISH = "dbkit_wish"
"""Marks an atom that single rows need not satisfy, such as `amount > 20000` for `sum(amount) > 20000`."""


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
    def has_literals(self) -> bool:
        """Whether the atoms or the values depend on a literal."""
        return any(each.find(exp.Literal, exp.Boolean) for each in (*self.atoms, *self.values))

    def rename(self, old: str, new: str) -> "Goal":
        """Return the goal with another key of a table; a comparison of a column with itself is left out."""
        atoms, values, equal = (
            tuple(_with_key(each, old, new) for each in parts) for parts in (self.atoms, self.values, self.equal)
        )
        atoms = tuple(each for each in atoms if not (isinstance(each, exp.EQ) and each.this == each.expression))
        tables = {key: table for key, table in self.tables.items() if key != old}
        return replace(self, tables=tables, atoms=atoms, values=values, equal=equal)

    @property
    def joins_itself(self) -> bool:
        """Whether it has two rows of one table."""
        return len(set(self.tables.values())) < len(self.tables)

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
        return " AND ".join(_plain(atom) for atom in self.atoms)


def _with_key(expression: exp.Expr, old: str, new: str) -> exp.Expr:
    copied = expression.copy()
    for column in copied.find_all(exp.Column):
        if column.table == old:
            column.set("table", exp.to_identifier(new))
    return copied


def _plain(atom: exp.Expr) -> str:
    copied = atom.copy()
    for column in copied.find_all(exp.Column):
        column.set("table", None)
        column.this.set("quoted", not column.name.islower())
    return copied.sql("postgres")
