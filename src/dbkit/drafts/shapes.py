"""The tables of a database, in the parts that a draft writes: columns, constraints, indexes and comments."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbkit.catalog import Fact, object_name
from dbkit.catalog.facts import display_name

TableName = tuple[str, str]
"""Schema and name, unquoted."""


def schema_prefix(sql: str, name: str) -> str:
    """The schema with a dot that precedes a name in SQL that PostgreSQL has printed; "" where there is none."""
    quoted = '"' + name.replace('"', '""') + '"'
    return sql.removesuffix(quoted if sql.endswith(quoted) else name)


@dataclass(frozen=True)
class Column:
    """A column. Texts are SQL as PostgreSQL prints it with the search path of the project's session."""

    name: str
    type: str
    """As format_type() prints it, such as `character varying(40)` or `audit.state[]`."""
    uses: Fact | None = None
    """The enum, domain, composite or range type that it uses, also in an array."""
    collation: str | None = None
    """Quoted; None where it is that of the type."""
    default: str | None = None
    """The default, or the expression of a generated column."""
    generated: str = ""
    """"s" for STORED, "v" for VIRTUAL (pg_attribute.attgenerated)."""
    identity: str = ""
    """"a" for ALWAYS, "d" for BY DEFAULT (pg_attribute.attidentity)."""
    identity_options: str = ""
    """The options of its sequence that differ from the defaults, as in CREATE SEQUENCE."""
    serial: str | None = None
    """The quoted name of the sequence that it owns and takes its default from: a serial."""
    is_plain_serial: bool = False
    """Whether the type `serial` makes just that sequence: its name, its type and its options are the usual ones."""
    sequence: TableName | None = None
    """Schema and name of the sequence of a serial or of an identity column; likewise `sequence_type`."""
    sequence_type: str | None = None
    sequence_options: str = ""
    """The options of a serial's sequence that differ from the defaults, as in CREATE SEQUENCE."""
    sequence_is_unlogged: bool = False
    is_required: bool = False
    """NOT NULL."""
    comment: str | None = None
    is_inherited: bool = False
    """Whether it comes from a parent table only."""
    sql: str = ""
    """The name, quoted where that is necessary; likewise in the other classes."""
    type_name: str = ""
    """The type without its modifier, such as `character varying`; for a domain, that of its base type."""
    element: str | None = None
    """The `type_name` of an array's elements."""
    category: str = ""
    """pg_type.typcategory."""
    unvalidated: str | None = None
    """The quoted name of its NOT NULL constraint, where that is NOT VALID."""

    @property
    def sequence_facts(self) -> tuple[Fact, ...]:
        """The sequence of a serial as a catalog fact; that of an identity column is none."""
        if self.serial is None or self.sequence is None:
            return ()
        return (Fact("sequence", object_name(self.sequence[1], self.sequence[0])),)


@dataclass(frozen=True)
class Constraint:
    """A primary key, a UNIQUE, CHECK, FOREIGN KEY or EXCLUDE constraint of a table."""

    name: str
    kind: str
    """pg_constraint.contype: p, u, c, f, x."""
    definition: str
    """As pg_get_constraintdef() prints it, with NOT VALID, DEFERRABLE, INCLUDE and so on."""
    columns: tuple[str, ...] = ()
    referred: TableName | None = None
    """The table that a foreign key references."""
    referred_columns: tuple[str, ...] = ()
    comment: str | None = None
    is_inherited: bool = False
    expression: str | None = None
    """That of a CHECK constraint."""
    included: tuple[str, ...] = ()
    """The columns of INCLUDE."""
    index: str | None = None
    """The name of its index; that of a foreign key is the index which the referenced table has."""
    index_settings: tuple[str, ...] = ()
    """What its definition does not show of its index, as it follows ALTER INDEX, such as `SET (fillfactor=70)`."""
    is_valid: bool = True
    is_deferrable: bool = False
    is_deferred: bool = False
    """INITIALLY DEFERRED."""
    on_update: str | None = None
    on_delete: str | None = None
    """As in ON DELETE; None for NO ACTION. Likewise `on_update`."""
    nulls_not_distinct: bool = False
    sql: str = ""


@dataclass(frozen=True)
class Index:
    """An index that belongs to no constraint."""

    name: str
    definition: str
    """As pg_get_indexdef() prints it: a whole CREATE INDEX statement."""
    is_unique: bool = False
    is_attached: bool = False
    """Whether it is the part of a partitioned table's index."""
    comment: str | None = None
    method: str = "btree"
    keys: tuple[str, ...] = ()
    """Each with its collation, operator class and order where these are not the usual ones, as SQL."""
    columns: tuple[str | None, ...] = ()
    """The names of the keys that are a column with the usual collation, operator class and order; else None."""
    included: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    """Those of WITH, such as `fillfactor=70`."""
    predicate: str | None = None
    nulls_not_distinct: bool = False
    is_valid: bool = True
    tablespace: str | None = None
    sql: str = ""
    """With the schema where that is necessary."""


@dataclass(frozen=True)
class Table:
    """A table or a partitioned table, with all that is created and dropped with it."""

    schema: str
    name: str
    columns: Mapping[str, Column]
    """In the order of the table."""
    constraints: Mapping[str, Constraint]
    indexes: Mapping[str, Index]
    comment: str | None = None
    partition_key: str | None = None
    """As in PARTITION BY."""
    is_partition: bool = False
    parents: tuple[TableName, ...] = ()
    """The tables that it inherits from, or the one that it is a partition of."""
    options: str = ""
    """What follows the columns in CREATE TABLE, such as `WITH (fillfactor=70)`."""
    is_unlogged: bool = False
    parameters: tuple[str, ...] = ()
    """Those of WITH, such as `fillfactor=70`."""
    access_method: str | None = None
    """Quoted; None for heap."""
    tablespace: str | None = None
    """Quoted; None for that of the database."""
    of_type: str | None = None
    """The composite type of a typed table."""
    bound: str | None = None
    """What follows PARTITION OF …: FOR VALUES …, or DEFAULT."""
    sql: str = ""
    """With the schema where that is necessary."""

    @property
    def key(self) -> TableName:
        """The schema and the name."""
        return self.schema, self.name

    @property
    def fact(self) -> Fact:
        """The table as a catalog fact."""
        return Fact("table", object_name(self.name, self.schema))

    def column_fact(self, name: str) -> Fact:
        """One of its columns as a catalog fact."""
        return Fact("column", f"{self.fact.identity}.{display_name(name)}")

    def fact_within(self, kind: str, name: str) -> Fact:
        """One of its constraints or indexes as a catalog fact."""
        return Fact(kind, f"{display_name(name)} on {self.fact.identity}")


@dataclass(frozen=True)
class Shapes:
    """All tables of a database."""

    tables: Mapping[TableName, Table] = field(default_factory=dict)
    default_schema: str = "public"
    """The schema that an unqualified name is created in."""
    casts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By source and target type: pg_cast.castcontext."""
    relations: frozenset[TableName] = frozenset()
    """Schema and name of all tables, views, sequences and indexes."""
