"""The actions of statements that may ask something of existing rows: data that `parser` reads from their text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """ADD CHECK."""

    expression: str
    is_inherited: bool = True


@dataclass(frozen=True)
class UniqueKey:
    """ADD UNIQUE, ADD PRIMARY KEY, CREATE UNIQUE INDEX."""

    expressions: tuple[str, ...]
    """Columns and expressions, as SQL."""
    columns: tuple[str, ...] = ()
    """The columns of a primary key, by name."""
    predicate: str = ""
    are_nulls_equal: bool = False
    has_expressions: bool = False


@dataclass(frozen=True)
class PrimaryIndex:
    """ADD PRIMARY KEY USING INDEX."""

    index: str


@dataclass(frozen=True)
class ForeignKey:
    """ADD FOREIGN KEY."""

    columns: tuple[str, ...]
    parent: str
    """As SQL."""
    parent_columns: tuple[str, ...]
    """Empty where the statement does not name them."""
    is_full: bool


@dataclass(frozen=True)
class Exclusion:
    """ADD EXCLUDE."""

    expressions: tuple[str, ...]
    operators: tuple[str, ...]
    predicate: str


@dataclass(frozen=True)
class NotNull:
    """SET NOT NULL, or a NOT NULL constraint of PostgreSQL 18."""

    column: str


@dataclass(frozen=True)
class Validation:
    """VALIDATE CONSTRAINT."""

    constraint: str


@dataclass(frozen=True)
class RequiredColumn:
    """ADD COLUMN … NOT NULL, without a value for existing rows."""

    column: str
    type: str
    """As SQL."""


@dataclass(frozen=True)
class TypeChange:
    """ALTER COLUMN … TYPE, without USING, or with one that only casts the column to the type."""

    column: str
    type: str
    """In the form of `sql_text.plain`."""
    is_explicit: bool = False
    """Whether USING casts it."""


@dataclass(frozen=True)
class NoQuestion:
    """Something that asks nothing of existing rows, and does not change them or their columns."""

    drops_constraint: bool = False


@dataclass(frozen=True)
class OtherAction:
    """Something that may change rows or columns."""


Action = (
    Check
    | UniqueKey
    | PrimaryIndex
    | ForeignKey
    | Exclusion
    | NotNull
    | Validation
    | RequiredColumn
    | TypeChange
    | NoQuestion
    | OtherAction
)


@dataclass(frozen=True)
class Statement:
    """A statement with its actions on one table, or on one domain."""

    name: str
    """Of the table or the domain, as SQL."""
    actions: tuple[Action, ...]
    is_only: bool = False
    is_domain: bool = False
    new_index: str = ""
    """The name after CREATE UNIQUE INDEX … IF NOT EXISTS."""
