"""Runs a case of the draft battery: all that must hold of a draft, from the file to the lint of its staged form."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.schema import CreateSchema, DropSchema

from dbkit import catalog
from dbkit.catalog import Fact
from dbkit.catalog.facts import COLUMN_ORDER
from dbkit.settings import Target
from support import (
    draft_cases_columns,
    draft_cases_constraints,
    draft_cases_names,
    draft_cases_objects,
    draft_cases_reviewed,
    draft_cases_scope,
    draft_cases_texts,
    draft_cases_types,
)
from support.draft_case import ModelChange
from support.draft_project import DraftProject

GROUPS = {
    "columns": draft_cases_columns.CASES,
    "constraints": draft_cases_constraints.CASES,
    "types": draft_cases_types.CASES,
    "names": draft_cases_names.CASES,
    "objects": draft_cases_objects.CASES,
    "reviewed": draft_cases_reviewed.CASES,
    "texts": draft_cases_texts.TEXTS,
    "phantoms": draft_cases_texts.PHANTOMS,
    "scope": draft_cases_scope.CASES,
}
CASES = {case.name: case for cases in GROUPS.values() for case in cases}
KIT_TABLES = ("alembic_version", "dbkit_journal")


class Wrong(Exception):
    """What does not hold."""


def load_metadata(case: ModelChange, text: str) -> list[sa.MetaData]:
    """Return the MetaData of models."""
    names: dict[str, Any] = {"__name__": "models"}
    exec(case.models(text), names)  # noqa: S102  # the cases are in this repository
    found = names["metadata"]
    return list(found) if isinstance(found, list) else [found]


def find_schemas(all_metadata: list[sa.MetaData]) -> list[str]:
    """Return the schemas that `create_all` does not create."""
    tables = [table for metadata in all_metadata for table in metadata.tables.values()]
    types = [column.type for table in tables for column in table.columns]
    types += [each.item_type for each in types if isinstance(each, sa.ARRAY)]
    named = {getattr(each, "schema", None) for each in (*tables, *types)}
    named |= {sequence.schema for metadata in all_metadata for sequence in metadata._sequences.values()}
    return sorted(name for name in named if name and name != "public")


def read_facts(target: Target) -> dict[Fact, str]:
    """Read the facts of a database, without the tables of the gate and the order of columns."""
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        facts = catalog.read_facts(connection, version_tables=KIT_TABLES)
    return {fact: text for fact, text in facts.items() if fact.kind != COLUMN_ORDER}


def create_models(case: ModelChange, target: Target, *, is_after: bool = True) -> None:
    """Create a case's models with `create_all`, and its SQL files, in a database with what is there before."""
    all_metadata = load_metadata(case, case.after if is_after else case.before)
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(**target.parameters()))
    waiting = list((case.files if is_after else case.files_before).values())
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver: Any = connection.connection.driver_connection
        for statement in (case.outside, case.setup):
            if statement:
                driver.execute(statement.encode())
        for name in find_schemas(all_metadata):
            connection.execute(CreateSchema(name, if_not_exists=True))
        waiting = list(_refused(driver, waiting))
        for metadata in all_metadata:
            for each in case.excludes if is_after else ():
                metadata.remove(metadata.tables[each])
            metadata.create_all(connection)
        while waiting:
            before = len(waiting)
            waiting = list(_refused(driver, waiting))
            assert len(waiting) < before, waiting
    engine.dispose()


def _refused(driver: Any, statements: list[str]) -> Iterator[str]:
    """Run SQL files. Yield those that cannot run yet."""
    for statement in statements:
        try:
            driver.execute(statement.encode())
        except psycopg.Error:
            yield statement


def models_revision(case: ModelChange) -> tuple[str, str]:
    """Return what the revision of the models before does, up and down, for `battery.revision_file`."""
    statements: list[str] = []
    dialect = sa.create_engine("postgresql+psycopg://").dialect
    engine = sa.create_mock_engine(
        "postgresql+psycopg://", lambda each, *_, **__: statements.append(str(each.compile(dialect=dialect)))
    )
    all_metadata = load_metadata(case, case.before)
    schemas = find_schemas(all_metadata)

    def take() -> list[str]:
        taken = statements[:]
        statements.clear()
        return taken

    for name in schemas:
        engine.connect().execute(CreateSchema(name))
    for metadata in all_metadata:
        metadata.create_all(engine, checkfirst=False)
    up = take()
    for metadata in reversed(all_metadata):
        metadata.drop_all(engine, checkfirst=False)
    for name in schemas:
        engine.connect().execute(DropSchema(name))
    return _python(up), _python(take())


