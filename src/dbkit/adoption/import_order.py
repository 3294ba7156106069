"""Where a linter wants an import: its group, its place within it, and what may come before the last import."""

import ast
import sys
from collections.abc import Sequence

from dbkit.adoption.executed import dotted_name
from dbkit.adoption.lines import Unit
from dbkit.adoption.project_modules import ProjectModules
from dbkit.backports import TryStar

OURS = "dbkit"
IMPORTS = (ast.Import, ast.ImportFrom)
COMPOUND = (ast.If, ast.Try, TryStar, ast.With, ast.For, ast.While, ast.Match)
PATHS = ("sys.path.", "os.environ.", "site.addsitedir")


def find_place(units: Sequence[Unit], at: int, modules: ProjectModules, *, may_move: bool) -> tuple[int, bool]:
    """Return beside which unit `from dbkit import gate` belongs, and whether before it.

    `at` is the import of Alembic's context. Where other code comes before it, as `load_dotenv()`, linters want no
    import there; one above that code is chosen if it `may_move`. Where a directory of the project is called alembic,
    linters take the import for one of the project's modules, and dbkit is sorted into the group of the packages.
    """
    if not _is_import(units[at]):
        return at, True  # a statement that shares its line
    code = next((number for number in range(at) if not all(map(may_precede_imports, units[number].statements))), at)
    above = [number for number in range(code) if _is_import(units[number])]
    around = [number for number in range(len(units)) if _is_same_block(units, number, at)]
    searched = (above if code < at and may_move else []) + (around if kind_of(units[at], modules) == "own" else [])
    for number in searched:
        if kind_of(units[number], modules) == "package":
            return _place_in(units, _group(units, number), number, modules)
    return _place_in(units, _group(units, at), at, modules)


def _place_in(units: Sequence[Unit], group: Sequence[int], start: int, modules: ProjectModules) -> tuple[int, bool]:
    """Return the last unit that is sorted before dbkit, from `start` on; or the first one, and that it is before it."""
    forms = [isinstance(units[number].statements[0], ast.Import) for number in group]
    is_by_form = forms == sorted(forms, reverse=True)  # `import x` before `from x import y`, as isort sorts
    found = -1
    for number, is_plain in zip(group, forms, strict=True):
        if number < start:
            continue
        is_passed = kind_of(units[number], modules) == "own" and kind_of(units[start], modules) != "own"
        if is_passed or not ((is_by_form and is_plain) or module_of(units[number]) <= OURS):
            break
        found = number
    return (start, True) if found < 0 else (found, False)


def _is_same_block(units: Sequence[Unit], number: int, at: int) -> bool:
    """Whether only imports are between two units, and they are imports themselves."""
    first, last = sorted((number, at))
    return all(map(_is_import, units[first : last + 1]))


def _group(units: Sequence[Unit], at: int) -> list[int]:
    """Return the units of imports around a unit, without an empty line between them."""
    first = last = at
    while first and _is_import(units[first - 1]) and units[first - 1].last + 1 >= units[first].first:
        first -= 1
    while last + 1 < len(units) and _is_import(units[last + 1]) and units[last].last + 1 >= units[last + 1].first:
        last += 1
    return list(range(first, last + 1))


def _is_import(unit: Unit) -> bool:
    return all(isinstance(each, IMPORTS) for each in unit.statements)


def module_of(unit: Unit) -> str:
    """Return the name of the module that the first statement of a unit imports."""
    statement = unit.statements[0]
    if isinstance(statement, ast.ImportFrom):
        return f"{'.' * statement.level}{statement.module or ''}".lower()
    return statement.names[0].name.lower() if isinstance(statement, ast.Import) else ""


def kind_of(unit: Unit, modules: ProjectModules) -> str:
    """Return what a linter takes a module for: "future", "standard", "package" or "own"."""
    first = module_of(unit).partition(".")[0]
    if first == "__future__":
        return "future"
    if first in sys.stdlib_module_names:
        return "standard"
    if not first or modules.has(first):
        return "own"
    return "package"


def has_import(statement: ast.stmt) -> bool:
    """Whether a statement imports, itself or within a block."""
    if isinstance(statement, IMPORTS):
        return True
    return isinstance(statement, COMPOUND) and any(isinstance(each, IMPORTS) for each in ast.walk(statement))


def may_precede_imports(statement: ast.stmt) -> bool:
    """Whether linters allow an import after a statement: one of their exceptions from `E402`."""
    if isinstance(statement, (*IMPORTS, *COMPOUND)):
        return True
    if isinstance(statement, ast.Expr):
        call = statement.value
        return isinstance(call, ast.Constant) or (
            isinstance(call, ast.Call) and dotted_name(call.func).startswith(PATHS)
        )
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return all(_name_of_target(target).startswith((*PATHS, "__")) for target in targets)


def _name_of_target(target: ast.AST | None) -> str:
    """Return the name of what is assigned to: os.environ of `os.environ["A"]`."""
    return dotted_name(target.value if isinstance(target, ast.Subscript) else target) + "."
