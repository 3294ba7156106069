"""The head file after a real `alembic revision`, and what the commands say of it: the heads that Alembic itself reads."""

import py_compile
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory, write_hooks

from dbkit import project
from dbkit.commands.check import _find_stale_head
from dbkit.commands.rebase_migration import RebaseMigrationOptions, rebase_migration
from dbkit.errors import CheckFailed, InputError
from dbkit.gate import multiple_heads
from dbkit.project import alembic_features
from dbkit.settings import Settings, Target
from support.head_file_cases import CASES, HOOK, Case

KIND = "module" if "module" in write_hooks._registry else "console_scripts"
WRONG = "0000 something else\n"


def make_tree(root: Path, case: Case) -> Path:
    """Write the project of a case. Returns its settings file."""
    hook = HOOK.format(kind=KIND)
    usual = f"[alembic]\nscript_location = {case.location}\n{case.options}{hook}"
    for name, content in {
        case.settings: case.ini.replace("{hook}", hook).replace("{kind}", KIND) or usual,
        **case.files,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    for name, target in case.links.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    (root / case.scripts).mkdir(parents=True, exist_ok=True)
    (root / case.scripts / "env.py").write_text("")
    (root / case.scripts / "script.py.mako").write_text(case.template, encoding="utf-8")
    for name in case.makes_bytecode:
        py_compile.compile(str(root / name), str(root / f"{name}c"), doraise=True)
        (root / name).unlink()
    return root / case.settings


def open_script(ini: Path, case: Case) -> tuple[Config, ScriptDirectory]:
    config = alembic_features.open_config(ini, case.section)
    return config, ScriptDirectory.from_config(config)


def head_files(root: Path) -> dict[str, str]:
    """Return each file named HEAD in a tree: there must be one, wherever the revisions are."""
    return {str(path.relative_to(root)): path.read_text("utf-8") for path in root.rglob("HEAD") if path.is_file()}


def expected(script: ScriptDirectory) -> str:
    """Return what the head file must contain, by Alembic's own reading."""
    lines = []
    for each in script.get_revisions(script.get_heads()):
        words = (each.doc.splitlines() or [""])[0]
        lines.append(f"{each.revision} {words}".rstrip() + "\n")
    return "".join(sorted(lines)).encode(errors="replace").decode()


def read_lines(path: Path) -> list[str]:
    return [line.rstrip() for line in path.read_text("utf-8").split("\n")]


@pytest.mark.spread(24)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_the_head_file_is_as_alembic_reads(
    tmp_path: Path,
    local_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    case: Case,
) -> None:
    if case.settings.endswith(".toml") and not alembic_features.READS_TOML:
        pytest.skip("this release of Alembic does not read it")
    ini = make_tree(tmp_path, case)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Alembic's, where a file is in two locations
        config, _ = open_script(ini, case)
        command.revision(config, case.message, rev_id="new", **case.new)  # type: ignore[arg-type]
        _, script = open_script(ini, case)
        assert sorted(script.get_heads()) == sorted(case.heads)
        want = expected(script)
    capfd.readouterr()
    place = f"{case.scripts}/HEAD"
    written = {name for name in head_files(tmp_path) if not (tmp_path / name).samefile(tmp_path / place)}
    assert (tmp_path / place).exists(), "no head file"
    assert not written
    assert read_lines(tmp_path / place) == want.split("\n")

    settings = replace(
        local_settings, root=ini.parent, ini=ini, section=case.section, target=Target("x", host="/nowhere")
    )
    loaded = project.load(ini, case.section)
    assert _find_stale_head(settings, loaded) == ""
    (tmp_path / place).write_text(WRONG)
    assert "names 0000, but the head" in _find_stale_head(settings, loaded)
    if case.is_joined:
        rebase_migration(settings, ini, RebaseMigrationOptions(None))
        assert "nothing to rebase" in capfd.readouterr().out
        assert read_lines(tmp_path / place) == want.split("\n")
        assert _find_stale_head(settings, loaded) == ""
    else:
        with pytest.raises(InputError):
            rebase_migration(settings, ini, RebaseMigrationOptions(None))
        with pytest.raises(CheckFailed, match="added on separate branches"):
            multiple_heads.require_one_head(loaded, settings)
