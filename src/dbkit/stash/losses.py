"""The data that each step of a rollback would lose, from the tables before and after each step of a dry run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dbkit.stash import sequences
from dbkit.stash.sequences import StashSequence
from dbkit.stash.tables import StashColumn, StashTable

DROPPED, CHANGED, WRITTEN = "dropped", "changed", "written"


@dataclass(frozen=True)
class Loss:
    """The loss of one table.

    `why` is DROPPED where the table is dropped, WRITTEN where it stays and its rows may change, and CHANGED where
    columns are dropped or change their type. `columns` are those to back up, without generated ones and, for CHANGED,
    without the key.
    """

    table: StashTable
    why: str
    columns: tuple[StashColumn, ...]
    stay: bool
    """Whether the table and some of these columns are still there after the rollback."""

    @property
    def whole(self) -> bool:
        """Whether whole rows are backed up, and not only some of their values."""
        return self.why != CHANGED

    @property
    def saved(self) -> list[str]:
        """The names of the copied columns: the key first."""
        keys = [column.name for column in self.table.keys]
        return keys + [column.name for column in self.columns if column.name not in keys]


@dataclass(frozen=True)
class DryRunStep:
    """One step of a dry run: the tables before it undoes `revision`, and what it does to their rows.

    `written` are the tables whose rows it updates, deletes or truncates, by OID of the scratch database.
    """

    revision: str
    tables: Mapping[int, StashTable]
    written: frozenset[int] = frozenset()
    sequences: Mapping[int, StashSequence] = field(default_factory=dict)
    set_back: frozenset[int] = frozenset()
    """The sequences that it sets to another position, other than by drawing from them."""


@dataclass(frozen=True)
class DryRun:
    """The result of a rollback that was tried in a scratch database, step by step."""

    steps: tuple[DryRunStep, ...]
    end: Mapping[int, StashTable]
    end_sequences: Mapping[int, StashSequence] = field(default_factory=dict)

    def losses(self, number: int) -> list[Loss]:
        """Return what the steps from `number` on lose of what is there before that step."""
        before = self.steps[number].tables
        found = {oid: self._loss(number, table) for oid, table in before.items()}
        whole = {oid for oid, loss in found.items() if loss and loss.whole}
        return [loss for loss in found.values() if loss and loss.table.parent not in whole]

    def sequences_lost(self, number: int) -> list[StashSequence]:
        """Return the sequences, of those before step `number`, that this or a later step drops or sets back."""
        found = self.steps[number].sequences
        oids = sequences.find_lost(found, self.end_sequences, [step.set_back for step in self.steps[number:]])
        return [found[oid] for oid in sorted(oids)]

    def sequences_touched(self, number: int) -> list[StashSequence]:
        """Return the sequences that one step drops or sets back."""
        step = self.steps[number]
        last = number + 1 == len(self.steps)
        after = self.end_sequences if last else self.steps[number + 1].sequences
        return [step.sequences[oid] for oid in sorted(sequences.find_lost(step.sequences, after, [step.set_back]))]

    def touched(self, number: int) -> frozenset[int]:
        """Return the tables that a step drops, alters or writes to."""
        step, after = self.steps[number], self._tables(number + 1)
        altered = {oid for oid, table in step.tables.items() if after.get(oid) != table}
        return step.written | altered

    def last_touch(self, oid: int, first: int) -> int:
        """Return the number of the last step, from `first` on, that touches a table; -1 for none."""
        return max((number for number in range(first, len(self.steps)) if oid in self.touched(number)), default=-1)

    def named_after(self, number: int, oid: int) -> StashTable | None:
        """Return a table as it is after a step; None when it is dropped."""
        return self._tables(number + 1).get(oid)

    def unmatchable(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield the losses from a step on that could never be restored by primary key: OID and reason."""
        for loss in self.losses(number):
            table = loss.table
            if loss.why == DROPPED:
                continue
            if not table.key:
                yield table.oid, f"{table.label} has no primary key, and {_describe_loss(loss)}"
            after = self.end[table.oid].columns
            for index in table.key:
                column = table.columns[index]
                if _differs(column, after.get(index)):
                    yield table.oid, f"{table.label}.{column.name}, of its primary key, is dropped or changes its type"

    def _tables(self, number: int) -> Mapping[int, StashTable]:
        return self.steps[number].tables if number < len(self.steps) else self.end

    def _loss(self, number: int, table: StashTable) -> Loss | None:
        after = self.end.get(table.oid)
        if after is None:
            return Loss(table, DROPPED, table.stored, stay=False)
        if any(table.oid in step.written for step in self.steps[number:]) or self._rewritten(number, table):
            return Loss(table, WRITTEN, table.stored, stay=True)
        lost = {
            index: column
            for index, column in table.columns.items()
            if not column.generated and _differs(column, after.columns.get(index))
        }
        if not lost:
            return None
        return Loss(table, CHANGED, tuple(lost.values()), stay=any(index in after.columns for index in lost))

    def _rewritten(self, number: int, table: StashTable) -> bool:
        """Whether all rows are rewritten for another reason than a column that is added or changes its type."""
        now = table
        for position in range(number + 1, len(self.steps) + 1):
            later = self._tables(position).get(table.oid)
            if later is None:
                return False
            if later.storage != now.storage and _types(later) == _types(now):
                return True
            now = later
        return False


def _types(table: StashTable) -> dict[int, tuple[int, str]]:
    return {number: (column.type_oid, column.type) for number, column in table.columns.items()}


def _differs(column: StashColumn, after: StashColumn | None) -> bool:
    return after is None or after.generated or (after.type_oid, after.type) != (column.type_oid, column.type)


def _describe_loss(loss: Loss) -> str:
    if loss.whole:
        return "its rows may change"
    names = ", ".join(column.name for column in loss.columns)
    return f"{names} would be lost" if not loss.stay else f"{names} would be lost or change"
