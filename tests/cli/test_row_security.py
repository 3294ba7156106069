"""A backfill under row security says so, and does not pass over the rows that it is not shown."""

from dataclasses import replace

import psycopg
import pytest

from dbkit.postgres.cluster import Cluster
from support.pair import Pair, url_of

BACKFILL = 'from dbkit.backfill import backfill\nbackfill(op, "t", "note = \'x\'", where="note IS NULL")'


@pytest.mark.spread(2)
@pytest.mark.parametrize("shown", ["false", "id < 100"])
def test_a_backfill_that_is_not_shown_all_rows_is_refused(pair: Pair, server: Cluster, shown: str) -> None:
    project = pair.gated
    role = f"owner_{abs(hash(project.target.dbname)) % 10**9}"
    with psycopg.connect(**project.target.parameters(), autocommit=True) as connection:
        for statement in (
            f"CREATE ROLE {role} LOGIN",
            "CREATE TABLE t (id int PRIMARY KEY, note text)",
            "INSERT INTO t SELECT generate_series(1, 500)",
            f"ALTER TABLE t OWNER TO {role}",
            f"CREATE POLICY p ON t USING ({shown})",
            "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            f"GRANT CREATE ON SCHEMA public TO {role}",
            f"ALTER DATABASE {project.target.dbname} OWNER TO {role}",
        ):
            connection.execute(statement.encode())
    owned = url_of(replace(project.target, user=role, password=None))
    verb = ("backfill", "t", "--set", "note = 'x'", "--where", "note IS NULL")
    pair.write(BACKFILL)
    for typed in (
        project.dbkit(*verb, env={"DATABASE_URL": owned, "CONFIRM": project.target.dbname}),
        project.alembic("upgrade", "head", env={"DATABASE_URL": owned}),
    ):
        assert typed.returncode, typed.stdout
        assert f"row security hides rows of t from {role}" in typed.stderr
    assert project.query("SELECT count(*) FROM t WHERE note IS NULL") == [(500,)]
    project.query("ALTER TABLE t NO FORCE ROW LEVEL SECURITY")
    done = project.dbkit(*verb, env={"DATABASE_URL": owned, "CONFIRM": project.target.dbname})
    assert done.returncode == 0, done.stderr
    assert project.query("SELECT count(*) FROM t WHERE note IS NULL") == [(0,)]
