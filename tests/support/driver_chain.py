"""Migrations that show how a driver behaves: one chain, proven with each driver, and in transactions as by clones."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbkit.roundtrip.outcome import Finding, Outcome
from support.battery import NOTHING, revision_file

DRIVERS = ("psycopg", "psycopg2", "asyncpg")

SYNC_ENV = """
import os

from alembic import context
from sqlalchemy import create_engine, pool, text

with create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool).connect() as connection:
    {before}context.configure(connection=connection{options})
    with context.begin_transaction():
        context.run_migrations()
"""
ASYNC_ENV = """
import asyncio
import os

from alembic import context
from sqlalchemy import pool, text
from sqlalchemy.ext.asyncio import create_async_engine


def migrate(connection):
    {before}context.configure(connection=connection{options})
    with context.begin_transaction():
        context.run_migrations()


async def main():
    engine = create_async_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main())
"""


def env_for(driver: str, before: str = "", options: str = "") -> str:
    """An env.py for a driver; `before`: code that runs on the connection first."""
    env = ASYNC_ENV if driver == "asyncpg" else SYNC_ENV
    return env.replace("{before}", f"{before}\n    " if before else "").replace("{options}", options)


@dataclass(frozen=True)
class Case:
    """One revision, its verdict with each driver, and whether it is proven in its transaction."""

    name: str
    up: str
    down: str
    verdict: str
    in_transaction: bool = True
    asyncpg: str = ""
    """The verdict with asyncpg, where that is truly different."""

    def expected(self, driver: str) -> str:
        """The verdict with a driver."""
        return (driver == "asyncpg" and self.asyncpg) or self.verdict


def python(*lines: str) -> str:
    """The body of a function."""
    return "python:" + "\n    ".join(lines)


# through the driver's own cursor, past SQLAlchemy
RAW = "op.get_bind().connection.cursor().execute"
ONE_STATEMENT = "broken"
"""asyncpg prepares each statement, and the server prepares no string of several."""
COPY = python(
    "op.execute('CREATE TABLE copied_2 (id int PRIMARY KEY, word text)')",
    "driver = op.get_bind().connection.driver_connection",
    "kind = type(driver).__module__.partition('.')[0]",
    "if kind == 'psycopg2':",
    "    import io",
    "    driver.cursor().copy_expert('COPY copied_2 FROM STDIN', io.StringIO('1\\tone\\n2\\ttwo\\n'))",
    "elif kind == 'psycopg':",
    "    with driver.cursor().copy('COPY copied_2 FROM STDIN') as copy:",
    "        copy.write(b'1\\tone\\n2\\ttwo\\n')",
    "else:",
    "    op.execute(\"INSERT INTO copied_2 VALUES (1, 'one'), (2, 'two')\")",
)
CASES = [
    Case("tables", "CREATE TABLE a (id int PRIMARY KEY, x text, n int); CREATE TABLE b (id int PRIMARY KEY, a_id int); CREATE TABLE copied (id int PRIMARY KEY, word text)", "DROP TABLE a, b, copied", "proven"),
    # what a proof finds
    Case("index left", "CREATE INDEX IF NOT EXISTS ix_left ON a (id)", NOTHING, "dirty"),
    Case("column left", "ALTER TABLE b ADD COLUMN IF NOT EXISTS left_over int", NOTHING, "dirty"),
    Case("values lost", "UPDATE a SET x = 'same'", NOTHING, "lossy"),
    Case("column with values dropped", "ALTER TABLE a DROP n", "ALTER TABLE a ADD n int", "lossy"),
    Case("error in the downgrade", NOTHING, "DROP TABLE not_there", "broken"),
    Case("error of Python", NOTHING, "python:op.drop_nothing('x')", "broken"),
    Case("says that it cannot", "ALTER TABLE b ADD gone int", "python:raise NotImplementedError('gone')", "irreversible"),
    Case("enum left", "CREATE TYPE mood AS ENUM ('x'); CREATE TABLE moody (m mood)", "DROP TABLE moody", "broken"),
    Case("unique on rows", "INSERT INTO b (id) VALUES (-1)", NOTHING, "broken", in_transaction=False),
    # several statements
    Case("one string on the way down", "CREATE TABLE s3 (id int); CREATE TABLE s4 (id int)", python("op.execute('DROP TABLE s3; DROP TABLE s4')"), "proven", asyncpg=ONE_STATEMENT),
    Case("DO block", python("op.execute(\"DO $$ BEGIN CREATE TABLE d (id int); INSERT INTO d VALUES (1); END $$\")"), "DROP TABLE d", "proven"),
    Case("DO block with rows", python("op.execute(\"DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM a LOOP UPDATE a SET x = x || '!' WHERE id = r.id; END LOOP; END $$\")"), NOTHING, "lossy"),
    Case("DO block that catches", python("op.execute(\"DO $$ BEGIN CREATE TABLE a (id int); EXCEPTION WHEN duplicate_table THEN NULL; END $$\")"), NOTHING, "proven"),
    # types that come and go: what a driver remembers of them
    Case("enum by SQLAlchemy", python("op.create_table('by_sa', sa.Column('id', sa.Integer), sa.Column('e', sa.Enum('p', 'q', name='by_sa_e')))", "table = sa.table('by_sa', sa.column('id', sa.Integer), sa.column('e', sa.Enum('p', 'q', name='by_sa_e')))", "op.bulk_insert(table, [{'id': 1, 'e': 'p'}, {'id': 2, 'e': 'q'}])", "assert op.get_bind().execute(sa.select(table.c.e).order_by(table.c.id)).scalars().all() == ['p', 'q']"), python("op.drop_table('by_sa')", "sa.Enum(name='by_sa_e').drop(op.get_bind())"), "proven"),
    Case("composite type", python("op.execute(\"CREATE TYPE pair AS (l int, r text)\")", "op.execute('CREATE TABLE pairs (p pair)')", "op.execute(\"INSERT INTO pairs VALUES (ROW(1, 'x'))\")", "assert len(op.get_bind().execute(sa.text('SELECT p FROM pairs')).all()) == 1"), "DROP TABLE pairs; DROP TYPE pair", "proven"),
    Case("the same query before and after", python("query = sa.text('SELECT * FROM copied')", "before = op.get_bind().execute(query).keys()", "op.add_column('copied', sa.Column('more', sa.Integer))", "assert len(op.get_bind().execute(sa.text('SELECT * FROM copied /* now */')).keys()) == len(before) + 1"), "ALTER TABLE copied DROP more", "proven"),
    Case("enum grows and is used", python("with op.get_context().autocommit_block():", "    op.execute(\"ALTER TYPE mood ADD VALUE IF NOT EXISTS 'y'\")", "op.execute(\"INSERT INTO moody VALUES ('y')\")"), python("op.execute(\"DELETE FROM moody WHERE m = 'y'\")"), "proven", in_transaction=False),
    Case("type of a column", "ALTER TABLE a ALTER x TYPE varchar(100)", "ALTER TABLE a ALTER x TYPE text", "proven, if"),
    # parameters
    Case("bound values", python("op.get_bind().execute(sa.text('INSERT INTO b (id) VALUES (:id)'), [{'id': 901}, {'id': 902}])"), python("op.get_bind().execute(sa.text('DELETE FROM b WHERE id IN (:one, :two)'), {'one': 901, 'two': 902})"), "proven"),
    Case("a session", python("from sqlalchemy.orm import Session", "session = Session(bind=op.get_bind())", "session.execute(sa.text('INSERT INTO b (id) VALUES (:id)'), {'id': 903})", "session.flush()"), python("op.execute('DELETE FROM b WHERE id = 903')"), "proven"),
    Case("a loop over rows", python("for row in op.get_bind().execute(sa.text('SELECT id, x FROM a')).all():", "    op.get_bind().execute(sa.text('UPDATE a SET x = :x WHERE id = :id'), {'x': f'{row.x}?'[:90], 'id': row.id})"), NOTHING, "lossy"),
    Case("an inspector", python("if 'inspected' not in {each['name'] for each in sa.inspect(op.get_bind()).get_columns('b')}:", "    op.add_column('b', sa.Column('inspected', sa.Integer))"), python("op.drop_column('b', 'inspected')"), "proven"),
    # errors that the migration catches
    Case("caught in a savepoint", python("try:", "    with op.get_bind().begin_nested():", "        op.execute('DROP TABLE not_there')", "except sa.exc.ProgrammingError:", "    op.execute('CREATE TABLE caught (id int)')"), "DROP TABLE caught", "proven"),
    Case("caught without a savepoint", NOTHING, python("try:", "    op.execute('DROP TABLE not_there')", "except sa.exc.ProgrammingError:", "    pass"), "broken", in_transaction=False),
    Case("caught on the way down", "CREATE TABLE twice (id int)", python("try:", "    with op.get_bind().begin_nested():", "        op.execute('DROP TABLE not_there')", "except sa.exc.ProgrammingError:", "    op.execute('DROP TABLE twice')"), "proven"),
    # constraints at the end of the transaction
    Case("deferred key", "ALTER TABLE b ADD CONSTRAINT fk_b FOREIGN KEY (left_over) REFERENCES a DEFERRABLE INITIALLY DEFERRED", "ALTER TABLE b DROP CONSTRAINT fk_b", "proven, if"),
    Case("deferred key, violated", python("op.execute('CREATE TABLE child (a_id int REFERENCES a DEFERRABLE INITIALLY DEFERRED)')"), python("op.execute('INSERT INTO child VALUES (-99)')", "op.execute('ALTER TABLE child RENAME TO child_2')"), "broken", in_transaction=False),
    Case("deferred key, violated and repaired", "INSERT INTO b (id, left_over) VALUES (950, -5); DELETE FROM b WHERE id = 950", NOTHING, "proven"),
    # out of the transaction
    Case("concurrent index", python("with op.get_context().autocommit_block():", "    op.execute('CREATE INDEX CONCURRENTLY ix_c ON b (id)')"), python("with op.get_context().autocommit_block():", "    op.execute('DROP INDEX CONCURRENTLY ix_c')"), "proven", in_transaction=False),
    Case("commits by the connection", "CREATE TABLE whole (x int)", python("op.execute('DROP TABLE whole')", "op.get_bind().commit()", "op.execute('CREATE TABLE IF NOT EXISTS other_whole (x int)')"), "broken", in_transaction=False),
    Case("commits by the driver", "CREATE TABLE deep (x int)", python("op.execute('DROP TABLE deep')", "op.get_bind().connection.commit()", "op.execute('CREATE TABLE IF NOT EXISTS other_deep (x int)')"), "dirty", in_transaction=False),
    Case("commits by a raw cursor", "CREATE TABLE raw (x int)", python("op.execute('DROP TABLE raw')", f"{RAW}('COMMIT')", f"{RAW}('BEGIN')", "op.execute('CREATE TABLE IF NOT EXISTS other_raw (x int)')"), "dirty", in_transaction=False),
    Case("sets autocommit", "CREATE TABLE alone (x int)", python("op.get_bind().execution_options(isolation_level='AUTOCOMMIT')", "op.execute('DROP TABLE alone')"), "broken", in_transaction=False),
    # the driver's own cursor
    Case("raw cursor", python(f"{RAW}('CREATE TABLE by_cursor (id int)')"), python(f"{RAW}('DROP TABLE by_cursor')"), "proven"),
    Case("raw cursor, index left", python(f"{RAW}('CREATE INDEX IF NOT EXISTS ix_cursor ON a (id)')"), NOTHING, "dirty"),
    Case("COPY", COPY, "DROP TABLE copied_2", "proven"),
    # settings
    Case("search path in the migration", python("op.execute('CREATE SCHEMA IF NOT EXISTS apart')", "op.execute('SET search_path = apart')", "op.execute('CREATE TABLE z (x int)')", "op.execute('RESET search_path')"), "DROP TABLE apart.z; DROP SCHEMA apart", "proven"),
    Case("format of dates", python("op.execute(\"SET LOCAL DateStyle = 'German'\")", "op.execute(\"ALTER TABLE b ADD day date DEFAULT '31.12.2026'\")"), "ALTER TABLE b DROP day", "proven"),
    Case("encoding of the client", python("op.execute(\"SET client_encoding = 'LATIN1'\")", "op.execute('ALTER TABLE b ADD latin text')", "op.execute('RESET client_encoding')"), "ALTER TABLE b DROP latin", "proven"),
    Case("temporary table", python("op.execute('CREATE TEMPORARY TABLE temp_ids ON COMMIT DROP AS SELECT id FROM a')", "op.execute('DROP TABLE temp_ids')"), NOTHING, "proven"),
    Case("a name with an umlaut", python("op.execute('CREATE TABLE \"größe\" (\"maß\" text)')", "op.execute(\"INSERT INTO \\\"größe\\\" VALUES ('Ü')\")"), "DROP TABLE \"größe\"", "proven"),
    Case("a large statement", python("op.execute('CREATE TABLE large (x text)')", "op.get_bind().execute(sa.text('INSERT INTO large VALUES (:x)'), {'x': 'y' * 3_000_000})"), "DROP TABLE large", "proven"),
    Case("the end", "CREATE TABLE last (id int)", "DROP TABLE last", "proven"),
]  # fmt: skip
# each string has several statements, and so asyncpg fails on the way up, where nothing can follow
STRINGS = [
    CASES[0],
    Case("one string", python("op.execute('CREATE TABLE s1 (id int); CREATE TABLE s2 (id int)')"), python("op.execute('DROP TABLE s2; DROP TABLE s1')"), "proven"),
    Case("one string with data", python("op.execute(\"UPDATE a SET x = upper(x); UPDATE copied SET word = lower(word)\")"), NOTHING, "lossy"),
]  # fmt: skip


def write_chain(directory: Path, cases: list[Case], env: str) -> Path:
    """Write a project with one revision per case. Returns its alembic.ini."""
    versions = directory / "migrations/versions"
    versions.mkdir(parents=True)
    parent = None
    for number, case in enumerate(cases):
        revision = f"case{number:02}"
        (versions / f"{revision}.py").write_text(revision_file(revision, parent, case.name, case.up, case.down))
        parent = revision
    (directory / "migrations/env.py").write_text(env)
    ini = directory / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s/migrations\nsqlalchemy.url = postgresql://\n")
    return ini


Found = dict[str, tuple[str, tuple[str, ...]]]
"""By the name of a case, its verdict and what was found."""


def found_in(outcome: Outcome) -> Found:
    """What an outcome says of each revision."""
    found = {}
    for each in outcome.revisions:
        words = [_words(finding) for finding in each.findings]
        words += [f"note: {_words(note)}" for note in each.notes]
        words += [f"warning: {_words(warning)}" for warning in each.warnings]
        words += [f"precondition: {asked.words}" for asked in each.preconditions]
        words += [f"coverage: {cover.direction} {cover.sql} {cover.is_met} {cover.reason}" for cover in each.coverage]
        found[each.message] = " and ".join((each.verdict, *each.also)), tuple(sorted(set(words)))
    return found


def _words(finding: Finding) -> str:
    """A finding as text, with the SQLSTATE and the line of an error in place of its words, which are the driver's."""
    if finding.failure and finding.failure.sqlstate:
        return f"{finding.phase}: {finding.failure.sqlstate} at line {finding.failure.line}"
    return f"{finding.phase}: {finding.words} at line {finding.line}"


def differences(expected: Found, found: Found) -> Iterator[str]:
    """What differs between two outcomes, for people."""
    for name in expected:
        if expected[name] != found.get(name):
            yield f"{name}: {expected[name]} != {found.get(name)}"