def _python(statements: list[str]) -> str:
    """Return code that runs statements of SQLAlchemy's compiler, whose percent signs are doubled."""
    lines = "".join(f"\n        {each!r}," for each in statements)
    return f"python:for statement in [{lines}\n    ]:\n        op.get_bind().exec_driver_sql(statement)"


def demand_equal(
    before: Mapping[Fact, str], after: Mapping[Fact, str], what: str, *, undone: bool = False, more: bool = False
) -> None:
    """Raise Wrong for facts that differ. Undone: but for what PostgreSQL cannot undo. More: `after` may have more."""
    found = [
        each.describe()
        for each in catalog.compare_facts(before, after)
        if not (undone and each.is_residue) and not (more and each.before is None)
    ]
    if found:
        raise Wrong(f"{what}: {'; '.join(found)}")


def prepare(case: ModelChange, project: DraftProject) -> None:
    """Bring a project to where the models before are in its database, with rows."""
    project.write_models(case.models(case.before))
    if case.outside:
        project.query(case.outside)
    if case.setup:
        project.add_revision("setup", case.setup, case.undo)
    if case.before:
        project.add_revision("before", *models_revision(case))
    if case.follow:
        project.add_revision("follow", case.follow, case.follow_undo)
    if project.preceding:
        _type(project, "migrate")
    if case.files_before:
        project.write_files(case.files_before)
        _type(project, "revision", "--message", "files before")
        _type(project, "migrate")
        project.adopt_drafts(str(project.query("SELECT version_num FROM alembic_version")[0][0]))
    if case.rows:
        project.query(case.rows)
    project.write_models(case.models(case.after))
    project.write_files(case.files)


REASONS = (
    "# This draft does not run as it is",
    "# Not all of the models",
    "# For a live database, a person must decide",
)
NOT_STAGED = "not all of the draft can be staged for a live database"


def _type(project: DraftProject, verb: str, *arguments: str, code: int = 0) -> str:
    """Run a verb. Returns what it printed; raises Wrong for another exit code, or for a traceback."""
    typed = project.dbkit(verb, *arguments)
    text = typed.stdout + typed.stderr
    if typed.returncode != code or "Traceback" in text:
        raise Wrong(f"{verb}: exit code {typed.returncode}")
    return text


def run_case(case: ModelChange, project: DraftProject, modelled: Target) -> None:
    """Draft, apply, compare, prove and undo a change. Raises Wrong for what does not hold.

    `modelled` is an empty database.
    """
    create_models(case, modelled)
    wanted = read_facts(modelled)
    prepare(case, project)
    before = read_facts(project.target)
    files = project.drafts
    if case.decides or case.may_decide:
        typed = project.dbkit("revision", "--message", "draft")
        text = typed.stdout + typed.stderr
        if "Traceback" in text:
            raise Wrong("revision: a traceback")
        if typed.returncode == 1:
            demand_decision(case, project, text)
            return
        if case.decides or typed.returncode:
            raise Wrong(f"revision: exit code {typed.returncode}")
    else:
        text = _type(project, "revision", "--message", "draft")
    if project.drafts == files:
        raise Wrong("revision: no file")
    for each in case.drops:
        if each not in text.partition("this revision drops ")[2] or f"DROPS {each} " not in "".join(
            path.read_text() for path in project.drafts
        ):
            raise Wrong(f"revision: the draft does not say that it drops {each}")
    follow_draft(case, project, before, wanted)
    if case.is_staged:
        project.remove_drafts()
        check_staged(case, project, before, wanted)


def demand_decision(case: ModelChange, project: DraftProject, text: str) -> None:
    """Raise Wrong unless a draft that cannot run says why, on the terminal and in a comment at the top of its file."""
    if not project.drafts:
        raise Wrong("decision: no file")
    sentence = text.strip().splitlines()[-1]
    texts = [path.read_text() for path in project.drafts]
    comments = [line for each in texts for line in each.splitlines() if line.startswith(REASONS)]
    if not comments or case.decides not in text or not sentence.rstrip().endswith((".", "`")):
        raise Wrong(f"decision: {text!r}")


