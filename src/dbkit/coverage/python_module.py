"""A Python file as source: its functions, its imports, and the values of its constants."""

import ast
import datetime
import decimal
import itertools
import operator
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from dbkit.coverage.python_syntax import last_name

FunctionDef: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
PROJECT_FILES = ("alembic.ini", "pyproject.toml", "setup.py", "setup.cfg", ".git")
"""A directory with one of these is the project's."""
SCALARS = (str, int, float, bool, bytes, decimal.Decimal, datetime.date, datetime.time, datetime.timedelta, uuid.UUID)
MAKERS: Mapping[str, Any] = {
    "date": datetime.date,
    "datetime": datetime.datetime,
    "time": datetime.time,
    "timedelta": datetime.timedelta,
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "tuple": tuple,
    "list": list,
    "set": lambda *items: list(*items),  # in the order of the source
    "frozenset": lambda *items: list(*items),
    "dict": dict,
    "OrderedDict": dict,
    "MappingProxyType": dict,
    "sorted": sorted,
    "reversed": lambda items: list(reversed(list(items))),
    "enumerate": lambda items, start=0: list(enumerate(items, start)),
    "zip": lambda *items: list(zip(*items, strict=False)),
    "range": lambda *limits: list(itertools.islice(range(*limits), MOST_ITEMS)),
    "str": str,
    "int": int,
    "float": float,
    "len": len,
}
NUMBERS = (int, float, decimal.Decimal, datetime.timedelta)
OPERATIONS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.BitOr: operator.or_,
}
METHODS = ("items", "keys", "values", "lower", "upper", "strip", "title", "get")
MOST_ITEMS = 1_000


class NotConstantError(ValueError):
    """The value of an expression depends on what the program does."""


@dataclass(frozen=True)
class Pattern:
    """A compiled regular expression."""

    text: str


class Record(tuple[Any, ...]):
    """An instance of a class with fields, such as a dataclass."""

    names: tuple[str, ...] = ()


@dataclass
class Module:
    """A file, parsed."""

    path: Path
    tree: ast.Module
    functions: dict[str, FunctionDef] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    """Dotted names by the name in the file."""


def read_module(path: Path) -> Module:
    """Parse a file; without content where it cannot be read."""
    try:
        return _parse_module(path, path.read_bytes())
    except OSError:
        return _parse_module(path, b"")


