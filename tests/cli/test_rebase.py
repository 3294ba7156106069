"""Two branches that each add a revision: git stops, and one command lets the local one follow the other."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dbkit import project
from dbkit.commands.rebase_migration import RebaseMigrationOptions, rebase_migration
from dbkit.errors import InputError, Refused
from dbkit.project import head_file
from dbkit.settings import Settings, Target
from support.kit import Kit
from support.sessions import connect_as_project as connect

FILE = '"""{revision} does something\n\nRevision ID: {revision}\nRevises: {parent}\n"""\n\nrevision: str = "{revision}"\ndown_revision: str | None = {assigned}\n'
Git = Callable[..., str]


@pytest.fixture
def settings(local_settings: Settings, database: Target) -> Settings:
    return replace(local_settings, target=database)


@pytest.fixture
def ini(tmp_path: Path, git: Git) -> Path:
    """A project with one revision, aaaa, on main; and a branch `mine`."""
    path = tmp_path / "alembic.ini"
    path.write_text("[alembic]\nscript_location = %(here)s/scripts\n")
    (tmp_path / "scripts/versions").mkdir(parents=True)
    git(tmp_path, "init", "-qb", "main")
    add(path, "aaaa", None, git)
    git(tmp_path, "branch", "mine")
    return path


def rebase(settings: Settings, ini: Path, revision: str | None = None) -> None:
    rebase_migration(replace(settings, root=ini.parent, ini=ini), ini, RebaseMigrationOptions(revision))


def write_head_file(ini: Path) -> None:
    head_file.write(ini.parent / "scripts", head_file.docs_of(project.load(ini).heads))


def file_of(ini: Path, revision: str) -> Path:
    return ini.parent / f"scripts/versions/{revision}_x.py"


def add(ini: Path, revision: str, parent: str | None, git: Git, newline: str = "\n") -> None:
    """Write a revision as Alembic and its hook do, and commit it."""
    assigned = f'"{parent}"' if parent else "None"
    text = FILE.format(revision=revision, parent=parent or "", assigned=assigned).replace("\n", newline)
    file_of(ini, revision).write_bytes(text.encode())
    write_head_file(ini)
    git(ini.parent, "add", ".")
    git(ini.parent, "commit", "-qm", revision)


def two_branches(ini: Path, git: Git, newline: str = "\n") -> None:
    """bbbb on main, mmmm and nnnn on `mine`, which is checked out."""
    add(ini, "bbbb", "aaaa", git)
    git(ini.parent, "switch", "-q", "mine")
    add(ini, "mmmm", "aaaa", git, newline)
    add(ini, "nnnn", "mmmm", git, newline)


def stopped(ini: Path, *command: str) -> list[str]:
    """Run git, which must stop. Returns the files that are in conflict."""
    identity = ("-c", "user.name=Kit", "-c", "user.email=kit@example.org")
    result = subprocess.run(["git", *identity, *command], cwd=ini.parent, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stdout + result.stderr
    listing = ["git", "diff", "--name-only", "--diff-filter=U"]
    return subprocess.run(listing, cwd=ini.parent, capture_output=True, text=True, check=True).stdout.split()


def order(ini: Path) -> list[str]:
    loaded = project.load(ini)
    return [script.revision for script in reversed(list(loaded.script.walk_revisions()))]


@pytest.mark.parametrize("style", ["merge", "zdiff3"])
def test_git_stops_and_after_a_merge_the_local_ones_follow(ini: Path, settings: Settings, git: Git, style: str) -> None:
    git(ini.parent, "config", "merge.conflictStyle", style)
    two_branches(ini, git)
    assert stopped(ini, "merge", "main") == ["scripts/HEAD"]
    rebase(settings, ini)
    assert order(ini) == ["aaaa", "bbbb", "mmmm", "nnnn"]
    assert (ini.parent / "scripts/HEAD").read_text() == "nnnn nnnn does something\n"


def test_in_a_rebase_the_sides_are_the_other_way_round(ini: Path, settings: Settings, git: Git) -> None:
    add(ini, "bbbb", "aaaa", git)
    git(ini.parent, "switch", "-q", "mine")
    add(ini, "mmmm", "aaaa", git)
    assert stopped(ini, "rebase", "main") == ["scripts/HEAD"]
    rebase(settings, ini)
    assert order(ini) == ["aaaa", "bbbb", "mmmm"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_nothing_but_the_parent_is_changed(ini: Path, settings: Settings, git: Git, newline: str) -> None:
    two_branches(ini, git, newline)
    before = {path: file_of(ini, path).read_bytes() for path in ("mmmm", "nnnn")}
    stopped(ini, "merge", "main")
    rebase(settings, ini)
    assert file_of(ini, "mmmm").read_bytes() == before["mmmm"].replace(b'"aaaa"', b'"bbbb"').replace(
        b"Revises: aaaa", b"Revises: bbbb"
    )
    assert file_of(ini, "nnnn").read_bytes() == before["nnnn"]
    assert (
        sorted(path.name for path in file_of(ini, "mmmm").parent.iterdir() if path.suffix != ".py" and path.is_file())
        == []
    )


def test_one_that_is_applied_is_refused(ini: Path, settings: Settings, database: Target, git: Git) -> None:
    two_branches(ini, git)
    stopped(ini, "merge", "main")
    with connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('mmmm')"
        )
    before = file_of(ini, "mmmm").read_bytes()
    with pytest.raises(Refused, match="mmmm is applied") as refused:
        rebase(settings, ini)
    assert "make rollback to=aaaa" in refused.value.hint
    assert file_of(ini, "mmmm").read_bytes() == before


def test_where_the_database_does_not_answer_that_is_said(
    ini: Path, settings: Settings, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    two_branches(ini, git)
    stopped(ini, "merge", "main")
    rebase(replace(settings, target=Target("x", host="/nowhere")), ini)
    assert "the database was not checked for mmmm" in capsys.readouterr().err
    assert order(ini)[-1] == "nnnn"


def test_it_can_be_typed_twice(ini: Path, settings: Settings, git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    two_branches(ini, git)
    stopped(ini, "merge", "main")
    rebase(settings, ini)
    rebase(settings, ini)
    assert "There is one head, nnnn: nothing to rebase." in capsys.readouterr().out


def test_without_a_conflict_it_must_be_told(ini: Path, settings: Settings, git: Git) -> None:
    two_branches(ini, git)
    git(ini.parent, "merge", "-q", "-X", "ours", "-m", "merged", "main")
    with pytest.raises(InputError, match="HEAD has no conflict"):
        rebase(settings, ini)
    with pytest.raises(InputError, match="none of the heads"):
        rebase(settings, ini, "aaaa")
    rebase(settings, ini, "nnnn")
    assert order(ini) == ["aaaa", "bbbb", "mmmm", "nnnn"]


@pytest.mark.parametrize("line", ['down_revision = ("aaaa",)', 'down_revision = "aa" + "aa"'])
def test_what_is_written_otherwise_is_left_to_a_person(ini: Path, settings: Settings, git: Git, line: str) -> None:
    two_branches(ini, git)
    path = file_of(ini, "mmmm")
    path.write_text(path.read_text().replace('down_revision: str | None = "aaaa"', line))
    git(ini.parent, "commit", "-qam", "otherwise")
    stopped(ini, "merge", "main")
    before = path.read_bytes()
    with pytest.raises(InputError):
        rebase(settings, ini)
    assert path.read_bytes() == before


def test_a_merge_of_ones_own_is_not_rebased(ini: Path, settings: Settings, git: Git) -> None:
    two_branches(ini, git)
    add(ini, "side", "aaaa", git)
    text = file_of(ini, "nnnn").read_text().replace('= "mmmm"', '= ("mmmm", "side")')
    file_of(ini, "nnnn").write_text(text)
    write_head_file(ini)
    git(ini.parent, "commit", "-qam", "joined")
    stopped(ini, "merge", "main")
    with pytest.raises(InputError, match="there is a merge or a dependency"):
        rebase(settings, ini)


@pytest.mark.slow
def test_each_way_to_write_a_revision_names_it_and_check_looks(kit: Kit) -> None:
    head = kit.path / "backend/alembic/HEAD"
    assert kit.make("revision", "m=SHOP-50 one", "empty=1").returncode == 0
    assert head.read_text().endswith(" SHOP-50 one\n")
    assert kit.alembic("upgrade", "head").returncode == 0
    assert kit.alembic("revision", "-m", "SHOP-51 two").returncode == 0
    assert head.read_text().endswith(" SHOP-51 two\n")
    assert kit.alembic("revision", "-m", "SHOP-52 beside", "--head", "c96d09ae7993", "--splice").returncode == 0
    assert len(head.read_text().splitlines()) == 2
    assert kit.make("merge", "m=SHOP-53 joined").returncode == 0
    assert head.read_text().endswith(" SHOP-53 joined\n")
    head.write_text("0000 something else\n")
    assert "HEAD names 0000, but the head is" in kit.make("check").stderr
    assert kit.make("rebase-migration").returncode == 0
    assert head.read_text().endswith(" SHOP-53 joined\n")
