"""Honour the hooks with which a project excludes objects from Alembic's comparison: include_name, include_object."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from dbkit.catalog import Difference, Fact, object_name
from dbkit.drafts.comparison import State
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import Session
from dbkit.roundtrip.scratch_migrations import Models
from dbkit.settings import Target

IncludeName = Callable[[str | None, str, Mapping[str, str | None]], bool]
IncludeObject = Callable[[Any, str | None, str, bool, Any], bool]
CONSTRAINTS = {"u": "unique_constraint", "f": "foreign_key_constraint", "c": "check_constraint"}
"""Alembic's names of the kinds of constraints that it asks the hooks about, by pg_constraint.contype."""


def find_excluded(
    differences: Sequence[Difference], migrated: State, modelled: State, models: Models
) -> frozenset[Fact]:
    """Return the objects among the differences that a hook of the project excludes, or that are in a schema apart.

    Without `include_schemas`, Alembic does not look for tables in other schemas than the first of the search path.
    """
    hooks = _Hooks(migrated, modelled, models)
    return frozenset(each.fact for each in differences if hooks.exclude(each))


@dataclass
class _Hooks:
    migrated: State
    modelled: State
    models: Models
    reflected: dict[tuple[str, str], sa.Table | None] = field(default_factory=dict)

    def exclude(self, difference: Difference) -> bool:
        """Whether a hook excludes an object, or its table."""
        if not self.models.options:  # the kit's own env.py has none
            return False
        for schema, name in self._tables_of(difference.fact):
            return not self._include_table(schema, name) or not self._include_part(difference.fact, schema, name)
        return False

    def _tables_of(self, fact: Fact) -> Iterator[tuple[str, str]]:
        """Yield the table that an object is, or is a part of, as schema and name."""
        identities = [fact.identity] if fact.kind == "table" else [each.identity for each in fact.of[:1]]
        for state in (self.migrated, self.modelled):
            for schema, name in state.shapes.tables:
                if object_name(name, schema) in identities:
                    yield schema, name

    def _include_table(self, schema: str, name: str) -> bool:
        model, options = self._model(schema, name), self.models.options
        visible = None if schema == self.modelled.shapes.default_schema else schema
        if model is None and visible and not options.get("include_schemas"):
            return False
        include_name: IncludeName | None = options.get("include_name")
        if include_name and not (
            include_name(visible, "schema", {}) and include_name(name, "table", self._parents(schema, name))
        ):
            return False
        include: IncludeObject | None = options.get("include_object")
        if include is None:
            return True
        reflected = self._reflect(schema, name)
        if model is not None:
            return include(model, name, "table", False, reflected)
        return reflected is None or include(reflected, name, "table", True, None)

    def _include_part(self, fact: Fact, schema: str, table: str) -> bool:
        found = self._part(fact, schema, table)
        if found is None:
            return True
        kind, name = found
        include_name: IncludeName | None = self.models.options.get("include_name")
        if include_name and not include_name(name, kind, {**self._parents(schema, table), "table_name": table}):
            return False
        include: IncludeObject | None = self.models.options.get("include_object")
        if include is None:
            return True
        model, reflected = self._model(schema, table), self._reflect(schema, table)
        ours = _find(model, kind, name) if model is not None else None
        theirs = _find(reflected, kind, name) if reflected is not None else None
        if ours is not None:
            return include(ours, name, kind, False, theirs)
        return theirs is None or include(theirs, name, kind, True, None)

    def _part(self, fact: Fact, schema: str, table: str) -> tuple[str, str] | None:
        """Return Alembic's name of the kind of a part of a table, and its name; None for what it has no hook for."""
        for state in (self.migrated, self.modelled):
            shape = state.shapes.tables.get((schema, table))
            if shape is None:
                continue
            owner = object_name(table, schema)
            for column in shape.columns:
                if fact.kind.endswith("column") and fact.identity == f"{owner}.{object_name(column)}":
                    return "column", column
            for index in shape.indexes:
                if fact.kind == "index" and fact.identity == f"{object_name(index)} on {owner}":
                    return "index", index
            for name, constraint in shape.constraints.items():
                if fact.kind == "constraint" and fact.identity == f"{object_name(name)} on {owner}":
                    return (CONSTRAINTS[constraint.kind], name) if constraint.kind in CONSTRAINTS else None
        return None

    def _parents(self, schema: str, name: str) -> dict[str, str | None]:
        visible = None if schema == self.modelled.shapes.default_schema else schema
        return {"schema_name": visible, "schema_qualified_table_name": f"{visible}.{name}" if visible else name}

    def _model(self, schema: str, name: str) -> sa.Table | None:
        for metadata in self.models.metadata:
            for table in metadata.tables.values():
                if (table.schema or self.modelled.shapes.default_schema, table.name) == (schema, name):
                    return table
        return None

    def _reflect(self, schema: str, name: str) -> sa.Table | None:
        """Return a table of the migrations as SQLAlchemy reads it, None where they have none."""
        key = schema, name
        if key not in self.reflected:
            there = key in self.migrated.shapes.tables
            self.reflected[key] = _reflect(self.migrated.target, *key) if there else None
        return self.reflected[key]


def _reflect(target: Target, schema: str, name: str) -> sa.Table | None:
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: connect(target, session=Session.PROJECT), poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        default = connection.dialect.default_schema_name
        visible = None if schema == default else schema
        try:
            return sa.Table(name, sa.MetaData(), schema=visible, autoload_with=connection, resolve_fks=False)
        except sa.exc.NoSuchTableError:  # it is renamed in the comparison
            return None


def _find(table: sa.Table, kind: str, name: str) -> Any:
    """Return the part of a table of this kind and name."""
    parts: dict[str, Any] = {"column": table.columns, "index": table.indexes}
    found: Iterable[Any] = parts.get(kind, table.constraints)
    return next((each for each in found if each.name == name), None)
