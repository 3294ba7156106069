"""Explain why the revision files of a project cannot be loaded: which file and line, or which fault between them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from alembic.script import Script, ScriptDirectory
from alembic.script.revision import CycleDetected, Revision

from dbkit.project import alembic_features, revision_files, revision_graph
from dbkit.project.tracebacks import last_frame_in


def record_loaded(script: ScriptDirectory) -> list[Script]:
    """Return a list to which each revision is added that Alembic loads, also when it finds no history in them."""
    loaded: list[Script] = []
    load = script.revision_map._generator

    def recording() -> Iterator[Revision]:
        for each in load():
            loaded.append(cast("Script", each))
            yield each

    script.revision_map._generator = recording
    return loaded


def explain_load_error(error: BaseException, script: ScriptDirectory, loaded: Sequence[Script]) -> tuple[str, str]:
    """The message and the hint for an error while the revision files were loaded; `loaded` are those without errors."""
    places = [Path(place) for place in script._version_locations]
    found = {
        path
        for place in places
        for path in (place.rglob if alembic_features.is_recursive(script) else place.glob)("*.py")
    }
    files = sorted(path for path in found if revision_files.REVISION_FILE.match(path.name))
    for path in files:
        try:
            compile(path.read_bytes(), path, "exec")
        except (SyntaxError, ValueError) as broken:
            line = f", line {broken.lineno}" if isinstance(broken, SyntaxError) and broken.lineno else ""
            return f"{path}{line}: not a Python file: {broken}", "Correct it, or remove it if it is not a revision."
    frame = last_frame_in(error, files)
    if frame:
        place = f"{frame.filename}, line {frame.lineno}"
        return f"{place}: {type(error).__name__}: {error}", "Correct the file; every Alembic command loads it."
    fault = revision_graph.find_fault(loaded)
    if fault:
        return fault
    if isinstance(error.__cause__, CycleDetected) and len(error.__cause__.revisions) == 1:
        # Alembic does not load the file of a revision that follows itself
        return revision_graph.self_loop_fault(error.__cause__.revisions[0], files)
    where = " and ".join(map(str, places))
    return f"the revisions in {where} cannot be loaded: {type(error).__name__}: {error}", ""
