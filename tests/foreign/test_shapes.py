"""What every shape of foreign project gets from the gate and the verbs, and keeps of its own."""

import signal

import pytest

from support.failure_modes import one_line
from support.foreign_chain import CUSTOMERS, HEAD, IDS, ORDERS
from support.foreign_projects import MIGRATION_LOCKS, SLEEPING, ForeignProject
from support.foreign_shapes import SHAPES, as_tenant, edit
from support.held_up import wait_for
from support.running import foreground, spread_foreign, until

every_shape = pytest.mark.parametrize("project", SHAPES, indirect=True)
APPLIED = [("upgrade", identifier) for identifier in IDS]
PRODUCTION = {"APP_ENV": "production"}


def require_applied_once(project: ForeignProject) -> None:
    """Check that each database has all migrations, once and in order, with the rows that one run writes."""
    for name in project.databases:
        assert project.heads(name) == [HEAD]
        assert project.journal(name) == APPLIED
        rows = "SELECT (SELECT count(*) FROM customers), count(*), count(DISTINCT reference) FROM orders"
        assert project.query(rows, name) == [(len(CUSTOMERS), ORDERS, ORDERS)]
        assert project.query(MIGRATION_LOCKS, name) == [(0,)]


def require_untouched(project: ForeignProject) -> None:
    """Check that no database has anything of the chain."""
    for name in project.databases:
        assert project.heads(name) == []
        assert project.query("SELECT to_regclass('customers')", name) == [(None,)]


def upgrade(project: ForeignProject, **env: str) -> None:
    typed = project.alembic("upgrade", "head", env=env)
    assert typed.returncode == 0, typed.stderr


def pauses(project: ForeignProject) -> list[tuple[str, str]]:
    """Return each database with the variable that lets its second revision sleep."""
    return [(name, f"{(name or 'shop').upper()}_PAUSE") for name in project.databases]


@pytest.mark.spread(3)
@pytest.mark.parametrize("project", spread_foreign(3, zip(SHAPES, SHAPES, strict=True)), indirect=True)
def test_several_runners_status_and_rollback(project: ForeignProject) -> None:
    """The short form of what the tests below hold, for every run of the suite."""
    results = project.together(3, env={variable: "0.5" for _, variable in pauses(project)})
    assert [result.returncode for result in results] == [0] * 3, [result.stderr for result in results]
    require_applied_once(project)
    status = project.dbkit("status")
    assert status.returncode == 0, status.stdout + status.stderr
    assert status.stdout.count("phone numbers") >= len(project.databases)
    there_and_back(project)


@every_shape
def test_eight_runners(project: ForeignProject) -> None:
    results = project.together(8, env={variable: "1" for _, variable in pauses(project)})
    assert [result.returncode for result in results] == [0] * 8, [result.stderr for result in results]
    require_applied_once(project)
    # and eight that have nothing to do
    assert [result.returncode for result in project.together(8)] == [0] * 8
    require_applied_once(project)


@every_shape
def test_a_killed_runner_leaves_nothing(project: ForeignProject) -> None:
    for name, variable in pauses(project) * (2 if len(project.databases) == 1 else 1):
        process = project.start("upgrade", "head", env={variable: "600"})
        wait_for(process, lambda name=name: project.query(SLEEPING, name) == [(1,)])  # type: ignore[misc]
        process.kill()
        process.communicate()
        # the server sees within a second that its client is gone
        until(lambda name=name: project.query(SLEEPING, name) == [(0,)])  # type: ignore[misc]
        require_untouched(project)
    upgrade(project)
    require_applied_once(project)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"])
@every_shape
def test_a_signal_cancels_the_statement(project: ForeignProject, number: int, code: int) -> None:
    for name, variable in pauses(project):
        process = project.start("upgrade", "head", env={variable: "600"}, preexec_fn=foreground)
        wait_for(process, lambda name=name: project.query(SLEEPING, name) == [(1,)])  # type: ignore[misc]
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == code, errors
        line = one_line(errors)
        assert f"interrupted in the upgrade of {IDS[1]}" in line
        assert "nothing of it was kept" in line
        until(lambda name=name: project.query(SLEEPING, name) == [(0,)])  # type: ignore[misc]
        require_untouched(project)
    upgrade(project)
    require_applied_once(project)


@every_shape
def test_an_edited_applied_file(project: ForeignProject) -> None:
    upgrade(project)
    [file] = project.versions.glob(f"{IDS[0]}_*")
    edit(file, ("@example.org", "@example.com"))
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 1
    assert f"{file.name}: edited after it was applied" in one_line(typed.stderr)
    typed = project.alembic("upgrade", "head", env=PRODUCTION)
    assert typed.returncode == 0
    assert f"warning: {file.name}: edited after it was applied" in typed.stderr
    require_applied_once(project)


