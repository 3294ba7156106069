"""Put the gate into an env.py, and take it out: at most three lines, and not a byte of the others changes.

The place is found in the syntax tree, and the lines are inserted into the bytes. The result is parsed again: it must be
the same program but for the two statements.
"""

import ast
import itertools
import os
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dbkit.adoption import import_order
from dbkit.adoption.change import Change
from dbkit.adoption.executed import Code, dotted_name, is_for_type_checkers
from dbkit.adoption.generated import require_edited_by_hand
from dbkit.adoption.lines import Lines, Unit
from dbkit.adoption.project_modules import ProjectModules
from dbkit.adoption.site import Site
from dbkit.backports import TryStar
from dbkit.errors import InputError
from dbkit.project import env_file

PART = "gate"
BY_HAND = """\
Put it in by hand, after the import of Alembic's context and before anything is configured:
    from alembic import context
    from dbkit import gate
    gate.install(context)"""
DIRECTIVE = re.compile(rb"\s*#.*(?:noqa(?!\S)(?!:)|noqa:.*\bE402\b|isort: ?skip|wrong-import-position).*")
"""A comment by which a linter accepts the place of an import: it is for ours, too."""
INSTALLED = frozenset(("site-packages", "dist-packages"))
IMPORTS = (ast.Import, ast.ImportFrom)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
BLOCKS = (ast.If, ast.Try, TryStar, ast.With, ast.AsyncWith)


def plan(site: Site) -> list[Change]:
    """Plan the gate in env.py. Raises InputError, with the lines to put in by hand, where it cannot be edited."""
    path = env_file.find_env_file(site.script_directory)
    if path.suffix != ".py":
        if env_file.has_gate(site.script_directory):
            return [Change(path, PART, b"", b"")]
        raise InputError(f"{path} is bytecode, and its source is not here.", BY_HAND)
    before = path.read_bytes()
    modules = modules_of(site)
    after = add_gate(before, path, modules)
    if after != before:
        require_edited_by_hand(path, site, BY_HAND)
    return [Change(path, PART, before, after, note=_note_early(before, path, modules))]


def plan_undo(site: Site) -> list[Change]:
    """Plan to take the gate out of env.py again."""
    path = site.script_directory / "env.py"
    if not path.is_file():
        return []
    before = path.read_bytes()
    if b"dbkit" not in before:
        return []
    after = remove_gate(before, path, modules_of(site))
    if after is None:
        left = "the gate is not as `dbkit adopt` writes it: remove its import and its call by hand"
        return [Change(path, PART, before, before, left=left)]
    return [Change(path, PART, before, after)]


def modules_of(site: Site) -> ProjectModules:
    """Return the modules that are the project's own: below its directories and those of prepend_sys_path."""
    places = dict.fromkeys((site.directory, site.repository))
    roots = [path for place in places for path in (place, place / "src")]
    found = [Path(os.path.abspath(path)) for path in sys.path]  # noqa: PTH100  # Alembic has added prepend_sys_path
    roots += [path for path in found if site.repository in path.parents and not INSTALLED & set(path.parts)]
    return ProjectModules(tuple(dict.fromkeys(roots)))


def add_gate(source: bytes, path: Path, modules: ProjectModules) -> bytes:
    """Return an env.py with the gate; one that has it already, as it is.

    `modules` are the project's own: they have their place in the order of imports, and the gate comes before one that
    connects. Raises InputError, with the lines to put in by hand, where there is no safe place.
    """
    return _add_gate(source, path, modules, None)


