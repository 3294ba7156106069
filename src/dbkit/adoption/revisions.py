"""The revisions of a project that is adopted: its heads, and whether it can have a head file."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dbkit.adoption.site import Site
from dbkit.errors import DbkitError
from dbkit.project import alembic_features, head_file, heads_of, require_loadable, revision_files
from dbkit.project.alembic_project import find_script


@dataclass(frozen=True)
class Revisions:
    """The heads of a project, and why they are not known, or cannot be in a head file."""

    heads: tuple[str, ...]
    problem: str = ""
    """Why the heads are not known."""
    newest: tuple[str, ...] = ()
    """The revisions from the head on, where they are one line that can be read without Alembic."""
    no_head_file: str = ""
    """Why the project cannot have a head file."""

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
            return Revisions((), "the settings file cannot be read")
        places = [Path(place) for place in script._version_locations]
        own = site.script_directory / "versions"
        is_plain = len(places) == 1 and not alembic_features.is_recursive(script) and not script.sourceless
        files = revision_files.read_revision_files(places[0]) if is_plain else [None]
        found = revision_files.find_heads(files)
        if found is not None:
            is_elsewhere = places[0].resolve() != own.resolve()
            reason = f"the revisions are in {places[0]}, and not in {own}" if is_elsewhere else ""
            bases = [each for each in files if each and not each.down_revisions]
            if len(found) > 1 or len(bases) > 1:
                many = "head" if len(found) > 1 else "base"
                reason = f"there are several {many}s, and it is for a chain with one"
            return Revisions(tuple(sorted(found)), newest=_order(files) if not reason else (), no_head_file=reason)
        if script.sourceless:
            reason = "the revisions may be bytecode (sourceless)"
        elif alembic_features.is_recursive(script):
            reason = "the revisions are in directories below (recursive_version_locations)"
        elif len(places) > 1:
            reason = "the revisions are in several directories (version_locations)"
        else:
            reason = "a revision's ids are not plain literals, or it has depends_on"
        try:
            require_loadable(script)
        except DbkitError as error:
            return Revisions((), error.message.rstrip("."), no_head_file=reason)
        return Revisions(tuple(head.revision for head in heads_of(script)), no_head_file=reason)
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


def render_head_file(site: Site) -> bytes:
    """Return the content of the head file."""
    return head_file.render(site.script_directory).encode()
