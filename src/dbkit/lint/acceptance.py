"""Acceptance of findings, by a comment or by the baseline, and findings for comments that accept nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dbkit import project
from dbkit.findings.comments import Acceptance
from dbkit.findings.finding import Level, LintFinding
from dbkit.findings.rule_ids import SQUAWK, is_rule_id
from dbkit.project.revision_order import ancestors, parents_of
from dbkit.roundtrip import acceptance
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome


def apply_acceptances(
    outcome: Outcome, findings: Sequence[LintFinding], loaded: project.Project, baseline: str | None
) -> Iterator[LintFinding]:
    """Yield the findings with the reasons that accept them, and one for each comment or baseline that accepts nothing.

    `baseline` is that of the command line, which overrides that of the settings file.
    """
    covered = _Baseline(loaded, baseline)
    is_whole_project = covered.parents.keys() <= {each.revision for each in outcome.revisions}
    comments = _read_comments((Path(loaded.script.dir) / "env.py", *(each.path for each in outcome.revisions)))
    accepted = [_accept(each, comments, covered) for each in findings]
    yield from accepted
    yield from _unused_comments(outcome, accepted, comments, is_whole_project=is_whole_project)
    last = covered.last
    is_certain = is_whole_project and outcome.sample_rows.rows and _was_squawk_run(accepted)
    # one that is a head was drawn just now, by `dbkit adopt`: it is for the revisions to come
    is_new = last is not None and not baseline and last.revision in loaded.script.get_heads()
    if (
        last
        and is_certain
        and not is_new
        and not _is_baseline_used(outcome, accepted, None if baseline else last.revision)
    ):
        message = f"the baseline {covered.name} accepts nothing: remove it"
        yield LintFinding("unused-comment", Level.WARNING, last.revision, Path(last.path), None, message)


def find_unaccepted(findings: Sequence[LintFinding], loaded: project.Project) -> list[LintFinding]:
    """Return the findings that neither a comment nor the settings file's baseline accepts."""
    baseline = _Baseline(loaded, None)
    comments = _read_comments({each.path for each in findings if each.revision})
    return [each for each in findings if _accept(each, comments, baseline).accepted is None]


class _Baseline:
    """The revisions that the baseline covers; the command line's baseline overrides the settings file's."""

    def __init__(self, loaded: project.Project, named: str | None) -> None:
        self.parents = {each.revision: parents_of(loaded, each) for each in loaded.script.walk_revisions()}
        self.name = named or loaded.dbkit.baseline
        self.last = loaded.revision(self.name) if self.name else None
        self.revisions = ancestors([self.last.revision], self.parents) if self.last else set()


def _read_comments(paths: Iterable[Path]) -> dict[Path, list[Acceptance]]:
    """Return the `ok` comments of each file; those in env.py accept findings on the whole project."""
    return {path: acceptance.read_acceptances(path) for path in paths}


def _accept(finding: LintFinding, comments: Mapping[Path, Sequence[Acceptance]], baseline: _Baseline) -> LintFinding:
    for each in comments.get(finding.path, ()):
        if each.accepts == finding.id:
            return replace(finding, accepted=each.reason)
    if finding.revision in baseline.revisions:
        return replace(finding, accepted=f"baseline {baseline.name}", by_baseline=True)
    return finding


def _is_baseline_used(outcome: Outcome, accepted: Sequence[LintFinding], shared_baseline: str | None) -> bool:
    """Return whether the baseline accepts a finding that would fail, or, for a shared one, a round trip's verdict.

    The settings file's baseline is shared with the round trip, which has just run.
    """
    by_lint = any(each.by_baseline and each.level != Level.NOTE for each in accepted)
    return by_lint or any(
        shared_baseline is not None and each.accepted == acceptance.baseline_reason(shared_baseline)
        for each in outcome.revisions
    )


def _unused_comments(
    outcome: Outcome,
    findings: Sequence[LintFinding],
    comments: Mapping[Path, Sequence[Acceptance]],
    *,
    is_whole_project: bool,
) -> Iterator[LintFinding]:
    """Yield a finding for each comment that cannot be read, or that accepts what was checked and not found."""
    used = {(each.path, each.id) for each in findings}
    revisions = {each.path: each for each in outcome.revisions}
    for path, found in comments.items():
        revision = revisions.get(path)
        is_checked = (
            _was_checked(revision, outcome) if revision else is_whole_project and bool(outcome.sample_rows.rows)
        )
        is_squawk_checked = is_checked and _was_squawk_run(findings)
        for comment in found:
            is_certain = is_squawk_checked if comment.accepts.startswith(SQUAWK) else is_checked
            if comment.problem:
                message = f"the comment accepts nothing: {comment.problem}"
            elif is_rule_id(comment.accepts) and (path, comment.accepts) not in used and is_certain:
                message = f"the comment accepts {comment.accepts}, which was not found"
            else:
                continue
            name = revision.revision if revision else ""
            yield LintFinding("unused-comment", Level.WARNING, name, path, comment.line, message)


def _was_checked(revision: RevisionOutcome, outcome: Outcome) -> bool:
    """Return whether the upgrade ran on tables with rows: otherwise findings may be missing."""
    empty = {name for name, _reason in outcome.sample_rows.unfilled}
    used = {each.relation for trace in revision.traces for statement in trace for each in statement.touched}
    return revision.is_traced and outcome.sample_rows.rows > 0 and not empty & used


def _was_squawk_run(findings: Sequence[LintFinding]) -> bool:
    return not any(each.id == "squawk-unavailable" for each in findings)
