"""SQL files are run in an order that the server takes, and it is known which object is from which file."""

from pathlib import Path

import pytest

from dbkit.database_url import Target
from dbkit.drafts.sql_files import SqlFiles, find_written
from dbkit.errors import InputError
from support.object_drafts import run_sql
from support.sessions import connect_as_project

FILES = {
    "a_view.sql": "-- of a view in a later file\nCREATE VIEW a AS SELECT * FROM b;",
    "b.sql": "CREATE VIEW b AS SELECT f('100% :x \\y') AS x FROM t;\nCOMMENT ON VIEW b IS 'b';",
    "grants.sql": "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;",
    "more/f.sql": """
        SET search_path = other;
        CREATE FUNCTION public.f(x text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN -- ; 100% :x
            RETURN x; END $$;
    """,
    "role.sql": "CREATE ROLE reader; CREATE SCHEMA other; CREATE EXTENSION IF NOT EXISTS citext;",
    "security.sql": "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t TO somebody_else USING (true);",
    ".hidden.sql": "not SQL",
}
ORIGINS = {
    "view a": "sql/a_view.sql",
    "view b": "sql/b.sql",
    "comment on view b": "sql/b.sql",
    "function f(text)": "sql/more/f.sql",
    "row security t": "sql/security.sql",
    "policy p on t": "sql/security.sql",
    "schema other": "sql/role.sql",
    "extension citext": "sql/role.sql",
}


def write(root: Path, files: dict[str, str]) -> Path:
    directory = root / "sql"
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def test_the_order_and_the_origins(database: Target, tmp_path: Path) -> None:
    run_sql(database, "CREATE TABLE t (a int)")
    files = SqlFiles(write(tmp_path, FILES), tmp_path)
    with connect_as_project(database, autocommit=True) as connection:
        files.apply(connection)
        files.require_applied()
        origins = {str(fact): name for fact, name in files.find_origins(connection).items()}
        assert connection.execute("SHOW search_path").fetchone() == ('"$user", public',)
        assert connection.execute("SELECT pg_get_viewdef('b'::regclass)").fetchall()[0][0].count("100% :x \\y") == 1
        assert connection.execute("SELECT has_table_privilege('reader', 'a', 'SELECT')").fetchone() == (True,)
    assert origins.items() >= ORIGINS.items()
    assert origins["grants on table t to reader"] == "sql/grants.sql"


def test_a_file_that_cannot_run_is_named_with_the_error(database: Target, tmp_path: Path) -> None:
    files = SqlFiles(
        write(
            tmp_path, {"a.sql": "\n\nCREATE VIEW v AS SELECT * FROM nothing", "b.sql": "CREATE VIEW b AS SELECT 1 AS x"}
        ),
        tmp_path,
    )
    with connect_as_project(database, autocommit=True) as connection:
        files.apply(connection)
        with pytest.raises(InputError) as caught:
            files.require_applied()
        assert "1 SQL file" in caught.value.message
        assert 'sql/a.sql, line 3: relation "nothing" does not exist' in f"{caught.value.message} {caught.value.hint}"
        # what it depends on may come later
        connection.execute("CREATE TABLE nothing (a int)")
        files.apply(connection)
        files.require_applied()


def test_the_comments_in_revisions() -> None:
    first = "def upgrade():\n    # view v, from app/sql/v.sql\n    # function f(text, integer), from a b.sql\n"
    second = "def upgrade():\n    # drops view v: app/sql/v.sql is gone\n\n\ndef downgrade():\n    # view v, from app/sql/v.sql\n"
    assert find_written([first]) == {"view v": "app/sql/v.sql", "function f(text, integer)": "a b.sql"}
    assert find_written([first, second]) == {"function f(text, integer)": "a b.sql"}
