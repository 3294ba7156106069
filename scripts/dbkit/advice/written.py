"""Findings from the text of migration files: what a run on a scratch database does not show, or not in each branch."""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

from dbkit.advice.findings import Advice, Level
from dbkit.errors import say
from dbkit.project import Project
from dbkit.roundtrip.steps import ends_transaction, is_bytecode, syntax_of

DIRECTIONS = ("upgrade", "downgrade")
STRAY = re.compile(r"\.py(?!c$)")
UNKNOWN = "\0"
"""Stands for what a formatted string will have in that place."""
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


def findings(loaded: Project, revisions: Iterable[str] | None = None) -> Iterator[Advice]:
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


def of_file(revision: str, path: Path) -> Iterator[Advice]:
    """What the text of one migration file gives away."""
    yield from _File(revision, path).findings()


class _File:
    def __init__(self, revision: str, path: Path) -> None:
        self.revision = revision
        self.path = path
        self.tree = syntax_of(str(path))
        self.functions = {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}

    def findings(self) -> Iterator[Advice]:
        yield from self._empty_downgrade()
        for direction in DIRECTIONS:
            if direction in self.functions:
                yield from self._shared_block(direction)
        for top in self.tree.body:
            direction = "downgrade" if top is self.functions.get("downgrade") else "upgrade"
            yield from self._commits(top, direction)
            yield from self._unbound(top, direction)

    def _advice(self, name: str, level: Level, line: int, direction: str, words: tuple[str, str, str]) -> Advice:
        message, why, code = words
        # nobody waits for a rollback while all goes well
        level = Level.NOTE if direction == "downgrade" else level
        return Advice(name, level, self.revision, self.path, line, message, "", why, code, direction)

    def _empty_downgrade(self) -> Iterator[Advice]:
        if not set(DIRECTIONS) <= self.functions.keys():
            return
        downgrade = self.functions["downgrade"]
        if _does_nothing(downgrade) and not _does_nothing(self.functions["upgrade"]):
            words = (
                "downgrade() does nothing, but upgrade() does",
                "A rollback goes back in the version table only: everything stays where it is, and the exit code is 0.",
                'raise NotImplementedError("…")  # why it cannot be undone; or undo it',
            )
            yield self._advice("empty-downgrade", Level.WARNING, downgrade.lineno, "upgrade", words)

    def _shared_block(self, direction: str) -> Iterator[Advice]:
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
            yield self._advice("autocommit-block-shared", Level.WARNING, line, direction, SHARES_REVISION)

    def _commits(self, top: ast.stmt, direction: str) -> Iterator[Advice]:
        """A commit by hand ends Alembic's transaction: after a failure a half stays, after a success no revision.

        An ORM session's commit does not, where the session was made on Alembic's connection. A run shows the others.
        """
        allowed, connections = _within(_autocommit_blocks(top)), _connections(self.tree)
        for node in ast.walk(top):
            if id(node) not in allowed and isinstance(node, ast.Call) and _ends_transaction(node, connections):
                yield self._advice("commit-by-hand", Level.DANGER, node.lineno, direction, ENDS_TRANSACTION)

    def _unbound(self, top: ast.stmt, direction: str) -> Iterator[Advice]:
        for node in ast.walk(top):
            names = list(_unbound_parameters(node)) if isinstance(node, ast.Call) else []
            if names and isinstance(node, ast.Call):
                words = unbound_words(names)
                yield self._advice("unbound-parameter", Level.DANGER, node.lineno, direction, words)


def unbound_words(names: Sequence[str]) -> tuple[str, str, str]:
    """Message, reason and code for parameters that are given no value."""
    first = names[0]
    return (
        f"{', '.join(f':{name}' for name in names)} is taken for a parameter, and has no value",
        "SQLAlchemy reads a colon and a word in a string as a parameter, within quotes, too: a run fails, and the SQL"
        " of `alembic upgrade --sql` has NULL in its place.",
        f'op.execute(r"… \\:{first} …")  # where it is text\n'
        f'op.execute(sa.text("… :{first} …").bindparams({first}=…))  # where it is a parameter',
    )


def _stray_files(loaded: set[Path]) -> Iterator[Advice]:
    """Files among the revisions that Alembic passes over: what somebody takes for a migration, and is none."""
    directories = {path.parent for path in loaded}
    tops = {each for each in directories if not directories & set(each.parents)}
    for path in sorted(path for top in tops for path in top.rglob("*.py*") if STRAY.search(path.name)):
        is_copy = path.suffix != ".py" or path.name.startswith(".")
        if path in loaded or not path.is_file() or not (is_copy or b"down_revision" in path.read_bytes()):
            continue
        yield Advice(
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
    text = _string(argument)
    if text and ":" in text:
        yield from sa.text(text).compile().params


def _string(node: ast.expr) -> str:
    """A string as it is written, with UNKNOWN for what is filled in; empty where it is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_string(each) or UNKNOWN for each in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (_string(node.left) or UNKNOWN) + (_string(node.right) or UNKNOWN)
    return ""


def _name(node: ast.expr) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _ends_transaction(call: ast.Call, connections: set[str]) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in ("commit", "rollback"):
        owner = call.func.value
        return _is_get_bind(owner) or (isinstance(owner, ast.Name) and owner.id in connections)
    texts = [node.value for argument in call.args for node in ast.walk(argument) if isinstance(node, ast.Constant)]
    return call.func.attr in ("execute", "exec_driver_sql") and any(
        isinstance(text, str) and ends_transaction(text) for text in texts
    )


def _connections(tree: ast.AST) -> set[str]:
    """The names that Alembic's connection is given: `connection = op.get_bind()`."""
    given = (node for node in ast.walk(tree) if isinstance(node, ast.Assign) and _is_get_bind(node.value))
    return {target.id for node in given for target in node.targets if isinstance(target, ast.Name)}


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


def _is_autocommit_block(node: ast.With) -> bool:
    return any(
        isinstance(each.context_expr, ast.Call) and _name(each.context_expr.func) == "autocommit_block"
        for each in node.items
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
