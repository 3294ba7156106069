"""Findings from the text of migration files: what a run on a scratch database does not show, or not in each branch."""

import ast
import itertools
import keyword
import re
import string
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

from dbkit.errors import say
from dbkit.findings.finding import Level, LintFinding
from dbkit.postgres.sql_text import UNKNOWN, ends_transaction
from dbkit.project import Project
from dbkit.roundtrip.alembic_steps import is_bytecode, parse_source

DIRECTIONS = ("upgrade", "downgrade")
BLOCK = "autocommit_block"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
STRAY = re.compile(r"\.py(?!c$)")
# printf's, as `"…" % values` has them
PLACEHOLDER = re.compile(r"%%|%(?:\([^)]*\))?[#0 +-]*[\d.*]*[a-zA-Z]")
# functions whose first argument is the text that they return
TEXT_FUNCTIONS = ("text", "DDL", "SQL", "dedent", "cleandoc")
ENDS_TRANSACTION = (
    "it ends Alembic's transaction by hand",
    "What follows runs without a transaction; after a failure a half stays, and the version says nothing.",
    "with op.get_context().autocommit_block():\n    …  # alone in its revision",
)
SHARES_REVISION = (
    "it runs outside the transaction, and shares its revision with other changes",
    "What comes before it is committed by it, and stays when it fails: the revision cannot be run again.",
    "# a revision of its own for the block, so that a failure in it leaves nothing half done",
)


def findings(loaded: Project, revisions: Iterable[str] | None = None) -> Iterator[LintFinding]:
    """What the files of these revisions give away (None: of all), and what lies beside them."""
    wanted = None if revisions is None else set(revisions)
    scripts = list(loaded.script.walk_revisions())
    without_text = [script.revision for script in scripts if is_bytecode(script.path)]
    if without_text:
        names = without_text[0] if len(without_text) == 1 else f"{without_text[0]} and {len(without_text) - 1} more"
        say(f"{names}: there is bytecode only, so what the text of a file shows was not looked for.")
    for script in scripts:
        if wanted is None or script.revision in wanted:
            yield from of_file(script.revision, Path(script.path))
    yield from _stray_files({Path(script.path) for script in scripts})


def of_file(revision: str, path: Path) -> Iterator[LintFinding]:
    """What the text of one migration file gives away."""
    yield from _File(revision, path).findings()


class _File:
    def __init__(self, revision: str, path: Path) -> None:
        self.revision = revision
        self.path = path
        self.tree = parse_source(str(path))
        self.functions = {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}

    def findings(self) -> Iterator[LintFinding]:
        yield from self._empty_downgrade()
        for direction in DIRECTIONS:
            if direction in self.functions:
                yield from self._shared_block(direction)
        yield from self._commits()
        for top in self.tree.body:
            direction = "downgrade" if top is self.functions.get("downgrade") else "upgrade"
            yield from self._unbound(top, direction)

    def _advice(
        self,
        name: str,
        level: Level,
        node: ast.stmt | ast.expr,
        direction: str,
        words: tuple[str, str, str],
        line: int = 0,
    ) -> LintFinding:
        """At the first line of the node, or at `line` within it."""
        message, why, code = words
        # nobody waits for a rollback while all goes well
        level = Level.NOTE if direction == "downgrade" else level
        lines = (node.lineno, node.end_lineno or node.lineno)
        return LintFinding(
            name, level, self.revision, self.path, line or node.lineno, message, "", why, code, direction, lines=lines
        )

    def _empty_downgrade(self) -> Iterator[LintFinding]:
        if not set(DIRECTIONS) <= self.functions.keys():
            return
        downgrade = self.functions["downgrade"]
        if _does_nothing(downgrade) and not _does_nothing(self.functions["upgrade"]):
            words = (
                "downgrade() does nothing, but upgrade() does",
                "A rollback goes back in the version table only: everything stays where it is, and the exit code is 0.",
                'raise NotImplementedError("…")  # why it cannot be undone; or undo it',
            )
            yield self._advice("empty-downgrade", Level.WARNING, downgrade, "upgrade", words)

    def _shared_block(self, direction: str) -> Iterator[LintFinding]:
        """What is before the block is committed by it, and stays when it fails: running it again does it twice."""
        function = self.functions[direction]
        blocks, backfills = _autocommit_blocks(function), _backfills(function)
        # several backfills are fine: each knows by itself where it is
        alone = [node for node in backfills if id(node) not in _within(blocks)]
        several: list[ast.With | ast.Call] = [*blocks, *alone] if blocks else [*alone[:1]]
        inside = _within([*blocks, *backfills])
        outside = [node for node in ast.walk(function) if id(node) not in inside and _runs_something(node)]
        if several and (outside or len(several) > 1):
            line = _first_line(several[0])
            yield self._advice("autocommit-block-shared", Level.WARNING, several[0], direction, SHARES_REVISION, line)

    def _commits(self) -> Iterator[LintFinding]:
        """A commit by hand ends Alembic's transaction: after a failure a half stays, after a success no revision.

        An ORM session's commit does not, where the session was made on Alembic's connection. A run shows the others.
        """
        told: set[int] = set()
        for direction in DIRECTIONS:
            starts = [self.functions[direction]] if direction in self.functions else []
            for node in _in_transaction(self.tree, [self.tree, *starts] if direction == "upgrade" else starts):
                if isinstance(node, ast.Call) and id(node) not in told and _ends_transaction(node, self.tree):
                    told.add(id(node))
                    yield self._advice("commit-by-hand", Level.DANGER, node, direction, ENDS_TRANSACTION)

    def _unbound(self, top: ast.stmt, direction: str) -> Iterator[LintFinding]:
        for node in ast.walk(top):
            names = list(dict.fromkeys(_unbound_parameters(node))) if isinstance(node, ast.Call) else []
            if names and isinstance(node, ast.Call):
                words = unbound_words(names)
                yield self._advice("unbound-parameter", Level.DANGER, node, direction, words)


