"""Parts of expressions that decide which rows a query meets."""

from sqlglot import exp

from dbkit.coverage.conditions import case_conditions


def partition_columns(window: exp.Window) -> list[exp.Column]:
    """Return the columns of PARTITION BY."""
    return [column for each in window.args.get("partition_by") or () for column in each.find_all(exp.Column)]


def arms_of(expression: exp.Expr) -> list[exp.Expr]:
    """Return the conditions under which the parts of an expression are used."""
    arms: list[exp.Expr] = []
    for case in expression.find_all(exp.Case):
        arms += case_conditions(case)
    arms += [exp.Is(this=call.this.copy(), expression=exp.Null()) for call in expression.find_all(exp.Coalesce)]
    for call in expression.find_all(exp.Nullif):
        arms.append(exp.EQ(this=call.this.copy(), expression=call.expression.copy()))
    return arms


def ordinal(expression: exp.Expr, query: exp.Select) -> exp.Expr:
    """Return what `GROUP BY 1` means."""
    if isinstance(expression, exp.Literal) and expression.this.isdigit():
        at = int(expression.this) - 1
        if 0 <= at < len(query.expressions):
            return query.expressions[at].unalias()  # type: ignore[no-any-return]
    return expression


def subquery(atom: exp.Expr) -> exp.Expr | None:
    """Return the subquery of an atom."""
    if isinstance(atom, exp.In) and atom.args.get("query"):
        return atom.args["query"]  # type: ignore[no-any-return]
    if isinstance(atom, exp.Exists):
        return atom.this  # type: ignore[no-any-return]
    return atom.find(exp.Subquery, exp.Select)
