"""The parts of `dbkit adopt` around a project: targets for make, sessions for nox, a job for CI."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from dbkit.adoption import ci, make, nox
from dbkit.adoption.change import Change
from dbkit.adoption.site import Site


class Part(NamedTuple):
    """How one part is put in, and taken out again."""

    plan: Callable[[Site], list[Change]]
    plan_undo: Callable[[Site], list[Change]]


def within_parent(plan: Callable[[Site], list[Change]]) -> Callable[[Site], list[Change]]:
    """Return a plan that takes the parent of a directory `migrations` for the repository, where there is no git.

    That is where env.py is beside the settings file: the project itself is above.
    """

    def run(site: Site) -> list[Change]:
        is_inside = site.repository == site.directory == site.script_directory
        if is_inside and not (site.directory / ".git").exists():
            site = replace(site, repository=site.directory.parent)
        return plan(site)

    return run


PARTS = {each.PART: Part(within_parent(each.plan), within_parent(each.plan_undo)) for each in (make, nox, ci)}
