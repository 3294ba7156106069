"""Planted rows: every kind of table is filled, with values that look for trouble; what cannot be is told with a reason."""

import re

import psycopg
import pytest

from dbkit.sample_data.constraints import read_tables
from dbkit.sample_data.extreme_rows import insert_extreme_rows
from dbkit.sample_data.extreme_values import FIXED_VALUES, MAKERS, make_extreme_values
from dbkit.sample_data.fill import TableFiller
from dbkit.sample_data.row_generator import extreme_values, generate_rows
from dbkit.sample_data.values import TEXTS, make_values
from dbkit.settings import Target
from support.sessions import connect_as_project as connect

ROWS = 5

# Each is a schema of its own; all of its tables get rows, as many as are asked for unless a number is given
FILLED = {
    "plain": "CREATE TABLE t (id serial PRIMARY KEY, name text NOT NULL, note text)",
    "self reference": "CREATE TABLE t (id int PRIMARY KEY, parent int REFERENCES t)",
    "child of a self reference": """
        CREATE TABLE t (id int PRIMARY KEY, parent int REFERENCES t);
        CREATE TABLE child (id int PRIMARY KEY, t int NOT NULL REFERENCES t)""",
    "children of a self reference, not null, in two steps": """
        CREATE TABLE t (id int PRIMARY KEY, parent int NOT NULL REFERENCES t);
        CREATE TABLE child (id int PRIMARY KEY, above int REFERENCES child, t int NOT NULL REFERENCES t);
        CREATE TABLE grandchild (child int NOT NULL REFERENCES child, other int REFERENCES child, t int NOT NULL REFERENCES t)""",
    "child of a self reference of two columns": """
        CREATE TABLE t (a int, b text, parent_a int, parent_b text, PRIMARY KEY (a, b), FOREIGN KEY (parent_a, parent_b) REFERENCES t);
        CREATE TABLE child (a int NOT NULL, b text NOT NULL, FOREIGN KEY (a, b) REFERENCES t)""",
    "child of a cycle that can be NULL": """
        CREATE TABLE a (id int PRIMARY KEY, b int);
        CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
        CREATE TABLE child (a int NOT NULL REFERENCES a, b int NOT NULL REFERENCES b)""",
    "self reference, not null": "CREATE TABLE t (id int PRIMARY KEY, parent int NOT NULL REFERENCES t)",
    "self reference, identity": """
        CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent int NOT NULL REFERENCES t)""",
    "cycle, nullable": """
        CREATE TABLE a (id int PRIMARY KEY, b int);
        CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b""",
    "cycle, not null": """
        CREATE TABLE a (id bigserial PRIMARY KEY, b uuid NOT NULL);
        CREATE TABLE b (id uuid PRIMARY KEY, a bigint NOT NULL REFERENCES a);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b""",
    "cycle of three, deferred": """
        CREATE TABLE a (id int PRIMARY KEY, n int NOT NULL);
        CREATE TABLE b (id int PRIMARY KEY, n int NOT NULL REFERENCES a DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE c (id int PRIMARY KEY, n int NOT NULL REFERENCES b DEFERRABLE INITIALLY DEFERRED, x text NOT NULL);
        ALTER TABLE a ADD FOREIGN KEY (n) REFERENCES c DEFERRABLE INITIALLY DEFERRED;
        CREATE TABLE child (c int NOT NULL REFERENCES c)""",
    "composite keys that share a column": """
        CREATE TABLE tenant (id int PRIMARY KEY);
        CREATE TABLE customer (tenant int REFERENCES tenant, id int, PRIMARY KEY (tenant, id));
        CREATE TABLE product (tenant int REFERENCES tenant, id int, PRIMARY KEY (tenant, id));
        CREATE TABLE purchase (
            id int PRIMARY KEY, tenant int NOT NULL, customer int NOT NULL, product int,
            FOREIGN KEY (tenant, customer) REFERENCES customer, FOREIGN KEY (tenant, product) REFERENCES product)""",
    "one to one": "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a)",
    "many to many": """
        CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
        CREATE TABLE ab (a int REFERENCES a, b int REFERENCES b, PRIMARY KEY (a, b))""",
    "lists of values": """
        CREATE TABLE t (a text NOT NULL CHECK (a IN ('red', 'green', 'blue')), b text NOT NULL CHECK (b = 'x' OR b = 'y'),
            c varchar(5) NOT NULL CHECK (c = ANY (ARRAY['p', 'q'])), d int NOT NULL CHECK (d IN (7, 9)))""",
    "ranges of numbers": """
        CREATE TABLE t (a int NOT NULL CHECK (a BETWEEN 100 AND 105), b numeric(4, 2) NOT NULL CHECK (b > 0 AND b < 1),
            c bigint NOT NULL CHECK (c > 5000000000), d smallint NOT NULL CHECK (d % 2 = 1 AND d > 0))""",
    "between columns": """
        CREATE TABLE t (a date NOT NULL, b date NOT NULL, c int, d int, CHECK (a < b), CHECK ((c IS NULL) <> (d IS NULL)))""",
    "patterns": r"""
        CREATE TABLE t (mail text NOT NULL CHECK (mail ~ '^[^@]+@[^@]+\.[a-z]+$'), code char(3) NOT NULL CHECK (code ~ '^[A-Z]{3}$'),
            slug text NOT NULL CHECK (slug ~ '^[a-z0-9-]+$'), url text NOT NULL CHECK (url LIKE 'https://%'),
            colour text NOT NULL CHECK (colour ~* '^#[0-9a-f]{6}$'), hash text NOT NULL CHECK (length(hash) = 40))""",
    "length": "CREATE TABLE t (a text NOT NULL CHECK (char_length(a) BETWEEN 17 AND 19), b text CHECK (length(trim(b)) > 0))",
    "unique": "CREATE TABLE t (a text UNIQUE, b int NOT NULL UNIQUE, c uuid UNIQUE, d timestamptz NOT NULL UNIQUE)",
    "unique of an expression": "CREATE TABLE t (mail text NOT NULL); CREATE UNIQUE INDEX ON t (lower(mail))",
    "partial unique": "CREATE TABLE t (a int NOT NULL, ok bool NOT NULL); CREATE UNIQUE INDEX ON t (a) WHERE ok",
    "exclusion": """
        CREATE EXTENSION btree_gist;
        CREATE TABLE t (room int NOT NULL, during tstzrange NOT NULL, EXCLUDE USING gist (room WITH =, during WITH &&))""",
    "deferrable unique": "CREATE TABLE t (a int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED, b text)",
    "domains": """
        CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN country AS char(2) CHECK (VALUE ~ '^[A-Z]{2}$') NOT NULL;
        CREATE DOMAIN small AS positive CHECK (VALUE < 10);
        CREATE TABLE t (a positive NOT NULL, b country, c small NOT NULL)""",
    "enum": "CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy'); CREATE TABLE t (m mood NOT NULL, ms mood[] NOT NULL)",
    "generated": "CREATE TABLE t (a int, b bigint GENERATED ALWAYS AS (a::bigint * 2) STORED, c int GENERATED BY DEFAULT AS IDENTITY)",
    "nothing but defaults": ("CREATE TABLE t (a int GENERATED ALWAYS AS (1) STORED)", 1),
    "arrays": "CREATE TABLE t (a int[] NOT NULL, b text[], c numeric(5, 2)[], d uuid[], e timestamptz[], f jsonb[])",
    "ranges": "CREATE TABLE t (a int4range NOT NULL, b numrange, c daterange, d tsrange, e tstzrange, f int8range)",
    "multiranges": "CREATE TABLE t (a int4multirange NOT NULL, b datemultirange NOT NULL)",
    "own range": "CREATE TYPE tr AS RANGE (SUBTYPE = time); CREATE TABLE t (a tr NOT NULL)",
    "composite": "CREATE TYPE pair AS (a int, b text, c date); CREATE TABLE t (p pair NOT NULL, ps pair[])",
    "geometry": "CREATE TABLE t (a point NOT NULL, b line, c lseg, d box, e path, f polygon, g circle)",
    "networks": "CREATE TABLE t (a inet NOT NULL, b cidr NOT NULL, c macaddr NOT NULL UNIQUE, d macaddr8 NOT NULL)",
    "texts of all kinds": """
        CREATE TABLE t (a char NOT NULL, b char(5) NOT NULL, c varchar(3) NOT NULL, d name NOT NULL, e "char" NOT NULL,
            f xml, g json NOT NULL, h jsonb NOT NULL, i tsvector NOT NULL, j tsquery NOT NULL, k bytea NOT NULL)""",
    "numbers of all kinds": """
        CREATE TABLE t (a smallint NOT NULL, b bigint NOT NULL, c real NOT NULL, d double precision NOT NULL, e money NOT NULL,
            f numeric NOT NULL, g numeric(3, 0) NOT NULL, h numeric(2, 2) NOT NULL, i oid NOT NULL, j bit(3) NOT NULL, k varbit(4))""",
    "times": "CREATE TABLE t (a time NOT NULL, b timetz NOT NULL, c interval NOT NULL, d timestamp(0) NOT NULL, e timestamptz)",
    "system types": "CREATE TABLE t (a pg_lsn NOT NULL, b regclass NOT NULL, c regtype NOT NULL, d jsonpath NOT NULL)",
    "extensions": """
        CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION cube; CREATE EXTENSION isn;
        CREATE TABLE t (a citext NOT NULL UNIQUE, b hstore NOT NULL, c ltree NOT NULL, d cube NOT NULL, e isbn NOT NULL)""",
    "partitions by range": """
        CREATE TABLE t (id int NOT NULL, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
        CREATE TABLE t_2024 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
        CREATE TABLE t_2025 PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
        CREATE TABLE t_rest PARTITION OF t DEFAULT;
        CREATE TABLE child (id int, day date, FOREIGN KEY (id, day) REFERENCES t)""",
    "partitions by list and hash": """
        CREATE TABLE t (kind text NOT NULL, n int) PARTITION BY LIST (kind);
        CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a', 'b') PARTITION BY HASH (n);
        CREATE TABLE t_a0 PARTITION OF t_a FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE t_a1 PARTITION OF t_a FOR VALUES WITH (MODULUS 2, REMAINDER 1)""",
    "inheritance": "CREATE TABLE t (a int NOT NULL); CREATE TABLE heir (b text NOT NULL) INHERITS (t)",
    "trigger that writes": """
        CREATE TABLE t (a int NOT NULL); CREATE TABLE log (at timestamptz NOT NULL, what text NOT NULL);
        CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO log VALUES (now(), NEW::text); RETURN NEW; END $$;
        CREATE TRIGGER noted AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION noted()""",
    "trigger that refuses": """
        CREATE TABLE t (a text NOT NULL);
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'only through the API'; END $$;
        CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no()""",
    "row security": """
        CREATE TABLE t (a int NOT NULL, who text NOT NULL); ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY own ON t USING (who = current_user)""",
    "names that need quotes": """
        CREATE SCHEMA "My Schema"; CREATE TABLE "My Schema"."select" ("order" int PRIMARY KEY, "a ""b" text NOT NULL);
        CREATE TABLE "Child" ("Order" int NOT NULL REFERENCES "My Schema"."select")""",
    "a view and a materialized view": """
        CREATE TABLE t (a int NOT NULL); CREATE VIEW v AS SELECT * FROM t; CREATE MATERIALIZED VIEW m AS SELECT * FROM t""",
    "few that are allowed": (
        "CREATE TABLE t (one bool PRIMARY KEY DEFAULT true CHECK (one), setting text NOT NULL)",
        1,
    ),
}
# What cannot be filled, and what is said
UNFILLED = {
    "nothing is allowed": ("CREATE TABLE t (a int NOT NULL CHECK (a > 1 AND a < 1))", "no value .* for a"),
    "nothing is found": (
        "CREATE TABLE t (a text NOT NULL, CHECK (md5(a) = 'd41d8cd98f00b204e9800998ecf8427f' AND a <> ''))",
        "no value .* for a",
    ),
    "an unknown type": (
        """CREATE TYPE odd; CREATE FUNCTION odd_in(cstring) RETURNS odd LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
           CREATE FUNCTION odd_out(odd) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
           CREATE TYPE odd (INPUT = odd_in, OUTPUT = odd_out, LIKE = int4); CREATE TABLE t (a odd NOT NULL)""",
        "no value of type odd is known for a",
    ),
    "a function that refuses": (
        """CREATE FUNCTION never(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'no % here', $1; END $$;
           CREATE TABLE t (a int NOT NULL CHECK (never(a)))""",
        "no .* here",
    ),
}