@every_shape
def test_a_protected_database(project: ForeignProject) -> None:
    upgrade(project, **PRODUCTION)
    for environment in ("production", None, "development"):
        typed = project.alembic("downgrade", "-1", env={"APP_ENV": environment})
        assert typed.returncode == 3, (environment, typed.stderr)
        assert 'refusing to roll back "' in one_line(typed.stderr)
        require_applied_once(project)
    typed = project.dbkit("rollback", env=PRODUCTION)
    assert typed.returncode == 3, typed.stderr
    require_applied_once(project)
    if len(project.databases) > 1:
        first = next(iter(project.databases.values()))
        typed = project.alembic("downgrade", "-1", env={**PRODUCTION, "CONFIRM": first.dbname})
        assert typed.returncode == 3, typed.stderr
        require_applied_once(project)
    typed = project.alembic("downgrade", "-1", env={**PRODUCTION, "CONFIRM": project.names()})
    assert typed.returncode == 0, typed.stderr
    assert [project.heads(name) for name in project.databases] == [[IDS[-2]]] * len(project.databases)


@every_shape
def test_without_app_env_it_is_production(project: ForeignProject) -> None:
    unset = {"APP_ENV": None}
    typed = project.alembic("upgrade", "head", env=unset)
    assert typed.returncode == 0, typed.stderr
    for arguments in (["downgrade", "-1"], ["downgrade", "base"], ["stamp", "--purge", "base"]):
        typed = project.alembic(*arguments, env=unset)
        assert typed.returncode == 3, (arguments, typed.stderr)
        one_line(typed.stderr)
    require_applied_once(project)


@every_shape
def test_status(project: ForeignProject) -> None:
    for pending in (True, False):
        typed = project.dbkit("status")
        assert typed.returncode == 0, typed.stdout + typed.stderr
        for name, target in project.databases.items():
            assert name in typed.stdout
            assert f'"{target.dbname}"' in typed.stdout
        assert typed.stdout.count("\npending   4\n" if pending else "\npending   nothing\n") == len(project.databases)
        assert ("marked    development" in typed.stdout) != pending
        if pending:
            upgrade(project)
    [file] = project.versions.glob(f"{HEAD}_*")
    file.unlink()
    typed = project.dbkit("status")
    assert typed.returncode == 7, typed.stdout + typed.stderr


@every_shape
def test_check(project: ForeignProject) -> None:
    typed = project.dbkit("check")
    assert typed.returncode == 0, typed.stdout + typed.stderr
    models = project.root / "app" / ("billing.py" if "billing" in project.databases else "models.py")
    edit(models, ("    phone: ", "    nickname: Mapped[str | None] = mapped_column(sa.String(40))\n    phone: "))
    typed = project.dbkit("check")
    assert typed.returncode == 1, typed.stdout + typed.stderr
    assert "nickname" in typed.stdout + typed.stderr
    require_untouched(project)


@every_shape
def test_drift(project: ForeignProject) -> None:
    upgrade(project)
    typed = project.dbkit("drift")
    assert typed.returncode == 0, typed.stdout + typed.stderr
    last = list(project.databases)[-1]
    project.query("ALTER TABLE customers ADD by_hand text", last)
    typed = project.dbkit("drift")
    assert typed.returncode == 1, typed.stdout + typed.stderr
    said = typed.stdout + typed.stderr
    assert "customers.by_hand" in said
    assert said.count("customers.by_hand") == 1
    assert last in said


def restore(project: ForeignProject) -> None:
    """Put the stashed rows back in each database."""
    for name in project.databases:
        typed = project.dbkit("restore", *(["--database", name] if name else []))
        assert typed.returncode == 0, typed.stdout + typed.stderr


def there_and_back(project: ForeignProject) -> None:
    """Roll the last revision back, apply it again, and restore the rows that it lost."""
    for name in project.databases:
        project.query("UPDATE customers SET phone = '+1 555 ' || name", name)
    phones = "SELECT name, phone FROM customers ORDER BY id"
    before = {name: project.query(phones, name) for name in project.databases}
    typed = project.dbkit("rollback")
    assert typed.returncode == 0, typed.stdout + typed.stderr
    assert "customers.phone: 3 values" in typed.stdout + typed.stderr
    for name in project.databases:
        assert project.heads(name) == [IDS[-2]]
        assert (
            project.query("SELECT column_name FROM information_schema.columns WHERE column_name = 'phone'", name) == []
        )
    typed = project.dbkit("migrate")
    assert typed.returncode == 0, typed.stdout + typed.stderr
    restore(project)
    assert {name: project.query(phones, name) for name in project.databases} == before
    assert [project.heads(name) for name in project.databases] == [[HEAD]] * len(project.databases)


@every_shape
def test_rollback_and_restore(project: ForeignProject) -> None:
    upgrade(project)
    there_and_back(project)
    # of whole tables
    before = {name: project.query("SELECT * FROM orders ORDER BY id", name) for name in project.databases}
    typed = project.dbkit("rollback", "--to", "base")
    assert typed.returncode == 0, typed.stdout + typed.stderr
    upgrade(project)
    restore(project)
    assert {name: project.query("SELECT * FROM orders ORDER BY id", name) for name in project.databases} == before


