"""The values that the casts and divisions in an expression refuse, as conditions on the rows of one table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from dbkit.postgres.sql_quote import quote_ident
from dbkit.preconditions.casts import BAD, TEXTS, CastFailure, SqlType, cast_failure, parse_type

NAMES = {
    "int": "integer", "int4": "integer", "int8": "bigint", "int2": "smallint", "decimal": "numeric",
    "varchar": "character varying", "char": "character", "bpchar": "character", "bool": "boolean",
    "float8": "double precision", "float4": "real", "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone", "time": "time without time zone",
}  # fmt: skip
"""The names by which format_type() knows types."""

UNREADABLE = (AttributeError, LookupError, TypeError, ValueError, RecursionError, SqlglotError)
"""What is raised by syntax that is new to us."""


def find_cast_failures(
    tree: exp.Expr, types: Mapping[str, SqlType], labels: Sequence[str], version: int
) -> list[CastFailure]:
    """Return the values that each cast in an expression refuses, under the branches of CASE that lead to it.

    `labels`: those of the enum that a cast to an unknown type is to. Of an expression that cannot be read, none.
    """
    try:
        return list(_read_failures(tree, types, labels, version))
    except UNREADABLE:
        return []


def _read_failures(
    tree: exp.Expr, types: Mapping[str, SqlType], labels: Sequence[str], version: int
) -> Iterator[CastFailure]:
    for node, guards in _walk_casts(tree, ()):
        operand = node.this
        columns = list(operand.find_all(exp.Column))
        if not columns:
            continue
        source = type_of(operand, types)
        if source is None:
            continue
        target = named_type(node.args["to"], labels)
        # the columns are the table's: the name of the table is not the alias of the query for violating rows
        text = without_tables(operand).sql("postgres")
        found = cast_failure(text, source, target, is_explicit=True, version=version)
        if found is None:
            continue
        conditions = [
            f"({without_tables(guard).sql('postgres')}) IS {'' if holds else 'NOT '}TRUE" for guard, holds in guards
        ]
        joined = " AND ".join([*conditions, f"({found.failing})"])
        yield replace(found, failing=joined, **_examples(found, source, operand, columns[0], text))
    for division in tree.find_all(exp.Div, exp.Mod):
        divisor = division.expression.unnest()
        if divisor.find(exp.Column) and not division.find_ancestor(exp.Case) and not isinstance(divisor, exp.Nullif):
            text = without_tables(divisor).sql("postgres")
            dividend = without_tables(division.this).sql("postgres")
            yield CastFailure(f"({dividend}) IS NOT NULL AND ({text}) = 0", "", (f"({text}) = 0",))


def _examples(found: CastFailure, source: SqlType, operand: exp.Expr, column: exp.Column, text: str) -> dict[str, Any]:
    """Return conditions for rows of a proof, where a cast is on more than a column."""
    if isinstance(operand, exp.Column):
        return {}
    if source.name not in TEXTS:
        return {"good": ""}
    # the operand may be computed backwards; else the column itself is tried
    return {"good": "", "bad": (f"{text} = '{BAD}'", f"{quote_ident(column.name)} = '{BAD}'")}


def _walk_casts(
    node: exp.Expr, guards: tuple[tuple[exp.Expr, bool], ...]
) -> Iterator[tuple[exp.Cast, tuple[tuple[exp.Expr, bool], ...]]]:
    if isinstance(node, exp.Subquery | exp.Select):
        return
    if isinstance(node, exp.Case):
        subject, passed = node.this, guards
        for arm in node.args.get("ifs") or ():
            condition = exp.EQ(this=subject.copy(), expression=arm.this.copy()) if subject else arm.this
            yield from _walk_casts(arm.this, passed)
            yield from _walk_casts(arm.args["true"], (*passed, (condition, True)))
            passed = (*passed, (condition, False))
        if node.args.get("default"):
            yield from _walk_casts(node.args["default"], passed)
        return
    if isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast):
        yield node, guards
    for child in node.iter_expressions():
        yield from _walk_casts(child, guards)


def without_tables(tree: exp.Expr) -> exp.Expr:
    """Return an expression in which columns have no table."""
    copied = tree.copy()
    for column in copied.find_all(exp.Column):
        column.set("table", None)
        column.set("db", None)
    return copied


TEXT_FUNCTIONS = (
    exp.Lower,
    exp.Upper,
    exp.Trim,
    exp.Substring,
    exp.Concat,
    exp.DPipe,
    exp.JSONExtractScalar,
    exp.JSONBExtractScalar,
    exp.Translate,
    exp.RegexpReplace,
    exp.SplitPart,
    exp.Left,
    exp.Right,
    exp.Pad,
    exp.Initcap,
    exp.Replace,
)
FIRST_VALUE = (exp.Coalesce, exp.Nullif, exp.Paren)
NUMBERS = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.Round, exp.Abs)


def type_of(value: exp.Expr, types: Mapping[str, SqlType]) -> SqlType | None:
    """Return the type of an expression of columns with these types; None where it is not known."""
    if isinstance(value, exp.Column):
        return types.get(value.name)
    if isinstance(value, exp.Cast):
        return named_type(value.args["to"], ())
    if isinstance(value, FIRST_VALUE):
        return type_of(value.this, types)
    if isinstance(value, TEXT_FUNCTIONS):
        return SqlType("text")
    return SqlType("numeric") if isinstance(value, NUMBERS) else None


def named_type(tree: exp.Expr, labels: Sequence[str]) -> SqlType:
    """Return a type that a statement names."""
    text = tree.sql("postgres").lower()
    suffix = "[]" if text.endswith("[]") else ""
    name, bracket, rest = text.removesuffix("[]").partition("(")
    known = NAMES.get(name.strip(), name.strip())
    is_user = isinstance(tree, exp.DataType) and tree.this == exp.DataType.Type.USERDEFINED
    return parse_type(f"{known}{bracket}{rest}{suffix}", labels if is_user else ())