def plant(database: Target, schema: str, rows: int = ROWS) -> tuple[TableFiller, psycopg.Connection]:
    """A filler that has filled a schema, and a connection to look with."""
    connection = connect(database, autocommit=True)
    connection.execute(schema.encode())
    filler = TableFiller(rows)
    filler.fill(connection)
    return filler, connection


def counts(filler: TableFiller, connection: psycopg.Connection) -> dict[str, int]:
    return {
        table.shown: connection.execute(f"SELECT count(*) FROM ONLY {table.sql}".encode()).fetchall()[0][0]
        for table in filler.tables.values()
    }


@pytest.mark.spread(3)
@pytest.mark.parametrize("schema", FILLED.values(), ids=FILLED.keys())
def test_every_kind_of_table_is_filled(database: Target, schema: str | tuple[str, int]) -> None:
    text, number = (schema, ROWS) if isinstance(schema, str) else schema
    filler, connection = plant(database, text)
    with connection:
        assert filler.unfilled == {}
        found = counts(filler, connection)
        assert found
        assert min(found.values()) >= number, found
        assert filler.fill(connection) == set() or number < ROWS


def test_of_the_tables_only_those_that_are_wanted_are_filled_and_their_parents(database: Target) -> None:
    schema = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int NOT NULL REFERENCES a); CREATE TABLE c (b int)"
    with connect(database, autocommit=True) as connection:
        connection.execute(schema.encode())
        filler = TableFiller(ROWS, is_wanted=lambda table: table.shown == "b")
        filler.fill(connection)
        assert counts(filler, connection) == {"a": ROWS, "b": ROWS}
        assert connection.execute("SELECT count(*) FROM c").fetchall() == [(0,)]


