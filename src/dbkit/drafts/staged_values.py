"""Values for the rows of a live table: filled in batches, in a separate revision."""

import copy
from dataclasses import replace

from alembic.operations import ops

from dbkit.drafts.column_code import column_sql, identity_sql
from dbkit.drafts.column_sequences import NEXTVAL
from dbkit.drafts.effects import Effect
from dbkit.drafts.staged_columns import add_requirement
from dbkit.drafts.staged_indexes import make_name
from dbkit.drafts.stages import Place, Plan, make_step
from dbkit.drafts.steps import EMPTY_ON_PURPOSE, BackfillOp, CommentOp, Phase, Step
from dbkit.postgres.sql_quote import quote_literal, quote_name, split_name
from dbkit.postgres.sql_text import Kind, read_string, tokenize
from dbkit.trace.records import ALWAYS_IDENTITY, COMPUTED, DEFAULT_IDENTITY, Change, ChangeKind

VALUES_STAY = "the values stay: which rows had none before is not known any more."
PARTS = {"SET", "FROM", "WHERE", "RETURNING"}
"""The words that begin the parts of an UPDATE."""
WITH_COLUMN = {
    ChangeKind.COLUMN_ADDED,
    ChangeKind.CONSTRAINT_ADDED,
    ChangeKind.OBJECT_CREATED,
    ChangeKind.OPTION_SET,
    ChangeKind.SEQUENCE_SET,
    ChangeKind.TABLE_TRUNCATED,
}
"""The changes that come with a column and its sequence; an empty table that is rewritten looks truncated."""


def fill(effect: Effect, plan: Plan) -> bool:
    """Add a column without its default, and fill the rows in batches; return False where that is not possible."""
    (change,) = (each for each in effect.changes if each.what == ChangeKind.COLUMN_ADDED)
    others = [each for each in effect.changes if each.what == ChangeKind.CONSTRAINT_ADDED and each.kind != "not null"]
    is_plain = {each.what for each in effect.changes} <= WITH_COLUMN and not others
    if not (is_plain and change.after) or change.after.startswith(COMPUTED) or change.table in plan.keyless:
        return False
    column = plan.column_of(change)
    if column and column.type in plan.constrained:
        return False  # without its default, too, every row is rewritten, and NULL may be refused
    if change.after in (ALWAYS_IDENTITY, DEFAULT_IDENTITY):
        return _fill_identity(effect, change, plan)
    sequence = NEXTVAL.fullmatch(change.after)
    owned = read_string(sequence[1]) if sequence and len(effect.changes) > 1 else ""
    is_serial = owned and any(each.what == ChangeKind.OBJECT_CREATED for each in effect.changes)
    if is_serial:
        unlogged = "UNLOGGED " if column and column.sequence_is_unlogged else ""
        plan.keep(_run(f"CREATE {unlogged}SEQUENCE {owned} AS {change.before}", effect.step))
    _add_empty(effect, change, plan)
    if is_serial:
        plan.keep(_run(f"ALTER SEQUENCE {owned} OWNED BY {change.table}.{quote_name(change.name)}", effect.step))
    plan.keep(_run(f"{_alter(change)} SET DEFAULT {change.after}", effect.step))
    add_backfill(change, change.after, effect.step, plan)
    if change.kind == "not null":
        add_requirement(change, effect.step, plan, Place.CHECK)
    return True


def update_in_batches(effect: Effect, plan: Plan) -> bool:
    """Run an UPDATE of a whole table in batches; return False for one that does more than to fill a column."""
    operation = effect.step.operation
    found = split_update(str(operation.sqltext)) if isinstance(operation, ops.ExecuteSQLOp) else None
    if not found or found[0] in plan.keyless:
        return False
    table, assignments, where = found
    column = assignments.partition("=")[0].strip()
    _add_update(
        BackfillOp(table, assignments, where or f"{column} IS NULL"),
        f"{table}.{split_name(column)[-1]}",
        effect.step,
        plan,
    )
    return True


def add_backfill(change: Change, value: str, like: Step, plan: Plan) -> None:
    """Add the stage that fills the rows in which a new column is NULL."""
    column = quote_name(change.name)
    backfill = BackfillOp(change.table, f"{column} = {value}", f"{column} IS NULL")
    _add_update(backfill, f"{change.table}.{change.name}", like, plan)


