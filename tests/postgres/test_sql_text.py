"""SQL is read as the server reads it: statements, strings, comments, and what ends a transaction."""

import random
from collections.abc import Iterator

import psycopg
import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.postgres.sql_text import (
    Kind,
    begins_transaction,
    ends_transaction,
    find_changed_tables,
    plain,
    read_string,
    rolls_back,
    statements,
    tokenize,
    without_comments,
)
from support.sessions import connect_as_project as connect
from support.sql_bodies import SQL_BODIES

# how many statements the server executes
SCRIPTS = [
    ("SELECT 1", 1),
    (";;SELECT 1;;", 1),
    ("SELECT 1; SELECT 2;\n", 2),
    ("SELECT ';'; SELECT 'it''s;'", 2),
    (r"SELECT E'it\'s; commit now'", 1),
    (r"SELECT E'\\'; SELECT 2", 2),
    (r"SELECT E'\\\'; SELECT 2; --'", 1),
    (r"SELECT e'a''\';b'; SELECT 2", 2),
    (r"SELECT '\'; SELECT 2", 2),
    ("SELECT 'a\\'; SELECT 2; SELECT 'b'", 3),
    ("SELECT E'a'\n'\\'; b'; SELECT 2", 2),
    ("SELECT E'a' -- it's\n  -- and; more\n  '\\'; b'; SELECT 2", 2),
    ("SELECT 'a'\r\n';b'; SELECT 2", 2),
    ("SELECT 'a' /* ; */ ; SELECT 'b'", 2),
    (r"SELECT U&'d\0061t\+000061;'; SELECT U&'x!0061;' UESCAPE '!'", 2),
    (r"""SELECT 1 AS U&"d\0061;"; SELECT 2""", 2),
    ("SELECT B'10', X'1F', N'a;'; SELECT n';'", 2),
    ("SELECT 1 AS b, 2 AS e; SELECT 3 AS x", 2),
    ('SELECT 1 AS "a;""b;"; SELECT 2', 2),
    ("""SELECT 1 AS "it's; -- /*"; SELECT 2 --"*/'""", 2),
    ("SELECT $$;$$; SELECT $a$ $$;$$ $b$ ; $a$; SELECT 3", 3),
    ("SELECT $$a$b$;$$; SELECT 2", 2),
    ("SELECT $größe$; $$ ' $größe$; SELECT 2", 2),
    ("SELECT $_1$;$_1$; SELECT 2", 2),
    ("SELECT 1 AS a$b$c; SELECT 2 AS d$b$e", 2),
    ("SELECT 1 AS a$$; SELECT 2 AS b$$", 2),
    ("SELECT 1 AS ö$x$; SELECT 2 AS ö$x$", 2),
    ("PREPARE p1 (int) AS SELECT $1; DEALLOCATE p1", 2),
    ("SELECT 1 -- one; two\n; SELECT 2", 2),
    ("SELECT 1 -- one; two\r; SELECT 2", 2),
    ("SELECT 1 --'\n; SELECT 2 --'", 2),
    ("SELECT 1 /* ; /* ; */ ; */ ; SELECT 2", 2),
    ("SELECT 1 /* ' */ ; SELECT 2 /* \" $$ -- */ ; SELECT 3", 3),
    ("SELECT 4 */* ;' */ 2; SELECT 2", 2),
    ("SELECT 4 +-- ;'\n 2; SELECT 2", 2),
    ("SELECT 1 - -1, 2/1, 5 % 2, 3 %2; SELECT 2", 2),
    ("SELECT '{1}'::int[], (ARRAY[1,2,3])[1:2], (ARRAY[1,2])[:2]; SELECT 2", 2),
    ("SELECT 1.5e3, .5, 1e-1, 2.; SELECT 2", 2),
    ("SELECT (SELECT 1); SELECT (')'); SELECT (2)", 3),
    ("CREATE TEMP TABLE r (a int); CREATE RULE x AS ON INSERT TO r DO ALSO (SELECT 1; SELECT 2); SELECT 3", 3),
    ("DO $$ BEGIN NULL; END $$; DO 'BEGIN PERFORM '';''; END'; SELECT 2", 3),
    ("BEGIN; SELECT 1; END; SELECT CASE WHEN true THEN 1 END; SELECT 2", 5),
    ("BEGIN ; SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE a; COMMIT AND CHAIN; ROLLBACK", 6),
    ("", 0),
    (" ; -- nothing\n /* ; */ ", 0),
]  # fmt: skip
BODIES = [
    ("BEGIN ATOMIC SELECT 1; SELECT 2; END", 1),
    ("BEGIN ATOMIC END", 1),
    ("begin /* ; */ atomic -- x;\n select 1; end", 1),
    ("BEGIN ATOMIC ; SELECT 1; ; END; SELECT 2", 2),
    ("BEGIN ATOMIC SELECT CASE WHEN true THEN 1 ELSE CASE 1 WHEN 2 THEN 3 END END; SELECT 2; END; SELECT 3", 2),
    ("BEGIN ATOMIC SELECT (CASE WHEN true THEN 1 END); END; SELECT 3", 2),
    ('BEGIN ATOMIC SELECT 1 AS "end"; SELECT 1 AS end; SELECT 1 AS case; SELECT ";end" FROM (SELECT 1 AS ";end") AS x; END; SELECT 3', 2),
    ("BEGIN ATOMIC SELECT 'END;'; SELECT $$;END;$$; END; SELECT 3", 2),
    ("BEGIN ATOMIC SELECT begin, atomic FROM (SELECT 1 AS begin, 2 AS atomic) AS x; END; SELECT 3", 2),
    ("RETURN 1; SELECT 2", 2),
    ("LANGUAGE sql AS $$ SELECT 1; SELECT 2 $$; SELECT 3", 2),
]  # fmt: skip


