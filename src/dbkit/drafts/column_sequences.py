"""Write the changes of the sequences that belong to columns: of serials and of identity columns."""

import re
from collections.abc import Iterator

from alembic.operations import ops

from dbkit.drafts.column_code import OPTION, identity_sql
from dbkit.drafts.shapes import Column, Table, schema_prefix
from dbkit.drafts.steps import Phase, Step
from dbkit.postgres.sql_quote import quote_literal, quote_name
from dbkit.postgres.sql_text import read_string

NEXTVAL = re.compile(r"nextval\(('(?:[^']|'')+')::regclass\)")
"""The default of a column that takes its values from a sequence."""
LIMITS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


def create_sequence(column: Column) -> ops.ExecuteSQLOp:
    """Return the operation that creates the sequence of a serial."""
    options = f" {column.sequence_options}" if column.sequence_options else ""
    unlogged = "UNLOGGED " if column.sequence_is_unlogged else ""
    return ops.ExecuteSQLOp(f"CREATE {unlogged}SEQUENCE {column.serial} AS {column.sequence_type}{options}")


def own_sequence(table: Table, column: Column) -> ops.ExecuteSQLOp:
    """Return the operation that makes a sequence belong to a column."""
    return ops.ExecuteSQLOp(f"ALTER SEQUENCE {column.serial} OWNED BY {table.sql}.{column.sql}")


def serial_to_identity(table: Table, before: Column, after: Column) -> Iterator[Step]:
    """Replace the sequence of a serial by that of an identity column, which goes on where the former is."""
    alter = f"ALTER TABLE {table.sql} ALTER COLUMN {after.sql}"
    facts = (table.column_fact(after.name), *before.sequence_facts)
    name = before.sequence[1] if before.sequence else ""
    former = _former_name(name)
    qualified = schema_prefix(before.serial or "", name) + former
    options = _options(after.identity_options, after.sequence_type or "bigint")
    furthest, aggregate, is_further = (
        ("greatest", "max", ">=") if options["INCREMENT BY"] > 0 else ("least", "min", "<=")
    )
    # rows may have values that did not come from the sequence
    place = (
        f"SELECT setval({serial_of(table, after)}, {furthest}(last_value, furthest),\n"
        f"    is_called OR coalesce(furthest {is_further} last_value, false))\n"
        f"FROM {qualified}, (SELECT {aggregate}({after.sql}) FROM {table.sql}) AS found (furthest)"
    )
    if "VALUE" in after.identity_options:
        place += f"\nWHERE {furthest}(last_value, furthest) BETWEEN {options['MINVALUE']} AND {options['MAXVALUE']}"
    for phase, statement in (
        (Phase.ALTER_COLUMN, f"{alter} DROP DEFAULT"),
        (Phase.ALTER_COLUMN, f"ALTER SEQUENCE {before.serial} OWNED BY NONE"),
        (Phase.ALTER_COLUMN, f"ALTER SEQUENCE {before.serial} RENAME TO {former}"),
        (Phase.ALTER_COLUMN, f"{alter} ADD {identity_sql(after)}"),
        (Phase.ALTER_COLUMN, place),
        (Phase.ALTER_COLUMN, f"DROP SEQUENCE {qualified}"),
    ):
        yield Step(phase, ops.ExecuteSQLOp(statement), facts)


def add_serial(table: Table, after: Column) -> Iterator[Step]:
    """Give a column a sequence, which begins after the greatest value, and its default."""
    facts = (table.column_fact(after.name), *after.sequence_facts)
    default = f"ALTER TABLE {table.sql} ALTER COLUMN {after.sql} SET DEFAULT {after.default}"
    for operation in (
        create_sequence(after),
        own_sequence(table, after),
        ops.ExecuteSQLOp(_set_value(table, after)),
        ops.ExecuteSQLOp(default),
    ):
        yield Step(Phase.ALTER_COLUMN, operation, facts)


def add_identity(table: Table, before: Column, after: Column) -> Iterator[Step]:
    """Make a column an identity column that begins after the greatest value."""
    alter = f"ALTER TABLE {table.sql} ALTER COLUMN {after.sql}"
    facts = (table.column_fact(after.name),)
    if before.default is not None:
        yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(f"{alter} DROP DEFAULT"), facts)
    yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(f"{alter} ADD {identity_sql(after)}"), facts)
    yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(_set_value(table, after)), facts)


