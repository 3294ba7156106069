"""The parts of a long chain: each begins on new sample rows, whether one process proves them or several.

So the rows that a revision meets depend on the chain alone, and not on the number of processes, or on the machine.
"""

import itertools
from collections.abc import Collection, Sequence

from dbkit.project.revision_source import mentions_server_objects
from dbkit.roundtrip.sample_rows import SampleRowOptions
from dbkit.roundtrip.selection import Plan

LENGTH = 50
"""The number of revisions that sample rows go through: then new ones take their place."""
PROOF_BY_UPGRADE = 4.5
"""How many times as long as a bare upgrade it takes to prove a revision."""


def find_starts(plan: Plan, options: SampleRowOptions) -> list[int]:
    """Return where new sample rows are made, as positions in a plan that begins with the first revision.

    The project's own rows go through the chain to its end, so there are no parts after them; nor where a copy without
    rows cannot be made, since the server has each role only once.
    """
    if not options.rows or any(map(mentions_server_objects, plan.scripts)):
        return []
    end = next((n for n, script in enumerate(plan.scripts, 1) if options.files_of(script.revision)), len(plan.scripts))
    return list(range(LENGTH, end, LENGTH))


def split_plan(plan: Plan, jobs: int, starts: Collection[int] | None) -> list[Plan]:
    """Split a plan for so many processes, which take the same time: a later one first applies what comes before it.

    A process begins at one of the `starts`; None: anywhere. There may be fewer parts than `jobs`.
    """
    wanted = [number for number, script in enumerate(plan.scripts) if script.revision in plan.proven]
    jobs = min(jobs, len(wanted))
    saved = 1 - 1 / PROOF_BY_UPGRADE
    shares = [(1 - saved**job) / (1 - saved**jobs) for job in range(1, jobs)]
    bounds = {wanted[round(len(wanted) * share)] for share in shares}
    if starts is not None:
        within = [start for start in starts if wanted[0] < start <= wanted[-1]]
        bounds = {min(within, key=lambda start: abs(start - bound)) for bound in bounds if within}
    return [
        _cut(plan, wanted, first, end) for first, end in itertools.pairwise([0, *sorted(bounds), len(plan.scripts)])
    ]


def _cut(plan: Plan, wanted: Sequence[int], first: int, end: int) -> Plan:
    """Return the part that proves the revisions at the positions from `first` up to `end`."""
    proven = frozenset(plan.scripts[number].revision for number in wanted if first <= number < end)
    return Plan(plan.scripts[:end], proven, plan.parents)
