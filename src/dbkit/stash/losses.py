"""What each step of a rollback takes away, from one look at the tables before it and one after the last."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dbkit.stash import sequences
from dbkit.stash.sequences import Sequence
from dbkit.stash.tables import StashColumn, StashTable

DROPPED, CHANGED, WRITTEN = "dropped", "changed", "written"


@dataclass(frozen=True)
class Loss:
    """What of one table would be lost.

    `why` is DROPPED where the table goes, WRITTEN where it stays and its rows may change, and CHANGED where columns
    go or change their type. `columns` are those to keep, without generated ones and, for CHANGED, without the key.
    """

    table: StashTable
    why: str
    columns: tuple[StashColumn, ...]
    stay: bool
    """Whether the table and some of these columns are still there after the rollback."""

    @property
    def whole(self) -> bool:
        """Whether its rows are kept, and not only some of their values."""
        return self.why != CHANGED

    @property
    def saved(self) -> list[str]:
        """The names of what is copied: the key first."""
        keys = [column.name for column in self.table.keys]
        return keys + [column.name for column in self.columns if column.name not in keys]


@dataclass(frozen=True)
class DryRunStep:
    """The tables before the step that undoes `revision`, and what that step does to rows of tables.

    `written` are tables whose rows it updates, deletes or truncates, by OID of the scratch database.
    """

    revision: str
    tables: Mapping[int, StashTable]
    written: frozenset[int] = frozenset()
    sequences: Mapping[int, Sequence] = field(default_factory=dict)
    set_back: frozenset[int] = frozenset()
    """The sequences that it sets to another number, other than by drawing from them."""


@dataclass(frozen=True)
class DryRun:
    """A rollback that was tried in a scratch database, step by step."""

    moments: tuple[DryRunStep, ...]
    end: Mapping[int, StashTable]
    end_sequences: Mapping[int, Sequence] = field(default_factory=dict)

    def losses(self, number: int) -> list[Loss]:
        """What the steps from `number` on lose of what is there before that one."""
        before = self.moments[number].tables
        found = {oid: self._loss(number, table) for oid, table in before.items()}
        whole = {oid for oid, loss in found.items() if loss and loss.whole}
        return [loss for loss in found.values() if loss and loss.table.parent not in whole]

    def sequences_lost(self, number: int) -> list[Sequence]:
        """The sequences that the steps from `number` on drop or set back, of those that are there before that one."""
        found = self.moments[number].sequences
        oids = sequences.find_lost(found, self.end_sequences, [moment.set_back for moment in self.moments[number:]])
        return [found[oid] for oid in sorted(oids)]

    def sequences_touched(self, number: int) -> list[Sequence]:
        """The sequences that one step drops or sets back."""
        moment = self.moments[number]
        last = number + 1 == len(self.moments)
        after = self.end_sequences if last else self.moments[number + 1].sequences
        return [
            moment.sequences[oid] for oid in sorted(sequences.find_lost(moment.sequences, after, [moment.set_back]))
        ]

    def touched(self, number: int) -> frozenset[int]:
        """The tables that a step drops, alters or writes rows of."""
        moment, after = self.moments[number], self._tables(number + 1)
        altered = {oid for oid, table in moment.tables.items() if after.get(oid) != table}
        return moment.written | altered

    def last_touch(self, oid: int, first: int) -> int:
        """The number of the last step, from `first` on, that touches a table; -1 for none."""
        return max((number for number in range(first, len(self.moments)) if oid in self.touched(number)), default=-1)

    def named_after(self, number: int, oid: int) -> StashTable | None:
        """A table as it is after a step; None when it is gone."""
        return self._tables(number + 1).get(oid)

    def unmatchable(self, number: int) -> Iterator[tuple[int, str]]:
        """Of the losses from a step on, those that could never be put back by primary key: OID and reason."""
        for loss in self.losses(number):
            table = loss.table
            if loss.why == DROPPED:
                continue
            if not table.key:
                yield table.oid, f"{table.label} has no primary key, and {_describe_loss(loss)}"
            after = self.end[table.oid].columns
            for index in table.key:
                if _differs(table.columns[index], after.get(index)):
                    yield table.oid, f"{table.label}.{table.columns[index].name}, of its primary key, goes or changes"

    def _tables(self, number: int) -> Mapping[int, StashTable]:
        return self.moments[number].tables if number < len(self.moments) else self.end

    def _loss(self, number: int, table: StashTable) -> Loss | None:
        after = self.end.get(table.oid)
        if after is None:
            return Loss(table, DROPPED, table.stored, stay=False)
        if any(table.oid in moment.written for moment in self.moments[number:]) or self._rewritten(number, table):
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
        """Whether all rows are written anew, and no column that changes its type or comes anew is the reason."""
        now = table
        for position in range(number + 1, len(self.moments) + 1):
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