def unbound_words(names: Sequence[str]) -> tuple[str, str, str]:
    """Message, reason and code for parameters that are given no value."""
    named = [name for name in names if name.isidentifier() and not keyword.iskeyword(name)]
    bound = "".join(
        f'\nop.execute(sa.text("… :{name} …").bindparams({name}=…))  # where it is a parameter' for name in named[:1]
    )
    listed = ", ".join(f":{name}" for name in names)
    one = f"{listed} is taken for a parameter, and has no value"
    return (
        f"{listed} are taken for parameters, and have no value" if len(names) > 1 else one,
        "SQLAlchemy reads a colon and a word in a string as a parameter, within quotes, too: a run fails, and the SQL"
        " of `alembic upgrade --sql` has NULL in its place.",
        f'op.execute(r"… \\:{names[0]} …")  # where it is text{bound}',
    )


def _stray_files(loaded: set[Path]) -> Iterator[LintFinding]:
    """Files among the revisions that Alembic passes over: what somebody takes for a migration, and is none."""
    directories = {path.parent for path in loaded}
    tops = {each for each in directories if not directories & set(each.parents)}
    for path in sorted(path for top in tops for path in top.rglob("*.py*") if STRAY.search(path.name)):
        is_copy = path.suffix != ".py" or path.name.startswith(".")
        if path in loaded or not path.is_file() or not (is_copy or b"down_revision" in path.read_bytes()):
            continue
        yield LintFinding(
            "stray-file",
            Level.WARNING,
            "",
            path,
            None,
            f"{path.name} lies among the migrations, and Alembic does not read it",
            why="Whoever reads the directory takes it for a part of the history; what it would do is never done.",
            instead="# remove it, or give it its place: a name that ends in .py, in a directory of version_locations",
        )


def _unbound_parameters(call: ast.Call) -> Iterator[str]:
    """The parameters of op.execute("…"), or of execute(text("…")), that nothing gives a value to."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr in ("execute", "scalar", "scalars") and call.args):
        return
    (argument, *others) = call.args
    of_op = isinstance(call.func.value, ast.Name) and call.func.value.id == "op"
    is_text = isinstance(argument, ast.Call) and _name(argument.func) == "text" and bool(argument.args)
    if is_text and isinstance(argument, ast.Call) and (of_op or not (others or call.keywords)):
        argument = argument.args[0]
    elif not of_op:
        return
    for text in _strings(argument):
        if ":" in text:
            yield from sa.text(text).compile().params


def _strings(node: ast.expr) -> list[str]:
    """What a string can be, as it is written, with UNKNOWN for what is filled in; nothing where it is no string."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return _concatenated(values)
        case ast.FormattedValue(value=value):
            return _strings(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _concatenated([left, right])
        case ast.BinOp(left=left, op=ast.Mod()):
            return [PLACEHOLDER.sub(_filled, text) for text in _strings(left)]
        case ast.IfExp(body=body, orelse=other):
            return [*_strings(body), *_strings(other)]
        case ast.Call(func=ast.Attribute(value=owner, attr="format")):
            return [formatted for text in _strings(owner) for formatted in _formatted(text)]
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str(between)), attr="join"),
            args=[ast.List() | ast.Tuple() as parts],
        ):
            return [between.join(found) for found in itertools.product(*(_known(each) for each in parts.elts))]
    return []


def _known(node: ast.expr) -> list[str]:
    return _strings(node) or [UNKNOWN]


def _concatenated(nodes: Sequence[ast.expr]) -> list[str]:
    """Nothing where no part of it is known."""
    if not any(map(_strings, nodes)):
        return []
    return ["".join(parts) for parts in itertools.product(*map(_known, nodes))]


def _filled(placeholder: re.Match[str]) -> str:
    return "%" if placeholder[0] == "%%" else UNKNOWN