@every_shape
def test_the_other_verbs(project: ForeignProject) -> None:
    assert project.dbkit("migrate").returncode == 0
    log = project.dbkit("log")
    assert log.returncode == 0, log.stderr
    assert log.stdout.count("  upgrade  ") == len(IDS) * len(project.databases)
    waited = project.dbkit("wait", "--at-head")
    assert waited.returncode == 0, waited.stderr
    redone = project.dbkit("redo")
    assert redone.returncode == 0, redone.stdout + redone.stderr
    for name, target in project.databases.items():
        chosen = ["--database", name] if name else []
        marked = project.dbkit("mark", *chosen)
        assert (marked.returncode, "development" in marked.stdout) == (0, True), marked.stderr
        printed = project.dbkit("psql", *chosen, "-At", "-c", "SELECT current_database()")
        assert (printed.returncode, printed.stdout) == (0, f"{target.dbname}\n"), printed.stderr
    script = project.dbkit("sql", "--from", "base", "--out", "-")
    assert script.returncode == 0, script.stderr
    # the template multidb writes a file for each database
    written = script.stdout + "".join(path.read_text() for path in project.root.glob("*.sql"))
    assert written.count("CREATE TABLE") >= 2 * len(project.databases)


@pytest.mark.parametrize("project", ["tenant"], indirect=True)
def test_tenants_are_migrated_one_by_one(project: ForeignProject) -> None:
    upgrade(project)
    other = as_tenant(project, "globex")
    require_untouched(other)
    status = other.dbkit("status")
    assert "pending   4" in status.stdout, status.stdout + status.stderr
    # a runner of one tenant does not keep those of another from the database for ever
    results = other.together(2)
    assert [result.returncode for result in results] == [0, 0], [result.stderr for result in results]
    for each in (project, other):
        require_applied_once(each)
    other.query("UPDATE customers SET phone = 'globex'")
    typed = other.dbkit("rollback")
    assert typed.returncode == 0, typed.stdout + typed.stderr
    assert project.heads() == [HEAD]
    assert "there is no stash" in (restored := project.dbkit("restore")).stdout.lower(), restored.stderr
    upgrade(other)
    assert other.dbkit("restore").returncode == 0
    assert other.query("SELECT DISTINCT phone FROM customers") == [("globex",)]


@pytest.mark.parametrize("project", ["multidb"], indirect=True)
def test_a_difference_in_one_database_leaves_the_others_shown(project: ForeignProject) -> None:
    upgrade(project)
    for name in project.databases:
        project.query(f"ALTER TABLE customers ADD by_hand_{name} text", name)
    typed = project.dbkit("drift")
    assert typed.returncode == 1, typed.stdout + typed.stderr
    assert all(f"customers.by_hand_{name}" in typed.stderr for name in project.databases), typed.stderr


@pytest.mark.parametrize("project", ["multidb"], indirect=True)
def test_redo_of_databases_at_different_revisions_is_refused(project: ForeignProject) -> None:
    """It would apply to one of them a revision that it did not have."""
    upgrade(project)
    last = list(project.databases)[-1]
    project.query(f"UPDATE alembic_version SET version_num = '{IDS[-2]}'", last)
    typed = project.dbkit("redo")
    assert typed.returncode == 2, typed.stdout + typed.stderr
    assert "the databases are at different revisions" in typed.stderr
    assert [project.heads(name) for name in project.databases] == [[HEAD], [IDS[-2]]]


@pytest.mark.parametrize("project", ["multidb"], indirect=True)
def test_a_script_that_env_py_writes_itself_is_not_said_to_be_in_another_file(project: ForeignProject) -> None:
    typed = project.dbkit("sql", "--from", "base", "--out", "all.txt")
    assert typed.returncode == 0, typed.stderr
    assert "and nothing for all.txt" in typed.stderr
    assert "Wrote" not in typed.stdout
    assert not (project.root / "all.txt").exists()


@pytest.mark.parametrize("project", ["async", "multidb"], indirect=True)
def test_a_revision_is_written_where_one_of_several_databases_has_changes(project: ForeignProject) -> None:
    assert project.alembic("upgrade", "head").returncode == 0
    files = set(project.versions.glob("*.py"))
    done = project.dbkit("revision", "-m", "nothing")
    assert (done.returncode, set(project.versions.glob("*.py"))) == (0, files), done.stderr
    assert done.stderr.count("no changes found; no file was written") == 1
    project.query("ALTER TABLE customers DROP COLUMN phone", list(project.databases)[-1])
    done = project.dbkit("revision", "-m", "the phone")
    assert done.returncode == 0, done.stderr
    written = [path.read_text() for path in set(project.versions.glob("*.py")) - files]
    # one database is not asked: the models are compared with what the migrations make
    assert len(written) == (len(project.databases) > 1)
    assert all("op.add_column('customers', sa.Column('phone'" in text for text in written)
