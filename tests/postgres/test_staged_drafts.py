"""Drafts staged for a live database: lint finds no danger in any revision, each is proven, and the result is the same."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.operations import Operations, ops
from alembic.runtime.migration import MigrationContext

from dbkit.catalog import Fact, read_facts
from dbkit.drafts.effects import measure
from dbkit.drafts.read_shapes import read_shapes
from dbkit.drafts.render import render_revision
from dbkit.drafts.staged import stage
from dbkit.drafts.steps import AutocommitOp, Draft, DraftRevision, Phase, Step
from dbkit.lint.estimate import SMALL
from dbkit.lint.table_sizes import TableSize
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Target
from support.sessions import connect_as_project as connect
from support.staged_cases import STAGED, TABLES, StagedCase, numbered

pytestmark = pytest.mark.slow  # about three minutes; the draft battery has staged drafts in every run

INI = "[alembic]\nscript_location = %(here)s\nsqlalchemy.url = postgresql+psycopg://x@/x\n"
ENV = """\
import sqlalchemy as sa
from alembic import context

engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    connection.execute(sa.text("SET lock_timeout = '5s'"))
    connection.commit()
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = '''\
"""{message}"""

import sqlalchemy as sa
from alembic import op
{imports}

revision = "{revision}"
down_revision = {down}
branch_labels = None
depends_on = None


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
'''


class Captured(Operations):
    """Keeps operations, and runs none."""

    def __init__(self) -> None:
        super().__init__(MigrationContext.configure(dialect_name="postgresql"))
        self.steps: list[Step] = []

    def invoke(self, operation: ops.MigrateOperation) -> Any:
        self.steps.append(Step(Phase.ALTER_COLUMN, operation))


def read_steps(lines: Sequence[str], number: int) -> list[Step]:
    """The steps of a case, of SQL and calls of op."""
    captured = Captured()
    for line in lines:
        text = numbered(line, number)
        if text.startswith("op."):
            eval(text, {"op": captured, "sa": sa})  # noqa: S307  # the text of a case
        else:
            captured.execute(text)
    return captured.steps


@dataclass
class Staged:
    """What one case has become."""

    number: int
    draft: Draft
    revisions: list[str] = field(default_factory=list)
    """The ids of its revisions."""


@dataclass
class Results:
    """What was found in all cases at once: each has its own tables, and its revisions follow those of the one before."""

    cases: dict[str, Staged]
    dangers: dict[str, list[str]]
    """By revision."""
    verdicts: dict[str, str]
    unstaged: dict[Fact, str]
    staged: dict[Fact, str]


def tables_of(case: StagedCase, number: int) -> list[str]:
    return [numbered(each, number) for each in (*TABLES.split(";\n"), *case.before)]


TABLES_DROPPED = [
    "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    " AND tablename NOT LIKE '%\\_%' LOOP EXECUTE format('DROP TABLE %I CASCADE', t); END LOOP; END $$"
]


def sql_steps(statements: Sequence[str]) -> list[Step]:
    return [Step(Phase.CREATE_TABLE, ops.ExecuteSQLOp(each)) for each in statements]


def execute(target: Target, statements: Sequence[str]) -> None:
    with connect(target, autocommit=True) as connection:
        for each in statements:
            connection.execute(each.encode())


def comparison_of(migrated: Target, modelled: Target) -> Any:
    """As much of a comparison as staging needs."""
    with connect(modelled) as connection:
        shapes = read_shapes(connection)
    return SimpleNamespace(
        migrated=SimpleNamespace(target=migrated), modelled=SimpleNamespace(target=modelled, shapes=shapes)
    )


