"""Explain why the revision files of a project cannot be loaded: which file and line, or which fault between them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from alembic.script import Script, ScriptDirectory
from alembic.script.revision import LoopDetected, Revision, RevisionError

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
    files = revision_files.list_revision_files(places, is_recursive=alembic_features.is_recursive(script))
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
    done = {Path(each.path).resolve() for each in loaded}
    stopped = next((path for path in files if path.resolve() not in done), None)
    if stopped and isinstance(error, LoopDetected):
        return revision_graph.self_loop_fault(error.revisions[0], stopped.name)
    if stopped and isinstance(error, RevisionError):  # such as an id that Alembic does not take
        return f"{stopped}: {error}", "Correct the file; every Alembic command loads it."
    fault = revision_graph.find_fault(loaded)
    if fault:
        return fault
    where = " and ".join(map(str, places))
    return f"the revisions in {where} cannot be loaded: {type(error).__name__}: {error}", ""
