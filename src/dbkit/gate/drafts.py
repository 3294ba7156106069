"""Ask for the draft of a bare `alembic revision --autogenerate` or `alembic check`, and put it into Alembic's own."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import RevisionContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from alembic.util import rev_id

from dbkit.errors import CheckFailed, say

PROGRAM = "dbkit.drafts.for_alembic"
"""The module that makes the answer. It is above the gate, and has a process to itself."""
DOES_NOT_RUN = "This draft does not run as it is, or cannot be undone:"
NOT_COMPARED = "Not all of the models could be compared:"
IS_DANGEROUS = "For a live database, a person must decide on this:"
FAILURES = {
    DOES_NOT_RUN: "the draft does not run as it is",
    NOT_COMPARED: "not all of the models could be compared",
    IS_DANGEROUS: "not all of the draft can be staged for a live database",
}
"""By the heading of the reasons in the file, the message."""
COMMENT_WIDTH = 112
UNUSED = "dbkit_unused"
"""The name, in the template, of what Alembic renders: the code of the answer takes its place."""


@dataclass(frozen=True)
class AnswerRevision:
    """The code of one revision, as the template takes it: indented, but for its first line."""

    upgrade: str
    downgrade: str
    imports: Sequence[str]
    message: str
    """What is added to the message."""


@dataclass(frozen=True)
class Answer:
    """The draft of a project's models."""

    revisions: Sequence[AnswerRevision] = ()
    differences: Sequence[str] = ()
    """A sentence for each object that differs; none where nothing does."""
    drops: Sequence[str] = ()
    """What it drops with its data."""
    reasons: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By their heading, the sentences that are put at the top of the file: why the draft does not run as it is."""
    unavailable: str = ""
    """Why there is no answer."""


class AnswerOp(ops.MigrateOperation):
    """A difference, for `alembic check`: the code of the draft is not rendered from it."""

    def __init__(self, difference: str) -> None:
        self.difference = difference

    def to_diff_tuple(self) -> tuple[str, ...]:
        """Return what `alembic check` prints."""
        return (self.difference,)


@renderers.dispatch_for(AnswerOp)
def _render_nothing(_context: object, _op: AnswerOp) -> list[str]:
    return []


def ask(root: Path, ini: Path, *, proves: bool) -> Answer:
    """Ask for the draft, and for a proof of it. Sentences on what could not be compared go to stderr."""
    command = [sys.executable, "-m", PROGRAM, str(root), str(ini), *(["--prove"] if proves else [])]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        given = json.loads(result.stdout)
        return Answer(**{**given, "revisions": [AnswerRevision(**each) for each in given["revisions"]]})
    except (ValueError, TypeError, KeyError):
        return Answer(unavailable=f"the comparison ended with exit code {result.returncode}")


def options_for(
    answer: Answer, revision_context: RevisionContext, *, writes_file: bool, ends_with_code: bool = False
) -> dict[str, Any]:
    """Return the options of `context.configure` that put the answer in the place of Alembic's own comparison.

    `ends_with_code` is for the `alembic` command, which would print a traceback of a DbkitError after env.py.
    """

    def fill(_context: MigrationContext, _revision: Any, directives: list[ops.MigrationScript]) -> None:
        if answer.differences:
            directives[:] = _Directives(answer, revision_context, ends_with_code).fill(directives[0])
            if writes_file:
                report_drops(answer.drops)
            return
        require_all_compared(answer.reasons.get(NOT_COMPARED, ()))
        if writes_file:  # the last directive of `alembic check` has to stay
            directives.clear()
            say("no changes found; no file was written.")

    return {
        "target_metadata": sa.MetaData(),
        "include_name": lambda *_: False,
        "include_schemas": False,
        "process_revision_directives": fill,
    }


class _Directives:
    """The directives for the revisions of an answer. Alembic renders nothing of them: it gets the code."""

    def __init__(self, answer: Answer, revision_context: RevisionContext, ends_with_code: bool) -> None:
        self.answer = answer
        self.ends_with_code = ends_with_code
        self.first: Script | None = None
        """The first one that is written."""
        self.arguments = revision_context.template_args
        self.code: dict[str | None, AnswerRevision] = {}
        """By revision id."""
        self.to_script_originally = revision_context._to_script
        changed: Any = revision_context
        changed._to_script = self._to_script

    def fill(self, first: ops.MigrationScript) -> list[ops.MigrationScript]:
        """Return a directive for each revision; the first one is Alembic's, with what was typed.

        The last one has the differences, for `alembic check`.
        """
        found: list[ops.MigrationScript] = []
        for revision in self.answer.revisions:
            script = first
            if found:
                empty = ops.UpgradeOps([]), ops.DowngradeOps([])
                script = ops.MigrationScript(rev_id(), *empty, message=first.message, head=found[-1].rev_id)
            script.imports.update(revision.imports)
            self.code[script.rev_id] = revision
            found.append(script)
        found[-1].upgrade_ops_list[-1].ops[:] = map(AnswerOp, self.answer.differences)
        for script in found:
            more = self.code[script.rev_id].message
            script.message = f"{script.message} ({more})" if more else script.message
        return found

    def _to_script(self, script: ops.MigrationScript) -> Script | None:
        revision = self.code.pop(script.rev_id)
        code: Any = {
            script.upgrade_ops_list[-1].upgrade_token: revision.upgrade,
            script.downgrade_ops_list[-1].downgrade_token: revision.downgrade,
        }
        self.arguments.update(code)
        script.upgrade_ops_list[-1].upgrade_token = script.downgrade_ops_list[-1].downgrade_token = UNUSED
        written = self.to_script_originally(script)
        self.first = self.first or written
        if not self.code and self.first is not None and any(self.answer.reasons.values()):
            add_reasons(Path(self.first.path), self.answer.reasons)
            self._fail()
        return written

    def _fail(self) -> None:
        """Raise CheckFailed; under the `alembic` command, print it and exit with its code."""
        try:
            raise_first(self.answer.reasons)
        except CheckFailed as error:
            if not self.ends_with_code:
                raise
            print(error, file=sys.stderr)
            raise SystemExit(error.exit_code) from None


def add_reasons(path: Path, reasons: Mapping[str, Sequence[str]]) -> None:
    """Put the reasons against a draft at the top of its file, as a comment, below their headings."""
    lines = [
        line for heading, sentences in reasons.items() if sentences for line in comment_lines([heading, *sentences])
    ]
    if lines:
        path.write_text("\n".join([*lines, path.read_text(encoding="utf-8")]), encoding="utf-8")


def raise_first(reasons: Mapping[str, Sequence[str]]) -> None:
    """Raise CheckFailed with the first of the reasons against a draft; return where there is none."""
    for heading, sentences in reasons.items():
        if sentences:
            message = f"{FAILURES[heading]}: {sentences[0]}"
            raise CheckFailed(message, "All reasons are at the top of the first file.")


def require_all_compared(notes: Sequence[str]) -> None:
    """Raise CheckFailed where nothing differs, but not all could be compared."""
    if notes:
        raise CheckFailed("no file was written, and not all could be compared:", "\n".join(notes))


def describe_fallback(reason: str) -> str:
    """Say that Alembic compares the models itself, and why."""
    return (
        f"the models cannot be compared on a scratch database: {reason.rstrip('.')}.\n"
        "  Alembic compares them with the database of the settings itself: nothing is dropped, and nothing proven."
    )


def report_drops(drops: Sequence[str]) -> None:
    """Name what a draft drops with its data, on stderr."""
    if drops:
        say(
            f"this revision drops {', '.join(drops)}, with the data in it.\n"
            '  If it was renamed, say so in the model, info={"renamed_from": "…"}; delete the file, and draft it again.'
        )


def comment_lines(sentences: Iterable[str]) -> list[str]:
    """Return sentences as lines of a comment."""
    return [f"# {line}" for each in sentences for line in textwrap.wrap(each, COMMENT_WIDTH)]
