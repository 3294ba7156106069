"""The rows that a data statement touches, as a query: a SELECT with its FROM and WHERE, which nothing executes.

The planner's estimate of that query takes no lock but ACCESS SHARE; EXPLAIN of the statement itself would take the
lock of a write.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import exp

from dbkit.coverage.syntax import PlainPostgres

logging.getLogger("sqlglot").setLevel(logging.ERROR)
DATA = (exp.Update, exp.Delete, exp.Insert, exp.Merge)
UNREAD = "the statement could not be read"


@dataclass(frozen=True)
class RowQuery:
    """A data statement: its verb, its table, and the query for its rows, where that could be written."""

    verb: str
    table: str
    query: exp.Query | None = None
    reason: str = ""
    """Why there is no query."""

    def render(self, schema_of: Callable[[str], str | None], added: Collection[str]) -> str:
        """Return the query as SQL, with the names of tables and types qualified by `schema_of`.

        `added`: columns that the database does not have yet; they are NULL in every row.
        """
        query = self.query.copy() if self.query else exp.Select()
        defined = {each.alias for each in query.find_all(exp.CTE)}
        for table in query.find_all(exp.Table):
            if not table.db and isinstance(table.this, exp.Identifier) and table.name not in defined:
                schema = schema_of(_name_of(table.this))
                if schema:
                    table.set("db", exp.to_identifier(schema, quoted=True))
        for kind in query.find_all(exp.DataType):
            name = kind.args.get("kind")
            if kind.this == exp.DataType.Type.USERDEFINED and isinstance(name, exp.Identifier):
                schema = schema_of(_name_of(name))
                if schema:
                    kind.set("kind", exp.Dot(this=exp.to_identifier(schema, quoted=True), expression=name.copy()))
        for column in list(query.find_all(exp.Column)):
            if isinstance(column.this, exp.Identifier) and _name_of(column.this) in added:
                column.replace(exp.null())
        return query.sql(dialect="postgres")

    def names(self) -> set[str]:
        """Return the names, without a schema, of its tables and types."""
        query = self.query or exp.Select()
        tables = {_name_of(each.this) for each in query.find_all(exp.Table) if isinstance(each.this, exp.Identifier)}
        kinds = (each.args.get("kind") for each in query.find_all(exp.DataType))
        return tables | {_name_of(each) for each in kinds if isinstance(each, exp.Identifier)}


def read_row_query(sql: str) -> RowQuery:
    """Return the query for the rows that a data statement touches."""
    try:
        tree = sqlglot.parse_one(sql, read=PlainPostgres)
    except (sqlglot.errors.SqlglotError, RecursionError):
        return RowQuery("run", "", reason=UNREAD)
    statement = tree if isinstance(tree, (*DATA, exp.Create)) else tree.find(*DATA)
    if isinstance(statement, exp.Insert | exp.Create) and _has_data_statement(statement):
        # what an outer INSERT copies are the rows that the inner statement returns
        statement = next(each for each in statement.find_all(*DATA) if each is not statement)
    if statement is None or isinstance(tree, exp.Command):
        return RowQuery("run", "", reason="how many rows a block of code touches is not estimated")
    verb = "insert" if isinstance(statement, exp.Create) else statement.key
    target = statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
    table = ".".join(part.name for part in target.parts) if isinstance(target, exp.Table) else ""
    query = _make_query(statement)
    if query is None or _has_data_statement(query) or not table:
        return RowQuery(verb, table, reason=UNREAD)
    for select in query.find_all(exp.Select):
        # FOR UPDATE would lock the table for writes
        select.set("locks", None)
    return RowQuery(verb, table, query)


@cache
def read_assigned_columns(sql: str) -> tuple[str, set[str]]:
    """Return the table of an UPDATE, without its schema, and the columns that SET names; none where it is not clear."""
    try:
        tree = sqlglot.parse_one(sql, read=PlainPostgres)
    except (sqlglot.errors.SqlglotError, RecursionError):
        return "", set()
    if not isinstance(tree, exp.Update) or not isinstance(tree.this.this, exp.Identifier):
        return "", set()
    targets = [each.this for each in tree.expressions if isinstance(each, exp.EQ)]
    named = [part for each in targets for part in (each.expressions if isinstance(each, exp.Tuple) else [each])]
    if len(targets) < len(tree.expressions) or not all(isinstance(each, exp.Column) for each in named):
        return "", set()
    return _name_of(tree.this.this), {_name_of(each.this) for each in named}


def _make_query(statement: exp.Expr) -> exp.Query | None:
    if isinstance(statement, exp.Insert | exp.Create):
        return _with_ctes(statement.expression, statement) if isinstance(statement.expression, exp.Query) else None
    if isinstance(statement, exp.Merge):
        is_matched = all(each.args.get("matched") for each in statement.args["whens"].expressions)
        return _select(statement, statement.args["using"], [statement.this] if is_matched else [], statement.args["on"])
    where = statement.args.get("where")
    source = statement.args.get("from_")
    others = [source.this] if source else statement.args.get("using") or []
    return _select(statement, statement.this, others, where.this if where else None)


def _select(statement: exp.Expr, first: exp.Expr, others: Collection[exp.Expr], where: exp.Expr | None) -> exp.Query:
    query = exp.Select(
        expressions=[exp.Literal.number(1)],
        from_=exp.From(this=first.copy()),
        joins=[exp.Join(this=each.copy()) for each in others],
    )
    if where is not None and (others or not isinstance(statement, exp.Merge)):
        query.set("where", exp.Where(this=where.copy()))
    return _with_ctes(query, statement)


def _with_ctes(query: exp.Query, statement: exp.Expr) -> exp.Query:
    copied = query.copy()
    if statement.args.get("with_") and not copied.args.get("with_"):
        copied.set("with_", statement.args["with_"].copy())
    return copied


def _has_data_statement(tree: exp.Expr) -> bool:
    return any(each is not tree for each in tree.find_all(*DATA))


def _name_of(identifier: exp.Expr) -> str:
    """Return a name as the catalog has it."""
    return identifier.name if identifier.args.get("quoted") else identifier.name.lower()
