"""Which findings a team has accepted, by a comment or by the baseline, and what accepts nothing any more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dbkit import project
from dbkit.findings.finding import Level, LintFinding
from dbkit.findings.rule_ids import SQUAWK, is_id
from dbkit.project.revision_order import ancestors, parents_of
from dbkit.roundtrip import acceptance
from dbkit.roundtrip.acceptance import Acceptance
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome


def with_reasons(
    outcome: Outcome, findings: Sequence[LintFinding], loaded: project.Project, baseline: str | None
) -> Iterator[LintFinding]:
    """The findings with the reasons for living with them, and one for each comment or baseline that accepts nothing.

    `baseline` is that of the command line, which goes before the settings file's.
    """
    history = _History(loaded, baseline)
    last = history.baseline
    whole = history.parents.keys() <= {each.revision for each in outcome.revisions}
    comments = _comments((Path(loaded.script.dir) / "env.py", *(each.path for each in outcome.revisions)))
    told = [_told(each, comments, history) for each in findings]
    yield from told
    yield from _unused_comments(outcome, told, comments, whole=whole)
    # the settings file's baseline is the round trip's, too, which has just been made
    used = any(each.by_baseline and each.level != Level.NOTE for each in told) or (
        not baseline
        and last
        and any(each.accepted == acceptance.baseline_reason(last.revision) for each in outcome.revisions)
    )
    if last and whole and not used and outcome.planted.rows and _squawk_was_asked(told):
        words = f"the baseline {history.named} accepts nothing: remove it"
        yield LintFinding("unused-comment", Level.WARNING, last.revision, Path(last.path), None, words)


def left(findings: Sequence[LintFinding], loaded: project.Project) -> list[LintFinding]:
    """The findings that neither a comment nor the settings file's baseline accepts."""
    history = _History(loaded, None)
    comments = _comments({each.path for each in findings if each.revision})
    return [each for each in findings if _told(each, comments, history).accepted is None]


class _History:
    """All revisions, and those that a baseline covers; the command line's goes before the settings file's."""

    def __init__(self, loaded: project.Project, baseline: str | None) -> None:
        self.parents = {each.revision: parents_of(loaded, each) for each in loaded.script.walk_revisions()}
        self.named = baseline or (loaded.config.get_section("dbkit") or {}).get("baseline")
        self.baseline = loaded.revision(self.named) if self.named else None
        self.covered = ancestors([self.baseline.revision], self.parents) if self.baseline else set()


def _comments(paths: Iterable[Path]) -> dict[Path, list[Acceptance]]:
    """Those of each migration file, and of env.py, whose findings are about all of them."""
    return {path: acceptance.read_comments(path) for path in paths}


def _told(finding: LintFinding, comments: Mapping[Path, Sequence[Acceptance]], history: _History) -> LintFinding:
    for each in comments.get(finding.path, ()):
        if each.verdict == finding.id:
            return replace(finding, accepted=each.reason)
    if finding.revision in history.covered:
        return replace(finding, accepted=f"baseline {history.named}", by_baseline=True)
    return finding


def _unused_comments(
    outcome: Outcome, told: Sequence[LintFinding], comments: Mapping[Path, Sequence[Acceptance]], *, whole: bool
) -> Iterator[LintFinding]:
    """A finding for each comment that nobody can read, or that accepts what was looked for and not found."""
    used = {(each.path, each.id) for each in told}
    revisions = {each.path: each for each in outcome.revisions}
    for path, found in comments.items():
        revision = revisions.get(path)
        looked = _was_seen(revision, outcome) if revision else whole and bool(outcome.planted.rows)
        asked = looked and _squawk_was_asked(told)
        for comment in found:
            is_sure = asked if comment.verdict.startswith(SQUAWK) else looked
            if comment.problem:
                words = f"the comment accepts nothing: {comment.problem}"
            elif is_id(comment.verdict) and (path, comment.verdict) not in used and is_sure:
                words = f"the comment accepts {comment.verdict}, and nothing of that was found"
            else:
                continue
            name = revision.revision if revision else ""
            yield LintFinding("unused-comment", Level.WARNING, name, path, comment.line, words)


def _was_seen(revision: RevisionOutcome, outcome: Outcome) -> bool:
    """Whether its upgrade ran, on tables with rows: else what a comment accepts may be there all the same."""
    empty = {name for name, _reason in outcome.planted.unfilled}
    touched = {each.relation for trace in revision.traces for statement in trace for each in statement.touched}
    return revision.is_traced and outcome.planted.rows > 0 and not empty & touched


def _squawk_was_asked(findings: Sequence[LintFinding]) -> bool:
    return not any(each.id == "squawk-unavailable" for each in findings)
