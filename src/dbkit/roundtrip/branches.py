"""The branches of a revision's Python that depend on rows, and which of them have run."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from dbkit.coverage.facts import NOT_REACHED, StatementCoverage
from dbkit.coverage.line_trace import tracing_lines
from dbkit.coverage.unreached import has_branches, unreached_branches
from dbkit.project.revision_source import is_bytecode

FUNCTIONS = {"upgrade": ("upgrade",), "downgrade": ("downgrade",)}


class RevisionBranches:
    """Traces the lines of a revision file that run, where branches in it depend on rows."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.lines: set[int] = set()
        """The lines that have run so far."""

    @cached_property
    def depends_on_rows(self) -> bool:
        """Whether the file has branches that depend on rows."""
        return not is_bytecode(self.path) and has_branches(self.path)

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Collect the lines that run meanwhile."""
        if not self.depends_on_rows:
            yield
            return
        with tracing_lines([self.path]) as lines:
            try:
                yield
            finally:
                self.lines |= lines[self.path]

    def coverage(self) -> Iterator[StatementCoverage]:
        """Yield each branch that no row has reached."""
        if not self.depends_on_rows:
            return
        for direction, functions in FUNCTIONS.items():
            for branch in unreached_branches(self.path, self.lines, functions):
                reason = "it has not run" if branch.is_decided else NOT_REACHED
                yield StatementCoverage(direction, branch.words, branch.line, 0, reason)
