"""The revisions of a project that is adopted: its heads, and whether it can have a head file."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dbkit.adoption.site import Site
from dbkit.errors import DbkitError
from dbkit.project import alembic_features, branches, head_file, heads_of, require_loadable, revision_files
from dbkit.project.alembic_project import find_script


@dataclass(frozen=True)
class Revisions:
    """The heads of a project, and why they are not known, or cannot be in a head file."""

    docs: Mapping[str, str]
    """The docstrings of the heads, by their ids."""
    problem: str = ""
    """Why the heads are not known."""
    newest: tuple[str, ...] = ()
    """The revisions from the head on, where they are one line that can be read without Alembic."""
    no_head_file: str = ""
    """Why the project cannot have a head file."""
    known: frozenset[str] = frozenset()
    """All revisions, as far as they can be read."""

    @property
    def heads(self) -> tuple[str, ...]:
        """The ids of the heads."""
        return tuple(sorted(self.docs))

    @property
    def baseline(self) -> str:
        """The revision up to which findings are accepted; "" where there is not exactly one head."""
        return self.heads[0] if len(self.heads) == 1 else ""

    @property
    def no_baseline(self) -> str:
        """Why there is no baseline."""
        if self.problem:
            return f"no baseline: {self.problem}"
        return f"no baseline: the heads are {', '.join(self.heads)}; join them with `dbkit merge`, then adopt again"


def read_revisions(site: Site) -> Revisions:
    """Read the revisions of a project: their files, or with Alembic where these cannot be read without it."""
    here = Path.cwd()
    try:
        script = find_script(site.settings_file, site.section)
        if script is None:
            return Revisions({}, "the settings file cannot be read")
        paths = revision_files.list_revision_files(
            [Path(place) for place in script._version_locations], is_recursive=alembic_features.is_recursive(script)
        )
        files = [revision_files.read_revision_file(path) for path in paths]
        known = frozenset(each.revision for each in files if each)
        found = None if script.sourceless else revision_files.find_heads(files)
        if found is not None and len(found) < 2:
            docs = {each.revision: each.doc for each in files if each and each.revision in found}
            return Revisions(docs, newest=_order(files), known=known)
        try:
            require_loadable(script)
        except DbkitError as error:
            return Revisions({}, error.message.rstrip("."), known=known)
        heads = heads_of(script)
        reason = "the revisions may be bytecode (sourceless)" if script.sourceless else ""
        if branches.find_forks(script, heads):
            reason = "there are several heads of one branch"
        known = frozenset(each.revision for each in script.walk_revisions())
        return Revisions(head_file.docs_of(heads), no_head_file=reason, known=known)
    finally:
        os.chdir(here)


def _order(files: Iterable[revision_files.RevisionFile | None]) -> tuple[str, ...]:
    """Return the revisions of one line, the newest first; none where there are branches."""
    parents = {each.revision: each.down_revisions for each in files if each}
    revision = next(iter(parents.keys() - {parent for each in parents.values() for parent in each}), "")
    found = []
    while revision:
        found.append(revision)
        above = parents[revision]
        revision = above[0] if len(above) == 1 else ""
        if len(above) > 1:
            return ()
    return tuple(found)
