"""Statements with further sources of rows and further conditions, so that one in a loop is complete without it."""

from collections.abc import Sequence

from sqlglot import exp

from dbkit.coverage.sql_trees import is_target

VARIABLE = "is_variable"
"""Marks, in the meta data of a column, the name of a variable whose value is unknown."""


def add_sources(tree: exp.Expr, sources: Sequence[exp.Expr], conditions: Sequence[exp.Expr]) -> exp.Expr:
    """Return a statement joined to the sources, which runs only where the conditions are met. `tree` is changed."""
    if not (sources or conditions):
        return tree
    _qualify_columns(tree, sources)
    if isinstance(tree, exp.Insert):
        return _add_to_insert(tree, sources, conditions)
    if isinstance(tree, exp.Merge):
        return _add_to_merge(tree, sources, conditions)
    if isinstance(tree, exp.Update):
        _add_to_from(tree, sources)
    elif isinstance(tree, exp.Delete):
        _add_to_using(tree, sources)
    elif isinstance(tree, exp.Select):
        _add_to_joins(tree, sources)
    else:
        return _wrap(tree, sources, conditions)
    _add_conditions(tree, conditions)
    return tree


def select_rows(tree: exp.Expr, projections: Sequence[exp.Expr]) -> exp.Select | None:
    """Return the query for the rows that a statement reads or changes; None where that cannot be a query."""
    found = exp.Select(expressions=[each.copy() for each in projections])
    source = tree.args.get("from_")
    if isinstance(tree, exp.Select):
        if source:
            found.set("from_", source.copy())
        found.set("joins", [each.copy() for each in tree.args.get("joins") or ()])
    elif isinstance(tree, exp.Update | exp.Delete):
        found.set("from_", exp.From(this=tree.this.copy()))
        others = [source.this] if source else tree.args.get("using") or []
        found.set("joins", [exp.Join(this=each.copy()) for each in others])
    else:
        return None
    for part in ("where", "with_"):
        if tree.args.get(part):
            found.set(part, tree.args[part].copy())
    return found


def read_only(tree: exp.Expr) -> exp.Expr | None:
    """Return the query for the rows that a statement returns, without changes and locks; None if there is none."""
    if isinstance(tree, exp.DML):
        returning = tree.args.get("returning")
        return select_rows(tree, returning.expressions) if returning else None
    query = tree.copy()
    for part in query.find_all(exp.Query):
        part.set("locks", None)
    for cte in query.find_all(exp.CTE):
        rows = read_only(cte.this) if isinstance(cte.this, exp.DML) else cte.this
        if rows is None:
            return None
        cte.set("this", rows)
    return query


def conjoin(conditions: Sequence[exp.Expr]) -> exp.Expr:
    """Return the conditions joined by AND."""
    return exp.and_(*conditions, copy=True)


def negate(condition: exp.Expr) -> exp.Expr:
    """Return the opposite of a condition."""
    inner = condition.unnest()
    return inner.this.copy() if isinstance(inner, exp.Not) else exp.not_(condition, copy=True)


def _qualify_columns(tree: exp.Expr, sources: Sequence[exp.Expr]) -> None:
    """Give columns of the statement's only table the name of the table, where a source may have such a column, too."""
    if isinstance(tree, exp.Update | exp.Delete):
        others = tree.args.get("from_") or tree.args.get("using")
        own = None if others else tree.this
    else:
        has_one = isinstance(tree, exp.Select) and tree.args.get("from_") and not tree.args.get("joins")
        own = tree.args["from_"].this if has_one else None
    if own is None or not own.alias_or_name or own.args.get("joins"):
        return
    columns = [name for source in sources for name in _column_names(source)]
    for node in tree.walk(prune=lambda node: isinstance(node, exp.Query) and node is not tree):
        is_column = isinstance(node, exp.Column) and not node.table and not is_target(node)
        if is_column and VARIABLE not in node.meta and (node.name in columns or "*" in columns):
            node.set("table", exp.to_identifier(own.alias_or_name, quoted=_is_quoted(own)))


def _column_names(source: exp.Expr) -> list[str]:
    """Return the names of the columns of a source; `*` where they are not known."""
    query = source.this if isinstance(source, exp.Subquery | exp.Lateral) else None
    query = query.this if isinstance(query, exp.Subquery) else query
    return list(query.named_selects) if isinstance(query, exp.Query) else ["*"]


