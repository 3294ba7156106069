"""Back up what a rollback loses into a stash: copied in the transaction that loses it, under a lock against writers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import psycopg
from alembic.runtime.migration import RevisionStep

from dbkit.errors import DbkitError, Refused, describe_error, say
from dbkit.postgres.connect import connect
from dbkit.postgres.locks import TRY_AGAIN
from dbkit.project.step_hooks import HookFailed
from dbkit.settings import Settings, Target
from dbkit.stash import obstacles, sequences, store, tables
from dbkit.stash.identity import read_identity
from dbkit.stash.live_losses import (
    exact_session,
    find_sequences,
    has_values,
    hash_loss,
    lock_tables,
    match_loss,
    read_positions,
)
from dbkit.stash.losses import DryRun, Loss
from dbkit.stash.manifest import Manifest, SavedTable, SequencePosition
from dbkit.stash.obstacles import TOO_LARGE, WITHOUT
from dbkit.stash.pending import remove_unneeded_stashes
from dbkit.stash.table_copy import copy_hashes, copy_table
from dbkit.stash.tables import StashTable, TableHash
from dbkit.wording import counted


@dataclass(frozen=True)
class _TableCopy:
    """The newest copy of a table in the stashes of this run."""

    loss: Loss
    saved: SavedTable
    directory: Path
    step_number: int
    """The step that it was made for."""


@dataclass
class _Copies:
    """The copies in the stashes of this run after a step."""

    tables: dict[int, _TableCopy] = field(default_factory=dict)
    """By the table's OID in the scratch database."""
    expected: dict[int, TableHash | None] = field(default_factory=dict)
    """By the same OID: the hash that the next step which touches the table must find; None accepts no hash."""
    positions: dict[str, SequencePosition] = field(default_factory=dict)
    """The newest position of each sequence, by its name."""

    def copy(self) -> "_Copies":
        return _Copies(dict(self.tables), dict(self.expected), dict(self.positions))


@dataclass
class _StepBackup:
    """One try of a step."""

    number: int
    revision: str
    copies: _Copies
    losses: Sequence[Loss] = ()
    """What is locked, since the step changes it."""
    tables: Mapping[int, StashTable] = field(default_factory=dict)
    """The tables of the database before the step."""