@pytest.fixture(scope="module")
def results(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    """All cases, staged, linted and proven as one project."""
    try:
        yield make_results(server, tmp_path_factory.mktemp("staged"))
    finally:  # it may be made again later
        for kind in ("migrated", "modelled", "upgraded"):
            server.drop_database(f"staged_{kind}")


def make_results(server: Cluster, project: Path) -> Results:
    (project / "versions").mkdir()
    (project / "alembic.ini").write_text(INI)
    (project / "env.py").write_text(ENV)
    migrated, modelled = server.create_database("staged_migrated"), server.create_database("staged_modelled")
    before = [each for n, case in enumerate(STAGED.values()) for each in tables_of(case, n)]
    execute(migrated, before)
    execute(modelled, before)
    steps = {
        name: (read_steps(case.upgrade, number), read_steps(case.downgrade, number))
        for number, (name, case) in enumerate(STAGED.items())
    }
    for upgrade, _downgrade in steps.values():
        measure(upgrade, modelled)
    comparison = comparison_of(migrated, modelled)
    cases: dict[str, Staged] = {}
    head = write_revision(project, None, "tables", sql_steps(before), sql_steps(TABLES_DROPPED))
    for number, (name, (upgrade, downgrade)) in enumerate(steps.items()):
        draft = stage(Draft([DraftRevision(upgrade, downgrade)]), comparison, {})
        cases[name] = staged = Staged(number, draft)
        for revision in draft.revisions:
            head = write_revision(project, head, f"{name}: {revision.message}", revision.upgrade, revision.downgrade)
            staged.revisions.append(head)
    return Results(cases, *_prove(project, migrated), facts_of(modelled), facts_of(_upgrade(project, server)))


def _prove(project: Path, server: Target) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Lint the project, and prove it: the dangers and the verdicts by revision."""
    url = f"postgresql://{server.user}@/postgres?host={server.host}&port={server.port}"
    command = [sys.executable, "-m", "dbkit"]
    options = ["-c", "alembic.ini", "--server", url, "--format", "json"]
    running = {
        verb: subprocess.Popen([*command, verb, *options], cwd=project, stdout=subprocess.PIPE, text=True)
        for verb in ("lint", "roundtrip")
    }
    documents = {verb: json.loads(process.communicate()[0]) for verb, process in running.items()}
    dangers: dict[str, list[str]] = {}
    for each in documents["lint"]["findings"]:
        if each["level"] == "danger" or each["id"] in ("autocommit-block-shared", "not-traced"):
            dangers.setdefault(each["revision"], []).append(f"{each['id']}: {each['message']}")
    return dangers, {each["revision"]: each["verdict"] for each in documents["roundtrip"]["revisions"]}


def _upgrade(project: Path, server: Cluster) -> Target:
    """A database at the head of the project."""
    target = server.create_database("staged_upgraded")
    config = Config(str(project / "alembic.ini"))
    url = f"postgresql+psycopg://{target.user}@/{target.dbname}?host={target.host}&port={target.port}"
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")
    execute(target, ["DROP TABLE IF EXISTS alembic_version, dbkit_backfill, dbkit_journal"])
    return target


def facts_of(target: Target) -> dict[Fact, str]:
    with connect(target) as connection:
        facts = read_facts(connection)
    return {fact: text for fact, text in facts.items() if fact.kind != "column order"}


def write_revision(
    project: Path, down: str | None, message: str, upgrade: Sequence[Step], downgrade: Sequence[Step]
) -> str:
    revision = f"{len(list((project / 'versions').iterdir())):04}"
    code = render_revision(DraftRevision(upgrade, downgrade))
    text = REVISION.format(
        message=message.replace("\\", "").replace('"', ""),
        imports="\n".join(code.imports),
        revision=revision,
        down=repr(down),
        upgrade=code.upgrade or "pass",
        downgrade=code.downgrade or "pass",
    )
    (project / "versions" / f"{revision}.py").write_text(text)
    return revision


@pytest.mark.parametrize("name", STAGED)
def test_a_change_is_staged(results: Results, name: str) -> None:
    case, staged = STAGED[name], results.cases[name]
    messages = [each.message for each in staged.draft.revisions]
    assert messages == [numbered(each, staged.number) for each in case.messages], staged.draft.dangers
    assert [case.undecided in each for each in staged.draft.dangers] == [True] * bool(case.undecided)
    dangers = [each for revision in staged.revisions for each in results.dangers.get(revision, ())]
    assert bool(dangers) == bool(case.undecided), dangers
    verdicts = [results.verdicts[revision] for revision in staged.revisions]
    assert set(verdicts) <= {"proven", "proven, if", *(["lossy"] if case.is_lossy else [])}, verdicts


@pytest.mark.parametrize("name", STAGED)
def test_the_result_is_that_of_the_draft(results: Results, name: str) -> None:
    number = results.cases[name].number
    is_own = re.compile(rf"(?<![0-9]){number}(?![0-9])").search

    def own(facts: dict[Fact, str]) -> dict[Fact, str]:
        return {fact: text for fact, text in facts.items() if is_own(fact.identity)}

    assert own(results.staged) == own(results.unstaged)
    assert own(results.unstaged)


TABLE = ["CREATE TABLE t (id bigint PRIMARY KEY, note text)", "CREATE TABLE u (id bigint PRIMARY KEY, note text)"]
INDEXES = [ops.CreateIndexOp("ix_t", "t", ["note"]), ops.CreateIndexOp("ix_u", "u", ["note"])]
UNDONE = [ops.DropIndexOp("ix_u", "u"), ops.DropIndexOp("ix_t", "t")]


def stage_indexes(server: Cluster, sizes: dict[str, int], *, known_only: bool) -> list[str]:
    """The messages of the revisions that two indexes become, on tables of these numbers of rows."""
    name = f"sizes_{abs(hash((*sizes.items(), known_only)))}"
    migrated, modelled = server.create_database(name), server.create_database(f"{name}_modelled")
    execute(migrated, TABLE)
    steps = ([Step(Phase.CREATE_INDEX, each) for each in operations] for operations in (INDEXES, UNDONE))
    draft = stage(
        Draft([DraftRevision(*steps)]),
        comparison_of(migrated, modelled),
        {table: TableSize(rows, 0, 0, 0, 0.0) for table, rows in sizes.items()},
        known_only=known_only,
    )
    return [each.message for each in draft.revisions]


@pytest.mark.parametrize(
    ("sizes", "known_only", "messages"),
    [
        ({}, False, ["create index ix_t", "create index ix_u"]),
        ({"t": SMALL, "u": SMALL - 1}, False, ["", "create index ix_t"]),
        ({"t": SMALL}, False, ["create index ix_t", "create index ix_u"]),
        ({"t": SMALL}, True, ["", "create index ix_t"]),
        ({"t": SMALL - 1}, True, [""]),
    ],
)
def test_small_tables_need_no_stages(
    server: Cluster, sizes: dict[str, int], known_only: bool, messages: list[str]
) -> None:
    assert stage_indexes(server, sizes, known_only=known_only) == messages


def test_a_revision_is_measured_on_what_the_one_before_it_makes(server: Cluster) -> None:
    migrated, modelled = server.create_database("two_migrated"), server.create_database("two_modelled")
    execute(migrated, ["CREATE TYPE mood AS ENUM ('a')", "CREATE TABLE t (id bigint PRIMARY KEY, mood mood)"])
    value = AutocommitOp([ops.ExecuteSQLOp("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'b'")])
    draft = Draft(
        [
            DraftRevision([Step(Phase.CREATE_TYPE, value)], [], "values"),
            DraftRevision(
                sql_steps(
                    ["ALTER TABLE t ALTER mood SET DEFAULT 'b'", "CREATE INDEX ix ON t (id) WHERE mood = 'b'::mood"]
                ),
                sql_steps(["DROP INDEX ix", "ALTER TABLE t ALTER mood DROP DEFAULT"]),
            ),
        ]
    )
    staged = stage(draft, comparison_of(migrated, modelled), {})
    assert [each.message for each in staged.revisions] == ["values", "", "create index ix"]
    assert not staged.dangers


def test_what_cannot_run_is_not_staged(server: Cluster) -> None:
    migrated, modelled = server.create_database("bad_migrated"), server.create_database("bad_modelled")
    draft = Draft([DraftRevision(sql_steps(["CREATE INDEX ix ON missing (id)"]), [])])
    staged = stage(draft, comparison_of(migrated, modelled), {})
    assert staged.revisions == draft.revisions
    assert staged.dangers == ['it cannot be staged: relation "missing" does not exist']
