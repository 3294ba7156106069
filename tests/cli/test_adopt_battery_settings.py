"""`dbkit adopt` and the settings files of others: alembic.ini, pyproject.toml, and those with another name."""

from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config

from dbkit.backports import parse_toml
from dbkit.project.config import read_config
from support.adopt_project import HEAD, AdoptProject, make_project, require_adopted, require_refused, require_undone
from support.adopt_settings_files import SETTINGS, SettingsFile
from support.alembic_templates import initialized
from support.running import spread_foreign

OUR_SECTIONS = {"dbkit"}
HOOKS = "post_write_hooks"
NEW = "c3c3c3c3c3c3"


def make(case: SettingsFile, root: Path) -> AdoptProject:
    """Make the project of a case."""
    project = make_project(root, case.files)
    for name in case.removes:
        if name not in case.files:
            (root / name).unlink()
    if case.scripts != "migrations":
        for path in list((root / "migrations").rglob("*.*")):
            to = root / case.scripts / path.relative_to(root / "migrations")
            to.parent.mkdir(parents=True, exist_ok=True)
            path.rename(to)
    project.write({case.file: case.content})
    project.settings, project.section, project.scripts = case.file, case.section, case.scripts
    return project


def values_of(path: Path) -> dict[str, Any]:
    """Return what Alembic reads, section by section, but for ours and for the hooks."""
    if path.suffix == ".toml":
        read: dict[str, Any] = parse_toml(path.read_text(encoding="utf-8"))
        tool = dict(read.get("tool", {}))
        tool.pop("dbkit", None)
        alembic = {key: value for key, value in tool.pop("alembic").items() if key != HOOKS}
        return {**read, "tool": tool, "alembic": alembic}
    config = Config(str(path)).file_config
    return {
        name: dict(config.items(name, raw=True))
        for name in ("DEFAULT", *config.sections())
        if name not in OUR_SECTIONS | {HOOKS}
    }


def hooks_of(path: Path) -> list[dict[str, str]]:
    """Return the hooks of the project that Alembic runs for a new revision, first to last, without ours."""
    beside = path.with_name("alembic.ini")
    if path.suffix == ".toml":
        config = Config(str(beside) if beside.exists() else None, toml_file=str(path))
    else:
        config = Config(str(path))
    hooks = [dict(hook) for hook in config.get_hooks_list()]
    return [hook for hook in hooks if "dbkit" not in str(hook)]


def changed_lines(before: bytes, after: bytes) -> int:
    """Return how many lines of `before` are no longer there, in their order."""
    remaining = after.splitlines(keepends=True)
    lost = 0
    for line in before.splitlines(keepends=True):
        # the last one may have had no newline
        found = next(
            (number for number, each in enumerate(remaining) if each.rstrip(b"\r\n") == line.rstrip(b"\r\n")), None
        )
        if found is None:
            lost += 1
        else:
            remaining = remaining[found + 1 :]
    return lost


def baseline_of(project: AdoptProject) -> str | None:
    """Return the baseline, where the other verbs read it."""
    return read_config(project.root / project.settings).baseline


@pytest.mark.parametrize("case", spread_foreign(10, [(case.name, case) for case in SETTINGS]))
def test_the_settings_file(case: SettingsFile, tmp_path: Path) -> None:
    """Alembic reads the same values and hooks as before, and ours; the baseline is set; --undo gives all back."""
    project = make(case, tmp_path / "project")
    before = project.snapshot()
    path = project.root / case.file
    expected = case.expected
    if expected == "either":
        expected = "refused" if project.copy("tried").adopt().returncode else "adopted"
    if expected == "refused":
        require_refused(project, before)
        return
    values, hooks = values_of(path), hooks_of(path)
    said = require_adopted(project)
    after = path.read_bytes()
    assert values_of(path) == values
    assert hooks_of(path) == hooks
    assert changed_lines(case.content, after) <= 1
    assert after.startswith(b"\xef\xbb\xbf") == case.content.startswith(b"\xef\xbb\xbf")
    if b"\r\n" in case.content:
        assert after.count(b"\n") == after.count(b"\r\n")
    assert baseline_of(project) == case.baseline
    head_file = project.root / case.scripts / "HEAD"
    if head_file.exists():
        assert head_file.read_text().split()[:1] == [HEAD]
    else:
        assert "left     head file" in said
    if "by hand" not in case.name:  # what was there before cannot be told from what adopt writes
        require_undone(project, before)


ADOPTED = [case for case in SETTINGS if case.expected == "adopted" and case.runs]


@pytest.mark.foreign
@pytest.mark.parametrize("case", ADOPTED, ids=[case.name for case in ADOPTED])
def test_the_hooks_run(case: SettingsFile, tmp_path: Path) -> None:
    """For a new revision, those of the project run, and ours writes the head file."""
    project = make(case, tmp_path / "project")
    adopted = project.adopt()
    assert adopted.returncode == 0, adopted.stderr
    added = project.alembic("revision", "-m", "next", "--rev-id", NEW)
    assert added.returncode == 0, added.stdout + added.stderr
    head_file = project.root / case.scripts / "HEAD"
    if head_file.exists():
        assert head_file.read_text().split()[:1] == [NEW], added.stdout + added.stderr
    assert all((project.root / f"{name}.ran").exists() for name in case.hooks)


@pytest.mark.foreign
@pytest.mark.parametrize("template", ["generic", "async", "multidb", "pyproject", "pyproject_async"])
def test_what_this_alembic_writes(template: str, tmp_path: Path) -> None:
    """`alembic init`, and adopt before there is a revision."""
    project = make_project(tmp_path / "project")
    root = tmp_path / "new"
    initialized_files = {
        str(path.relative_to(initialized(template))): path.read_bytes()
        for path in initialized(template).rglob("*")
        if path.is_file()
    }
    project = AdoptProject(root, "pyproject.toml" if template.startswith("pyproject") else "alembic.ini")
    project.write(initialized_files)
    (root / "migrations/versions").mkdir(exist_ok=True)
    before = project.snapshot()
    path = root / project.settings
    values = values_of(path)
    require_adopted(project)
    assert values_of(path) == values
    assert changed_lines(initialized_files[project.settings], path.read_bytes()) == 0
    assert baseline_of(project) is None
    require_undone(project, before)
