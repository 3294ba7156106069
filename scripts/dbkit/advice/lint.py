"""Advice on a project's migrations: each is run and watched, and what was seen is told, but for what was accepted."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dbkit import project
from dbkit.advice import rules, squawk
from dbkit.advice.findings import Advice, Level
from dbkit.advice.ids import is_id
from dbkit.roundtrip import accept
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome
from dbkit.roundtrip.proof import Request, prove_at
from dbkit.roundtrip.select import ancestors, parents_of
from dbkit.roundtrip.walk import Progress
from dbkit.roundtrip.where import Where
from dbkit.settings import Settings
from dbkit.sizes import concrete
from dbkit.sizes.answer import Size, read
from dbkit.sizes.rates import measure


@dataclass(frozen=True)
class Advised:
    """What was found in all revisions that were asked for."""

    project: str
    server: str
    seconds: float
    revisions: int
    findings: tuple[Advice, ...]

    @property
    def failed(self) -> list[Advice]:
        """What is to be mended or accepted."""
        return [each for each in self.findings if each.failed]


def lint_at(
    here: Where,
    settings: Settings,
    ini: Path,
    request: Request,
    progress: Progress,
    version: int = 0,
    sizes: Path | None = None,
) -> Advised:
    """Run the revisions on a server, and say what they would do to a live database of that major version (0: the same).

    `sizes` is the saved answer of `dbkit sizes`. Raises InputError when there is nothing to run.
    """
    outcome = prove_at(here, settings, ini, replace(request, trace=True), progress)
    loaded = project.load(ini, request.section, request.arguments)
    found = _found(outcome, loaded, version)
    options = loaded.config.get_section("dbkit") or {}
    answer = sizes or (ini.parent / options["sizes"] if "sizes" in options else None)
    if answer:
        small = int(options.get("small_table", concrete.SMALL))
        found = _concrete(here, found, read(answer), small)
    return Advised(
        outcome.project,
        outcome.server,
        outcome.seconds,
        len(outcome.revisions),
        tuple(_accepted(outcome, found, loaded, request.baseline)),
    )


def _concrete(here: Where, found: Iterator[Advice], sizes: Mapping[str, Size], small: int) -> Iterator[Advice]:
    """The findings with what the tables' sizes make of them, at the rates that are measured on the same server."""
    rates = measure(here.place.create_database(next(here.names)))
    for each in found:
        yield concrete.concrete(each, sizes, rates, small)


def _found(outcome: Outcome, loaded: project.Project, version: int) -> Iterator[Advice]:
    ours = list(_measured(outcome, loaded, version))
    on = max((trace.server_version for each in outcome.revisions for trace in each.traces), default=0) // 10000
    found = _once(squawk.join(ours, squawk.find(outcome.revisions, version or on, Path(loaded.script.dir))))
    order = {each.path: number for number, each in enumerate(outcome.revisions)}
    yield from sorted(found, key=lambda each: (order.get(each.path, -1), each.direction == "downgrade", each.line or 0))


def _measured(outcome: Outcome, loaded: project.Project, version: int) -> Iterator[Advice]:
    for each in outcome.revisions:
        if not any(trace.direction == "upgrade" for trace in each.traces):
            yield _not_traced(each)
        yield from rules.advise(each, version)
    yield from rules.of_project(outcome.revisions, Path(loaded.script.dir) / "env.py")


def _once(findings: Iterable[Advice]) -> Iterator[Advice]:
    """Without what a loop says again and again."""
    return iter({(each.id, each.path, each.line, each.message, each.direction): each for each in findings}.values())


def _not_traced(outcome: RevisionOutcome) -> Advice:
    failure = next((finding.failure for finding in outcome.findings if finding.failure), None)
    words = f"it could not be run, so nothing is known of it: {failure.words if failure else outcome.verdict}"
    return Advice("not-traced", Level.WARNING, outcome.revision, outcome.path, failure.line if failure else None, words)


def _accepted(
    outcome: Outcome, findings: Iterator[Advice], loaded: project.Project, baseline: str | None
) -> Iterator[Advice]:
    """The findings with the reasons of comments in the files, and one for each comment that accepts nothing."""
    named = baseline or (loaded.config.get_section("dbkit") or {}).get("baseline")
    covered = _covered(loaded, named) if named else set()
    reasons = {(each.path, comment.verdict): comment for each in outcome.revisions for comment in _comments(each.path)}
    used = set()
    for finding in findings:
        comment = reasons.get((finding.path, finding.id))
        if comment:
            used.add((finding.path, finding.id))
            yield replace(finding, accepted=comment.reason)
        elif finding.revision in covered:
            yield replace(finding, accepted=f"baseline {named}")
        else:
            yield finding
    for (path, identifier), comment in reasons.items():
        if (path, identifier) not in used:
            revision = next(each.revision for each in outcome.revisions if each.path == path)
            words = f"the comment accepts {identifier}, and nothing of that was found"
            yield Advice("unused-comment", Level.WARNING, revision, path, comment.line, words)


def _comments(path: Path) -> Sequence[accept.Acceptance]:
    return [comment for comment in accept.comments_in(path) if is_id(comment.verdict)]


def _covered(loaded: project.Project, baseline: str) -> Collection[str]:
    parents = {each.revision: parents_of(loaded, each) for each in loaded.script.walk_revisions()}
    return ancestors([loaded.revision(baseline).revision], parents)