@lru_cache(maxsize=64)
def _parse_module(path: Path, source: bytes) -> Module:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        tree = ast.Module([], [])
    module = Module(path, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module.imports[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom):
            package = _absolute_package(node, path)
            module.imports |= {each.asname or each.name: f"{package}.{each.name}" for each in node.names}
        elif isinstance(node, FunctionDef):
            module.functions.setdefault(node.name, node)
        elif isinstance(node, ast.ClassDef):
            module.classes[node.name] = node
    for statement in tree.body:
        _read_constant(statement, module)
    return module


def _absolute_package(node: ast.ImportFrom, path: Path) -> str:
    """Return the package of an import; for a relative one, by the module that was loaded from the file."""
    if not node.level:
        return node.module or ""
    own = next(
        (name for name, module in list(sys.modules.items()) if getattr(module, "__file__", None) == str(path)), ""
    )
    parents = own.split(".")[: -node.level]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _read_constant(statement: ast.stmt, module: Module) -> None:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value:
        targets = [statement.target]
    if not targets or not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
        return
    try:
        value = evaluate(statement.value, module, {})
    except NotConstantError:
        return
    module.constants |= {target.id: value for target in targets if isinstance(target, ast.Name)}


def find_imported(module: Module, name: str) -> Module | None:
    """Return the file of a loaded module of the same project; None for others."""
    loaded = sys.modules.get(name)
    file = getattr(loaded, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py"):
        return None
    path = Path(file)
    is_own = path.is_relative_to(_find_project(module.path)) and "site-packages" not in path.parts
    return read_module(path) if is_own else None


@lru_cache(maxsize=64)
def _find_project(path: Path) -> Path:
    """Return the directory of the project that a file belongs to."""
    parents = list(path.absolute().parents)
    return next((each for each in parents if any((each / name).exists() for name in PROJECT_FILES)), parents[0])


def evaluate(node: ast.expr, module: Module, names: Mapping[str, Any]) -> Any:
    """Return the value of a constant expression. Raises NotConstantError."""
    try:
        return _evaluate(node, module, names)
    except NotConstantError:
        raise
    except Exception as error:  # whatever an operation on these values raises
        raise NotConstantError(str(error)) from error


def _evaluate(node: ast.expr, module: Module, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, SCALARS):
            return value
        case ast.Name(id=name) if name in names or name in module.constants:
            return names[name] if name in names else module.constants[name]
        case ast.Tuple() | ast.List() | ast.Set() | ast.Dict():
            return _evaluate_display(node, module, names)
        case ast.UnaryOp() | ast.BinOp():
            return _evaluate_operation(node, module, names)
        case ast.Subscript(value=value, slice=key):
            return _evaluate(value, module, names)[_evaluate(key, module, names)]
        case ast.Attribute():
            return _evaluate_attribute(node, module, names)
        case ast.Call():
            return _evaluate_call(node, module, names)
        case ast.DictComp() | ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
            return _evaluate_comprehension(node, module, names)
    raise NotConstantError(type(node).__name__)


def _evaluate_operation(node: ast.UnaryOp | ast.BinOp, module: Module, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.USub):
            return -_evaluate(node.operand, module, names)
    elif operation := OPERATIONS.get(type(node.op)):
        left, right = _evaluate(node.left, module, names), _evaluate(node.right, module, names)
        if not isinstance(node.op, ast.Mult) or (isinstance(left, NUMBERS) and isinstance(right, NUMBERS)):
            return operation(left, right)
    raise NotConstantError("an operation")


def _evaluate_display(
    node: ast.Tuple | ast.List | ast.Set | ast.Dict, module: Module, names: Mapping[str, Any]
) -> tuple[Any, ...] | list[Any] | dict[Any, Any]:
    if isinstance(node, ast.Dict):
        return _evaluate_dict(node.keys, node.values, module, names)
    items = list(_evaluate_items(node.elts, module, names))
    return tuple(items) if isinstance(node, ast.Tuple) else items


def _evaluate_items(nodes: Iterable[ast.expr], module: Module, names: Mapping[str, Any]) -> Iterator[Any]:
    for node in nodes:
        if isinstance(node, ast.Starred):
            yield from _evaluate(node.value, module, names)
        else:
            yield _evaluate(node, module, names)


def _evaluate_dict(
    keys: list[ast.expr | None], values: list[ast.expr], module: Module, names: Mapping[str, Any]
) -> dict[Any, Any]:
    """Return a dict, in which values that are not constant, such as functions, are None."""
    found: dict[Any, Any] = {}
    for key, value in zip(keys, values, strict=True):
        if key is None:
            found |= _evaluate(value, module, names)
            continue
        try:
            item = _evaluate(value, module, names)
        except NotConstantError:
            item = None
        found[_evaluate(key, module, names)] = item
    return found


def _evaluate_attribute(node: ast.Attribute, module: Module, names: Mapping[str, Any]) -> Any:
    if isinstance(node.value, ast.Name) and node.value.id in module.classes:
        for statement in module.classes[node.value.id].body:
            if isinstance(statement, ast.Assign) and any(last_name(each) == node.attr for each in statement.targets):
                return _evaluate(statement.value, module, names)
        raise NotConstantError(node.attr)
    if node.attr == "utc" and last_name(node.value) == "timezone":
        return datetime.timezone.utc
    value = _evaluate(node.value, module, names)
    if isinstance(value, Record) and node.attr in value.names:
        return value[value.names.index(node.attr)]
    if node.attr == "value":
        return value  # of an Enum
    raise NotConstantError(node.attr)


def _evaluate_call(node: ast.Call, module: Module, names: Mapping[str, Any]) -> Any:
    arguments = list(_evaluate_items(node.args, module, names))
    keywords = {each.arg: _evaluate(each.value, module, names) for each in node.keywords if each.arg}
    name = last_name(node.func)
    if name == "compile" and arguments and isinstance(arguments[0], str):
        re.compile(arguments[0])
        return Pattern(arguments[0])
    if isinstance(node.func, ast.Name) and name in module.classes:
        return _make_record(module.classes[name], arguments, keywords)
    if name in MAKERS:
        return MAKERS[name](*arguments, **keywords)
    if isinstance(node.func, ast.Attribute) and name in METHODS:
        found = getattr(_evaluate(node.func.value, module, names), name)(*arguments)
        return list(found) if name in ("items", "keys", "values") else found
    raise NotConstantError(name)


def _make_record(definition: ast.ClassDef, arguments: list[Any], keywords: dict[str, Any]) -> Record:
    fields = {
        last_name(each.target): each.value for each in definition.body if isinstance(each, ast.AnnAssign)
    }  # fmt: skip
    values = dict(zip(fields, arguments, strict=False)) | keywords
    record = Record(values.get(name) for name in fields)
    record.names = tuple(fields)
    return record


def _evaluate_comprehension(
    node: ast.DictComp | ast.ListComp | ast.SetComp | ast.GeneratorExp, module: Module, names: Mapping[str, Any]
) -> Any:
    (generator, *others) = node.generators
    if others or generator.ifs:
        raise NotConstantError("a nested comprehension")
    results = []
    for item in itertools.islice(_evaluate(generator.iter, module, names), MOST_ITEMS):
        inside = {**names, **unpack(generator.target, item)}
        if isinstance(node, ast.DictComp):
            results.append((_evaluate(node.key, module, inside), _evaluate(node.value, module, inside)))
        else:
            results.append(_evaluate(node.elt, module, inside))
    return dict(results) if isinstance(node, ast.DictComp) else results


def unpack(target: ast.expr, value: Any) -> dict[str, Any]:
    """Return the names that an assignment of a constant sets, with their values."""
    if isinstance(target, ast.Name):
        return {target.id: value}
    if isinstance(target, ast.Tuple | ast.List):
        found: dict[str, Any] = {}
        for each, item in zip(target.elts, value, strict=False):
            found |= unpack(each, item)
        return found
    return {}
