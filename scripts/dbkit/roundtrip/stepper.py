"""Run single steps of an Alembic project on a database, through that project's own env.py."""

import ast
import traceback
from dataclasses import dataclass
from pathlib import Path

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script

from dbkit import gate
from dbkit.errors import DbkitError
from dbkit.project import Project
from dbkit.settings import Settings


@dataclass(frozen=True)
class Failure:
    """Why a step failed. `raised` is whether the migration file itself raised it, and not the database."""

    words: str
    raised: bool


def run(project: Project, settings: Settings, script: Script, *, up: bool) -> Failure | None:
    """Apply or undo exactly this revision in the database of `settings`; None when it went well."""
    step = RevisionStep(project.script.revision_map, script, up)

    def plan(_heads: tuple[str, ...], _context: MigrationContext) -> list[RevisionStep]:
        return [step]

    project.config.attributes[gate.ATTRIBUTE] = gate.Passage(settings)
    try:
        with EnvironmentContext(project.config, project.script, fn=plan):
            project.script.run_env()
    except DbkitError as error:
        return Failure(error.message, _is_raised_by(error.__cause__, Path(script.path)))
    return None


def downgrade_line(script: Script) -> int:
    """The line where downgrade() begins."""
    for node in ast.parse(Path(script.path).read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == "downgrade":
            return node.lineno
    return 1


def _is_raised_by(error: BaseException | None, path: Path) -> bool:
    if error is None:
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename == str(path) and (frames[-1].line or "").startswith("raise")
