"""Dangerous statements whose advice is executed, for tables with ordinary names, in another schema, and with quotes.

In the texts {t} is a table with rows, {u} the one that it references, {w} one without a key, {n} a new one; {a} is a
column of {t} with numbers, {b} one with texts, {d} one with times, {new} a new one; {x} is the name of an index or a
constraint, {e} an enum, {q} a sequence, {kept} a constraint NOT VALID. Each stands for SQL with the quotes that it needs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from dbkit.postgres.sql_quote import quote_ident


@dataclass(frozen=True)
class Names:
    """The names of the tables and of what is in them, without quotes."""

    schema: str
    """Empty: that of the search path."""
    form: str
    """What the names are made of: {} is a short word."""
    quotes: bool

    def apply(self, text: str) -> str:
        """Return a text with the names."""
        return text.format_map(
            {word: name for each in WORDS for word, name in self._forms(each)}
            | {"schema": self._quote(self.schema or "public")}
        )

    def _forms(self, word: str) -> Iterator[tuple[str, str]]:
        """Yield a name as SQL, as part of an SQL string, and with each ending that advice gives it."""
        for ending in ("", "_new", "_old"):
            name = self.form.format(word) + ending
            sql = self._quote(name)
            if word in RELATIONS and self.schema:
                sql = f"{self._quote(self.schema)}.{sql}"
            yield word + ending, sql
            yield f"{word}{ending}_text", (sql if word in RELATIONS else name).replace("'", "''")

    def _quote(self, name: str) -> str:
        return quote_ident(name) if self.quotes else name


RELATIONS = ("t", "u", "w", "n", "e", "q", "v")
WORDS = (*RELATIONS, "a", "b", "c", "d", "id", "new", "x", "kept")
NAMES = {
    "plain": Names("", "{}1", quotes=False),
    "schema": Names("s", "{}1", quotes=False),
    "quoted": Names("", "My{}", quotes=True),
    "hostile": Names("My :s.s", 'It\'s "{}" 5% of :x\\y', quotes=True),
    "keyword": Names("user", "{}", quotes=True),
}

SETUP = """
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TYPE {e} AS ENUM ('one', 'it''s');
CREATE SEQUENCE {q};
CREATE TABLE {u} ({id} int PRIMARY KEY);
CREATE TABLE {w} ({a} int NOT NULL, {b} text);
CREATE TABLE {t} ({id} int PRIMARY KEY, {a} int, {b} text, {c} varchar(20), {d} timestamp, "select" int);
ALTER TABLE {t} ADD CONSTRAINT {kept} CHECK ({a} < 1000) NOT VALID;
INSERT INTO {u} SELECT generate_series(1, 9);
INSERT INTO {t} SELECT i, i, i::text, i::text, timestamp '2026-07-01 12:00' + i * interval '1 day', i
    FROM generate_series(1, 9) AS i;