def _add_gate(source: bytes, path: Path, modules: ProjectModules, call_first: bool | None) -> bytes:
    """Return what `add_gate` returns; `call_first`: whether the call comes before the inserted empty line."""
    tree = _parse(source, path)
    if _calls_gate(tree):
        return source
    if modules.has("dbkit"):
        raise InputError(
            f"the project has a module dbkit, which {path} would import in the place of this one.", BY_HAND
        )
    place = _find_place(tree, path)
    lines = Lines(source)
    code = Code(tree, place.context)
    units = lines.units(place.body)
    at = next(number for number, unit in enumerate(units) if place.statement in unit.statements)
    for unit in units[:at]:
        if any(map(code.connects, unit.statements)):
            line = unit.first
            raise InputError(f"{path}, line {line}: it connects before it imports Alembic's context.", BY_HAND)
    if any(map(code.is_too_late_after, units[at].statements)):
        line = units[at].first
        raise InputError(f"{path}, line {line}: Alembic is configured in the line that imports its context.", BY_HAND)
    last = _last_import(units, at, code, modules)
    indent = lines.indent_of(units[at])
    present = _find_present(units, at, last, code)
    if present:
        last, name = present
        # by the comment --undo tells it from one that was put in by hand, as the documentation has it
        lines.insert_after(units[last].last, "", f"{indent}{name}.install({place.context})  # dbkit adopt")
        return _require_same_program(tree, lines.content(), name, path, imports=0)
    name = _free_name(tree, modules)
    directive = lines.find_comment(units[at], DIRECTIVE)
    imported = f"{indent}from dbkit import gate{'' if name == 'gate' else f' as {name}'}{directive}"
    call = f"{indent}{name}.install({place.context})"
    number, is_before = last, False
    if isinstance(place.statement, IMPORTS):
        number, is_before = import_order.find_place(units, at, modules, may_move=not directive)
    if number > last or (number == last and not is_before):
        lines.insert_after(units[last].last, imported)
    else:
        insert = lines.insert_before if is_before else lines.insert_after
        insert(units[number].first if is_before else units[number].last, imported)
    _insert_call(lines, units, last, call, call_first)
    return _require_same_program(tree, lines.content(), name, path, imports=1)


def _insert_call(lines: Lines, units: Sequence[Unit], last: int, call: str, call_first: bool | None) -> None:
    """Insert the call after the imports, and an empty line before it; or after it, with None where that is usual."""
    end = units[last].last
    following = units[last + 1].statements[0] if last + 1 < len(units) else None
    blanks = lines.count_blank_after(end)
    if call_first is None:
        call_first = not isinstance(following, DEFINITIONS)
    if call_first and blanks > 1:  # as isort's lines_after_imports = 2
        lines.insert_after(end + blanks, call, "")
    else:
        lines.insert_after(end, "", call)


def remove_gate(source: bytes, path: Path, modules: ProjectModules) -> bytes | None:
    """Return an env.py without the lines that `add_gate` has inserted; None where they are not as it writes them."""
    tree = _parse(source, path)
    lines = Lines(source)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) and _name_of_gate(node)]
    if len(imports) != 1:
        return None
    name = _name_of_gate(imports[0])
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and _is_install(node, name)]
    if len(calls) != 1 or calls[0].lineno < 2:
        return None
    line = calls[0].lineno
    # the empty line is before or after it, and the import may have been there before
    for numbers in ({imports[0].lineno, line - 1, line}, {imports[0].lineno, line, line + 1}, {line - 1, line}):
        for end_before, call_first in itertools.product((True, False), repeat=2):
            candidate = lines.without(numbers, end_before=end_before)
            with suppress(InputError):
                if _add_gate(candidate, path, modules, call_first) == source:
                    return candidate
    return None


def _note_early(source: bytes, path: Path, modules: ProjectModules) -> str:
    """Return a note on an import that connects before Alembic's context is imported, and so before the gate."""
    tree = _parse(source, path)
    place = _find_place(tree, path)
    for each in place.body[: place.body.index(place.statement)]:
        if modules.connects(each):
            return (
                f"(line {each.lineno} imports what connects: move the import of Alembic's context and the gate above "
                "it, or dbkit's verbs refuse that connection)"
            )
    return ""


@dataclass(frozen=True)
class _Place:
    """Where Alembic's context is imported."""

    context: str
    """The expression that is the context."""
    body: Sequence[ast.stmt]
    """The statements among which the lines are inserted."""
    statement: ast.stmt
    """The one of these that imports the context, itself or within."""


def _find_place(tree: ast.Module, path: Path) -> _Place:
    found = _find_import(tree.body)
    if found is None:
        raise InputError(f"{path} does not import Alembic's context at its top level.", BY_HAND)
    context, way = found
    code = Code(tree, context)
    body, statement = way[0]
    # a block that only imports is taken for the import; in one that does more, the gate is put within
    if not isinstance(statement, IMPORTS) and code.configures(statement):
        body, statement = way[-1]
    return _Place(context, body, statement)


def _find_import(body: Sequence[ast.stmt]) -> tuple[str, list[tuple[Sequence[ast.stmt], ast.stmt]]] | None:
    """Return the expression of the context, and the blocks that lead to its import, the outermost first."""
    for statement in body:
        if context := _context_of(statement):
            return context, [(body, statement)]
        for inner in _blocks_of(statement):
            if found := _find_import(inner):
                return found[0], [(body, statement), *found[1]]
    return None


