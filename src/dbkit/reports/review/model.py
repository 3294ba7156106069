"""The review of a proof as plain texts and numbers, from which the page and the Markdown are written."""

from dataclasses import dataclass

from dbkit.backports import StrEnum
from dbkit.project.git_history import Authorship


class Gravity(StrEnum):
    """How a reader is to take something; the gravest one first."""

    BAD = "bad"
    """It has to be fixed or accepted."""
    WARN = "warn"
    """It has to be looked at."""
    NOTE = "note"
    """For information."""
    OK = "ok"


@dataclass(frozen=True)
class Problem:
    """A finding of the round trip or of lint, or a failure with extreme values."""

    label: str
    """The verdict, or the level and the rule."""
    gravity: Gravity
    message: str
    rank: int = 0
    """Its place among those of the same gravity: the lower, the earlier."""
    line: int | None = None
    excerpt: str = ""
    """That line of the revision file."""
    direction: str = "upgrade"
    why: str = ""
    fix: str = ""
    sql: str = ""
    accepted: str = ""
    """The reason why it is accepted; "" where it is not."""


@dataclass(frozen=True)
class Effect:
    """The effect of a statement on one relation that existed before the revision."""

    relation: str
    lock: str
    """The lock that it has taken; "" where an earlier statement had it."""
    words: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """One executed statement."""

    number: int
    sql: str
    left_out: int
    """The number of characters that are not shown."""
    line: int | None
    blocks: str
    """What waits while it runs, the gravest: "reads and writes", "writes" or ""."""
    effects: tuple[Effect, ...]
    begins_transaction: bool
    """Whether it is in another transaction than the statement before."""
    in_transaction: bool
    duration: str
    """The estimated time on the live tables, in words; "" where sizes are not known, or nothing depends on them."""


@dataclass(frozen=True)
class LockSpan:
    """A number of consecutive statements, and what waits for a table during them: for "" nothing."""

    first: int
    last: int
    blocks: str
    lock: str

    @property
    def length(self) -> int:
        """Return the number of statements."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class LockBar:
    """The locks on one table, from the first to the last statement."""

    table: str
    spans: tuple[LockSpan, ...]
    size: str
    """Its live size in words; "" where it is not known."""
    duration: str
    """For how long others wait, in words; "" where that is not known."""

    @property
    def blocks(self) -> str:
        """Return what waits, the gravest."""
        return max((each.blocks for each in self.spans), key=BLOCKED.index)


BLOCKED = ("", "writes", "reads and writes")


@dataclass(frozen=True)
class Run:
    """The statements of one direction."""

    direction: str
    statements: tuple[Statement, ...]
    more: int
    """The number of further statements, which are not shown."""
    locks: tuple[LockBar, ...]
    length: int
    """The number of statements that the bars extend over."""

    @property
    def name(self) -> str:
        """Return the direction as a heading."""
        return self.direction.capitalize()


@dataclass(frozen=True)
class SchemaChange:
    """One change of the schema by an upgrade: a sign +, - or ~, and what it is about."""

    sign: str
    words: str
    detail: str = ""
    """A definition."""


@dataclass(frozen=True)
class DataStatement:
    """A statement that changes rows, and how many rows of the proof it met."""

    direction: str
    sql: str
    line: int | None
    rows: int
    is_met: bool
    reason: str


@dataclass(frozen=True)
class Condition:
    """A precondition with its query."""

    words: str
    query: str
    line: int | None
    is_proven: bool


@dataclass(frozen=True)
class RevisionReview:
    """All that is known of one revision."""

    id: str
    anchor: str
    message: str
    parents: tuple[str, ...]
    path: str
    authorship: Authorship
    verdict: str
    """One or more verdicts in words."""
    verdict_gravity: Gravity
    gravity: Gravity
    """That of the gravest of its findings, or of the verdict."""
    accepted: str
    seconds: float
    transactional: bool
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    runs: tuple[Run, ...]
    untraced: str
    """Why there are no statements; "" where there are."""
    changes: tuple[SchemaChange, ...]
    coverage: tuple[DataStatement, ...]
    preconditions: tuple[Condition, ...]
    losses: tuple[str, ...]
    """What a rollback would lose."""

    @property
    def open_problems(self) -> tuple[Problem, ...]:
        """Return the problems that are not accepted, without notes."""
        return tuple(each for each in self.problems if each.gravity in (Gravity.BAD, Gravity.WARN))

    @property
    def is_open(self) -> bool:
        """Whether a reader has to look at it."""
        return self.gravity in (Gravity.BAD, Gravity.WARN)


@dataclass(frozen=True)
class Risk:
    """An entry in the list of risks, with the revision that has it."""

    revision: str
    anchor: str
    problem: Problem


@dataclass(frozen=True)
class Tile:
    """A number of the summary."""

    number: int
    words: str
    gravity: Gravity


@dataclass(frozen=True)
class Review:
    """The review of one run."""

    project: str
    since: str
    """The commit from which on revisions are reviewed; "" for all."""
    commit: str
    """The commit that is checked out; "" where that is not known."""
    server: str
    passed: bool
    headline: str
    sentences: tuple[str, ...]
    tiles: tuple[Tile, ...]
    risks: tuple[Risk, ...]
    general: tuple[Problem, ...]
    """The findings on the whole project."""
    revisions: tuple[RevisionReview, ...]
    has_sizes: bool
    """Whether the live sizes of the tables are known."""
