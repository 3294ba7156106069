"""`dbkit adopt` twice, with --check, --dry-run and --undo, after edits and in another clone."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.config import Config

from dbkit.project.config import read_config
from support.adopt_project import (
    HEAD,
    AdoptProject,
    differing,
    make_project,
    require_adopted,
    require_undone,
    revision_text,
)
from support.running import spread_foreign

NEW = "c3c3c3c3c3c3"
NEXT = f"migrations/versions/{NEW}_next.py"
MAKEFILE = ".PHONY: test lint\n\ntest:\n\tpytest\n\nlint:\n\truff check\n"
NOXFILE = 'import nox\n\n\n@nox.session\ndef tests(session):\n    session.run("pytest")\n'
REQUIREMENTS = "alembic==1.9.4\nSQLAlchemy==2.0.25\n"
WHOLE = {
    "Makefile": MAKEFILE,
    "noxfile.py": NOXFILE,
    "requirements.txt": REQUIREMENTS,
    "uv.lock": "version = 1\n",
    ".github/workflows/test.yml": "name: test\non: push\njobs: {}\n",
    "README.md": "# Shop\n",
}
Git = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path, git: Git) -> AdoptProject:
    """A project in git, with a Makefile, a noxfile and GitHub's workflows."""
    made = make_project(tmp_path / "project", WHOLE)
    git(made.root, "init", "-q")
    git(made.root, "add", "-A")
    git(made.root, "commit", "-qm", "begin")
    return made


def ours(project: AdoptProject, before: dict[str, object]) -> list[str]:
    """Return the files that adopt has written or changed."""
    return [*differing(before, project.snapshot())]


def test_what_is_written(project: AdoptProject) -> None:
    """No pins, no lock files, no machine paths; modes stay."""
    project.env_py.chmod(0o755)
    (project.root / "alembic.ini").chmod(0o600)
    before = project.snapshot()
    said = require_adopted(project)
    written = ours(project, before)
    assert {"migrations/env.py", "alembic.ini", "migrations/HEAD"} <= {*written}
    assert not {"requirements.txt", "uv.lock", "README.md", ".github/workflows/test.yml"} & {*written}
    assert any(name.startswith(".github/workflows/") for name in written)
    assert (project.env_py.stat().st_mode & 0o777, (project.root / "alembic.ini").stat().st_mode & 0o777) == (
        0o755,
        0o600,
    )
    for name in written:
        text = (project.root / name).read_bytes().decode()
        for path in (str(project.root), str(project.root.parent), sys.prefix, sys.base_prefix, str(Path.home())):
            assert path not in text, name
    for word in ("added", "env.py", "alembic.ini", HEAD):
        assert word in said
    require_undone(project, before)


@pytest.mark.foreign
def test_the_index_of_git_is_left(project: AdoptProject, git: Git) -> None:
    """A work tree with changes is adopted, too, and nothing is staged."""
    (project.root / "README.md").write_text("# Changed\n")
    (project.root / "Makefile").write_text(f"{MAKEFILE}\nextra:\n\ttrue\n")
    git(project.root, "add", "Makefile")
    before, staged = project.snapshot(), git(project.root, "diff", "--cached")
    require_adopted(project)
    assert git(project.root, "diff", "--cached") == staged
    require_undone(project, before)


def test_check(project: AdoptProject) -> None:
    """It names what is missing, and writes nothing."""
    before = project.snapshot()
    checked = project.adopt("--check")
    assert checked.returncode == 1, checked.stderr
    assert "env.py" in checked.stdout + checked.stderr
    assert "alembic.ini" in checked.stdout + checked.stderr
    assert project.snapshot() == before
    require_adopted(project)
    (project.root / "migrations/HEAD").unlink()
    adopted = project.snapshot()
    checked = project.adopt("--check")
    assert checked.returncode == 1
    assert "HEAD" in checked.stdout + checked.stderr
    assert project.snapshot() == adopted
    assert project.adopt().returncode == 0
    assert project.adopt("--check").returncode == 0
    require_undone(project, before)


def test_dry_run(project: AdoptProject) -> None:
    """The diffs are what is written afterwards."""
    before = project.snapshot()
    said = project.adopt("--dry-run")
    assert said.returncode == 0, said.stderr
    assert project.snapshot() == before
    assert "+gate.install(context)\n" in said.stdout
    patched = project.copy("patched")
    require_adopted(project)
    for level in ("-p1", "-p0"):
        ran = subprocess.run(
            ["patch", level, "--no-backup-if-mismatch"],
            cwd=patched.root,
            input=said.stdout,
            capture_output=True,
            text=True,
        )
        if ran.returncode == 0:
            break
        shutil.rmtree(patched.root)
        patched = make_project(patched.root, WHOLE)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert differing(patched.snapshot(), project.snapshot()) == {}
    again = project.adopt("--dry-run")
    assert again.returncode == 0
    assert "@@" not in again.stdout


