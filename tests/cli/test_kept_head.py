"""The database of the migrations that is kept: a draft goes on from it, but not where anything has changed."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import alembic
import pytest

from dbkit.proof_cache.recorder import CLOCK_STEP
from support.kept_proofs import make_project
from support.running import others_slow, until

LAST = 3
RUNNER = """
import os, sys
from dbkit.__main__ import main
from dbkit.roundtrip import kept_head

sys.path.insert(0, os.getcwd())
kept_head.LEAST_SECONDS = 0  # chains of tests are short
if os.environ.pop("ONLY_LOOK", ""):
    def look(settings, target, prepare):
        print("kept" if prepare is not kept_head._prepare_nothing else "nothing", flush=True)
        os._exit(0)
    kept_head.open_server = look
begin = kept_head.KeptHead.begin
def report(self, loaded):
    is_used = begin(self, loaded)
    print("begins with what is kept" if is_used else "begins empty", flush=True)
    return is_used
kept_head.KeptHead.begin = report
sys.exit(main(sys.argv[1:]))
"""
BEGINS = "begins with what is kept"
TABLE = 'new = sa.Table("new", metadata, sa.Column("id", sa.Integer))\n'
MODELS = """
sa.Table("things", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
"""


def run(root: Path, *arguments: str, **variables: str) -> str:
    """Run dbkit in a project, once the clock has passed its files. Returns its output; its exit code is 0 or 1."""
    files = [*root.glob("*"), *(root / "migrations").rglob("*")]
    newest = max(path.stat().st_ctime_ns for path in files)
    until(lambda: time.time_ns() > newest + 2 * CLOCK_STEP)
    runner = root.parent / "runner.py"
    runner.write_text(RUNNER)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "PGTZ"))}
    typed = subprocess.run(
        [sys.executable, str(runner), arguments[0], "-c", "alembic.ini", *arguments[1:]],
        cwd=root,
        env={**kept, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert typed.returncode in (0, 1), typed.stderr
    return typed.stdout + typed.stderr


def is_kept(root: Path, **variables: str) -> bool:
    """Whether a draft would be begun with what is kept, as far as its inputs show."""
    return run(root, "revision", "-m", "look", ONLY_LOOK="1", **variables) == "kept\n"


def draft(root: Path) -> tuple[str, str]:
    """Write a draft, and remove it. Returns the output and the code."""
    output = run(root, "revision", "-m", "draft", "--rev-id", "draft")
    (path,) = (root / "migrations/versions").glob("draft*")
    text = path.read_text()
    path.unlink()
    return output, text.partition("def upgrade")[2]


def add_template(root: Path) -> None:
    """Add the template of revision files that `alembic init` makes."""
    shutil.copy(Path(alembic.__file__).with_name("templates") / "generic/script.py.mako", root / "migrations")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a table that no model has, of which a draft was written once."""
    root = make_project(tmp_path_factory.mktemp("head") / "project", last=LAST)
    (root / "team_tables.py").write_text((root / "team_tables.py").read_text() + MODELS)
    add_template(root)
    assert not is_kept(root)
    assert BEGINS not in draft(root)[0]
    return root


@pytest.fixture
def project(original: Path, tmp_path: Path) -> Iterator[Path]:
    """The project, whose files are put back afterwards: their paths are a part of what is kept."""
    copy = tmp_path / "before"
    shutil.copytree(original, copy)
    yield original
    shutil.rmtree(original)
    shutil.copytree(copy, original)


def edit(name: str, text: str = "\n# edited\n") -> Callable[[Path], object]:
    def change(root: Path) -> None:
        path = root / name
        path.write_text((path.read_text() if path.exists() else "") + text)

    return change


CHANGES: dict[str, tuple[bool, Callable[[Path], object]]] = {
    "nothing": (True, lambda root: None),
    "a table in the models": (True, edit("team_tables.py", TABLE)),
    "the head file": (True, edit("migrations/HEAD", "r3 change number 3\n")),
    "a sample file": (True, edit("migrations/samples/r1.sql", "; SELECT 1")),
    "a revision": (False, edit(f"migrations/versions/r{LAST}.py")),
    "a revision less": (False, lambda root: (root / f"migrations/versions/r{LAST}.py").unlink()),
    "env.py": (False, edit("migrations/env.py")),
    "the settings file": (False, edit("alembic.ini", "[dbkit]\nbaseline = r2\n")),
    "a module that env.py imports": (False, edit("team_settings.py", "NAME = 'other'\n")),
    "other code in the models": (False, edit("team_tables.py", "metadata.naming_convention = {}\n")),
    "a module that an upgrade imports": (False, edit("team_words.py")),
    "a file that an upgrade reads": (False, edit("migrations/versions/words.txt", " WHERE id > 0")),
    "a file that was not there": (False, edit("migrations/not_there.json", "{}")),
}


@pytest.mark.spread(7)
@pytest.mark.parametrize(("kept", "change"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_an_input_is_seen(project: Path, kept: bool, change: Callable[[Path], object]) -> None:
    change(project)
    assert is_kept(project) == kept


@pytest.mark.slow
def test_a_variable_that_env_py_reads_is_an_input(original: Path) -> None:
    assert is_kept(original)
    assert not is_kept(original, TEAM_MODE="other")


def test_a_draft_is_the_same_from_what_is_kept(project: Path) -> None:
    edit("team_tables.py", TABLE)(project)
    output, code = draft(project)
    assert BEGINS in output
    shutil.rmtree(project / ".dbkit")
    again, from_the_start = draft(project)
    assert BEGINS not in again
    assert code == from_the_start
    assert 'op.create_table(\n        "new"' in code


@pytest.mark.slow
def test_revisions_after_what_is_kept_are_applied(project: Path) -> None:
    edit("team_tables.py", TABLE)(project)
    text = (project / f"migrations/versions/r{LAST}.py").read_text()
    text = text.replace(f'"r{LAST}"', '"r4"', 1).replace('"r2"', f'"r{LAST}"')
    statement = text.partition("op.execute(")[2].partition(")\n")[0]
    text = text.replace(statement, repr("CREATE TABLE new (id int)"), 1)
    (project / "migrations/versions/r4.py").write_text(text)
    output, code = draft(project)
    assert BEGINS in output
    assert '"new"' not in code


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil",
    others_slow(
        1,
        [
            lambda content: content[: len(content) // 2],
            lambda content: content[:-9] + b"x" + content[-8:],
            lambda _: b"",
        ],
    ),
    ids=["cut", "one byte", "empty"],
)
def test_a_damaged_archive_is_not_used(project: Path, spoil: Callable[[bytes], bytes]) -> None:
    (archive,) = (project / ".dbkit").glob("proofs*/archive-*")
    archive.write_bytes(spoil(archive.read_bytes()))
    assert BEGINS not in draft(project)[0]


@pytest.mark.slow
def test_a_branch_that_comes_before_what_is_kept_is_applied_from_the_start(project: Path) -> None:
    """Another order of the same revisions may make something else."""
    versions = project / "migrations/versions"
    for number, parent in (("4", "r1"), ("5", ("r3", "r4"))):
        text = (versions / "r3.py").read_text().replace('"r3"', f'"r{number}"', 1).replace('"r2"', repr(parent))
        (versions / f"r{number}.py").write_text(text.replace("c3", f"c{number}"))
    first = draft(project)
    shutil.rmtree(project / ".dbkit")
    again = draft(project)
    assert first[1] == again[1]


@pytest.mark.slow
def test_a_chain_that_makes_a_role_is_not_kept(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    edit("migrations/versions/words.txt", "; CREATE ROLE of_this_server")(root)
    edit("migrations/versions/r2.py", "# CREATE ROLE of_this_server\n")(root)
    add_template(root)
    run(root, "revision", "-m", "draft")
    assert not is_kept(root)
