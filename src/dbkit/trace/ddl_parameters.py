"""Parameters without a value in the text of a DDL construct, which SQLAlchemy renders as NULL."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.compiler import DDLCompiler
from sqlalchemy.sql.elements import BindParameter


def find_unbound_parameters(context: Any, statement: str) -> tuple[str, ...]:
    """Return the names of the parameters that have no value in a DDL construct which was executed.

    `context`: SQLAlchemy's, of the execution. The construct is compiled once more, to see which become literals.
    """
    compiled = getattr(context, "compiled", None)
    if not isinstance(compiled, DDLCompiler) or "NULL" not in statement or compiled.statement is None:
        return ()
    names: dict[str, None] = {}
    again = type(compiled)(compiled.dialect, None, schema_translate_map=compiled.schema_translate_map)  # type: ignore[arg-type]
    literals = again.sql_compiler
    render: Callable[..., str] = literals.render_literal_bindparam

    def note_unbound(bindparam: BindParameter[Any], *arguments: Any, **options: Any) -> str:
        if bindparam.required and bindparam.value is None and bindparam.callable is None:
            names.setdefault(bindparam.key)
        return render(bindparam, *arguments, **options)

    literals.render_literal_bindparam = note_unbound  # type: ignore[method-assign]
    # a construct of the project may compile in its own way, and not twice
    with suppress(SQLAlchemyError, AttributeError, KeyError, TypeError, ValueError):
        again.process(compiled.statement)
    return tuple(names)