@pytest.mark.foreign
@pytest.mark.parametrize(
    "options",
    [
        ("--check", "--undo"),
        ("--dry-run", "--check"),
        ("--ci", "jenkins"),
        ("--prove", "-1"),
        ("--prove", "many"),
    ],
)
def test_options_that_exclude_each_other(project: AdoptProject, options: tuple[str, ...]) -> None:
    before = project.snapshot()
    assert project.adopt(*options).returncode == 2
    assert project.snapshot() == before


@pytest.mark.foreign
def test_dry_run_of_undo(project: AdoptProject) -> None:
    """It shows what would be taken out, and writes nothing."""
    require_adopted(project)
    adopted = project.snapshot()
    said = project.adopt("--dry-run", "--undo")
    assert said.returncode == 0, said.stderr
    assert "-gate.install(context)\n" in said.stdout
    assert project.snapshot() == adopted


def test_undo_of_nothing(project: AdoptProject) -> None:
    before = project.snapshot()
    require_undone(project, before)
    assert "No part of dbkit is here" in project.adopt("--undo").stdout
    require_adopted(project)
    require_undone(project, before)
    require_undone(project, before)


def test_undo_in_another_clone(project: AdoptProject, git: Git, tmp_path: Path) -> None:
    before = project.snapshot()
    require_adopted(project)
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "adopt")
    git(tmp_path, "clone", "-q", str(project.root), "clone")
    clone = AdoptProject(tmp_path / "clone")
    assert clone.adopt("--check", "--ci", "github").returncode == 0
    require_undone(clone, before)
    assert git(clone.root, "diff", "--stat", "HEAD~1") == ""


def append(path: Path, text: str) -> None:
    path.write_bytes(path.read_bytes() + text.encode())


@pytest.mark.foreign
def test_edits_beside_the_parts_stay(project: AdoptProject) -> None:
    """What the team changes elsewhere in these files is its own."""
    plain = project.copy("plain")
    require_adopted(project)
    for each in (plain, project):
        env = each.env_py.read_text()
        each.env_py.write_text(env.replace("target_metadata = None", "target_metadata = []") + "\n# the end\n")
        ini = each.root / "alembic.ini"
        ini.write_text(ini.read_text().replace("prepend_sys_path = .", "prepend_sys_path = . src"))
        append(each.root / "Makefile", "\nmore:\n\ttrue\n")
        append(each.root / "noxfile.py", '\n\n@nox.session\ndef more(session):\n    session.run("true")\n')
    assert project.adopt("--check").returncode == 0
    require_undone(project, plain.snapshot())