def change_identity(table: Table, before: Column, after: Column) -> Iterator[Step]:
    """Change ALWAYS and BY DEFAULT, and the options of the sequence."""
    actions = []
    if before.identity != after.identity:
        actions.append(f"SET GENERATED {'ALWAYS' if after.identity == 'a' else 'BY DEFAULT'}")
    type_ = after.sequence_type or "bigint"
    old, new = _options(before.identity_options, type_), _options(after.identity_options, type_)
    changed = {name: value for name, value in new.items() if old[name] != value}
    actions += [f"SET {_option(name, value)}" for name, value in changed.items()]
    bounds = {"MINVALUE", "MAXVALUE"} & set(changed)
    if bounds:
        actions.append("RESTART")  # where it is may be beyond the new limits
    if not actions:
        return
    statement = f"ALTER TABLE {table.sql} ALTER COLUMN {after.sql} {' '.join(actions)}"
    facts = (table.column_fact(after.name),)
    yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(statement), facts)
    if bounds:
        yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(_set_value(table, after)), facts)


def change_serial(before: Column, after: Column, *, is_unlogged: bool) -> Iterator[Step]:
    """Change the type and the options of the sequence of a serial: after the type of its column.

    `is_unlogged` is whether it is at that time.
    """
    changed = [f"AS {after.sequence_type}"] if before.sequence_type != after.sequence_type else []
    old = _options(before.sequence_options, before.sequence_type or "bigint")
    new = _options(after.sequence_options, after.sequence_type or "bigint")
    usual = {
        name
        for name in ("MINVALUE", "MAXVALUE")
        if old[name] == _options("", before.sequence_type or "bigint")[name]
        and new[name] == _options("", after.sequence_type or "bigint")[name]
    }
    changed += [_option(name, value) for name, value in new.items() if old[name] != value and name not in usual]
    if changed:
        statement = f"ALTER SEQUENCE {after.serial} {' '.join(changed)}"
        yield Step(Phase.ALTER_SEQUENCE, ops.ExecuteSQLOp(statement), after.sequence_facts)
    if is_unlogged != after.sequence_is_unlogged:
        statement = f"ALTER SEQUENCE {after.serial} SET {'UNLOGGED' if after.sequence_is_unlogged else 'LOGGED'}"
        yield Step(Phase.ALTER_SEQUENCE, ops.ExecuteSQLOp(statement), after.sequence_facts)


def raise_sequence(table: Table, before: Column, after: Column) -> Iterator[Step]:
    """Let a sequence that a column takes its values from, and does not own, go on behind the greatest value."""
    found = NEXTVAL.fullmatch(after.default or "")
    if not found or before.default == after.default or after.serial or after.type_name not in LIMITS:
        return
    name = read_string(found[1])
    last = f"max({after.sql})"
    statement = f"SELECT setval({found[1]}, {last}) FROM {table.sql}\nHAVING {last} >= (SELECT last_value FROM {name})"
    yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(statement), (table.column_fact(after.name),))


def serial_of(table: Table, column: Column) -> str:
    """The SQL expression of the sequence that belongs to a column."""
    return f"pg_get_serial_sequence({quote_literal(table.sql)}, {quote_literal(column.name)})"


def _former_name(name: str) -> str:
    """A name, as SQL, for a sequence until it is dropped."""
    return quote_name(name.encode()[:56].decode(errors="ignore") + "_serial")


def _set_value(table: Table, column: Column) -> str:
    """Return a SELECT that sets a sequence to the last value of its column, as far as its limits allow.

    Without such rows, the sequence stays as it is.
    """
    given = column.identity_options or column.sequence_options
    options = _options(given, column.sequence_type or "bigint")
    least, most = options["MINVALUE"], options["MAXVALUE"]
    if options["INCREMENT BY"] > 0:
        last, is_possible = f"max({column.sql})", f"max({column.sql}) >= {least}"
        last = f"least({last}, {most})" if "MAXVALUE" in given else last
    else:
        last, is_possible = f"min({column.sql})", f"min({column.sql}) <= {most}"
        last = f"greatest({last}, {least})" if "MINVALUE" in given else last
    return f"SELECT setval({serial_of(table, column)}, {last}) FROM {table.sql} HAVING {is_possible}"


def _options(text: str, type_name: str) -> dict[str, int]:
    """All options of a sequence, with the defaults."""
    given = {keyword or cycle: int(number) if keyword else 1 for keyword, number, cycle in OPTION.findall(text)}
    limit = LIMITS[type_name]
    increment = given.get("INCREMENT BY", 1)
    least, most = (1, limit - 1) if increment > 0 else (-limit, -1)
    least, most = given.get("MINVALUE", least), given.get("MAXVALUE", most)
    defaults = {
        "INCREMENT BY": increment,
        "MINVALUE": least,
        "MAXVALUE": most,
        "START WITH": least if increment > 0 else most,
        "CACHE": 1,
        "CYCLE": 0,
    }
    return defaults | given


def _option(name: str, value: int) -> str:
    if name == "CYCLE":
        return "CYCLE" if value else "NO CYCLE"
    return f"{name} {value}"
