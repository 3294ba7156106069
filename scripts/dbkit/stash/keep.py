"""Keep what a rollback loses: copied in the transaction that loses it, under a lock that writers wait for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from alembic.runtime.migration import RevisionStep
from psycopg.pq import TransactionStatus

from dbkit.connect import connect
from dbkit.course import NotGuarded
from dbkit.errors import DbkitError, Refused, say
from dbkit.lock import TRY_AGAIN
from dbkit.rows import FORMAT, hashed, quoted
from dbkit.settings import Settings, Target
from dbkit.stash import store, tables
from dbkit.stash.files import copy_out
from dbkit.stash.losses import CHANGED, DROPPED, Loss, Replay
from dbkit.stash.replay import WITHOUT
from dbkit.stash.store import Kept, Manifest
from dbkit.stash.tables import Column, Sum, Table, summed
from dbkit.wording import counted

SAVEPOINT = "dbkit_stash"
SEQUENCES = """
SELECT a.attname, pg_get_serial_sequence(%(table)s, a.attname)
FROM pg_attribute AS a
WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND NOT a.attisdropped
    AND pg_get_serial_sequence(%(table)s, a.attname) IS NOT NULL"""


@dataclass(frozen=True)
class _Entry:
    """A table in a stash of this run."""

    loss: Loss
    kept: Kept
    path: Path
    number: int
    """Of the step that it was made for."""


class Keeper:
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
        self._locked: list[Loss] = []
        self._settled = dict(self.entries), dict(self.sums)
        """The last two as they were when a step was committed last."""

    def before(self, step: RevisionStep, driver: psycopg.Connection) -> None:
        """Lock what the step loses, and copy what is not in a stash yet. Raises NotGuarded, and what a lock raises."""
        number = self.done_steps
        self._require_expected(step, number)
        self._begin_again(number)
        losses = self.replay.losses(number)
        if number:
            losses = [loss for loss in losses if loss.table.oid in self.replay.touched(number)]
        self._locked = losses
        if not losses:
            return
        with self._refusing(step):
            _lock(driver, losses)
            with reading(driver):
                present = tables.by_name(tables.read(driver).values())
                losses = [as_present(loss, present) for loss in losses]
                if number:
                    losses = [loss for loss in losses if _sum(driver, loss) != self.sums.get(loss.table.oid)]
                losses = [loss for loss in losses if has_something(driver, loss)]
                require_matchable(self.replay, number, losses)
                if losses:
                    self._keep(step, driver, losses)

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
            for entry in last:
                if entry.loss.stay and not left:
                    self._image(driver, entry, number)
            present = tables.by_name(tables.read(driver).values())
            for loss in following:
                self.sums[loss.table.oid] = None if left else _sum(driver, as_present(loss, present))

    def done(self, step: RevisionStep, *, left: bool) -> None:
        """The step is committed."""
        self.done_steps += 1
        self._settled = dict(self.entries), dict(self.sums)
        self.heads = tuple(sorted(set(self.heads) - {step.revision.revision} | set(step.to_revisions)))

    def forget_unneeded(self) -> None:
        """After a failure, remove the stashes of steps that were rolled back; where that cannot be seen, later."""
        with suppress(DbkitError, psycopg.Error), connect(self.target, autocommit=True) as connection:
            remove_unneeded(connection, self.settings, self.target)

    def _require_expected(self, step: RevisionStep, number: int) -> None:
        expected = [moment.revision for moment in self.replay.moments[number : number + 1]]
        if expected != [step.revision.revision]:
            raise NotGuarded(
                f"the database moved while the rollback was prepared: the next to undo is {step.revision.revision}.",
                "Run the same command again.",
            )

    def _begin_again(self, number: int) -> None:
        """Forget what an earlier try of the same step has made, and remove its stash."""
        path = self.made.pop(number, None)
        if path is not None:
            store.discard(path)
        entries, sums = self._settled
        self.entries, self.sums = dict(entries), dict(sums)

    def _keep(self, step: RevisionStep, driver: psycopg.Connection, losses: Sequence[Loss]) -> None:
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
            )
            store.write_manifest(path, manifest)
        self.made[self.done_steps] = made = path.with_name(name)
        self.began = self.began or moment
        for loss, each in zip(losses, kept, strict=True):
            self.entries[loss.table.oid] = _Entry(loss, each, made, self.done_steps)
            if self.replay.last_touch(loss.table.oid, self.done_steps) > self.done_steps:
                self.sums[loss.table.oid] = _sum(driver, loss)
        rows = sum(each.saved.rows for each in kept)
        again = f", as they are before {revision} is undone," if self.done_steps else ""
        print(f"  kept {counted(rows, 'row')} of {', '.join(each.label for each in kept)}{again} in {made}", flush=True)

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
        chosen = [quoted(column.name) for column in keys if column]
        chosen += [hashed(quoted(after.columns[numbers[name]].name)) for name in there]
        path = entry.path / Path(kept.saved.file).with_suffix(".after").name
        saved = copy_out(driver, f"SELECT {', '.join(chosen)} FROM {after.source}", path)  # noqa: S608
        store.write_json(path.with_suffix(".json"), {"columns": there, **vars(saved)})

    @contextmanager
    def _refusing(self, step: RevisionStep) -> Iterator[None]:
        """Say in one line why nothing was undone. A lock that was not granted is left to be tried again."""
        revision = step.revision.revision
        try:
            yield
        except psycopg.Error as error:
            if error.sqlstate in TRY_AGAIN:
                raise
            words = error.diag.message_primary or " ".join(str(error).split())
            raise NotGuarded(
                f"what {revision} would lose cannot be kept: {words}; it was not undone.", WITHOUT
            ) from error
        except OSError as error:
            where = store.directory(self.settings)
            raise NotGuarded(
                f"what {revision} would lose cannot be kept in {where}: {error.strerror or error}; it was not undone.",
                f"Make room there, then run the same command again. {WITHOUT}",
            ) from error
        except (NotGuarded, Refused):
            raise
        except DbkitError as error:
            raise NotGuarded(f"{error.message.rstrip('.')}; {revision} was not undone.", WITHOUT) from error


def remove_unneeded(connection: psycopg.Connection, settings: Settings, target: Target) -> None:
    """Remove the stashes of a database whose rollback was not committed: what they hold is in the database still."""
    for stash in store.waiting(settings, target):
        if store.status_of(connection, stash) == "aborted":
            store.discard(stash.path)


def _lock(driver: psycopg.Connection, losses: Sequence[Loss]) -> None:
    """Let others read, and writers wait until the transaction ends. One after the other, by name."""
    names = ", ".join(sorted(loss.table.source for loss in losses))
    driver.execute(f"LOCK TABLE {names} IN SHARE MODE".encode())


@contextmanager
def reading(driver: psycopg.Connection) -> Iterator[None]:
    """Read with values written exactly; afterwards the session is as it was, and only the locks remain."""
    driver.execute(f"SAVEPOINT {SAVEPOINT}")
    for name, value in (FORMAT | {"row_security": "off"}).items():
        driver.execute("SELECT set_config(%s, %s, true)", [name, value])
    try:
        yield
    finally:
        if driver.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            driver.execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")


def as_present(loss: Loss, present: Mapping[tuple[str, str], Table]) -> Loss:
    """The loss with the columns and the key that the table has here. Raises NotGuarded where it lacks some."""
    table = present.get((loss.table.schema, loss.table.name))
    if table is None:
        raise NotGuarded(f"the database has no table {loss.table.label}, which its revision has.", WITHOUT)
    here = replace(table, oid=loss.table.oid)
    if loss.whole:
        return replace(loss, table=here, columns=here.stored)
    missing = [column.name for column in loss.columns if not here.column(column.name)]
    if missing:
        raise NotGuarded(f"{here.label} has no column {', '.join(missing)}, which its revision has.", WITHOUT)
    return replace(loss, table=here, columns=tuple(filter(None, [here.column(each.name) for each in loss.columns])))


def has_something(connection: psycopg.Connection, loss: Loss) -> bool:
    """Whether the table has rows, or the columns any value. Looks no further than the first."""
    where = ""
    if loss.why == CHANGED:
        where = " WHERE " + " OR ".join(f"{quoted(column.name)} IS NOT NULL" for column in loss.columns)
    query = f"SELECT EXISTS (SELECT FROM {loss.table.source}{where})"  # noqa: S608
    return connection.execute(query.encode()).fetchone() == (True,)


def require_matchable(replay: Replay, number: int, losses: Sequence[Loss]) -> None:
    """Raise Refused, naming the table, where something could be kept, but never be put back by primary key."""
    reasons = dict(replay.unmatchable(number))
    for loss in losses:
        reason = reasons.get(loss.table.oid)
        if not reason and loss.why != DROPPED and not loss.table.key:
            reason = f"{loss.table.label} has no primary key in this database"
        if reason:
            raise Refused(f"refusing to roll back: {reason}, so its values could not be put back.", WITHOUT)


def _sum(driver: psycopg.Connection, loss: Loss) -> Sum:
    return summed(driver, loss.table.source, loss.saved)


def _copy(driver: psycopg.Connection, loss: Loss, path: Path) -> Kept:
    """Copy one table. Raises CheckFailed when the file is not what was sent."""
    names = loss.saved
    saved = copy_out(driver, f"SELECT {', '.join(map(quoted, names))} FROM {loss.table.source}", path)  # noqa: S608
    columns = {column.name: column for column in loss.table.columns.values()}
    return Kept(
        schema=loss.table.schema,
        table=loss.table.name,
        why=loss.why,
        key=[_pair(column) for column in loss.table.keys],
        columns=[_pair(columns[name]) for name in names],
        lost=[column.name for column in loss.columns],
        saved=saved,
        sequences=_sequences(driver, loss) if loss.whole else {},
    )


def _pair(column: Column) -> list[str]:
    return [column.name, column.type]


def _sequences(driver: psycopg.Connection, loss: Loss) -> dict[str, int]:
    found = driver.execute(SEQUENCES, {"table": loss.table.sql}).fetchall()
    last = {}
    for column, sequence in found:
        row = driver.execute(f"SELECT last_value FROM {sequence} WHERE is_called".encode()).fetchone()  # noqa: S608
        if row:
            last[column] = int(row[0])
    return last