@pytest.fixture(scope="module")
def connection(server: Cluster) -> Iterator[psycopg.Connection]:
    """A session that executes scripts."""
    with connect(server.create_database("sql_text"), autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        yield connection


def executed(connection: psycopg.Connection, script: str) -> int:
    """How many statements of a script the server executes; in a transaction of its own, as it is one message."""
    connection.pgconn.send_query(script.encode())
    count = 0
    while result := connection.pgconn.get_result():
        if result.error_message:
            while connection.pgconn.get_result():
                pass
            raise AssertionError(f"{script!r}: {result.error_message.decode()}")
        count += bool(result.command_status)
    return count


def counted(script: str) -> int:
    found = statements(script)
    return 0 if found == [script] and not plain(script).replace(";", "").strip() else len(found)


@pytest.mark.parametrize(("script", "expected"), SCRIPTS)
def test_a_script_has_as_many_statements_as_the_server_executes(
    connection: psycopg.Connection, script: str, expected: int
) -> None:
    assert executed(connection, script) == expected == counted(script)
    assert "".join(token.text for token in tokenize(script)) == script


@pytest.mark.parametrize(("body", "expected"), BODIES)
def test_a_body_of_a_function_is_one_statement(connection: psycopg.Connection, body: str, expected: int) -> None:
    returned = "int" if body.startswith("RETURN") else "void"
    for head in ("CREATE FUNCTION pg_temp.f(begin int DEFAULT 1)", 'create or replace function pg_temp."f;"()'):
        script = f"{head} RETURNS {returned} {body}"
        assert counted(script) == expected
        assert not ends_transaction(script)
        if connection.info.server_version >= SQL_BODIES or "LANGUAGE" in body:
            assert executed(connection, f'DROP FUNCTION IF EXISTS pg_temp.f, pg_temp."f;"; {script}') == expected + 1


PIECES = (
    "SELECT 1", "SELECT 'a;b'", "SELECT 'it''s;'", r"SELECT E'it\'s;'", "SELECT 'a'\n';b'", r"SELECT E'a'  --;'" + "\n" + r"'\';'",
    "SELECT $$;$$", "SELECT $t$ $$;' $t$", "SELECT $é$;$é$", 'SELECT 1 AS ";"', "SELECT 1 AS a$b$", r"SELECT '\'", "SELECT (';')",
    "SELECT 1 AS \"it's\"", "SELECT 2 -- it's;\n", "SELECT 3 /* ; /* ' */ \" */", "SELECT 4 /* $$ */ + 1", r"SELECT U&'\0061;'",
    "DO $$ BEGIN PERFORM ';'; END $$", "SELECT CASE WHEN true THEN 1 END", "", "--;'\n", "/* ;' */", "SELECT 5 - -- $$\n 1", "SELECT n';'",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_random_scripts_have_as_many_statements_as_the_server_executes(
    connection: psycopg.Connection, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    for _ in range(100):
        script = ";".join(chance.choice(PIECES) for _ in range(chance.randint(1, 12)))
        assert executed(connection, script) == counted(script), script
        assert "".join(token.text for token in tokenize(script)) == script


FRAGMENTS = (
    "'", "''", '"', "$$", "$a$", "$1", "E'", "U&'", 'U&"', "\\", "\\'", "--", "\n", "\r", " ", "/*", "*/", ";", ":", "::", ":=", ":x", "%",
    "%s", "%(x)s", "%%", "begin", "atomic", "end", "case", "commit", "a$b$", "é", "1", ".5", "1e", "(", ")", "[", "]", "\0", "\x80", "N'", "x",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_the_tokens_of_any_text_are_the_text(seed: int) -> None:
    """Whatever is not terminated, or makes no sense."""
    chance = random.Random(seed)  # noqa: S311
    for _ in range(2000):
        text = "".join(chance.choice(FRAGMENTS) for _ in range(chance.randint(0, 30)))
        found = list(tokenize(text))
        assert "".join(token.text for token in found) == text
        assert [token.start for token in found] == [
            len("".join(each.text for each in found[:n])) for n in range(len(found))
        ]
        assert ends_transaction(text) in (True, False)


@pytest.mark.parametrize(
    "text",
    [
        "'a; commit",
        "E'a\\'; commit",
        'SELECT "a; commit',
        "$$ ; commit",
        "$a$ ; commit $$",
        "/* ; commit /* */",
        "E'a\\",
        "-- ; commit",
    ],
)
def test_what_is_not_terminated_goes_to_the_end(text: str) -> None:
    assert not ends_transaction(text)
    assert "".join(token.text for token in tokenize(text)) == text


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("%(it's)s", [Kind.PARAMETER]),
        ("%s", [Kind.PARAMETER]),
        ("$1", [Kind.PARAMETER]),
        (":name", [Kind.PARAMETER]),
        ("x::text", [Kind.WORD, Kind.SYMBOL, Kind.WORD]),
        ("x := 1", [Kind.WORD, Kind.SYMBOL, Kind.NUMBER]),
        ("a[1:2]", [Kind.WORD, Kind.SYMBOL, Kind.NUMBER, Kind.SYMBOL, Kind.NUMBER, Kind.SYMBOL]),
        ("'100%%'", [Kind.STRING]),
        ("E'a'\n'b'", [Kind.STRING]),
        ("'a' 'b'", [Kind.STRING, Kind.STRING]),
        ('U&"a"', [Kind.NAME]),
        ("a$b$c", [Kind.WORD]),
        ("5 %% 2", [Kind.NUMBER, Kind.SYMBOL, Kind.NUMBER]),
    ],
)
def test_a_token_is_of_a_kind(text: str, kinds: list[Kind]) -> None:
    assert [token.kind for token in tokenize(text) if token.kind != Kind.SPACE] == kinds


# Transactions

ENDS = ("COMMIT", "commit work", "COMMIT AND CHAIN", "END", "END TRANSACTION", "SELECT 1; end ; SELECT 2", "-- x\nCOMMIT", "/* x */ END",
    "PREPARE TRANSACTION 'x'")  # fmt: skip
ROLLS_BACK = ("ROLLBACK", "rollback work", "ROLLBACK AND CHAIN", "ABORT", "ABORT TRANSACTION", "ROLLBACK AND NO CHAIN", "SELECT 1;/**/ROLLBACK",
    "ROLLBACK TRANSACTION AND CHAIN")  # fmt: skip
STAYS = ("ROLLBACK TO a", "ROLLBACK TO SAVEPOINT a", "ROLLBACK WORK TO a", "rollback /* to */ transaction\nto savepoint a",
    "SAVEPOINT a", "RELEASE a", "BEGIN", "START TRANSACTION", "SELECT 'COMMIT'", "SELECT 1 AS \"; COMMIT\"", "SELECT 1 -- ; COMMIT",
    r"SELECT E'it\'s; commit now'", "DO $$ BEGIN PERFORM 1; END $$", "PREPARE commit AS SELECT 1", "SELECT CASE WHEN true THEN 1 END",
    "SET TRANSACTION READ WRITE", "SELECT 1 AS commit")  # fmt: skip


@pytest.mark.parametrize("text", [*ENDS, *ROLLS_BACK, *STAYS])
def test_what_ends_a_transaction_ends_it_on_the_server(server: Cluster, text: str) -> None:
    """A transaction that is another one afterwards, or none, has ended."""
    with connect(server.create_database("sql_text_ends"), autocommit=True) as connection:
        connection.execute("BEGIN; CREATE TABLE t (); SAVEPOINT a")
        before = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
        try:
            connection.execute(text.encode())
        except psycopg.errors.ObjectNotInPrerequisiteState:  # no prepared transactions here; it has ended all the same
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        after = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
        has_table = connection.execute("SELECT to_regclass('t') IS NOT NULL").fetchone()
    server.drop_database("sql_text_ends")
    assert (before != after) == ends_transaction(text) == (text not in STAYS)
    assert (has_table != (True,)) == (rolls_back(text) or text.startswith("PREPARE TRANSACTION"))


@pytest.mark.parametrize(
    "text", ["COMMIT PREPARED 'x'", "ROLLBACK PREPARED 'x'", "DISCARD ALL", "CALL work()", "DO $$ BEGIN COMMIT; END $$"]
)
def test_what_the_server_refuses_in_a_transaction_does_not_end_it(text: str) -> None:
    assert not ends_transaction(text)


def test_what_begins_a_transaction() -> None:
    assert all(
        map(
            begins_transaction,
            ("BEGIN", "begin work", "START TRANSACTION READ ONLY", "SET x = 1; BEGIN ISOLATION LEVEL SERIALIZABLE"),
        )
    )
    assert not any(map(begins_transaction, ("DO $$ BEGIN END $$", "COMMIT", "SELECT 'BEGIN'", "SELECT 1 AS begin")))


# Texts for regular expressions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  ALTER\tTABLE /* x */ ONLY\n a . b -- y", "alter table only a.b"),
        ("SELECT 'it''s', E'\\'', $$x$$ FROM \"A b\".c", "select '', '', '' from \"\".c"),
        ("CREATE INDEX/**/CONCURRENTLY", "create index concurrently"),
    ],
)
def test_the_plain_text_has_no_comment_and_nothing_of_what_is_in_quotes(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_comments_can_be_left_out() -> None:
    assert without_comments('DROP INDEX /* no */ "a--b" -- x; y\n') == 'DROP INDEX   "a--b"  \n'


@pytest.mark.parametrize(
    ("string", "value"),
    [
        ("'it''s'", "it's"),
        ("$$a$$", "a"),
        ("$x$a'$x$", "a'"),
        ("E'a\\n\\\\'", "a\n\\"),
        ("N'a'", "a"),
        ("'a", "a"),
        ("$$a", "a"),
    ],
)
def test_the_value_of_a_string(string: str, value: str) -> None:
    assert read_string(string) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("UPDATE t SET a = 1", {("update", "t")}),
        ('update only public."T""x" as u set a = 1', {("update", 'T"x')}),
        ("DELETE FROM ONLY a.b.c WHERE x", {("delete", "c")}),
        ("MERGE INTO t USING u ON x WHEN MATCHED THEN UPDATE SET a = 1", {("merge", "t")}),
        ("WITH x AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM x", {("delete", "t"), ("insert", "u")}),
        ("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2", {("insert", "t")}),
        ("SELECT * FROM t FOR UPDATE OF t; SELECT 1 FOR NO KEY UPDATE", set()),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u ON DELETE CASCADE ON UPDATE SET NULL", set()),
        ("SELECT 'UPDATE t' -- DELETE FROM u", set()),
        ("UPDATE", set()),
    ],
)
def test_whose_rows_a_statement_changes(text: str, expected: set[tuple[str, str]]) -> None:
    assert find_changed_tables(text) == expected