INSERT INTO {w} SELECT {a}, {b} FROM {t};
"""


@dataclass(frozen=True)
class FixCase:
    """`sql` is dangerous in the way of `id`; its advice is executed after `given` instead."""

    id: str
    sql: tuple[str, ...]
    before: tuple[str, ...] = ()
    """What is there before both."""
    given: tuple[str, ...] = ()
    """What the advice leaves to the author."""
    check: tuple[str, str] = ("", "")
    """Queries for the same result after `sql`, and after the advice; without, the schemas are the same."""
    fill: dict[str, str] = field(default_factory=dict)
    """What an author writes in place of parts of the advice."""
    version: int = 0
    """The major version that the advice is for; 0: that of the server."""
    after: str = ""
    """What the author writes after it."""


def _one(identifier: str, *sql: str, **rest: object) -> FixCase:
    return FixCase(identifier, sql, **rest)  # type: ignore[arg-type]


INDEX, UNIQUE, CHECK = "index-without-concurrently", "constraint-builds-index", "check-in-one-step"
KEY, TYPE, VOLATILE = "foreign-key-in-one-step", "type-change-rewrites", "volatile-default"
NULL, WRITE, RENAME = "not-null-by-scan", "write-breaks-code", "rename-breaks-code"
ADD = "ALTER TABLE {t} ADD CONSTRAINT {x} "
TRUE = "SELECT true"


def _values(column: str) -> tuple[str, str]:
    """Return the queries for the values of a column, and of the one that takes its place."""
    old, new = (
        f"SELECT pg_typeof({{{each}}})::text, {{{each}}}::text FROM {{t}} ORDER BY {{id}}"
        for each in (column, f"{column}_new")
    )
    return old, new


CASES = {
    "index": _one(INDEX, "CREATE INDEX {x} ON {t} ({a})"),
    "unique index": _one(INDEX, "CREATE UNIQUE INDEX {x} ON {t} ({a}, {b})"),
    "index on a keyword": _one(INDEX, 'CREATE INDEX {x} ON {t} ("select")'),
    "index on an expression": _one(INDEX, "CREATE INDEX {x} ON {t} (({b} || ':y')) WHERE {b} <> '\"\\n%s'"),
    "index with an operator class": _one(INDEX, "CREATE INDEX {x} ON {t} ({b} text_pattern_ops)"),
    "unique": _one(UNIQUE, ADD + "UNIQUE ({a})"),
    "unique nulls": _one(UNIQUE, ADD + "UNIQUE NULLS NOT DISTINCT ({a})"),
    "unique with more": _one(UNIQUE, ADD + "UNIQUE ({a}) INCLUDE ({b}) DEFERRABLE INITIALLY DEFERRED"),
    "unique with storage": _one(UNIQUE, ADD + "UNIQUE ({a}) WITH (fillfactor = 70) DEFERRABLE"),
    "primary key": _one(UNIQUE, "ALTER TABLE {w} ADD CONSTRAINT {x} PRIMARY KEY ({a})"),
    "check": _one(CHECK, ADD + "CHECK ({a} > 0)"),
    "check with a quote": _one(CHECK, ADD + "CHECK ({b} <> '\"')"),
    "check with a colon": _one(CHECK, ADD + "CHECK ({b} !~ ':x' AND {b} <> 'a\\:b' AND {b} NOT LIKE '%s')"),
    "check with three quotes": _one(CHECK, ADD + "CHECK ({b} <> '\"\"\" \\')"),
    "check without heirs": _one(CHECK, ADD + "CHECK ({a} > 0) NO INHERIT"),
    "check, validated": _one(CHECK, "ALTER TABLE {t} ADD {new} int", "ALTER TABLE {t} VALIDATE CONSTRAINT {kept}",
        given=("ALTER TABLE {t} ADD {new} int",)),
    "check again": _one(CHECK, "ALTER TABLE {t} DROP CONSTRAINT {kept}, ADD CONSTRAINT {kept} CHECK ({a} < 1001)"),
    "key": _one(KEY, ADD + "FOREIGN KEY ({a}) REFERENCES {u}"),
    "key with more": _one(KEY, ADD + "FOREIGN KEY ({a}) REFERENCES {u} ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"),
    "key, validated": _one(KEY, "ALTER TABLE {t} ADD {new} int", "ALTER TABLE {t} VALIDATE CONSTRAINT {x}",
        before=(ADD + "FOREIGN KEY ({a}) REFERENCES {u} NOT VALID",), given=("ALTER TABLE {t} ADD {new} int",)),
    "key, enforced": _one(KEY, "ALTER TABLE {t} ALTER CONSTRAINT {x} ENFORCED", before=(ADD + "FOREIGN KEY ({a}) REFERENCES {u} NOT ENFORCED",)),
    "key of a new table": _one("foreign-key-of-new-table", "CREATE TABLE {n} ({id} int PRIMARY KEY, {a} int CONSTRAINT {x} REFERENCES {u})",
        given=("CREATE TABLE {n} ({id} int PRIMARY KEY, {a} int)",)),
    "constraint without a name": _one("unnamed-constraint", "ALTER TABLE {t} ADD CHECK ({a} > 0 AND {b} <> ':x')"),
    "not null": _one(NULL, "ALTER TABLE {t} ALTER {a} SET NOT NULL"),
    "not null of a keyword": _one(NULL, 'ALTER TABLE {t} ALTER "select" SET NOT NULL'),
    "not null before 18": _one(NULL, "ALTER TABLE {t} ALTER {a} SET NOT NULL", version=17),
    "bigint": _one(TYPE, "ALTER TABLE {t} ALTER {a} TYPE bigint", check=_values("a")),
    "varchar": _one(TYPE, "ALTER TABLE {t} ALTER {c} TYPE varchar(10)", check=_values("c")),
    "jsonb": _one(TYPE, "ALTER TABLE {t} ALTER {b} TYPE jsonb USING to_jsonb({b} || ', \"x\" :y')", check=_values("b")),
    "timestamptz": _one(TYPE, "ALTER TABLE {t} ALTER {d} TYPE timestamptz USING {d} AT TIME ZONE 'Europe/Berlin'", check=_values("d")),
    "two types": _one(TYPE, "ALTER TABLE {t} ALTER {a} TYPE bigint USING ({a} + 1), ALTER COLUMN {c} SET DATA TYPE text", check=_values("a")),
    "random": _one(VOLATILE, "ALTER TABLE {t} ADD {new} float DEFAULT random()"),
    "default with a colon": _one(VOLATILE, "ALTER TABLE {t} ADD {new} text DEFAULT '\":x%' || random()"),
    "serial": _one(VOLATILE, "ALTER TABLE {t} ADD {new} serial", after="ALTER TABLE {t} ALTER {new} SET NOT NULL"),
    "truncate": _one("table-emptied", "TRUNCATE {t}", check=(TRUE, "SELECT to_regclass('{t_old_text}') IS NOT NULL")),
    "required": _one(WRITE, "ALTER TABLE {t} ADD {new} text NOT NULL", before=("TRUNCATE {t}",), given=("ALTER TABLE {t} ADD {new} text NOT NULL",),
        check=(TRUE, "SELECT column_default LIKE '''…''%' FROM information_schema.columns WHERE column_name = '{new_text}'")),
    "generated": _one(WRITE, "ALTER TABLE {t} ALTER {id} ADD GENERATED ALWAYS AS IDENTITY", given=("ALTER TABLE {t} ALTER {id} ADD GENERATED ALWAYS AS IDENTITY",),
        check=(TRUE, "SELECT identity_generation = 'BY DEFAULT' FROM information_schema.columns WHERE column_name = '{id_text}' AND is_identity = 'YES'")),
    "refused default": _one(WRITE, ADD + "CHECK ({a} IS NOT NULL) NOT VALID", fill={'"…"': '"1"'},
        check=(TRUE, "SELECT column_default LIKE '%1%' FROM information_schema.columns WHERE column_name = '{a_text}' AND column_default IS NOT NULL")),
    "identity of rows": _one(WRITE, "CREATE PUBLICATION p FOR TABLE {w}", check=(TRUE, "SELECT relreplident = 'f' FROM pg_class WHERE oid = '{w_text}'::regclass")),
    "renamed table": _one(RENAME, "ALTER TABLE {t} RENAME TO {new}", given=("ALTER TABLE {t} RENAME TO {new}",),
        check=(TRUE, "SELECT count({a}) = 9 FROM {t}")),
    "renamed label": _one(RENAME, "ALTER TYPE {e} RENAME VALUE 'one' TO 'it''s :x \"one\"'",
        check=(TRUE, "SELECT 'it''s :x \"one\"'::{e} IS NOT NULL")),
    "sequence": _one("sequence-behind", "SELECT setval('{q_text}', 1)", before=("ALTER SEQUENCE {q} OWNED BY {t}.{id}",),
        check=(TRUE, "SELECT nextval('{q_text}') = 10")),
    "autovacuum": _one("autovacuum-off", "ALTER TABLE {t} SET (autovacuum_enabled = off)", given=("ALTER TABLE {t} SET (autovacuum_enabled = off)",),
        check=(TRUE, "SELECT reloptions IS NULL FROM pg_class WHERE oid = '{t_text}'::regclass")),
    "reindex": _one("scan-under-lock", "REINDEX TABLE {t}", check=(TRUE, TRUE)),
    "copy": _one("copy-without-lock", "CREATE TABLE {n} AS SELECT * FROM {t}", "DROP TABLE {t}", check=(TRUE, TRUE)),
    "refresh": _one("rewrite-under-lock", "REFRESH MATERIALIZED VIEW {v}",
        before=("CREATE MATERIALIZED VIEW {v} AS SELECT * FROM {t}", "CREATE UNIQUE INDEX ON {v} ({id})"), check=(TRUE, TRUE)),
    "not populated": _one("drop-breaks-code", "REFRESH MATERIALIZED VIEW {v} WITH NO DATA",
        before=("CREATE MATERIALIZED VIEW {v} AS SELECT * FROM {t}", "CREATE UNIQUE INDEX ON {v} ({id})"), check=(TRUE, TRUE)),
    "row security": _one("row-security-without-policy", "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY", fill={"POLICY …": "POLICY p", "(…)": "(true)"},
        check=(TRUE, "SELECT count(*) = 1 FROM pg_policy WHERE polrelid = '{t_text}'::regclass")),
    "search path": _one("definer-without-search-path", "CREATE FUNCTION {v}(a int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        given=("CREATE FUNCTION {v}(a int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",),
        check=(TRUE, "SELECT proconfig IS NOT NULL FROM pg_proc WHERE prosecdef AND pronamespace = '{schema}'::regnamespace")),
    "rows": _one("data-in-one-transaction", "UPDATE {t} SET {a} = {a} + 1", check=(TRUE, "SELECT min({a}) = 7 FROM {t}"),
        fill={'"…", where="…"': "ASSIGNMENT, where=CONDITION"}),
}  # fmt: skip
