"""Read the objects of a database: the SQL that creates each, and what it depends on."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

import psycopg

from dbkit.catalog import FIRST_NORMAL_OID, Fact, collect_facts
from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import PLAIN
from dbkit.catalog.read import SETTINGS, settings_for_reading
from dbkit.drafts import make_objects, object_queries
from dbkit.drafts.array_types import keep_array_types
from dbkit.drafts.file_statements import OTHER_KINDS
from dbkit.drafts.objects import DatabaseObject, Objects

ROW_SECURITY = "row security"
"""The kind of the fact for whether a table's policies are enforced, which is no part of the table's fact here."""
SECURITY = ("ENABLE ROW LEVEL SECURITY", "FORCE ROW LEVEL SECURITY")
Key = tuple[str, int]
"""System catalog and OID."""


def read_catalog(
    connection: psycopg.Connection[Any], *, version_tables: Collection[str] = ("alembic_version",)
) -> tuple[dict[Fact, str], Objects]:
    """Read the facts, and the objects with the names that the connection's search path needs.

    The facts are those of `catalog.read_facts`, but row security is a fact beside that of its table.
    """
    idle = {name: value for name, value in SETTINGS.items() if name != "search_path"}
    with settings_for_reading(connection, idle):
        collector = collect_facts(connection, version_tables=version_tables)
        reader = _Reader(collector)
        objects = Objects({each.fact: each for each in reader.read_objects()}, reader.read_uses())
    return split_row_security(collector.facts), objects


def split_row_security(facts: dict[Fact, str]) -> dict[Fact, str]:
    """Make row security a separate fact."""
    result: dict[Fact, str] = {}
    for fact, definition in facts.items():
        found = [each for each in SECURITY if each in definition] if fact.kind == "table" else []
        for each in found:
            definition = definition.replace(each, "")
        result[fact] = " ".join(definition.split()) or PLAIN if found else definition
        if found:
            result[Fact(ROW_SECURITY, fact.identity, (fact,))] = ", ".join(found)
    return result


def _keep_array_types(value: Any) -> Any:
    if isinstance(value, list):
        return [_keep_array_types(each) for each in value]
    return keep_array_types(value) if isinstance(value, str) else value


class _Reader:
    """Reads the objects that a collector has found."""

    def __init__(self, collector: FactCollector) -> None:
        self.collector = collector
        self.by_catalog: dict[str, dict[int, Fact]] = {}
        for (catalog, oid), fact in collector.objects.items():
            if fact in collector.facts:
                self.by_catalog.setdefault(catalog, {})[oid] = fact
        self.objects: dict[Fact, DatabaseObject] = {}
        self.columns: dict[tuple[int, int], Fact] = {}
        """By table and number; of a view's, the view."""
        self.defaults: dict[int, Fact] = {}
        """By the OID of pg_attrdef: the default, or the generated column."""
        self.domains: dict[int, Fact] = {}

    def fetch(self, query: str, catalog: str) -> Iterable[tuple[Any, ...]]:
        rows = self.collector.fetch(query, oids=list(self.by_catalog.get(catalog, ())))
        return [tuple(map(_keep_array_types, row)) for row in rows]

    def read_objects(self) -> Iterable[DatabaseObject]:
        """Read all: the objects themselves before what belongs to them."""
        types = self.by_catalog.get("pg_type", {})
        query = self.collector.for_version(
            14,
            object_queries.TYPES,
            multirange=(object_queries.MULTIRANGE, ""),
            name=(object_queries.MULTIRANGE_NAME, "NULL"),
        )
        rows = list(self.fetch(query, "pg_type"))
        attributes: dict[int, list[tuple[str, str]]] = {}
        composites = [row[8] for row in rows if row[3] == "c"]
        for relation, name, type_name in self.collector.fetch(object_queries.ATTRIBUTES, oids=composites):
            attributes.setdefault(relation, []).append((name, type_name))
        for row in rows:
            parts: tuple[Any, ...] = (*row[1:8], *row[9:], tuple(attributes.get(row[8], ())))
            made = make_objects.make_type(types[row[0]], *parts)
            self._add(made, row[0])
        makers = (
            ("pg_namespace", object_queries.SCHEMAS, make_objects.make_schema),
            ("pg_extension", object_queries.EXTENSIONS, make_objects.make_extension),
            ("pg_class", object_queries.SEQUENCES, make_objects.make_sequence),
            ("pg_class", object_queries.RELATIONS, make_objects.make_relation),
            ("pg_class", object_queries.INDEXES, make_objects.make_index),
            ("pg_proc", object_queries.ROUTINES, make_objects.make_routine),
            ("pg_trigger", object_queries.TRIGGERS, make_objects.make_trigger),
            ("pg_rewrite", object_queries.RULES, make_objects.make_rule),
            ("pg_policy", object_queries.POLICIES, make_objects.make_policy),
            ("pg_statistic_ext", object_queries.STATISTICS, make_objects.make_statistics),
        )
        for catalog, query, make in makers:
            for oid, *rest in self.fetch(query, catalog):
                self._add(make(self.by_catalog[catalog][oid], *rest), oid)
        constraints = self.by_catalog.get("pg_constraint", {})
        for oid, schema, table, name, definition, domain in self.fetch(object_queries.CONSTRAINTS, "pg_constraint"):
            owner = self.objects[types[domain]].name if domain else table
            made = make_objects.make_constraint(constraints[oid], schema, owner, name, definition, bool(domain))
            self._add(made, oid)
        self._read_columns()
        self._read_others()
        for fact, definition in split_row_security(self.collector.facts).items():
            self._add_attached(fact, definition)
        return self.objects.values()

    def _read_columns(self) -> None:
        relations = self.by_catalog.get("pg_class", {})
        known = {fact: fact for fact in self.collector.facts if fact.kind == "column"}
        for table, number, name, quoted, generated, type_name, is_required, default, oid in self.fetch(
            object_queries.COLUMNS, "pg_class"
        ):
            owner = self.objects.get(relations[table])
            if owner is None:
                continue
            fact = self.collector.column_fact(table, name)
            fact = known.get(fact, fact)
            if owner.fact.kind not in ("table", "foreign table"):
                self.columns[table, number] = owner.fact
                if owner.fact.kind in ("view", "materialized view"):
                    self._add(make_objects.make_column(fact, owner, quoted, "", type_name, False, None)[0])
                continue
            self.columns[table, number] = fact
            column, made = make_objects.make_column(fact, owner, quoted, generated, type_name, is_required, default)
            self._add(column)
            if made:
                self._add(made)
            if oid:
                self.defaults[oid] = made.fact if made else fact

    def _read_others(self) -> None:
        """Add objects that can only be dropped: SQL files may have any kind of object."""
        keys = [
            (catalog, oid, fact)
            for catalog, facts in self.by_catalog.items()
            for oid, fact in facts.items()
            if fact not in self.objects and fact.kind in OTHER_KINDS
        ]
        rows = self.collector.fetch(
            object_queries.OTHERS, catalogs=[key[0] for key in keys], oids=[key[1] for key in keys]
        )
        known = {key[:2]: key[2] for key in keys}
        for catalog, oid, schema, name, target in rows:
            fact = known[catalog, oid]
            self._add(DatabaseObject(fact, schema or "", name, target=target, drop=f"DROP {target}"), oid)

    def _add_attached(self, fact: Fact, definition: str) -> None:
        """Add what belongs to another object: its comment, its grants, the row security of a table."""
        owner = self.objects.get(fact.of[0]) if fact.of else None
        if owner is None:
            return
        if fact.kind.startswith("comment on "):
            self._add(make_objects.make_comment(fact, owner, definition))
        elif fact.kind.startswith("grants on "):
            self._add(make_objects.make_grants(fact, owner, definition))
        elif fact.kind == ROW_SECURITY:
            self._add(make_objects.make_row_security(fact, owner, definition.split(", ")))

    def _add(self, made: DatabaseObject, oid: int = 0) -> None:
        self.objects[made.fact] = replace(made, oid=oid) if oid else made

    def read_uses(self) -> dict[Fact, frozenset[Fact]]:
        """Read which object depends on which."""
        edges: dict[Fact, set[Fact]] = {}
        for fact in self.objects:
            edges.setdefault(fact, set()).update(fact.of)
        objects = self.collector.objects
        views = {rule: objects["pg_class", view] for rule, view in self.fetch(object_queries.VIEW_RULES, "pg_class")}
        constraints = {
            index: objects["pg_constraint", oid]
            for index, oid in self.fetch(object_queries.CONSTRAINT_INDEXES, "pg_class")
            if ("pg_constraint", oid) in objects
        }
        row_types = {oid: objects["pg_class", table] for oid, table in self.fetch(object_queries.ROW_TYPES, "pg_class")}

        extensions = {
            (catalog, oid): objects["pg_extension", extension]
            for catalog, oid, extension in self.collector.fetch(object_queries.MEMBERS)
        }

        def resolve(catalog: str, oid: int, number: int) -> Fact | None:
            if catalog == "pg_class" and number:
                return self.columns.get((oid, number)) or objects.get((catalog, oid))
            if catalog == "pg_class" and oid in constraints:
                return constraints[oid]
            if catalog == "pg_attrdef":
                return self.defaults.get(oid)
            if catalog == "pg_rewrite" and oid in views:
                return views[oid]
            if catalog == "pg_type" and (catalog, oid) not in objects:
                return objects.get(("array", oid)) or row_types.get(oid)
            return objects.get((catalog, oid)) or extensions.get((catalog, oid))

        for user, user_oid, user_number, used, used_oid, used_number in self.collector.fetch(
            object_queries.DEPENDENCIES, first=FIRST_NORMAL_OID
        ):
            pair = resolve(user, user_oid, user_number), resolve(used, used_oid, used_number)
            if pair[0] and pair[1] and pair[0] != pair[1]:
                edges.setdefault(pair[0], set()).add(pair[1])
        return {fact: frozenset(used - {fact}) for fact, used in edges.items()}
