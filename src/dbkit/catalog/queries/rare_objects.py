"""Kinds of objects that most databases do not have: one query finds those that exist."""

from psycopg import sql

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import FIRST_NORMAL_OID, PLAIN, Fact, display_name
from dbkit.catalog.queries.collations import COLLATIONS, CONVERSIONS
from dbkit.catalog.queries.foreign_data import FOREIGN_DATA_WRAPPERS, FOREIGN_SERVERS, USER_MAPPINGS
from dbkit.catalog.queries.grants import DEFAULT_PRIVILEGES
from dbkit.catalog.queries.languages import ACCESS_METHODS, EVENT_TRIGGERS, LANGUAGES, TRANSFORMS
from dbkit.catalog.queries.operators import CASTS, OPERATOR_CLASSES, OPERATOR_FAMILIES, OPERATORS
from dbkit.catalog.queries.publications import PUBLICATIONS, PUBLISHED_GENERATED, PUBLISHED_PART, PUBLISHED_SCHEMAS
from dbkit.catalog.queries.text_search import TEXT_SEARCH_CONFIGURATIONS, TEXT_SEARCH_DICTIONARIES

# By system catalog. A row: OID, schema or NULL, name, what follows the name unquoted, kind, definition
RARE = {
    "pg_cast": CASTS,
    "pg_operator": OPERATORS,
    "pg_opclass": OPERATOR_CLASSES,
    "pg_opfamily": OPERATOR_FAMILIES,
    "pg_collation": COLLATIONS,
    "pg_conversion": CONVERSIONS,
    "pg_ts_config": TEXT_SEARCH_CONFIGURATIONS,
    "pg_ts_dict": TEXT_SEARCH_DICTIONARIES,
    "pg_language": LANGUAGES,
    "pg_transform": TRANSFORMS,
    "pg_am": ACCESS_METHODS,
    "pg_event_trigger": EVENT_TRIGGERS,
    "pg_foreign_data_wrapper": FOREIGN_DATA_WRAPPERS,
    "pg_foreign_server": FOREIGN_SERVERS,
    "pg_publication": PUBLICATIONS,
    "pg_default_acl": DEFAULT_PRIVILEGES,
}


def read_rare_objects(collector: FactCollector) -> None:
    every = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, oid FROM {} WHERE oid >= {}").format(
            catalog, sql.Identifier(catalog), sql.Literal(FIRST_NORMAL_OID)
        )
        for catalog in RARE
    )
    found: dict[str, list[int]] = {}
    for catalog, oid in collector.cursor.execute(every).fetchall():
        if oid not in collector.members.get(catalog, ()):
            found.setdefault(catalog, []).append(oid)
    for catalog, oids in found.items():
        _add_facts(collector, catalog, _for_version(collector, RARE[catalog]), oids)
    if "pg_foreign_server" in found:
        _add_facts(collector, "pg_user_mapping", USER_MAPPINGS, found["pg_foreign_server"])


def _for_version(collector: FactCollector, query: str) -> str:
    query = collector.for_version(15, query, part=(PUBLISHED_PART, ""), schemas=(PUBLISHED_SCHEMAS, ""))
    query = collector.for_version(15, query, locale=(", 'LOCALE ' || c./*name*/", ""))
    query = collector.for_version(16, query, rules=(", 'RULES ' || c.collicurules", ""))
    query = collector.for_version(17, query, name=("colllocale", "colliculocale"))
    return collector.for_version(18, query, generated=(PUBLISHED_GENERATED, ""))


def _add_facts(collector: FactCollector, catalog: str, query: str, oids: list[int]) -> None:
    schemas = {None, *collector.schemas.values()}
    parameters = {"relations": collector.relations} if "%(relations)s" in query else {}
    for oid, schema, name, rest, kind, definition in collector.fetch(query, oids=oids, **parameters):
        if schema not in schemas:
            continue
        prefix = f"{display_name(schema)}." if schema not in (None, "public") else ""
        named = display_name(name) if name is not None else ""
        fact = Fact(kind, f"{prefix}{named}{rest or ''}")
        collector.objects[catalog, oid] = fact
        if kind != "default privileges":
            collector.facts[fact] = definition or PLAIN