def test_after_a_new_revision(project: AdoptProject) -> None:
    """The baseline stays, so that the new one is checked; nothing is there to be done; --undo takes all back."""
    plain = project.copy("plain")
    require_adopted(project)
    ran = project.alembic("revision", "-m", "next", "--rev-id", NEW)
    assert ran.returncode == 0, ran.stderr
    adopted = project.snapshot()
    assert f"baseline = {HEAD}" in (project.root / "alembic.ini").read_text()
    checked = project.adopt("--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    again = project.adopt()
    assert again.returncode == 0
    assert f"baseline {HEAD}" in again.stdout
    assert NEW not in again.stdout
    assert differing(adopted, project.snapshot()) == {}
    plain.write({NEXT: (project.root / NEXT).read_bytes()})
    require_undone(project, plain.snapshot())


@pytest.mark.parametrize("settings", ["alembic.ini", "pyproject.toml"])
def test_adopted_before_the_first_revision(project: AdoptProject, settings: str) -> None:
    """The findings of the revisions that are written afterwards are not accepted by a later run."""
    if settings == "pyproject.toml":
        (project.root / "alembic.ini").unlink()
        project.settings = settings
        project.write({settings: '[tool.alembic]\nscript_location = "migrations"\n'})
    versions = {path: path.read_bytes() for path in (project.root / "migrations/versions").iterdir()}
    plain = project.copy("plain")
    for path in versions:
        path.unlink()
    require_adopted(project)
    for path, content in versions.items():
        path.write_bytes(content)
    again = project.adopt()
    assert again.returncode == 0, again.stderr
    assert "baseline" not in again.stdout
    assert not read_config(project.root / settings).baseline
    assert project.adopt("--check").returncode == 0
    require_undone(project, plain.snapshot())


def test_a_revision_that_another_branch_brings(project: AdoptProject) -> None:
    """HEAD is out of date then, as git has merged it: adopt does not call that an edit, and --undo takes it, too."""
    plain = project.copy("plain")
    require_adopted(project)
    for each in (plain, project):
        each.write({NEXT: revision_text(NEW, HEAD, "next")})
    require_undone(project, plain.snapshot())


@pytest.mark.foreign
def test_parts_one_by_one(project: AdoptProject) -> None:
    before = project.snapshot()
    said = project.adopt("--only-gate")
    assert said.returncode == 0, said.stderr
    assert ours(project, before) == ["migrations/env.py"]
    assert project.adopt("--check").returncode == 1
    assert project.adopt("--check", "--only-gate").returncode == 0
    require_adopted(project, "--ci", "none")
    assert not [name for name in ours(project, before) if name.startswith(".github")]
    require_adopted(project, "--ci", "github")
    assert [name for name in ours(project, before) if name.startswith(".github")]
    require_undone(project, before)


@pytest.mark.foreign
def test_a_gate_that_was_removed_by_hand_comes_back(project: AdoptProject) -> None:
    before = project.snapshot()
    original = project.env_py.read_bytes()
    require_adopted(project)
    project.env_py.write_bytes(original)
    assert project.adopt("--check").returncode == 1
    require_adopted(project)
    assert b"gate.install(context)" in project.env_py.read_bytes()
    require_undone(project, before)


EDITS: dict[str, tuple[str, str, str]] = {
    "the gate": ("migrations/env.py", "gate.install(context)", "gate.install(context)  # ours now"),
    "the gate, under a condition": (
        "migrations/env.py",
        "gate.install(context)",
        "if True:\n    gate.install(context)",
    ),
    "the baseline": ("alembic.ini", f"baseline = {HEAD}", "baseline = a1a1a1a1a1a1"),
    "the targets": ("migrations.mk", "$", "\nours:\n\ttrue\n"),
}


@pytest.mark.parametrize("edit", spread_foreign(4, zip(EDITS, EDITS, strict=True)))
def test_an_edited_part_is_left(project: AdoptProject, edit: str) -> None:
    """It is named, with exit code 1; the other parts are taken back."""
    name, old, new = EDITS[edit]
    before = project.snapshot()
    require_adopted(project)
    path = project.root / name
    if old == "$":
        append(path, new)
    else:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))
    edited = path.read_text()
    checked = project.adopt("--check")
    assert "Traceback" not in checked.stderr
    undone = project.adopt("--undo")
    assert undone.returncode == 1, undone.stdout + undone.stderr
    assert Path(name).name in undone.stdout + undone.stderr
    left = path.read_text()
    assert new.splitlines()[-1] in left
    if name == "migrations/env.py":
        assert left == edited
    changed = {*differing(before, project.snapshot())}
    assert changed <= {name, *({"Makefile"} if name == "migrations.mk" else set())}, changed


@pytest.mark.foreign
def test_an_edited_workflow_is_left(project: AdoptProject) -> None:
    before = project.snapshot()
    require_adopted(project)
    [name] = [name for name in ours(project, before) if name.startswith(".github")]
    append(project.root / name, "# ours now\n")
    edited = (project.root / name).read_bytes()
    assert project.adopt().returncode == 0
    assert (project.root / name).read_bytes() == edited
    undone = project.adopt("--undo")
    assert undone.returncode == 1
    assert Path(name).name in undone.stdout + undone.stderr
    assert (project.root / name).read_bytes() == edited
    assert [*differing(before, project.snapshot())] == [name]


def hooks_of(project: AdoptProject) -> list[str]:
    return [str(hook["_hook_name"]) for hook in Config(str(project.root / "alembic.ini")).get_hooks_list()]


FORMAT = "format.type = exec\nformat.executable = true\nformat.options = REVISION_SCRIPT_FILENAME\n"


@pytest.mark.foreign
@pytest.mark.parametrize("hooks", ["hooks = head, format", "hooks = format, head", "hooks = format head"])
@pytest.mark.parametrize("there", [False, True], ids=["a new section", "a section with a hook"])
def test_a_hook_that_is_added_later_stays(project: AdoptProject, hooks: str, there: bool) -> None:
    """The team adds a formatter after adopt: --undo takes ours, or leaves all, and never breaks `alembic revision`."""
    ini = project.root / "alembic.ini"
    if there:
        ini.write_text(f"{ini.read_text()}\n[post_write_hooks]\nhooks = other\n{FORMAT.replace('format.', 'other.')}")
        hooks = f"{hooks}, other"
    require_adopted(project)
    text = re.sub(r"^hooks = .*$", hooks, ini.read_text(), count=1, flags=re.MULTILINE)
    ini.write_text(re.sub(r"^(head\.type)", rf"{FORMAT}\1", text, count=1, flags=re.MULTILINE))
    assert "format" in hooks_of(project)
    assert project.adopt("--check").returncode == 0
    undone = project.adopt("--undo")
    left = hooks_of(project)
    assert "format" in left
    assert ("other" in left) == there
    assert ("head" in left) == (undone.returncode == 1), undone.stdout
    ran = project.alembic("revision", "-m", "next", "--rev-id", NEW)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.foreign
