"""`dbkit adopt` in projects of all shapes: where the settings file is, what is beside it, what cannot be written."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbkit.project.config import read_config
from support.adopt_env_files import FLASK, FLASK_4
from support.adopt_project import (
    BASE,
    CHAIN,
    ENV,
    HEAD,
    INI,
    SCRIPT_MAKO,
    SOURCE,
    AdoptProject,
    differing,
    make_project,
    require_adopted,
    require_refused,
    require_undone,
    revision_text,
    snapshot,
)
from support.running import spread_foreign

Git = Callable[..., str]
LOCAL = INI.format(url="postgresql://localhost/none")


def tree(place: str) -> dict[str, str]:
    """Return the files of a project in a directory."""
    files = {"alembic.ini": LOCAL, "migrations/env.py": ENV, "migrations/script.py.mako": SCRIPT_MAKO}
    files |= {f"migrations/versions/{name}": text for name, text in CHAIN.items()}
    return {f"{place}/{name}": text for name, text in files.items()}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with dbkit as it is installed: not in its checkout, whose own alembic.ini would be found."""
    place = tmp_path_factory.mktemp("site") / "lib/python/site-packages"
    shutil.copytree(SOURCE, place / "dbkit", ignore=shutil.ignore_patterns("__pycache__"))
    return place


@pytest.fixture
def empty(tmp_path: Path, site: Path) -> AdoptProject:
    """An empty directory, in which the settings file is not named."""
    (tmp_path / "project").mkdir()
    return AdoptProject(tmp_path / "project", "", environment={"PYTHONPATH": str(site)})


BESIDE = {
    **tree(".venv/lib/python3.12/site-packages/other"),
    **tree("venv/lib/python3.12/site-packages/other"),
    **tree("oddly-named/lib/python3.12/site-packages/other"),
    "oddly-named/pyvenv.cfg": "home = /usr/bin\n",
    **tree("node_modules/other"),
    **tree(".cache/other"),
    **tree(".git/other"),
}


@pytest.mark.parametrize(
    "place", spread_foreign(3, [(name, name) for name in ("backend", "services/shop/db", "migrations-of-all")])
)
def test_the_only_settings_file_below(empty: AdoptProject, place: str) -> None:
    empty.write({**BESIDE, **tree(place)})
    before = empty.snapshot()
    require_adopted(empty)
    changed = {*differing(before, empty.snapshot())}
    assert f"{place}/migrations/env.py" in changed
    assert not [name for name in changed if name.startswith((".venv", "venv", "oddly", "node", ".cache"))]
    require_undone(empty, before)


def test_the_settings_file_here_comes_first(empty: AdoptProject) -> None:
    empty.write({**tree("."), **tree("other")})
    before = empty.snapshot()
    require_adopted(empty)
    assert not [name for name in differing(before, empty.snapshot()) if name.startswith("other")]
    require_undone(empty, before)


def test_several_settings_files_are_listed(empty: AdoptProject) -> None:
    empty.write({**tree("orders"), **tree("billing")})
    said = require_refused(empty, empty.snapshot())
    assert "orders/alembic.ini" in said
    assert "billing/alembic.ini" in said
    assert "-c" in said


def test_of_many_settings_files_the_first_are_listed(empty: AdoptProject) -> None:
    empty.write({name: text for number in range(25) for name, text in tree(f"service{number:02}").items()})
    said = require_refused(empty, empty.snapshot())
    assert "there are 25 settings files" in said
    assert said.count("alembic.ini") == 8
    assert "service24" not in said


def test_a_directory_is_no_settings_file(empty: AdoptProject) -> None:
    assert ". is not a file." in require_refused(empty, empty.snapshot(), "-c", ".")


def test_no_settings_file(empty: AdoptProject) -> None:
    empty.write({"pyproject.toml": '[project]\nname = "shop"\n'})
    require_refused(empty, empty.snapshot())


@pytest.mark.foreign
def test_a_pyproject_in_a_directory_below(empty: AdoptProject) -> None:
    files = tree("backend")
    del files["backend/alembic.ini"]
    files["backend/pyproject.toml"] = '[tool.alembic]\nscript_location = "migrations"\n'
    empty.write({**files, "pyproject.toml": '[project]\nname = "shop"\n'})
    before = empty.snapshot()
    require_adopted(empty)
    assert "backend/migrations/env.py" in differing(before, empty.snapshot())
    require_undone(empty, before)


CLI = """\
from flask import current_app


class ScriptInfo:
    def load_app(self):
        return current_app
"""


