"""Diagrams of real schemas: each kind of key and name as the server has it."""

from collections.abc import Mapping

import psycopg
import pytest

from dbkit import catalog
from dbkit.catalog import Fact
from dbkit.pictures.diagram import Diagram, from_catalog
from dbkit.pictures.diagram_svg import diagram_svg
from dbkit.pictures.dot import diagram_dot
from dbkit.pictures.mermaid import diagram_mermaid
from dbkit.settings import Target
from support.pictures import HOSTILE, parse_svg, quote
from support.sessions import connect_as_project as connect

SCHEMA = """
CREATE SCHEMA "a.b";
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE parents (a int, b int, name text UNIQUE, PRIMARY KEY (a, b));
CREATE TABLE "a.b"."Child ""x"" y" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pa int NOT NULL, pb int,
    "from" mood[] DEFAULT '{}', "NOT" text COLLATE "C" DEFAULT 'NOT NULL' NOT NULL,
    is_new boolean GENERATED ALWAYS AS (pb IS NOT NULL) STORED,
    amount numeric(10, 2) CHECK (amount > 0),
    FOREIGN KEY (pa, pb) REFERENCES parents (a, b) ON DELETE CASCADE
);
CREATE TABLE single (id bigint PRIMARY KEY REFERENCES "a.b"."Child ""x"" y", self bigint REFERENCES single);
CREATE TABLE logs (id int, at date, p text REFERENCES parents (name), PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') PARTITION BY LIST (at);
CREATE TABLE logs_1_a PARTITION OF logs_1 DEFAULT;
CREATE TABLE of_logs (id int, at date, log_id int, FOREIGN KEY (log_id, at) REFERENCES logs (id, at));
CREATE UNIQUE INDEX only_one ON of_logs (log_id);
CREATE UNIQUE INDEX a_few ON of_logs (id) WHERE log_id > 0;
CREATE VIEW v AS SELECT 1 AS a;
"""


def read(connection: psycopg.Connection) -> Mapping[Fact, str]:
    return catalog.read_facts(connection)


def columns_of(made: Diagram, table: str) -> dict[str, tuple[str, bool, bool, bool, bool]]:
    return {
        each.name: (each.type, each.is_nullable, each.is_primary, each.is_foreign, each.is_unique)
        for each in made.by_key[table].columns
    }


def test_keys_and_columns_are_those_of_the_server(database: Target) -> None:
    with connect(database) as connection:
        connection.execute(SCHEMA.encode())
        made = from_catalog(read(connection))
    child = '"a.b"."Child ""x"" y"'
    assert [each.label for each in made.tables] == ["logs", "of_logs", "parents", "single", 'a.b.Child "x" y']
    assert columns_of(made, child) == {
        "id": ("bigint", False, True, False, False),
        "pa": ("integer", False, False, True, False),
        "pb": ("integer", True, False, True, False),
        "from": ("mood[]", True, False, False, False),
        "NOT": ("text", False, False, False, False),
        "is_new": ("boolean", True, False, False, False),
        "amount": ("numeric(10,2)", True, False, False, False),
    }
    assert columns_of(made, "of_logs")["log_id"] == ("integer", True, False, True, True)
    assert columns_of(made, "of_logs")["id"] == ("integer", True, False, False, False)
    relations = {
        (each.source, each.source_columns): (each.target, each.target_columns, each.is_optional, each.is_unique)
        for each in made.relations
    }
    assert relations == {
        (child, ("pa", "pb")): ("parents", ("a", "b"), True, False),
        ("single", ("id",)): (child, ("id",), False, True),
        ("single", ("self",)): ("single", ("id",), True, False),
        ("logs", ("p",)): ("parents", ("name",), True, False),
        ("of_logs", ("log_id", "at")): ("logs", ("id", "at"), True, True),
    }
    assert made.by_key["logs"].partitions == 2
    parse_svg(diagram_svg(made))


def test_every_hostile_name_that_the_server_takes_is_harmless(database: Target) -> None:
    names = [name for name in HOSTILE if len(name.encode()) <= 63]
    with connect(database) as connection:
        for number, name in enumerate(names):
            connection.execute(f"CREATE DOMAIN {quote(f'{name}D'[-40:])} AS text".encode())
            refers = f"REFERENCES {quote(names[number - 1])}" if number else ""
            connection.execute(
                f"CREATE TABLE {quote(name)} (id bigint PRIMARY KEY, {quote(name)} bigint {refers},"
                f" x {quote(f'{name}D'[-40:])})".encode()
            )
        made = from_catalog(read(connection))
    assert len(made.tables) == len(names) > 40
    assert len(made.relations) == len(names) - 1
    parse_svg(diagram_svg(made))
    for text in (diagram_mermaid(made), diagram_dot(made), diagram_svg(made)):
        assert not [letter for letter in text if letter != "\n" and ord(letter) < 32]
        assert "<img" not in text
        assert "<script" not in text


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        ("ALTER TABLE single ADD note text", {"single"}),
        ("CREATE INDEX ON parents (name)", {"parents"}),
        ("ALTER TABLE of_logs DROP CONSTRAINT of_logs_log_id_at_fkey", {"of_logs"}),
        ("CREATE TABLE logs_2 PARTITION OF logs DEFAULT", {"logs"}),
        ("COMMENT ON COLUMN logs.p IS 'x'", {"logs"}),
        ("DROP TABLE of_logs", {"of_logs"}),
        ("CREATE VIEW w AS SELECT 1 AS a", set()),
    ],
)
def test_a_change_touches_its_table(database: Target, change: str, touched: set[str]) -> None:
    with connect(database) as connection:
        connection.execute(SCHEMA.encode())
        before = read(connection)
        connection.execute(change.encode())
        made = from_catalog(read(connection), before=before)
    assert {each.key for each in made.tables if each.is_touched} == touched
    parse_svg(diagram_svg(made))