@pytest.mark.parametrize(
    "rule",
    [
        "code IN ('a1', 'b2', 'c3', 'd4', 'e5', 'f6')",
        "code ~ '^[A-Z]{3}$'",
        "code ~ '^[0-9a-f]{64}$'",
        "length(code) BETWEEN 2 AND 9 AND code = lower(code)",
    ],
)
def test_the_next_row_has_a_value_that_the_table_does_not_have(database: Target, rule: str) -> None:
    """Values with a shape are few, and the first ones are in the table."""
    filler, connection = plant(database, f"CREATE TABLE t (code text NOT NULL UNIQUE CHECK ({rule}))")
    with connection:
        connection.execute("BEGIN")
        (table,) = filler.tables.values()
        (row, *_) = generate_rows(connection, table, {}, 1, range(40, 44), 0)
        connection.execute("INSERT INTO t VALUES (%s)", [row["code"]])


@pytest.mark.parametrize(("schema", "reason"), UNFILLED.values(), ids=UNFILLED.keys())
def test_what_cannot_be_filled_is_told(database: Target, schema: str, reason: str) -> None:
    filler, connection = plant(database, f"{schema}; CREATE TABLE beside (x int NOT NULL)")
    with connection:
        assert [name for name, _ in filler.unfilled.values()] == ["t"]
        (_, told), *_ = filler.unfilled.values()
        assert re.search(reason, told)
        assert counts(filler, connection)["beside"] == ROWS


