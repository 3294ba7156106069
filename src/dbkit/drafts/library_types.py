"""Types of libraries that SQLAlchemy does not have itself, such as those of pgvector."""

import inspect
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from dbkit.drafts.type_code import render_type

Type = TypeEngine[Any]


def make_library_type(text: str, model: Type | None, dialect: Dialect) -> Type | None:
    """Return a library's type for the name of a type, such as `vector(3)`; None where no library has it.

    That is the type of the model's column, or of the elements of its array, or one that a library has registered with
    the dialect. A revision can import it, and its repr() makes it again.
    """
    given = getattr(model, "item_type", model)
    for candidate in (given, _make_registered(text, dialect)):
        if candidate is not None and _is_of_library(type(candidate)):
            made = _evaluate(candidate)
            if made is not None and not hasattr(made, "spatial_index"):  # geoalchemy2 makes an index with the table
                return made
    return None


def _make_registered(text: str, dialect: Dialect) -> Type | None:
    match = re.fullmatch(r'(?:\w+\.)?(?P<name>[^("]+)(?:\((?P<arguments>[^()]*)\))?', text)
    kind = dialect.ischema_names.get(match["name"]) if match else None  # type: ignore[attr-defined]
    if match is None or not isinstance(kind, type):
        return None
    arguments = [each.strip() for each in (match["arguments"] or "").split(",") if each.strip()]
    try:
        return kind(*(int(each) if each.lstrip("-").isdigit() else each for each in arguments))  # type: ignore[no-any-return]
    except Exception:  # its code may raise anything
        return None


def _is_of_library(kind: type) -> bool:
    """Whether a class belongs to an installed package, but not to SQLAlchemy, and is no TypeDecorator."""
    if issubclass(kind, TypeDecorator) or kind.__module__.partition(".")[0] == "sqlalchemy":
        return False
    try:
        source = inspect.getfile(kind)
    except (TypeError, OSError):
        return False
    places = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    return any(place in Path(source).resolve().parents for place in places)


def _evaluate(candidate: Type) -> Type | None:
    """The type that its code in a revision makes; None where that code makes none."""
    try:
        code = render_type(candidate)
        namespace = {name.partition(".")[0]: sys.modules[name.partition(".")[0]] for name in code.modules}
        made = eval(code.text, {"sa": sa, **namespace})  # noqa: S307  # repr() of a library's type
    except Exception:  # its code may raise anything
        return None
    return made if isinstance(made, TypeEngine) else None