def test_keys_that_are_added_to_our_section_stay(project: AdoptProject) -> None:
    """`journal = off` of a team is not lost by --undo, and not given to another section."""
    require_adopted(project)
    ini = project.root / "alembic.ini"
    ini.write_text(re.sub(r"^(baseline = .*)$", r"\1\njournal = off", ini.read_text(), count=1, flags=re.MULTILINE))
    assert not read_config(ini).journal
    assert project.adopt("--check").returncode == 0
    undone = project.adopt("--undo")
    assert undone.returncode in (0, 1)
    assert not read_config(ini).journal
    assert (read_config(ini).baseline == HEAD) == (undone.returncode == 1)


def test_a_section_after_ours_stays(project: AdoptProject) -> None:
    """What was appended is no edit of ours."""
    ini = project.root / "alembic.ini"
    original = ini.read_text()
    require_adopted(project)
    append(ini, "\n[loggers]\nkeys = root\n")
    assert project.adopt("--undo").returncode == 0
    assert ini.read_text() == f"{original}\n[loggers]\nkeys = root\n"


@pytest.mark.foreign
def test_a_section_of_pyproject_after_ours_stays(project: AdoptProject) -> None:
    (project.root / "alembic.ini").unlink()
    project.settings = "pyproject.toml"
    tool = '[tool.alembic]\nscript_location = "migrations"\n'
    project.write({"pyproject.toml": tool})
    require_adopted(project)
    append(project.root / "pyproject.toml", "\n[tool.ruff]\nline-length = 100\n")
    assert project.adopt("--check").returncode == 0
    assert project.adopt("--undo").returncode == 0
    assert (project.root / "pyproject.toml").read_text() == f"{tool}\n[tool.ruff]\nline-length = 100\n"


@pytest.mark.foreign
def test_lines_of_the_gate_that_are_moved(project: AdoptProject) -> None:
    """Together or apart: all of it is taken, or nothing."""
    require_adopted(project, "--only-gate")
    text = project.env_py.read_text()
    moved = text.replace("gate.install(context)\n", "", 1).replace(
        "config = context.config\n", "config = context.config\ngate.install(context)\n"
    )
    assert moved != text
    project.env_py.write_text(moved)
    assert project.adopt("--check", "--only-gate").returncode == 0
    undone = project.adopt("--undo", "--only-gate")
    now = project.env_py.read_text()
    assert ("import gate" in now, "gate.install" in now) == ((undone.returncode == 1),) * 2


def ruff(project: AdoptProject, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, str(project.env_py)],
        cwd=project.root,
        check=True,
        capture_output=True,
    )


@pytest.mark.foreign
def test_formatters_of_the_project(project: AdoptProject) -> None:
    """Import sorting moves the import away from the call: it stays adopted, and --undo does not take half of it."""
    before = project.env_py.read_text()
    require_adopted(project, "--only-gate")
    ruff(project, "check", "--select", "I,E4", "--fix", "--exit-zero", "--isolated")
    ruff(project, "format", "--isolated")
    assert project.adopt("--check", "--only-gate").returncode == 0
    formatted = project.snapshot()
    assert project.adopt("--only-gate").returncode == 0
    assert project.snapshot() == formatted
    undone = project.adopt("--undo", "--only-gate")
    text = project.env_py.read_text()
    assert ("from dbkit import gate" in text) == ("gate.install(context)" in text)
    assert undone.returncode == ("gate.install(context)" in text)
    if undone.returncode == 0:
        assert sorted(re.findall(r"\S.*", text)) == sorted(re.findall(r"\S.*", before))


def test_blanks_at_the_ends_of_lines_are_no_edit(project: AdoptProject) -> None:
    """A checkout with CRLF is the same project: git has changed the ends of the lines."""
    plain = project.copy("plain")
    require_adopted(project)
    for each in (plain, project):
        for path in each.root.rglob("*"):
            if path.is_file() and ".git" not in path.parts:
                path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert project.adopt("--check").returncode == 0
    require_undone(project, plain.snapshot())