def test_flask_migrate(empty: AdoptProject) -> None:
    """Its settings are beside env.py, and name no place."""
    flask = {"flask/__init__.py": FLASK["flask.py"], "flask/cli.py": CLI, "app.py": ""}
    files = {name.removeprefix("./"): text for name, text in tree(".").items() if "migrations" in name}
    ini = "[alembic]\n\n[loggers]\nkeys = root\n\n[handlers]\nkeys =\n\n[formatters]\nkeys =\n\n[logger_root]\nlevel = WARN\nhandlers =\n"
    empty.write({**files, **flask, "migrations/alembic.ini": ini, "migrations/env.py": FLASK_4})
    empty.environment["DATABASE_URL"] = "postgresql://localhost/none"
    before = empty.snapshot()
    require_adopted(empty)
    assert {"migrations/env.py", "migrations/alembic.ini", "migrations/HEAD"} <= {*differing(before, empty.snapshot())}
    assert read_config(empty.root / "migrations/alembic.ini").baseline == HEAD
    require_undone(empty, before)


@pytest.mark.foreign
@pytest.mark.parametrize("cwd", ["..", "src/shop", "migrations"])
def test_from_another_directory(tmp_path: Path, cwd: str) -> None:
    """It is the same as in the project's own directory."""
    files = {"src/shop/__init__.py": "", "Makefile": "all:\n\ttrue\n"}
    here = make_project(tmp_path / "here", files)
    there = make_project(tmp_path / "there", files)
    assert here.adopt().returncode == 0
    ran = there.adopt(cwd=cwd)
    assert ran.returncode == 0, ran.stderr
    assert differing(here.snapshot(), there.snapshot()) == {}
    assert there.adopt("--check", cwd=cwd).returncode == 0
    assert there.adopt("--undo", cwd=cwd).returncode == 0
    assert differing(make_project(tmp_path / "made", files).snapshot(), there.snapshot()) == {}


@pytest.mark.foreign
@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_a_directory_of_a_large_repository(tmp_path: Path, git: Git, service: str) -> None:
    """The CI service reads files at the top of the work tree only; ours are beside the settings file."""
    top = tmp_path / "repo"
    project = make_project(top / "services/shop")
    git(tmp_path, "init", "-q", "repo")
    (top / "Makefile").write_text("all:\n\ttrue\n")
    if service == "github":
        (top / ".github/workflows").mkdir(parents=True)
    else:
        (top / ".gitlab-ci.yml").write_text("stages: [test]\n\nunit:\n  stage: test\n  script: [make]\n")
    before = snapshot(top)
    project.environment["GIT_CEILING_DIRECTORIES"] = str(tmp_path)
    require_adopted(project)
    changed = differing(before, snapshot(top))
    assert "noxfile.py" not in changed
    assert {"services/shop/alembic.ini", "services/shop/migrations/env.py"} <= {*changed}
    ci = [name for name in changed if name.startswith((".github", ".gitlab"))]
    assert ci
    assert any(b"services/shop" in (top / name).read_bytes() for name in ci)
    assert not any(str(tmp_path).encode() in (top / name).read_bytes() for name in changed)
    ran = project.adopt("--undo")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert differing(before, snapshot(top)) == {}