def _formatted(text: str) -> list[str]:
    """The text of a call of format(), with UNKNOWN for its fields; nothing where that cannot be read."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return []
    return ["".join(literal + ("" if name is None else UNKNOWN) for literal, name, _spec, _how in parts)]


def _sql_texts(node: ast.expr) -> list[str]:
    """What SQL an argument can be: a string, text("…"), or what a method such as bindparams() makes of it."""
    if found := _strings(node):
        return found
    match node:
        case ast.Call(func=function, args=[first, *_]) if _name(function) in TEXT_FUNCTIONS:
            return _sql_texts(first)
        case ast.Call(func=ast.Attribute(value=owner)):
            return _sql_texts(owner)
    return []


def _name(node: ast.expr) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _in_transaction(tree: ast.Module, starts: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """What is run within Alembic's transaction, from `starts` on and in the functions of the file that are called.

    A function that is only called in autocommit blocks is not, nor one that is handed on: a run shows what it does.
    """
    functions: dict[str, list[ast.AST]] = {}
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            functions.setdefault(node.name, []).append(node)
    wrappers = {name for name, found in functions.items() if any(map(_yields_in_block, found))}
    todo, seen = list(starts), set(map(id, starts))
    while todo:
        for node in _own_nodes(todo.pop(0), {*wrappers, BLOCK}):
            yield node
            called = functions.get(_name(node.func), []) if isinstance(node, ast.Call) and _is_local(node.func) else []
            todo += [each for each in called if id(each) not in seen]
            seen |= set(map(id, called))


def _own_nodes(node: ast.AST, blocks: Collection[str]) -> Iterator[ast.AST]:
    """The nodes below, without those of functions that are defined there, and of autocommit blocks."""
    for child in ast.iter_child_nodes(node):
        is_block = isinstance(child, ast.With) and _is_autocommit_block(child, blocks)
        if not (is_block or isinstance(child, FUNCTIONS)):
            yield child
            yield from _own_nodes(child, blocks)


def _yields_in_block(function: ast.AST) -> bool:
    """Whether it is a context manager that begins an autocommit block."""
    return any(isinstance(node, ast.Yield) for block in _autocommit_blocks(function) for node in ast.walk(block))


def _is_local(function: ast.expr) -> bool:
    """Whether what is called may be a function of the file: `helper(…)`, `self.helper(…)`; not `op.execute(…)`."""
    if isinstance(function, ast.Attribute):
        return isinstance(function.value, ast.Call) or (
            isinstance(function.value, ast.Name) and function.value.id != "op"
        )
    return isinstance(function, ast.Name)


def _ends_transaction(call: ast.Call, tree: ast.AST) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    owner, name = call.func.value, call.func.attr
    if name in ("commit", "rollback"):
        return _is_get_bind(owner) or _is_given(owner, tree, ("get_bind",))
    if name not in ("execute", "exec_driver_sql") or not call.args or _is_given(owner, tree, ("connect", "begin")):
        return False
    return any(map(ends_transaction, _sql_texts(call.args[0])))


def _is_given(owner: ast.expr, tree: ast.AST, functions: Sequence[str]) -> bool:
    """Whether it is a name that is given what one of these functions returns: `connection = op.get_bind()`."""
    if not isinstance(owner, ast.Name):
        return False
    given = [(target, node.value) for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in node.targets]
    given += [
        (item.optional_vars, item.context_expr)
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if item.optional_vars
    ]
    return any(
        isinstance(target, ast.Name)
        and target.id == owner.id
        and isinstance(value, ast.Call)
        and _name(value.func) in functions
        for target, value in given
    )


def _is_get_bind(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) == "get_bind"


def _autocommit_blocks(tree: ast.AST) -> list[ast.With]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.With) and _is_autocommit_block(node)]


def _backfills(tree: ast.AST) -> list[ast.Call]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "backfill"]


def _within(blocks: Sequence[ast.AST]) -> set[int]:
    """What is in the blocks, by id()."""
    return {id(node) for block in blocks for node in ast.walk(block)}


def _first_line(node: ast.With | ast.Call) -> int:
    """Where its first statement is, as a run would show it."""
    return node.body[0].lineno if isinstance(node, ast.With) else node.lineno


def _is_autocommit_block(node: ast.With, names: Collection[str] = (BLOCK,)) -> bool:
    return any(
        isinstance(each.context_expr, ast.Call) and _name(each.context_expr.func) in names for each in node.items
    )


def _runs_something(node: ast.AST) -> bool:
    """Whether it is a call such as op.add_column(…) or connection.execute(…)."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    owner, name = node.func.value, node.func.attr
    of_op = isinstance(owner, ast.Name) and owner.id == "op" and name not in ("f", "get_context", "get_bind")
    return of_op or name in ("execute", "exec_driver_sql", "scalar", "scalars")


def _does_nothing(function: ast.FunctionDef) -> bool:
    return all(
        isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in function.body
    )