def split_update(text: str) -> tuple[str, str, str] | None:
    """Return the table, the assignments and the condition of an UPDATE; None for any other statement."""
    parts: dict[str, list[str]] = {"": []}
    current, depth = parts[""], 0
    for token in tokenize(text):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        word = token.text.upper()
        if depth == 0 and token.kind == Kind.WORD and word in PARTS and word not in parts:
            current = parts.setdefault(word, [])
        else:
            current.append(token.text)
    verb, _, table = "".join(parts[""]).strip().partition(" ")
    if verb.upper() != "UPDATE" or set(parts) - {"", "SET", "WHERE"} or "SET" not in parts:
        return None
    assignments, where = ("".join(parts.get(each, ())).strip().rstrip(";").strip() for each in ("SET", "WHERE"))
    return table.strip(), assignments, where


def _add_update(backfill: BackfillOp, subject: str, like: Step, plan: Plan) -> None:
    plan.add(
        Place.BACKFILL,
        [make_step(Phase.ALTER_COLUMN, backfill, like)],
        [make_step(Phase.ALTER_COLUMN, CommentOp(EMPTY_ON_PURPOSE + VALUES_STAY), like)],
        subject,
    )


def _add_empty(effect: Effect, change: Change, plan: Plan) -> None:
    """Add the column, nullable and without a default."""
    operation, shape = effect.step.operation, plan.column_of(change)
    if isinstance(operation, ops.AddColumnOp):
        column = operation.column._copy()
        column.server_default, column.nullable, column.identity = None, True, None
        added = copy.copy(operation)
        added.column = column
        plan.keep(make_step(Phase.ADD_COLUMN, added, effect.step))
        return
    text = f"{quote_name(change.name)} {change.before}"
    if shape:
        text = column_sql(replace(shape, default=None, identity="", serial=None), is_required=False)
    plan.keep(_run(f"ALTER TABLE {change.table} ADD COLUMN {text}", effect.step))


def _fill_identity(effect: Effect, change: Change, plan: Plan) -> bool:
    """Number the rows from a sequence, whose place the identity's takes in the end."""
    column = plan.column_of(change)
    if column is None or column.sequence is None:
        return False
    *schemas, table = split_name(change.table)
    numbers = quote_name(*schemas, make_name(f"{table}_{change.name}", "numbers", plan))
    options = f" {column.identity_options}" if column.identity_options else ""
    create = _run(f"CREATE SEQUENCE {numbers} AS {change.before}{options}", effect.step)
    own = _run(f"ALTER SEQUENCE {numbers} OWNED BY {change.table}.{quote_name(change.name)}", effect.step)
    value = f"nextval({quote_literal(numbers)}::regclass)"
    default = _run(f"{_alter(change)} SET DEFAULT {value}", effect.step)
    plan.keep(create)
    _add_empty(effect, change, plan)
    plan.keep(own, default)
    add_backfill(change, value, effect.step, plan)
    add_requirement(change, effect.step, plan, Place.CHECK)
    aggregate, furthest = ("min", "least") if "INCREMENT BY -" in options else ("max", "greatest")
    # before anything is locked, since it may read the whole table
    pass_by = (
        f"SELECT setval({quote_literal(numbers)}, {furthest}({aggregate}({quote_name(change.name)}),"
        f" (SELECT last_value FROM {numbers}))) FROM {change.table}"
    )
    plan.surround(Place.REQUIRE, [_run(pass_by, effect.step)], [], [])
    plan.add(
        Place.REQUIRE,
        [
            _run(f"{_alter(change)} DROP DEFAULT", effect.step),
            _run(f"{_alter(change)} ADD {identity_sql(column)}", effect.step),
            _continue(quote_name(*column.sequence), numbers, effect.step),
            _run(f"DROP SEQUENCE {numbers}", effect.step),
        ],
        [
            create,
            _continue(numbers, quote_name(*column.sequence), effect.step),
            _run(f"{_alter(change)} DROP IDENTITY", effect.step),
            own,
            default,
        ],
    )
    return True


def _continue(sequence: str, former: str, like: Step) -> Step:
    """Set a sequence to where another one is."""
    return _run(f"SELECT setval({quote_literal(sequence)}, last_value, is_called) FROM {former}", like)


def _alter(change: Change) -> str:
    return f"ALTER TABLE {change.table} ALTER COLUMN {quote_name(change.name)}"


def _run(statement: str, like: Step) -> Step:
    return make_step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(statement), like)
