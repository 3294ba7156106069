"""Keep what a rollback loses: copied in the transaction that loses it, under a lock that writers wait for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from alembic.runtime.migration import RevisionStep
from psycopg.pq import TransactionStatus

from dbkit.errors import DbkitError, Refused, describe_error, say
from dbkit.postgres.connect import connect
from dbkit.postgres.locks import TRY_AGAIN
from dbkit.postgres.own_statements import SETTINGS, change_settings
from dbkit.postgres.row_hash import hashes_sql
from dbkit.postgres.sql_quote import quote_ident
from dbkit.project.step_hooks import HookFailed
from dbkit.settings import Settings, Target
from dbkit.stash import large_values, obstacles, sequences, store, tables
from dbkit.stash.copy_file import copy_out
from dbkit.stash.identity import Fate, judge, read_identity
from dbkit.stash.losses import CHANGED, DROPPED, Loss, Replay
from dbkit.stash.manifest import Manifest, Position, SavedTable, note_of
from dbkit.stash.obstacles import TOO_LARGE, WITHOUT
from dbkit.stash.tables import Column, Sum, Table, summed
from dbkit.wording import counted

SAVEPOINT = "dbkit_stash"


@dataclass(frozen=True)
class _Entry:
    """A table in a stash of this run."""

    loss: Loss
    kept: SavedTable
    path: Path
    number: int
    """Of the step that it was made for."""


class BackupHook:
    """A guard that makes a stash before the first step, of all that this and the following ones lose.

    What a later step loses must then be as it was copied; where somebody has written to it meanwhile, it is copied once
    more, as it is before that step, into a stash of its own.
    """

    def __init__(self, settings: Settings, target: Target, heads: tuple[str, ...], replay: Replay) -> None:
        self.settings = settings
        self.target = target
        self.heads = heads
        """The revisions that the database is at, before the step that is next."""
        self.replay = replay
        self.done_steps = 0
        self.made: dict[int, Path] = {}
        """The stashes of this run, by the number of the step that they were made for."""
        self.entries: dict[int, _Entry] = {}
        """The newest copy of each table, by its OID in the scratch database."""
        self.sums: dict[int, Sum | None] = {}
        """By the same: what the next step that touches the table must find; None for no matter what."""
        self.began = ""
        """When the first stash of this run was made."""
        self.positions: dict[str, Position] = {}
        """The newest position of each sequence that is in a stash, by its name."""
        self._locked: list[Loss] = []
        self._there: dict[int, Table] = {}
        """The tables of the database before the step."""
        self._settled = dict(self.entries), dict(self.sums), dict(self.positions)
        """The last three as they were when a step was committed last."""

    def before(self, step: RevisionStep, driver: psycopg.Connection) -> None:
        """Lock what the step loses, and copy what is not in a stash yet. Raises HookFailed, and what a lock raises."""
        number = self.done_steps
        self._require_expected(step, number)
        self._begin_again(number)
        losses = self.replay.losses(number)
        if number:
            losses = [loss for loss in losses if loss.table.oid in self.replay.touched(number)]
        self._locked = losses
        with self._refusing(step):
            if losses:
                _lock(driver, losses)
            moved = self._lock_sequences(driver, number, losses)
            with reading(driver):
                self._there = tables.read(driver)
                obstacles.require_visible(driver, losses)
                present = tables.by_name(self._there.values())
                losses = [as_present(loss, present) for loss in losses]
                if number:
                    losses = [loss for loss in losses if _sum(driver, loss) != self.sums.get(loss.table.oid)]
                losses = [loss for loss in losses if has_something(driver, loss)]
                obstacles.require_restorable(driver, self.replay, number, losses, self._there)
                positions = list(positions_of(driver, moved))
                positions = [each for each in positions if self.positions.get(each.label) != each]
                if losses or positions:
                    self._keep(step, driver, losses, positions)

    def after(self, step: RevisionStep, driver: psycopg.Connection, *, left: bool) -> None:
        """Note what the step has made of the tables that stay."""
        number = self.done_steps
        touched = self.replay.touched(number)
        if left and self._locked:
            names = ", ".join(loss.table.label for loss in self._locked)
            revision = step.revision.revision
            say(f"warning: {revision} leaves its transaction: what was written to {names} meanwhile is in no stash.")
        entries = [self.entries[oid] for oid in touched if oid in self.entries]
        last = [entry for entry in entries if self.replay.last_touch(entry.loss.table.oid, number) == number]
        following = self.replay.losses(number + 1) if number + 1 < len(self.replay.moments) else []
        following = [loss for loss in following if loss.table.oid in touched]
        with self._refusing(step), reading(driver):
            after = tables.read(driver)
            self._require_foreseen(step, driver, after, left=left)
            for entry in last:
                if entry.loss.stay and not left:
                    self._image(driver, entry, number)
            present = tables.by_name(after.values())
            for loss in following:
                self.sums[loss.table.oid] = None if left else _sum(driver, as_present(loss, present))

    def done(self, step: RevisionStep, *, left: bool) -> None:
        """The step is committed."""
        self.done_steps += 1
        self._settled = dict(self.entries), dict(self.sums), dict(self.positions)
        self.heads = tuple(sorted(set(self.heads) - {step.revision.revision} | set(step.to_revisions)))

    def forget_unneeded(self) -> None:
        """After a failure, remove the stashes of steps that were rolled back; where that cannot be seen, later."""
        with suppress(DbkitError, psycopg.Error), connect(self.target, autocommit=True) as connection:
            remove_unneeded(connection, self.settings, self.target)

    def _require_expected(self, step: RevisionStep, number: int) -> None:
        expected = [moment.revision for moment in self.replay.moments[number : number + 1]]
        if expected != [step.revision.revision]:
            raise HookFailed(
                f"the database moved while the rollback was prepared: the next to undo is {step.revision.revision}.",
                "Run the same command again.",
            )

    def _begin_again(self, number: int) -> None:
        """Forget what an earlier try of the same step has made, and remove its stash."""
        path = self.made.pop(number, None)
        if path is not None:
            store.discard(path)
        entries, sums, positions = self._settled
        self.entries, self.sums, self.positions = dict(entries), dict(sums), dict(positions)

    def _lock_sequences(
        self, driver: psycopg.Connection, number: int, losses: Sequence[Loss]
    ) -> list[sequences.Sequence]:
        """The sequences of the database that the steps from a step on drop or set back; of the first, all.

        Nobody draws any more from those that this step changes.
        """
        present = sequences.Present(driver)
        touched = list(_found(present, self.replay.sequences_touched(number), losses))
        sequences.lock(driver, touched)
        return touched if number else list(_found(present, self.replay.sequences_lost(0), losses))

    def _require_foreseen(
        self, step: RevisionStep, driver: psycopg.Connection, after: Mapping[int, Table], *, left: bool
    ) -> None:
        """Raise Refused when the step has dropped what its trial did not; where it is committed already, say so."""
        reasons = [
            f"drops {what}, which no revision makes and nothing keeps"
            for what in obstacles.unforeseen(self._there, after, self.replay.losses(self.done_steps))
        ]
        if not left and obstacles.changed_large_objects(driver):
            reasons += ["unlinks or changes large objects, which are not kept"]
        revision = step.revision.revision
        if reasons and left:
            say(f"warning: undoing {revision} {reasons[0]}.")
        elif reasons:
            raise Refused(
                f"refusing to roll back: undoing {revision} {reasons[0]}; it was not undone.",
                f"Copy it to another place first. {WITHOUT}",
            )

    def _keep(
        self, step: RevisionStep, driver: psycopg.Connection, losses: Sequence[Loss], positions: list[Position]
    ) -> None:
        row = driver.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        revision = step.revision.revision
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        name = store.new_name(self.target.dbname, revision)
        with store.partial(self.settings, name) as path:
            kept = [_copy(driver, loss, path / f"{number}.copy") for number, loss in enumerate(losses, 1)]
            manifest = Manifest(
                database=self.target.dbname,
                server=self.target.server(),
                heads=list(self.heads),
                revision=revision,
                began=self.began or moment,
                time=moment,
                transaction=int(row[0]) if row else 0,
                tables=kept,
                identity=read_identity(driver),
                sequences=positions,
            )
            store.write_manifest(path, manifest)
        self.made[self.done_steps] = made = path.with_name(name)
        self.began = self.began or moment
        for loss, each in zip(losses, kept, strict=True):
            self.entries[loss.table.oid] = _Entry(loss, each, made, self.done_steps)
            if self.replay.last_touch(loss.table.oid, self.done_steps) > self.done_steps:
                self.sums[loss.table.oid] = _sum(driver, loss)
        self.positions |= {position.label: position for position in positions}
        rows = sum(each.saved.rows for each in kept)
        what = [f"{counted(rows, 'row')} of {', '.join(each.label for each in kept)}"] if kept else []
        what += [f"the position of {', '.join(position.label for position in positions)}"] if positions else []
        again = f", as they are before {revision} is undone," if self.done_steps else ""
        print(f"  kept {' and '.join(what)}{again} in {made}", flush=True)

    def _image(self, driver: psycopg.Connection, entry: _Entry, number: int) -> None:
        """Write down the hashes of the values that the rollback has left, by which later changes will be seen."""
        before = self.replay.moments[entry.number].tables[entry.loss.table.oid]
        after = self.replay.named_after(number, before.oid)
        if after is None:
            return
        numbers = {column.name: index for index, column in before.columns.items()}
        kept = entry.kept
        there = [name for name in kept.lost if numbers.get(name) in after.columns]
        keys = [after.columns.get(numbers.get(name, 0)) for name, _ in kept.key]
        if not there or not keys or None in keys:
            return
        hashes = hashes_sql([after.columns[numbers[name]].name for name in there])
        chosen = ", ".join([*(quote_ident(column.name) for column in keys if column), hashes])
        path = entry.path / Path(kept.saved.file).with_suffix(".after").name
        saved = copy_out(driver, f"SELECT {chosen} FROM {after.source}", path)  # noqa: S608
        store.write_json(path.with_suffix(".json"), note_of(there, saved))

    @contextmanager
    def _refusing(self, step: RevisionStep) -> Iterator[None]:
        """Say in one line why nothing was undone. A lock that was not granted is left to be tried again."""
        revision = step.revision.revision
        try:
            yield
        except psycopg.Error as error:
            if error.sqlstate in TRY_AGAIN:
                raise
            words = describe_error(error, primary=True)
            if error.sqlstate in TOO_LARGE:
                raise Refused(f"refusing to roll back: {words}, so {revision} was not undone.", WITHOUT) from error
            raise HookFailed(
                f"what {revision} would lose cannot be kept: {words}; it was not undone.", WITHOUT
            ) from error
        except OSError as error:
            where = store.directory(self.settings)
            raise HookFailed(
                f"what {revision} would lose cannot be kept in {where}: {error.strerror or error}; it was not undone.",
                f"Make room there, then run the same command again. {WITHOUT}",
            ) from error
        except (HookFailed, Refused):
            raise
        except DbkitError as error:
            raise HookFailed(f"{error.message.rstrip('.')}; {revision} was not undone.", WITHOUT) from error


def remove_unneeded(connection: psycopg.Connection, settings: Settings, target: Target) -> None:
    """Remove the stashes of a database whose rollback was not committed: what they hold is in the database still."""
    here = read_identity(connection)
    for stash in store.waiting(settings, target, here):
        if judge(connection, here, stash).fate is Fate.UNNEEDED:
            store.discard(stash.path)


def _lock(driver: psycopg.Connection, losses: Sequence[Loss]) -> None:
    """Let others read, and writers wait until the transaction ends. One after the other, by name."""
    names = ", ".join(sorted(loss.table.source for loss in losses))
    driver.execute(f"LOCK TABLE {names} IN SHARE MODE".encode())


@contextmanager
def reading(driver: psycopg.Connection) -> Iterator[None]:
    """Read with values written exactly; afterwards the session is as it was, and only the locks remain."""
    driver.execute(f"SAVEPOINT {SAVEPOINT}")
    change_settings(driver, SETTINGS, local=True)
    try:
        yield
    finally:
        if driver.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            driver.execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")


def as_present(loss: Loss, present: Mapping[tuple[str, str], Table]) -> Loss:
    """The loss with the columns and the key that the table has here. Raises HookFailed where it lacks some."""
    table = present.get((loss.table.schema, loss.table.name))
    if table is None:
        raise HookFailed(f"the database has no table {loss.table.label}, which its revision has.", WITHOUT)
    here = replace(table, oid=loss.table.oid)
    if loss.whole:
        return replace(loss, table=here, columns=here.stored)
    missing = [column.name for column in loss.columns if not here.column(column.name)]
    if missing:
        raise HookFailed(f"{here.label} has no column {', '.join(missing)}, which its revision has.", WITHOUT)
    return replace(loss, table=here, columns=tuple(filter(None, [here.column(each.name) for each in loss.columns])))


def has_something(connection: psycopg.Connection, loss: Loss) -> bool:
    """Whether the table has rows, or the columns any value. Looks no further than the first."""
    where = ""
    if loss.why == CHANGED:
        where = " WHERE " + " OR ".join(f"{quote_ident(column.name)} IS NOT NULL" for column in loss.columns)
    query = f"SELECT EXISTS (SELECT FROM {loss.table.source}{where})"  # noqa: S608
    return connection.execute(query.encode()).fetchone() == (True,)


def _found(
    present: sequences.Present, wanted: Iterable[sequences.Sequence], losses: Iterable[Loss]
) -> Iterator[sequences.Sequence]:
    """The sequences of the database like these, and all that belong to tables which go as a whole."""
    found = [present.find(each.schema, each.name, each.owner) for each in wanted]
    owned = [each for loss in losses if loss.why == DROPPED for each in present.owned_by(loss.table)]
    yield from {each.oid: each for each in [*found, *owned] if each}.values()


def positions_of(connection: psycopg.Connection, found: Iterable[sequences.Sequence]) -> Iterator[Position]:
    """How far sequences are, without those that nothing was drawn from."""
    for each in found:
        position = each.position(connection)
        if not each.is_fresh(position):
            yield position


def found_sequences(connection: psycopg.Connection, replay: Replay) -> list[sequences.Sequence]:
    """The sequences of the database that a rollback drops or sets back."""
    return list(_found(sequences.Present(connection), replay.sequences_lost(0), replay.losses(0)))


def _sum(driver: psycopg.Connection, loss: Loss) -> Sum:
    return summed(driver, loss.table.source, loss.saved)


def _copy(driver: psycopg.Connection, loss: Loss, path: Path) -> SavedTable:
    """Copy one table. Raises CheckFailed when the file is not what was sent."""
    names = loss.saved
    query = f"SELECT {', '.join(map(quote_ident, names))} FROM {loss.table.source}"  # noqa: S608
    large = large_values.condition(driver, loss.table, names)
    if large:
        more = large_values.rows_in_slices(driver, loss.table, names, large)
        saved = copy_out(driver, f"{query} WHERE NOT {large}", path, more)
    else:
        saved = copy_out(driver, query, path)
    columns = {column.name: column for column in loss.table.columns.values()}
    return SavedTable(
        schema=loss.table.schema,
        table=loss.table.name,
        why=loss.why,
        key=[_pair(column) for column in loss.table.keys],
        columns=[_pair(columns[name]) for name in names],
        lost=[column.name for column in loss.columns],
        saved=saved,
    )


def _pair(column: Column) -> list[str]:
    return [column.name, column.type]
