"""Render SQLAlchemy's types as Python."""

import ast
import sys
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

POSTGRESQL_IMPORT = "from sqlalchemy.dialects import postgresql"
USUAL_ARGUMENTS = {"astext_type", "text_type"}
"""What JSON, JSONB and HSTORE always show; it has no effect on the database."""


@dataclass(frozen=True)
class TypeCode:
    """An expression that makes a type."""

    text: str
    imports: frozenset[str] = frozenset()
    """Lines, without `import sqlalchemy as sa`."""
    modules: frozenset[str] = frozenset()
    """The modules of libraries that it names."""


def render_type(type_: TypeEngine[Any], user_prefix: str | None = None) -> TypeCode:
    """Render a type without variants. Raises ValueError where its repr() is no call with plain arguments.

    With `user_prefix`, that is written before types of libraries, and their module is not imported.
    """
    renderer = _Renderer(user_prefix)
    text = renderer.render(type_)
    imports = {f"import {name}" for name in renderer.modules}
    if renderer.uses_postgresql:
        imports.add(POSTGRESQL_IMPORT)
    return TypeCode(text, frozenset(imports), frozenset(renderer.modules))


class _Renderer:
    def __init__(self, user_prefix: str | None) -> None:
        self.user_prefix = user_prefix
        self.modules: set[str] = set()
        self.uses_postgresql = False

    def render(self, type_: TypeEngine[Any]) -> str:
        if isinstance(type_, sa.ARRAY):
            more = "" if type_.dimensions is None else f", dimensions={type_.dimensions}"
            return f"{self.locate(postgresql.ARRAY)}({self.render(type_.item_type)}{more})"
        if isinstance(type_, postgresql.DOMAIN):
            return self.call(type_, [repr(type_.name), self.render(type_.data_type)], _named_options(type_))
        if isinstance(type_, postgresql.ENUM):
            return self.call(type_, map(repr, type_.enums), [f"name={type_.name!r}", *_named_options(type_)])
        return ast.unparse(self.qualify(type_))

    def call(self, type_: TypeEngine[Any], arguments: Any, options: list[str]) -> str:
        return f"{self.locate(type(type_))}({', '.join([*arguments, *options])})"

    def locate(self, kind: type) -> str:
        """The name of a class in a revision."""
        if getattr(sa, kind.__name__, None) is kind:
            return f"sa.{kind.__name__}"
        if getattr(postgresql, kind.__name__, None) is kind:
            self.uses_postgresql = True
            return f"postgresql.{kind.__name__}"
        if self.user_prefix is not None:
            return f"{self.user_prefix}{kind.__qualname__}"
        module = _find_module(kind)
        self.modules.add(module)
        return f"{module}.{kind.__qualname__}"

    def qualify(self, type_: TypeEngine[Any]) -> ast.expr:
        """The repr() of a type as a call of its class, with the module of that and of the types in its arguments."""
        call = ast.parse(repr(type_), mode="eval").body
        if not isinstance(call, ast.Call):
            raise ValueError(f"{type_!r} is no call")
        call.func = ast.parse(self.locate(type(type_)), mode="eval").body
        call.keywords = [each for each in call.keywords if each.arg not in USUAL_ARGUMENTS]
        for value in [*call.args, *(each.value for each in call.keywords)]:
            ast.literal_eval(value)
        return call


def _named_options(type_: Any) -> list[str]:
    schema = [] if type_.schema is None else [f"schema={str(type_.schema)!r}"]
    return [*schema, *([] if type_.create_type else ["create_type=False"])]


def _find_module(kind: type) -> str:
    """The shortest name of a module that has a class."""
    names = kind.__module__.split(".")
    for length in range(1, len(names) + 1):
        module = ".".join(names[:length])
        if getattr(sys.modules.get(module), kind.__qualname__, None) is kind and names[0] != "sqlalchemy":
            return module
    raise ValueError(f"{kind} cannot be imported")
