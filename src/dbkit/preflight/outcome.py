"""The outcome of a preflight: for each pending revision, its preconditions with their answers, and its statements."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dbkit.preconditions.precondition import Precondition
from dbkit.preflight.ask import Answer, Status

NOT_ASKED = Answer(Status.UNKNOWN, reason="it was not asked")
HASH = 8
"""How many characters of the hash of a query are in its id."""


@dataclass(frozen=True)
class Question:
    """A precondition of a pending revision."""

    revision: str
    number: int
    """Its place among those of the revision, from 1."""
    precondition: Precondition
    later: str = ""
    """Why the rows of now do not decide it: what an earlier pending revision does."""
    final: Status | None = None
    """The answer of now that is one nevertheless."""
    is_asked: bool = True
    """Whether a database in the state of now has what its query names."""
    answer: Answer = NOT_ASKED

    @property
    def place(self) -> str:
        """The part of the id that does not depend on the query."""
        return f"{self.revision}.{self.number}"

    @property
    def id(self) -> str:
        """The revision, the number, and a hash of the query, so that no other query is answered."""
        digest = hashlib.sha256(self.precondition.query.encode()).hexdigest()[:HASH]
        return f"{self.place}-{digest}"


@dataclass(frozen=True)
class TouchedRows:
    """A data statement of an upgrade, with the number of rows that it will touch, as the server's planner estimates."""

    sql: str
    line: int | None
    verb: str
    """update, delete, insert, merge, or run for a block of code."""
    table: str
    rows: int | None
    """None where it is not known."""
    reason: str = ""
    """Why not."""


@dataclass(frozen=True)
class PendingRevision:
    """A pending revision with its preconditions and its data statements."""

    revision: str
    message: str
    path: Path
    verdict: str
    """The verdict of its proof."""
    problem: str = ""
    """Why its preconditions may not be all that it asks: how its upgrade fails in the proof."""
    accepted: str | None = None
    """The reason why its verdict is accepted, and with it the problem."""
    questions: tuple[Question, ...] = ()
    statements: tuple[TouchedRows, ...] = ()

    @property
    def name(self) -> str:
        """Return id and message, for people."""
        return f'{self.revision} "{self.message}"'

    def count(self, status: Status) -> int:
        """Return how many of its preconditions have an answer."""
        return sum(each.answer.status == status for each in self.questions)

    @property
    def failed(self) -> bool:
        """Whether a precondition is violated or unknown, or may be."""
        has_problem = bool(self.problem) and self.accepted is None
        return has_problem or bool(self.count(Status.VIOLATED) or self.count(Status.UNKNOWN))


@dataclass(frozen=True)
class PreflightOutcome:
    """The pending revisions of a database, first to last."""

    database: str | None
    """Its name and its server; None where another person has asked it."""
    current: tuple[str, ...]
    """The revisions that it is at."""
    revisions: tuple[PendingRevision, ...]

    @property
    def failed(self) -> bool:
        """Whether a precondition is violated or unknown."""
        return any(each.failed for each in self.revisions)

    def count(self, status: Status) -> int:
        """Return how many preconditions have an answer."""
        return sum(each.count(status) for each in self.revisions)
