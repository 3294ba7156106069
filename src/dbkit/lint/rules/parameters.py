"""The rule on parameters without a value in what a revision has executed."""

from collections.abc import Iterator

from dbkit.findings.finding import Level
from dbkit.lint.rules.rule import Violation, statement_rule
from dbkit.lint.trace_reader import TracedStatement


@statement_rule("unbound-parameter", Level.DANGER)
def unbound_parameter_in_ddl(traced: TracedStatement) -> Iterator[Violation]:
    """Report a colon and a word in the text of a DDL construct, which became NULL without an error."""
    names = traced.statement.unbound
    if names:
        listed = ", ".join(f":{name}" for name in names)
        yield Violation(
            f"{listed} are taken for parameters, have no value, and are NULL in the SQL"
            if len(names) > 1
            else f"{listed} is taken for a parameter, has no value, and is NULL in the SQL",
            "SQLAlchemy reads a colon and a word in a text as a parameter, even within quotes, and renders one without"
            " a value as NULL in DDL: no error tells that the constraint, index or default is another one.",
            f'r"… \\:{names[0]} …"  # a backslash before the colon',
        )
