"""`dbkit adopt` and what is beside the migrations: the project's own targets, sessions and jobs do what they did."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.adopt_neighbours import GITLAB, MAKE_CRLF, MAKEFILES, NOXFILES
from support.adopt_project import AdoptProject, differing, inserted, make_project, require_adopted, require_undone
from support.running import spread_foreign

yaml: Any = pytest.importorskip("yaml")  # it comes with pre-commit
Git = Callable[..., str]
TARGET = re.compile(r"^([a-zA-Z][\w-]*)(?=:(?!=))", re.MULTILINE)


def make_targets(project: AdoptProject, targets: list[str]) -> dict[str, tuple[int, str, str]]:
    """Return what make would do for each target, and for none."""
    said = {}
    for target in ["", *targets]:
        ran = subprocess.run(
            ["make", "-n", *([target] if target else [])],
            cwd=project.root,
            env={"PATH": "/usr/bin:/bin", "HOME": "/"},
            capture_output=True,
            text=True,
        )
        # a refusal names the line, which may be another one then
        errors = re.sub(r":\d+:", ":", ran.stderr)
        # a help that reads all files reads ours, too
        said[target] = ran.returncode, ran.stdout.replace(" migrations.mk", ""), errors
    return said


def whole_lines(content: bytes) -> bytes:
    """Return a file as if it had a newline at its end, which it may not have."""
    lines = content.rstrip().splitlines()
    return b"".join(line + b"\n" for line in lines)


@pytest.mark.parametrize("case", spread_foreign(8, zip(MAKEFILES, MAKEFILES, strict=True)))
def test_makefiles(case: str, tmp_path: Path) -> None:
    """Each target, the default goal and the warnings are as before; nothing is changed but for inserted lines."""
    files = MAKEFILES[case]
    project = make_project(tmp_path / "project", files)
    targets = sorted({name for text in files.values() for name in TARGET.findall(text)} - {"define"})
    before, did = project.snapshot(), make_targets(project, targets)
    require_adopted(project)
    assert make_targets(project, targets) == did
    for name, text in files.items():
        inserted(whole_lines(text.encode()), whole_lines((project.root / name).read_bytes()))
    require_undone(project, before)


@pytest.mark.foreign
def test_a_makefile_with_crlf(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", MAKE_CRLF)
    before = project.snapshot()
    require_adopted(project)
    after = (project.root / "Makefile").read_bytes()
    assert after.count(b"\n") == after.count(b"\r\n")
    require_undone(project, before)


@pytest.mark.parametrize("includes", [True, False], ids=["include migrations.mk", "a Makefile"])
def test_our_targets_work(tmp_path: Path, includes: bool) -> None:
    """What is typed next is there: make prints recipes that call dbkit with this settings file."""
    project = make_project(tmp_path / "project", {"Makefile": "all:\n\ttrue\n"})
    require_adopted(project)
    if includes:
        (project.root / "Makefile").write_text("all:\n\ttrue\n\ninclude migrations.mk\n")
    text = (project.root / "migrations.mk").read_text()
    ours = [name for name in TARGET.findall(text) if name not in ("all", "help")]
    assert ours
    for name, (code, said, errors) in make_targets(project, ours).items():
        assert code == 0, (name, errors)
        if name:
            assert "-m dbkit" in said or "-m alembic" in said or name == "help-migrations", said


def sessions_of(project: AdoptProject) -> tuple[int, set[str]]:
    """Return the sessions that nox lists, marked where they run by default."""
    ran = subprocess.run(
        [sys.executable, "-m", "nox", "--list"],
        cwd=project.root,
        env=project.variables({"NO_COLOR": "1"}),
        capture_output=True,
        text=True,
    )
    return ran.returncode, {line.split(" -> ")[0] for line in ran.stdout.splitlines() if line[:2] in ("* ", "- ")}


@pytest.mark.parametrize("case", spread_foreign(11, zip(NOXFILES, NOXFILES, strict=True)))
def test_noxfiles(case: str, tmp_path: Path) -> None:
    """The sessions of the project are there, and those that run by default do."""
    text = NOXFILES[case].encode()
    project = make_project(tmp_path / "project", {"noxfile.py": text})
    before, (code, sessions) = project.snapshot(), sessions_of(project)
    require_adopted(project)
    now, listed = sessions_of(project)
    if sessions:  # where there are none, nox lists none
        assert now == code
    assert sessions <= listed
    if "nox.options.sessions" in NOXFILES[case]:
        assert {each for each in listed if each.startswith("* ")} == {
            each for each in sessions if each.startswith("* ")
        }
    after = (project.root / "noxfile.py").read_bytes()
    inserted(whole_lines(text), whole_lines(after))
    if text and text.count(b"\n") == text.count(b"\r\n"):
        assert after.count(b"\n") == after.count(b"\r\n")
    require_undone(project, before)


class Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads GitLab's files, which have tags of their own."""