@pytest.mark.parametrize("kind", ["text", "varchar(40)", "uuid", "int", "bigint"])
def test_a_reference_that_is_no_foreign_key_yet_has_other_values(database: Target, kind: str) -> None:
    _, connection = plant(database, f"CREATE TABLE a (id {kind} PRIMARY KEY); CREATE TABLE b (a_id {kind} NOT NULL)")
    with connection, pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("ALTER TABLE b ADD FOREIGN KEY (a_id) REFERENCES a")


# Extreme rows, beside the ordinary ones

WITHOUT_EXTENSIONS = sorted({*MAKERS, *FIXED_VALUES, *TEXTS} - {"citext", "hstore", "ltree", "xml"})
LIMITED = (
    *("varchar(1)", "varchar(2)", "varchar(8)", "varchar(30)", "varchar(100)", "varchar(5000)", "char(1)", "char(12)"),
    *(
        "numeric(1)",
        "numeric(5)",
        "numeric(2, 2)",
        "numeric(12, 4)",
        "numeric(38, 10)",
        "numeric(1000, 500)",
        "int[]",
        "text[]",
        "numeric[]",
    ),
    *("timestamp(0)", "int4range", "tstzrange", "numrange"),
)
# Nothing but ordinary values: no boundary of a type, no control character, no date far away
EXTREME_TEXTS = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f]|[iI]nfinity|NaN|e-?\d\d|\d{13}|\b(?:0\d|1[0-8]|2[1-9])\d\d-\d\d-\d\d|.{61}"
)