def _blocks_of(statement: ast.stmt) -> list[list[ast.stmt]]:
    if not isinstance(statement, BLOCKS):
        return []
    blocks = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    if isinstance(statement, ast.If) and is_for_type_checkers(statement):
        blocks[0] = []
    return blocks


def _context_of(statement: ast.stmt) -> str:
    """Return the expression that is Alembic's context after an import statement; "" where it does not import it."""
    if isinstance(statement, ast.ImportFrom) and statement.module == "alembic" and not statement.level:
        for each in statement.names:
            if each.name in ("context", "*"):
                return each.asname or "context"
    if isinstance(statement, ast.Import):
        for each in statement.names:
            if each.name == "alembic.context":
                return each.asname or each.name
            if each.name == "alembic":
                return f"{each.asname or each.name}.context"
    return ""


def _last_import(units: Sequence[Unit], at: int, code: Code, modules: ProjectModules) -> int:
    """Return the number of the last unit of imports before the first statement that a linter takes for other code.

    The import of a module that connects is not among them.
    """
    last = at
    for number in range(at + 1, len(units)):
        statements = units[number].statements
        if any(map(code.is_too_late_after, statements)) or not all(map(import_order.may_precede_imports, statements)):
            break
        if any(map(modules.connects, statements)):
            break
        if any(map(import_order.has_import, statements)):
            last = number
    return last


def _find_present(units: Sequence[Unit], at: int, last: int, code: Code) -> tuple[int, str] | None:
    """Return the unit after which an import of the gate that is there can be called, and its name; None without one."""
    for number, unit in enumerate(units):
        for statement in unit.statements:
            name = _name_of_gate(statement)
            between = (each for other in units[at + 1 : number + 1] for each in other.statements)
            if name and not any(map(code.is_too_late_after, between)):
                return max(number, last), name
    return None


def _free_name(tree: ast.Module, modules: ProjectModules) -> str:
    """Return `gate`, or a name like it where the module has a `gate` already, or may get one by `import *`."""
    names = {"gate"} if any(modules.exports(node, "gate") for node in ast.walk(tree)) else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            names.add(str(node.name))
        elif isinstance(node, ast.Global | ast.Nonlocal):
            names.update(node.names)
    if "gate" not in names:
        return "gate"
    name = "dbkit_gate"
    while name in names:
        name += "_"
    return name


def _calls_gate(tree: ast.Module) -> bool:
    """Whether an env.py imports the gate, in any spelling, and calls it."""
    calls = (dotted_name(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    if any(name in ("dbkit.gate.install", "dbkit.gate.run") for name in calls):
        return True
    imports = any(map(env_file.imports_gate, ast.walk(tree)))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {each.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for each in node.names}
    return imports and bool(names & {"install", "run", "import_module"})


def _name_of_gate(node: ast.AST) -> str:
    """Return the name under which a statement imports the gate, and nothing else; "" for another statement."""
    if isinstance(node, ast.ImportFrom) and node.module == "dbkit" and len(node.names) == 1:
        return (node.names[0].asname or "gate") if node.names[0].name == "gate" else ""
    if isinstance(node, ast.Import) and len(node.names) == 1 and node.names[0].name == "dbkit.gate":
        return node.names[0].asname or "dbkit.gate"
    return ""


def _is_install(node: ast.Expr, name: str) -> bool:
    return isinstance(node.value, ast.Call) and dotted_name(node.value.func) == f"{name}.install"


def _parse(source: bytes, path: Path) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a backslash in a string
            return ast.parse(source, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise InputError(f"{path}{line}: not a Python file: {error}.", BY_HAND) from error


class _WithoutGate(ast.NodeTransformer):
    """Removes the import of the gate and its call from a tree."""

    def __init__(self, name: str, imports: int) -> None:
        self.name = name
        self.imports = imports

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if self.imports and _name_of_gate(node) == self.name else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if _is_install(node, self.name) else node


def _require_same_program(before: ast.Module, result: bytes, name: str, path: Path, *, imports: int) -> bytes:
    """Return the result. Raises InputError where the lines were inserted into something else, such as a string."""
    after = _parse(result, path)
    added = sum(_name_of_gate(node) == name for node in ast.walk(after) if isinstance(node, ast.ImportFrom))
    calls = sum(_is_install(node, name) for node in ast.walk(after) if isinstance(node, ast.Expr))
    stripped = _WithoutGate(name, imports).visit(after)
    if calls != 1 or (imports and added != 1) or ast.dump(stripped) != ast.dump(before):
        raise InputError(f"{path}: there is no line for the gate that leaves the rest as it is.", BY_HAND)
    return result