def _is_quoted(source: exp.Expr) -> bool:
    alias = source.args.get("alias")
    name = alias.this if isinstance(alias, exp.TableAlias) else source.this
    return isinstance(name, exp.Identifier) and bool(name.args.get("quoted"))


def _add_conditions(tree: exp.Expr, conditions: Sequence[exp.Expr]) -> None:
    if conditions:
        where = tree.args.get("where")
        tree.set("where", exp.Where(this=conjoin([where.this, *conditions] if where else conditions)))


def _add_to_joins(tree: exp.Expr, sources: Sequence[exp.Expr]) -> None:
    own = tree.args.get("from_")
    parts = [own, *(tree.args.get("joins") or ())] if own else []
    names = {source.alias_or_name for source in sources}
    if own and sources and any(column.table in names for part in parts for column in part.find_all(exp.Column)):
        # LATERAL and functions may refer to what is before them, ON to what it joins
        kind = "CROSS" if len(parts) > 1 else None
        first, *others = [*sources, own.this]
        tree.set("joins", [*(exp.Join(this=each, kind=kind) for each in others), *parts[1:]])
        tree.set("from_", exp.From(this=first))
        return
    pending = list(sources)
    if pending and not own:
        tree.set("from_", exp.From(this=pending.pop(0)))
    for source in pending:
        tree.append("joins", exp.Join(this=source))


def _add_to_from(tree: exp.Update, sources: Sequence[exp.Expr]) -> None:
    pending = list(sources)
    if pending and not tree.args.get("from_"):
        tree.set("from_", exp.From(this=pending.pop(0)))
    for source in pending:
        tree.args["from_"].this.append("joins", exp.Join(this=source))


def _add_to_using(tree: exp.Delete, sources: Sequence[exp.Expr]) -> None:
    if sources:
        using: Sequence[exp.Expr] = tree.args.get("using") or ()
        first, *others = [*using, *sources]
        for source in others:
            first.append("joins", exp.Join(this=source))
        tree.set("using", [first])


def _add_to_insert(tree: exp.Insert, sources: Sequence[exp.Expr], conditions: Sequence[exp.Expr]) -> exp.Expr:
    query = tree.expression
    if isinstance(query, exp.Values):
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row.unnest()] for row in query.expressions]
        if any(_is_default(value) for row in rows for value in row):
            return tree
        queries = [exp.Select(expressions=[value.copy() for value in row]) for row in rows]
        tree.set("expression", _union(queries, sources, conditions))
    elif isinstance(query, exp.Query):
        tree.set("expression", add_sources(query, sources, conditions))
    return tree


def _is_default(value: exp.Expr) -> bool:
    return isinstance(value, exp.Column | exp.Var) and value.name.upper() == "DEFAULT"


def _union(queries: Sequence[exp.Select], sources: Sequence[exp.Expr], conditions: Sequence[exp.Expr]) -> exp.Expr:
    found: exp.Expr | None = None
    for query in queries:
        joined = add_sources(query, [source.copy() for source in sources], conditions)
        found = joined if found is None else exp.Union(this=found, expression=joined, distinct=False)
    return found or exp.Select()


def _add_to_merge(tree: exp.Merge, sources: Sequence[exp.Expr], conditions: Sequence[exp.Expr]) -> exp.Expr:
    on = tree.args["on"]
    if sources:
        query = add_sources(exp.Select(expressions=[exp.Literal.number(1)]), sources, [on, *conditions])
        tree.set("on", exp.Exists(this=query))
    else:
        tree.set("on", conjoin([on, *conditions]))
    return tree


def _wrap(tree: exp.Expr, sources: Sequence[exp.Expr], conditions: Sequence[exp.Expr]) -> exp.Expr:
    """Return a query over any query, such as a UNION: the sources come first, for it may refer to them."""
    if not isinstance(tree, exp.Query):
        return tree
    alias = exp.TableAlias(this=exp.to_identifier("statement"))
    last = exp.Lateral(this=exp.Subquery(this=tree), alias=alias) if sources else exp.Subquery(this=tree, alias=alias)
    return add_sources(exp.Select(expressions=[exp.Star()]), [*sources, last], conditions)