def follow_draft(
    case: ModelChange, project: DraftProject, before: Mapping[Fact, str], wanted: Mapping[Fact, str]
) -> None:
    """Apply a draft, look for what differs, prove it and undo it."""
    more = case.without_create_all
    _type(project, "migrate")
    migrated = read_facts(project.target)
    demand_equal(wanted, migrated, "other than create_all", more=more)
    demand_held(case, project, "migrate", case.holds, case.holds_after)
    files = project.drafts
    if "no changes found" not in _type(project, "revision", "--message", "again") or project.drafts != files:
        raise Wrong("again: the second revision is not empty")
    if not project.has_own_env:
        _type(project, "schema")
    for verb in ("check", "drift"):
        text = _type(project, verb, code=1 if case.drifts else 0)
        missing = [each for each in case.drifts if f"{each} is only in the database" not in text]
        if missing:
            raise Wrong(f"{verb}: {', '.join(missing)} not named")
    demand_proven(case, project)
    undo(case, project, before)
    _type(project, "migrate")
    demand_equal(migrated, read_facts(project.target), "migrated again", undone=True)
    demand_held(case, project, "migrate", case.holds)
    undo(case, project, before)


def demand_proven(case: ModelChange, project: DraftProject) -> None:
    """Raise Wrong for a revision that is not proven."""
    typed = project.dbkit("roundtrip", "--jobs", "1", "--format", "json")
    verdicts = {each["revision"]: each["verdict"] for each in json.loads(typed.stdout)["revisions"]}
    right = {"proven", "proven, if", *(("lossy",) if case.loses or case.drops else ())}
    for revision, verdict in verdicts.items():
        if verdict not in (right if not revision.startswith("by_hand") else {"proven", "lossy"}):
            raise Wrong(f"roundtrip: {revision} is {verdict}")


def undo(case: ModelChange, project: DraftProject, before: Mapping[Fact, str]) -> None:
    """Undo the drafts of a change."""
    _type(project, "rollback", "--to", project.start, "--stash", "0")
    demand_equal(before, read_facts(project.target), "other than before", undone=True)
    demand_held(case, project, "rollback", case.holds)


def demand_held(case: ModelChange, project: DraftProject, when: str, *queries: str) -> None:
    """Raise Wrong for rows that are not what they must be."""
    for query in filter(None, queries):
        try:
            result = project.query(query)
        except psycopg.Error as error:
            raise Wrong(f"rows after {when}: {query}: {error}") from None
        if result != [(True,)]:
            raise Wrong(f"rows after {when}: {query}: {result}")


def check_staged(
    case: ModelChange, project: DraftProject, before: Mapping[Fact, str], wanted: Mapping[Fact, str]
) -> None:
    """Draft a change for a live database: the lint finds no danger, and the result is the same.

    A change for which there are no stages must name its dangers.
    """
    try:
        typed = project.dbkit("revision", "--online", "--message", "staged")
        if typed.returncode == 1 and NOT_STAGED in typed.stderr:
            demand_decision(case, project, typed.stdout + typed.stderr)
            return
        if typed.returncode or "Traceback" in typed.stderr:
            raise Wrong(f"revision: exit code {typed.returncode}")
        since = () if project.start == "base" else ("--from", project.start)
        found = project.dbkit("lint", *since, "--format", "json", "--jobs", "1")
        dangers = [each for each in _findings(json.loads(found.stdout)) if each.get("level") == "danger"]
        if dangers:
            raise Wrong(f"lint: {dangers}")
        _type(project, "migrate")
        demand_equal(wanted, read_facts(project.target), "other than create_all", more=case.without_create_all)
        demand_held(case, project, "migrate", case.holds, case.holds_after)
        if "no changes found" not in _type(project, "revision", "--message", "again"):
            raise Wrong("again: the second revision is not empty")
        if any("backfill(" in path.read_text() for path in project.drafts):
            demand_proven(case, project)  # its downgrade leaves the values
        undo(case, project, before)
    except Wrong as error:
        raise Wrong(f"online: {error}") from None


def _findings(report: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a report that have a level."""
    if isinstance(report, dict):
        if "level" in report:
            yield report
        report = list(report.values())
    if isinstance(report, list):
        for each in report:
            yield from _findings(each)


def run_in(case: ModelChange, root: Path, target: Target, modelled: Target, scratch: Path) -> DraftProject:
    """Make the project of a case and run it there. Returns the project; raises Wrong, with what was printed."""
    from support.draft_project import make_project

    project = make_project(root, target, scratch, case.configure)
    try:
        run_case(case, project, modelled)
    except Wrong as error:
        raise Wrong(f"{case.name}: {error}", "\n".join(project.outputs[-2:])) from None
    return project