@pytest.mark.spread(3)
@pytest.mark.parametrize("name", [*WITHOUT_EXTENSIONS, *LIMITED])
def test_ordinary_and_extreme_values_of_each_type(database: Target, name: str) -> None:
    quoted = '"char"' if name == "char" else name
    with connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE t (c {quoted})".encode())
        (oid,) = connection.execute("SELECT 't'::regclass::oid::bigint").fetchall()[0]
        (column,) = read_tables(connection, [oid])[0].columns
        ordinary, extreme = make_values(column.type, range(10)), make_extreme_values(column.type)
        assert extreme
        assert len(set(extreme)) == len(extreme) <= 7
        assert name == "numeric(1)" or not set(ordinary) & set(extreme) - {"empty"}
        for value in (*ordinary, *extreme):
            connection.execute("INSERT INTO t VALUES (%s)", [value])
        if name not in ("bytea", "text[]", "json", "jsonb", "numeric(1000, 500)"):
            assert not [value for value in ordinary if EXTREME_TEXTS.search(value)]


def test_texts_have_usual_lengths(database: Target) -> None:
    with connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a text, b varchar(255), c varchar(50), d varchar(10), e varchar(3))")
        (oid,) = connection.execute("SELECT 't'::regclass::oid::bigint").fetchall()[0]
        columns = read_tables(connection, [oid])[0].columns
        longest = [max(map(len, make_values(column.type, range(5)))) for column in columns]
        assert longest == [60, 60, 40, 10, 3]
        assert [len(make_extreme_values(column.type)[0]) for column in columns] == [3000, 255, 50, 10, 3]


@pytest.mark.spread(3)
@pytest.mark.parametrize("schema", FILLED.values(), ids=FILLED.keys())
def test_extreme_rows_are_inserted_and_not_committed(database: Target, schema: str | tuple[str, int]) -> None:
    filler, connection = plant(database, schema if isinstance(schema, str) else schema[0])
    with connection:
        before = counts(filler, connection)
        connection.execute("BEGIN; SET LOCAL TimeZone = 'Asia/Tokyo'; SET LOCAL lock_timeout = '1234ms'")
        changed = insert_extreme_rows(connection, filler.tables.values(), filler.used_numbers)
        settings = (
            "SELECT current_setting('TimeZone'), current_setting('lock_timeout'), current_setting('plan_cache_mode')"
        )
        assert connection.execute(settings).fetchall() == [("Asia/Tokyo", "1234ms", "auto")]
        now = counts(filler, connection)
        grown = {oid for oid, table in filler.tables.items() if now[table.shown] > before[table.shown]}
        assert changed <= grown
        expected = {oid for oid, table in filler.tables.items() if extreme_values(table)}
        assert changed == expected or schema == FILLED["few that are allowed"]
        connection.execute("ROLLBACK")
        assert counts(filler, connection) == before


def test_constraints_are_deferred_again_after_extreme_rows(database: Target) -> None:
    filler, connection = plant(
        database,
        "CREATE TABLE t (id int PRIMARY KEY, note text); "
        "CREATE TABLE u (t int NOT NULL REFERENCES t DEFERRABLE INITIALLY DEFERRED, note text)",
    )
    with connection:
        connection.execute("BEGIN")
        assert len(insert_extreme_rows(connection, filler.tables.values(), filler.used_numbers)) == 2
        connection.execute("INSERT INTO u (t) VALUES (7)")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute("COMMIT")


def test_extreme_values_only_in_one_column(database: Target) -> None:
    filler, connection = plant(database, "CREATE TABLE t (id int PRIMARY KEY, a int, b text, c date)")
    (oid,) = filler.tables
    with connection:
        connection.execute("BEGIN")
        insert_extreme_rows(
            connection, filler.tables.values(), filler.used_numbers, values={oid: {"a": ["2147483647", "-2147483648"]}}
        )
        query = "SELECT max(a), min(a), max(length(b)) <= 60, max(c) < '2031-01-01' FROM t"
        assert connection.execute(query).fetchall() == [(2**31 - 1, -(2**31), True, True)]
