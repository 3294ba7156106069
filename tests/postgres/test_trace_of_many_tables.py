"""A trace of a revision that changes many tables, of which only those that a statement has changed are read again."""

from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from dbkit.trace import known_relations
from dbkit.trace.records import Trace
from support.plain import Revision, write_project

NAMES = [f"t{number}" for number in range(1, 10)]
TABLES = "; ".join(f"CREATE TABLE {name} (id int PRIMARY KEY, a int, b text)" for name in NAMES)
FIRST: Revision = (
    "a1",
    None,
    f"{TABLES}; CREATE TYPE mood AS ENUM ('well'); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; "
    "CREATE TABLE parted (id int) PARTITION BY RANGE (id); CREATE TABLE part (id int); CREATE SCHEMA other",
    f"DROP SCHEMA other; DROP TABLE part; DROP TABLE parted; DROP FUNCTION f; DROP TYPE mood; DROP TABLE {', '.join(NAMES)}",
)
CHANGES = [
    *(f"ALTER TABLE {name} ADD COLUMN c int" for name in NAMES),
    "ALTER TABLE t1 ALTER COLUMN a TYPE bigint",
    "ALTER TABLE t1 ALTER COLUMN a SET DEFAULT 3",
    "ALTER TABLE t1 ALTER COLUMN a SET DEFAULT 4",
    "ALTER TABLE t1 ALTER COLUMN a DROP DEFAULT",
    "ALTER TABLE t2 ADD CONSTRAINT ck CHECK (a > 0)",
    "ALTER TABLE t2 ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES t3 NOT VALID",
    "ALTER TABLE t2 VALIDATE CONSTRAINT fk",
    "ALTER TABLE t3 RENAME COLUMN id TO number",
    "ALTER TABLE t3 RENAME TO third",
    "ALTER INDEX t3_pkey RENAME TO third_pkey",
    "CREATE INDEX ix ON t4 (a)",
    "ALTER TABLE t4 CLUSTER ON ix",
    "CREATE UNIQUE INDEX ux ON t4 (b)",
    "DROP INDEX ix",
    "ALTER TABLE t4 ADD CONSTRAINT uq UNIQUE USING INDEX ux",
    "CREATE TRIGGER tr BEFORE INSERT ON t5 FOR EACH ROW EXECUTE FUNCTION f()",
    "ALTER TABLE t5 DISABLE TRIGGER tr",
    "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
    "ALTER TABLE t6 ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY p ON t6 USING (a > 0)",
    "ALTER POLICY p ON t6 USING (a > 1)",
    "ALTER TABLE t6 SET (autovacuum_enabled = off)",
    "ALTER TABLE t6 SET SCHEMA other",
    "ALTER TABLE parted ATTACH PARTITION part FOR VALUES FROM (1) TO (10)",
    "CREATE RULE r AS ON INSERT TO t7 DO INSTEAD NOTHING",
    "DROP RULE r ON t7",
    "ALTER TABLE t8 ADD COLUMN m mood",
    "ALTER TYPE mood RENAME TO feeling",
    "ALTER TABLE t8 ALTER COLUMN m SET DEFAULT 'well'",
    "DROP TYPE feeling CASCADE",
    "DROP TABLE third CASCADE",
    "DO $$ BEGIN ALTER TABLE t9 RENAME COLUMN a TO z; ALTER TABLE t9 DROP COLUMN b; END $$",
    "CREATE TABLE t10 AS SELECT * FROM t9",
    "SAVEPOINT s",
    "ALTER TABLE t1 ADD COLUMN lost int",
    "ROLLBACK TO SAVEPOINT s",
    "ALTER TABLE t1 ADD COLUMN kept int",
    "COMMENT ON TABLE t1 IS 'x'",
    "DROP TABLE t2",
]


def traced(settings: Settings, server: Cluster, directory: Path) -> list[Trace]:
    directory.mkdir()
    up = "python:" + "\n    ".join(f"op.execute({statement!r})" for statement in CHANGES)
    ini = write_project(directory, [FIRST, ("a2", "a1", up, "SELECT 1")])
    outcome = prove(settings, ini, Request(server=server.target("postgres"), jobs=1, trace=True))
    return [trace for revision in outcome.revisions for trace in revision.traces]


def test_the_changes_are_those_of_reading_all(
    local_settings: Settings, server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = traced(local_settings, server, tmp_path / "some")
    monkeypatch.setattr(known_relations, "FEW_TABLES", 1_000_000)
    whole = traced(local_settings, server, tmp_path / "all")
    for trace, other in zip(some, whole, strict=True):
        for one, same in zip(trace.statements, other.statements, strict=True):
            assert (one.sql, one.changes, one.touched) == (same.sql, same.changes, same.touched)
    upgrade = some[-2] if some[-1].direction == "downgrade" else some[-1]
    changed = [each.sql for each in upgrade.statements if each.changes]
    assert len(changed) > len(CHANGES) - 10, sorted(set(CHANGES) - {*changed})