Loader.add_constructor("!reference", lambda loader, node: tuple(loader.construct_sequence(node)))


def jobs_of(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a CI file."""
    return [each or {} for each in yaml.load_all(path.read_text(), Loader)]  # a SafeLoader


def without_ends(value: Any) -> Any:
    """Return a job without the newlines at the ends of its texts: the last one has none where the file has none."""
    if isinstance(value, dict):
        return {key: without_ends(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_ends(each) for each in value]
    return value.rstrip("\n") if isinstance(value, str) else value


@pytest.mark.parametrize("case", spread_foreign(9, zip(GITLAB, GITLAB, strict=True)))
def test_gitlab(case: str, tmp_path: Path, git: Git) -> None:
    """The jobs, stages and includes of the project are there, with what they had."""
    text = GITLAB[case]
    project = make_project(tmp_path / "project", {".gitlab-ci.yml": text})
    git(project.root, "init", "-q")
    path = project.root / ".gitlab-ci.yml"
    before, jobs = project.snapshot(), jobs_of(path)
    said = require_adopted(project)
    now = jobs_of(path)
    assert len(now) == len(jobs)
    for old, new in zip(jobs, now, strict=True):
        for key, value in old.items():
            if key == "include":
                old_list = value if isinstance(value, list) else [value]
                new_list = new[key] if isinstance(new[key], list) else [new[key]]
                assert new_list[: len(old_list)] == old_list or new_list[-len(old_list) :] == old_list
            else:
                assert without_ends(new[key]) == without_ends(value)
    added = {*now[-1]} - {*jobs[-1]} - {"include"}
    stages = now[-1].get("stages", [".pre", "build", "test", "deploy", ".post"])
    for name in added:
        assert now[-1][name].get("stage", "test") in [*stages, ".pre", ".post"], (
            "GitLab refuses a job of an unknown stage"
        )
    written = [*differing(before, project.snapshot())]
    assert added or "include" in now[-1] or "left" in said
    assert any(".gitlab" in name for name in written) or "left" in said
    require_undone(project, before)


@pytest.mark.foreign
@pytest.mark.parametrize(
    ("files", "remote", "options", "expected"),
    [
        ({".github/workflows/a.yml": "on: push\n"}, "", (), ".github"),
        ({".github/dependabot.yml": "version: 2\n"}, "", (), ".github"),
        ({".gitlab-ci.yml": "a:\n  script: b\n"}, "", (), ".gitlab"),
        ({}, "git@github.com:team/shop.git", (), ".github"),
        ({}, "https://github.com/team/shop", (), ".github"),
        ({}, "git@gitlab.com:team/shop.git", (), ".gitlab"),
        ({}, "https://user:token@gitlab.example.com/team/shop.git", (), ".gitlab"),
        ({}, "git@git.example.com:team/github.com.git", (), ""),
        ({}, "https://bitbucket.org/team/github.git", (), ""),
        ({}, "", (), ""),
        ({".github/workflows/a.yml": "on: push\n"}, "", ("--ci", "none"), ""),
        ({".github/workflows/a.yml": "on: push\n"}, "", ("--ci", "gitlab"), ".gitlab"),
        ({".gitlab-ci.yml": "a:\n  script: b\n"}, "git@github.com:team/shop.git", ("--ci", "github"), ".github"),
    ],
)
def test_which_ci(
    files: dict[str, str], remote: str, options: tuple[str, ...], expected: str, tmp_path: Path, git: Git
) -> None:
    """What the repository has, then its remote; nothing recognised: none, and a line that says how."""
    project = make_project(tmp_path / "project", files)
    git(project.root, "init", "-q")
    if remote:
        git(project.root, "remote", "add", "origin", remote)
    before = project.snapshot()
    said = require_adopted(project, *options)
    written = [name for name in differing(before, project.snapshot()) if name.startswith((".git", "ci"))]
    assert bool(written) == bool(expected), written
    assert all(name.startswith(expected or "none") for name in written), written
    if not expected and not options:
        assert "--ci" in said
    assert "token" not in said
    require_undone(project, before, *options)


def test_the_workflow_can_be_read(tmp_path: Path) -> None:
    """It has jobs with steps, and is no shell injection: no input of a pull request is expanded into a script."""
    project = make_project(tmp_path / "project")
    before = project.snapshot()
    require_adopted(project, "--ci", "github")
    [name] = [name for name in differing(before, project.snapshot()) if name.startswith(".github")]
    text = (project.root / name).read_text()
    read = yaml.safe_load(text)
    assert read["jobs"]
    assert all(job["steps"] and job["runs-on"] for job in read["jobs"].values())
    assert "dbkit" in text
    scripts = [step["run"] for job in read["jobs"].values() for step in job["steps"] if "run" in step]
    assert not [script for script in scripts if "${{ github.event" in script or "${{ github.head_ref" in script]
    assert read.get("permissions") in ({"contents": "read"}, "read-all")