class BackupHook:
    """A step hook that writes a stash before the first step, of all that this step and the following ones lose.

    What a later step loses must then be as it was copied; where another session has written to it meanwhile, it is
    copied again, as it is before that step, into a second stash.
    """

    def __init__(self, settings: Settings, target: Target, heads: tuple[str, ...], dry_run: DryRun) -> None:
        self.settings = settings
        self.target = target
        self.heads = heads
        """The revisions of the database before the next step."""
        self.dry_run = dry_run
        self.made: dict[int, Path] = {}
        """The stashes of this run, by the number of the step that they were made for."""
        self.began = ""
        """When the first stash of this run was made."""
        self._done: list[tuple[_Copies, tuple[str, ...]]] = []
        """For each step that is done, the copies and the revisions before it."""
        self._committed = _Copies()
        """The copies as they were when a step was committed last."""
        self._step = _StepBackup(0, "", self._committed)

    def before(self, step: RevisionStep, driver: psycopg.Connection) -> None:
        """Lock what the step loses, and copy what is not in a stash yet. Raises HookFailed, and what a lock raises."""
        current = self._begin_step(step)
        number, copies = current.number, current.copies
        losses = self.dry_run.losses(number)
        if number:
            losses = [loss for loss in losses if loss.table.oid in self.dry_run.touched(number)]
        current.losses = losses
        with self._refusing(current.revision):
            if losses:
                lock_tables(driver, losses)
            moved = self._lock_sequences(driver, number, losses)
            with exact_session(driver):
                current.tables = tables.read_tables(driver)
                obstacles.require_visible(driver, losses)
                present = tables.index_by_name(current.tables.values())
                losses = [match_loss(loss, present) for loss in losses]
                if number:
                    losses = [loss for loss in losses if hash_loss(driver, loss) != copies.expected.get(loss.table.oid)]
                losses = [loss for loss in losses if has_values(driver, loss)]
                obstacles.require_restorable(driver, self.dry_run, number, losses, current.tables)
                positions = list(read_positions(driver, moved))
                positions = [each for each in positions if copies.positions.get(each.label) != each]
                if losses or positions:
                    self._write_stash(driver, losses, positions)

    def after(self, step: RevisionStep, driver: psycopg.Connection, *, left_transaction: bool) -> None:
        """Record the hashes of what the step has made of the tables that stay."""
        current = self._step
        number, copies = current.number, current.copies
        touched = self.dry_run.touched(number)
        if left_transaction and current.losses:
            names = ", ".join(loss.table.label for loss in current.losses)
            say(
                f"warning: {current.revision} leaves its transaction: what was written to {names} meanwhile is in no "
                "stash."
            )
        copied = [copies.tables[oid] for oid in touched if oid in copies.tables]
        last = [each for each in copied if self.dry_run.last_touch(each.loss.table.oid, number) == number]
        following = self.dry_run.losses(number + 1) if number + 1 < len(self.dry_run.steps) else []
        following = [loss for loss in following if loss.table.oid in touched]
        with self._refusing(current.revision), exact_session(driver):
            after = tables.read_tables(driver)
            self._require_foreseen(driver, after, left_transaction=left_transaction)
            for each in last:
                if each.loss.stay and not left_transaction:
                    self._copy_hashes(driver, each)
            present = tables.index_by_name(after.values())
            for loss in following:
                expected = None if left_transaction else hash_loss(driver, match_loss(loss, present))
                copies.expected[loss.table.oid] = expected

    def done(self, step: RevisionStep, *, left_transaction: bool) -> None:
        """Keep the copies of the step as the state that the next step starts from."""
        self._done.append((self._committed, self.heads))
        self._committed = self._step.copies
        self.heads = tuple(sorted(set(self.heads) - {step.revision.revision} | set(step.to_revisions)))

    def rolled_back(self, count: int) -> None:
        """Go back to the state before the last `count` steps."""
        if count:
            self._committed, self.heads = self._done[-count]
            del self._done[-count:]

    def remove_unneeded(self) -> None:
        """Remove, after a failure, the stashes of steps that were rolled back; where that is not known, later."""
        with suppress(DbkitError, psycopg.Error), connect(self.target, autocommit=True) as connection:
            remove_unneeded_stashes(connection, self.settings, self.target)

    def _begin_step(self, step: RevisionStep) -> _StepBackup:
        """Start from what was committed, without the stash of an earlier try of the same step."""
        number = len(self._done)
        revision = str(step.revision.revision)
        if [each.revision for each in self.dry_run.steps[number : number + 1]] != [revision]:
            raise HookFailed(
                f"the database moved while the rollback was prepared: the next to undo is {revision}.",
                "Run the same command again.",
            )
        path = self.made.pop(number, None)
        if path is not None:
            store.remove_stash(path)
        self._step = _StepBackup(number, revision, self._committed.copy())
        return self._step

    def _lock_sequences(
        self, driver: psycopg.Connection, number: int, losses: Sequence[Loss]
    ) -> list[sequences.StashSequence]:
        """Lock the sequences that the step drops or sets back, so that no session draws from them any more.

        Returns those of which to read the position: for the first step, of all steps.
        """
        index = sequences.SequenceIndex(driver)
        touched = find_sequences(index, self.dry_run.sequences_touched(number), losses)
        sequences.lock_sequences(driver, touched)
        return touched if number else find_sequences(index, self.dry_run.sequences_lost(0), losses)

    def _require_foreseen(
        self, driver: psycopg.Connection, after: Mapping[int, StashTable], *, left_transaction: bool
    ) -> None:
        """Raise Refused when the step has dropped what it did not in the dry run; warn where that is committed."""
        current = self._step
        reasons = [
            f"drops {what}, which no revision makes and nothing keeps"
            for what in obstacles.find_unforeseen(current.tables, after, self.dry_run.losses(current.number))
        ]
        if not left_transaction and obstacles.has_changed_large_objects(driver):
            reasons += ["unlinks or changes large objects, which are not kept"]
        if reasons and left_transaction:
            say(f"warning: undoing {current.revision} {reasons[0]}.")
        elif reasons:
            raise Refused(
                f"refusing to roll back: undoing {current.revision} {reasons[0]}; it was not undone.",
                f"Copy it to another place first. {WITHOUT}",
            )

    def _write_stash(
        self, driver: psycopg.Connection, losses: Sequence[Loss], positions: list[SequencePosition]
    ) -> None:
        current = self._step
        row = driver.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        name = store.make_name(self.target.dbname, current.revision)
        with store.write_stash(self.settings, name) as path:
            saved = [copy_table(driver, loss, path / f"{number}.copy") for number, loss in enumerate(losses, 1)]
            manifest = Manifest(
                database=self.target.dbname,
                server=self.target.server(),
                heads=list(self.heads),
                revision=current.revision,
                began=self.began or moment,
                time=moment,
                transaction=int(row[0]) if row else 0,
                tables=saved,
                identity=read_identity(driver),
                sequences=positions,
                history=store.describe_history(self.target),
            )
            store.write_manifest(path, manifest)
        self.made[current.number] = made = path.with_name(name)
        self.began = self.began or moment
        for loss, entry in zip(losses, saved, strict=True):
            oid = loss.table.oid
            current.copies.tables[oid] = _TableCopy(loss, entry, made, current.number)
            if self.dry_run.last_touch(oid, current.number) > current.number:
                current.copies.expected[oid] = hash_loss(driver, loss)
        current.copies.positions |= {position.label: position for position in positions}
        self._report_stash(saved, positions, made)

    def _report_stash(self, saved: Sequence[SavedTable], positions: Sequence[SequencePosition], made: Path) -> None:
        rows = sum(each.saved.rows for each in saved)
        what = [f"{counted(rows, 'row')} of {', '.join(each.label for each in saved)}"] if saved else []
        what += [f"the position of {', '.join(position.label for position in positions)}"] if positions else []
        again = f", as they are before {self._step.revision} is undone," if self._step.number else ""
        print(f"  kept {' and '.join(what)}{again} in {made}", flush=True)

    def _copy_hashes(self, driver: psycopg.Connection, copied: _TableCopy) -> None:
        was = self.dry_run.steps[copied.step_number].tables[copied.loss.table.oid]
        now = self.dry_run.named_after(self._step.number, was.oid)
        if now is not None:
            copy_hashes(driver, copied.saved, copied.directory, was, now)

    @contextmanager
    def _refusing(self, revision: str) -> Iterator[None]:
        """Turn errors into the reason why nothing was undone, except that of a lock, which is retried."""
        try:
            yield
        except psycopg.Error as error:
            if error.sqlstate in TRY_AGAIN:
                raise
            text = describe_error(error, primary=True)
            if error.sqlstate in TOO_LARGE:
                raise Refused(f"refusing to roll back: {text}, so {revision} was not undone.", WITHOUT) from error
            raise HookFailed(
                f"what {revision} would lose cannot be kept: {text}; it was not undone.", WITHOUT
            ) from error
        except OSError as error:
            directory = store.directory(self.settings)
            reason = error.strerror or error
            raise HookFailed(
                f"what {revision} would lose cannot be kept in {directory}: {reason}; it was not undone.",
                f"Make room there, then run the same command again. {WITHOUT}",
            ) from error
        except (HookFailed, Refused):
            raise
        except DbkitError as error:
            raise HookFailed(f"{error.message.rstrip('.')}; {revision} was not undone.", WITHOUT) from error