@pytest.mark.foreign
@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_two_projects_of_a_repository(tmp_path: Path, git: Git, service: str) -> None:
    """Each keeps its CI job and its targets when the other one is adopted, and when that is undone."""
    top = tmp_path / "repo"
    shop, billing = make_project(top / "services/shop"), make_project(top / "services/billing")
    git(tmp_path, "init", "-q", "repo")
    (top / "Makefile").write_text("all:\n\ttrue\n")
    plain = snapshot(top)
    options = ("--ci", service)
    for each in (shop, billing):
        each.environment["GIT_CEILING_DIRECTORIES"] = str(tmp_path)
        require_adopted(each, *options)
    checked = shop.adopt("--check", *options)
    assert checked.returncode == 0, checked.stdout
    texts = [path.read_text() for path in top.rglob("*.yml")]
    assert any("services/shop" in text for text in texts)
    assert any("services/billing" in text for text in texts)
    both = subprocess.run(["make", "-pn"], cwd=top, capture_output=True, text=True, check=False)
    assert both.returncode == 0
    assert "overriding" not in both.stderr
    for each in (shop, billing):
        targets = (each.root / "migrations.mk").read_text()
        [name] = re.findall(r"^([a-z-]*status):", targets, re.MULTILINE)
        ran = subprocess.run(["make", "-n", name], cwd=top, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
    one = differing(plain, snapshot(top))
    assert billing.adopt("--undo").returncode == 0
    assert shop.adopt("--check", *options).returncode == 0
    assert {name for name in differing(plain, snapshot(top)) if "shop" in name} == {
        name for name in one if "shop" in name
    }
    assert shop.adopt("--undo").returncode == 0
    assert differing(plain, snapshot(top)) == {}


@pytest.mark.foreign
@pytest.mark.parametrize("name", ["alembic.ini", "migrations/env.py", "migrations", "migrations/versions", "Makefile"])
def test_symbolic_links(tmp_path: Path, name: str) -> None:
    """The link stays, and what it leads to is edited."""
    project = make_project(tmp_path / "project", {"Makefile": "all:\n\ttrue\n"})
    path, target = project.root / name, project.root / "kept elsewhere" / Path(name).name
    target.parent.mkdir()
    path.rename(target)
    path.symlink_to(os.path.relpath(target, path.parent))
    before = project.snapshot()
    ran = project.adopt()
    if ran.returncode == 2 and name == "migrations/versions":
        assert project.snapshot() == before
        return
    require_adopted(project)
    assert path.is_symlink()
    assert target.exists()
    require_undone(project, before)


@pytest.mark.foreign
def test_env_py_outside_of_the_project(tmp_path: Path) -> None:
    """One env.py of several projects: both are behind the gate then, and the other one keeps it."""
    project = make_project(tmp_path / "project")
    shared = tmp_path / "shared env.py"
    project.env_py.rename(shared)
    project.env_py.symlink_to("../../shared env.py")
    original = shared.read_bytes()
    ran = project.adopt("--only-gate")
    assert ran.returncode in (0, 2)
    assert (b"gate.install" in shared.read_bytes()) == (ran.returncode == 0)
    assert project.env_py.is_symlink()
    assert project.adopt("--undo", "--only-gate").returncode == 0 or ran.returncode == 2
    assert shared.read_bytes() == original


def test_env_py_of_an_installed_package(tmp_path: Path) -> None:
    """It is another project's file, and gone with its next release."""
    place = "venv/lib/python3.12/site-packages/framework/migrations"
    files = {
        f"{place}/{name.removeprefix('x/migrations/')}": text
        for name, text in tree("x").items()
        if "/migrations/" in name
    }
    root = tmp_path / "project"
    project = make_project(root, {**files, "alembic.ini": f"[alembic]\nscript_location = {place}\n"})
    shutil.rmtree(root / "migrations")
    project.write({"venv/pyvenv.cfg": "home = /usr/bin\n"})
    require_refused(project, project.snapshot())


@pytest.mark.parametrize("kind", ["sourceless", "a directory", "missing"])
def test_no_file_env_py(tmp_path: Path, kind: str) -> None:
    project = make_project(tmp_path / "project")
    project.env_py.unlink()
    if kind == "sourceless":
        (project.root / "migrations/env.pyc").write_bytes(b"\xa7\r\r\n" + bytes(60))
    elif kind == "a directory":
        project.env_py.mkdir()
    require_refused(project, project.snapshot())


@pytest.mark.parametrize(
    "name",
    spread_foreign(
        4, [(name, name) for name in ("a project, ü", "プロジェクト", "it's $HOME;", "50%", "-c", "(copy)", "#1")]
    ),
)
def test_names_of_directories(tmp_path: Path, name: str) -> None:
    """Alembic itself does not work with % in a path."""
    project = make_project(tmp_path / name / "project", {"Makefile": "all:\n\ttrue\n"})
    before = project.snapshot()
    if "%" in name:
        require_refused(project, before)
        return
    require_adopted(project)
    require_undone(project, before)


THIRD = "d4d4d4d4d4d4"
VERSIONS = {
    "no revisions": {},
    "one": {"one.py": revision_text(BASE, None)},
    "two heads": {**CHAIN, "third.py": revision_text(THIRD, BASE)},
    "two bases": {**CHAIN, "third.py": revision_text(THIRD, None)},
    "a merge": {**CHAIN, "third.py": revision_text(THIRD, BASE), "merge.py": revision_text("e5e5", (HEAD, THIRD))},
    "a broken one": {**CHAIN, "third.py": "revision = 'x'\ndown_revision =\n"},
    "a missing parent": {"one.py": revision_text(BASE, "f6f6")},
    "an id twice": {**CHAIN, "third.py": revision_text(HEAD, BASE)},
    "an import that fails": {**CHAIN, "third.py": "import not_installed_here\n" + revision_text(THIRD, HEAD)},
    "a circle": {"one.py": revision_text(BASE, HEAD), "two.py": revision_text(HEAD, BASE)},
    "a quote and an umlaut": {**CHAIN, "third.py": revision_text("ü'x", HEAD, "größer, \\'als\\'")},
}
BASELINES = {"one": BASE, "a merge": "e5e5", "a quote and an umlaut": "ü'x"}


@pytest.mark.parametrize("case", spread_foreign(4, zip(VERSIONS, VERSIONS, strict=True)))
def test_chains(tmp_path: Path, case: str) -> None:
    """The baseline is the head. Where there are several or none, or a file cannot be loaded: an answer, and no harm."""
    project = make_project(tmp_path / "project")
    shutil.rmtree(project.root / "migrations/versions")
    (project.root / "migrations/versions").mkdir()
    project.write({f"migrations/versions/{name}": text for name, text in VERSIONS[case].items()})
    before = project.snapshot()
    if project.copy("tried").adopt().returncode:
        assert case not in (*BASELINES, "no revisions")
        require_refused(project, before)
        return
    require_adopted(project)
    baseline = read_config(project.root / "alembic.ini").baseline
    if case in BASELINES:
        assert baseline == BASELINES[case]
    elif case in ("no revisions", "two heads", "two bases"):
        assert baseline in (None, BASE)
    require_undone(project, before)


PLACES = {
    "below versions, by year": ("recursive_version_locations = true\n", "migrations/versions/2026/06"),
    "elsewhere": ("version_locations = db/revisions\n", "db/revisions"),
    "in two places": ("version_locations = %(here)s/migrations/versions %(here)s/db/revisions\n", "db/revisions"),
}


@pytest.mark.foreign
@pytest.mark.parametrize("case", PLACES)
def test_revisions_elsewhere(tmp_path: Path, case: str) -> None:
    """The head file and its hook work there, too, or they are left."""
    options, place = PLACES[case]
    project = make_project(tmp_path / "project")
    second = next((project.root / "migrations/versions").glob(f"{HEAD}*"))
    project.write({"alembic.ini": LOCAL + options, f"{place}/{second.name}": second.read_bytes()})
    second.unlink()
    if case == "elsewhere":
        (first,) = (project.root / "migrations/versions").glob(f"{BASE}*")
        first.rename(project.root / place / first.name)
    before = project.snapshot()
    require_adopted(project)
    assert read_config(project.root / "alembic.ini").baseline == HEAD
    head_file = project.root / "migrations/HEAD"
    if head_file.exists():
        assert head_file.read_text().split()[0] == HEAD
        clone = project.copy("clone")
        ran = clone.alembic("revision", "-m", "next", "--rev-id", THIRD, "--version-path", place) if "two" in case else (
            clone.alembic("revision", "-m", "next", "--rev-id", THIRD)
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert (clone.root / "migrations/HEAD").read_text().split()[0] == THIRD, ran.stdout + ran.stderr
        checked = clone.adopt("--check")
        assert checked.returncode == 0, checked.stdout + checked.stderr
    require_undone(project, before)


WHOLE = {"Makefile": "all:\n\ttrue\n", "noxfile.py": "import nox\n", ".github/workflows/test.yml": "on: push\n"}


def written_by_adopt(tmp_path: Path) -> list[str]:
    """Return the files that adopt writes in the project of the tests below."""
    project = make_project(tmp_path / "tried", WHOLE)
    before = project.snapshot()
    assert project.adopt("--ci", "github").returncode == 0
    return [*differing(before, project.snapshot())]


def require_nothing_changed_or_left(
    project: AdoptProject, before: dict[str, object], ran: "subprocess.CompletedProcess[str]", name: str
) -> None:
    """Check that the project was refused, or that the part was left, and named, and the others are there."""
    assert "Traceback" not in ran.stderr
    assert ran.returncode in (0, 2), ran.stdout + ran.stderr
    changed = differing(before, project.snapshot())
    if ran.returncode == 2:
        assert changed == {}
    else:
        assert "left" in ran.stdout
        assert Path(name).name in ran.stdout
        assert {"migrations/env.py", "alembic.ini"} <= {*changed}


@pytest.mark.foreign
def test_a_directory_in_the_place_of_a_file(tmp_path: Path) -> None:
    for number, name in enumerate(written_by_adopt(tmp_path)):
        project = make_project(tmp_path / f"project{number}", WHOLE)
        path = project.root / name
        if path.exists():
            continue
        path.mkdir(parents=True)
        project.write({f"{name}/kept": "ours\n"})
        before = project.snapshot()
        require_nothing_changed_or_left(project, before, project.adopt("--ci", "github"), name)
        assert (path / "kept").read_text() == "ours\n"


@pytest.mark.foreign
def test_another_file_in_the_place_of_ours(tmp_path: Path) -> None:
    """A migrations.mk, HEAD or workflow that the team has is its own."""
    for number, name in enumerate(written_by_adopt(tmp_path)):
        project = make_project(tmp_path / f"project{number}", WHOLE)
        path = project.root / name
        if path.exists():
            continue
        project.write({name: "# ours\n"})
        before = project.snapshot()
        ran = project.adopt("--ci", "github")
        if not name.startswith(".github"):  # another name is free there
            require_nothing_changed_or_left(project, before, ran, name)
        assert path.read_text() == "# ours\n"
        assert project.adopt("--undo", "--ci", "github").returncode in (0, 1)
        assert path.read_text() == "# ours\n"


def test_a_file_in_the_place_of_a_directory(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {".github": "a file\n"})
    before = project.snapshot()
    require_nothing_changed_or_left(project, before, project.adopt("--ci", "github"), ".github")
    assert (project.root / ".github").read_text() == "a file\n"


LIMITED = """\
import resource, runpy, signal, sys

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.dont_write_bytecode = True  # a file would be cut off, and stay so
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.argv = ["dbkit", *sys.argv[1:]]
runpy.run_module("dbkit", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "name", spread_foreign(2, [(name, name) for name in ("migrations/env.py", "alembic.ini", "Makefile", "noxfile.py")])
)
def test_a_disk_that_is_full_in_the_middle(tmp_path: Path, name: str) -> None:
    """Nothing is changed then: what was written before is taken back."""
    project = make_project(tmp_path / "project", WHOLE)
    path = project.root / name
    path.write_text(path.read_text() + "# a long comment\n" * 8000)
    before = project.snapshot()
    program = tmp_path / "limited.py"
    program.write_text(LIMITED)
    ran = project.python(str(program), "adopt", "-c", "alembic.ini", "--prove", "0", "--ci", "github")
    adopted = differing(before, project.snapshot())
    if ran.returncode == 0 and name not in adopted:  # it is none of the files that are edited
        assert name in ("Makefile", "noxfile.py")
        return
    assert ran.returncode not in (0, 70), ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    assert adopted == {}


def unprivileged() -> list[str]:
    """Return the words that run a program for which modes count."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root writes into everything")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


@pytest.mark.foreign
def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    """A mode is a decision of the team: the file is not replaced by another one with the same name."""
    for number, name in enumerate(written_by_adopt(tmp_path)):
        project = make_project(tmp_path / f"project{number}", WHOLE)
        path = project.root / name
        locked = path if path.exists() else path.parent
        if locked == project.root or locked.name == "migrations":
            continue  # others are written there, too
        before = project.snapshot()
        mode = locked.stat().st_mode
        locked.chmod(mode & ~0o222)
        try:
            ran = subprocess.run(
                [*unprivileged(), sys.executable, "-m", "dbkit", "adopt", "-c", "alembic.ini", "--prove", "0", "--ci", "github"],
                cwd=project.root, env=project.variables({}), capture_output=True, text=True, check=False,
            )  # fmt: skip
        finally:
            locked.chmod(mode)
        require_nothing_changed_or_left(project, before, ran, name)


@pytest.mark.foreign
def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    before = project.snapshot()
    for locked in (project.root / "migrations", project.root):
        mode = locked.stat().st_mode
        locked.chmod(0o555)
        try:
            ran = subprocess.run(
                [*unprivileged(), sys.executable, "-m", "dbkit", "adopt", "-c", "alembic.ini", "--prove", "0"],
                cwd=project.root, env=project.variables({}), capture_output=True, text=True, check=False,
            )  # fmt: skip
        finally:
            locked.chmod(mode)
        require_nothing_changed_or_left(project, before, ran, locked.name)


@pytest.mark.foreign
def test_no_secret_is_printed(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", url="postgresql://app:s3cr3t-w0rd@localhost/none")
    for arguments in (("--dry-run",), ("--check",), (), ("--undo",)):
        ran = project.adopt(*arguments)
        assert "s3cr3t-w0rd" not in ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.foreign
def test_the_last_revisions_are_proven(tmp_path: Path) -> None:
    """By default it ends with a proof on a scratch server, and what to type next."""
    project = make_project(tmp_path / "project")
    ran = project.adopt(prove=True)
    assert ran.returncode == 0, ran.stderr
    assert "proven" in ran.stdout
    assert "status" in ran.stdout.partition("\nnext:\n")[2]
