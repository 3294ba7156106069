"""The rules that read migration files: what a run does not show, or not in a branch that it did not take."""

import ast
import keyword
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from dbkit.errors import say
from dbkit.findings.finding import Level, LintFinding
from dbkit.lint.migration_syntax import (
    find_autocommit_blocks,
    find_backfills,
    is_result_of,
    last_name,
    nodes_within,
    runs_operation,
    walk_transaction,
)
from dbkit.lint.rules.rule import Violation
from dbkit.lint.rules.transactions import ENDS_TRANSACTION, SHARES_REVISION
from dbkit.lint.string_values import evaluate_sql, evaluate_strings
from dbkit.postgres.sql_text import ends_transaction
from dbkit.project import Project
from dbkit.project.revision_source import does_nothing, is_bytecode, parse_source, read_source

EMPTY_DOWNGRADE = "empty-downgrade"
DIRECTIONS = ("upgrade", "downgrade")
MAY_END = re.compile(rb"commit|rollback|abort|prepare|(?:\b|\\[a-z])end\b", re.IGNORECASE)
"""The words that end a transaction, in a file: behind an escape such as `\\n`, too."""
STRAY = re.compile(r"\.py(?!c$)")


@dataclass(frozen=True)
class MigrationFile:
    """The syntax tree of one migration file."""

    revision: str
    path: Path
    tree: ast.Module

    @property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """The functions at the top level, by name."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}

    def finding(
        self,
        identifier: str,
        level: Level,
        violation: Violation,
        node: ast.stmt | ast.expr,
        direction: str,
        line: int = 0,
    ) -> LintFinding:
        """Return a finding at the first line of a node, or at `line` within it; of a downgrade, a note."""
        return LintFinding(
            identifier,
            # a rollback is not part of a deployment that goes well
            Level.NOTE if direction == "downgrade" else level,
            self.revision,
            self.path,
            line or node.lineno,
            violation.message,
            violation.blocks,
            violation.why,
            violation.fix,
            direction,
            lines=(node.lineno, node.end_lineno or node.lineno),
        )


def find_in_project(loaded: Project, revisions: Iterable[str] | None = None) -> Iterator[LintFinding]:
    """Yield the findings in the files of these revisions (None: of all), and the stray files beside them."""
    wanted = None if revisions is None else set(revisions)
    scripts = list(loaded.script.walk_revisions())
    without_text = [script.revision for script in scripts if is_bytecode(script.path)]
    if without_text:
        names = without_text[0] if len(without_text) == 1 else f"{without_text[0]} and {len(without_text) - 1} more"
        say(f"{names}: there is only bytecode, so the rules that read the source were not checked.")
    for script in scripts:
        if wanted is None or script.revision in wanted:
            yield from find_in_file(script.revision, Path(script.path))
    yield from _stray_files({Path(script.path) for script in scripts})


def find_in_file(revision: str, path: Path) -> Iterator[LintFinding]:
    """Yield the findings in the text of one migration file."""
    file = MigrationFile(revision, path, parse_source(str(path)))
    for rule in SOURCE_RULES:
        yield from rule(file)


def _empty_downgrade(file: MigrationFile) -> Iterator[LintFinding]:
    functions = file.functions
    if not set(DIRECTIONS) <= functions.keys():
        return
    if does_nothing(functions["downgrade"]) and not does_nothing(functions["upgrade"]):
        violation = Violation(
            "downgrade() does nothing, but upgrade() does",
            "A rollback changes only the version table: the schema stays as it is, and the exit code is 0.",
            'raise NotImplementedError("…")  # why it cannot be undone; or undo it',
        )
        yield file.finding("empty-downgrade", Level.WARNING, violation, functions["downgrade"], "upgrade")


def _autocommit_block_shared(file: MigrationFile) -> Iterator[LintFinding]:
    functions = file.functions
    for direction in DIRECTIONS:
        if direction not in functions:
            continue
        function = functions[direction]
        blocks, backfills = find_autocommit_blocks(function), find_backfills(function)
        if not (blocks or backfills):
            continue
        in_blocks, in_either = nodes_within(blocks), nodes_within([*blocks, *backfills])
        # several backfills may share a revision: each has its progress
        lone_backfills = [node for node in backfills if id(node) not in in_blocks]
        outside_transaction: list[ast.With | ast.Call] = [*blocks, *lone_backfills] if blocks else [*lone_backfills[:1]]
        has_others = any(id(node) not in in_either and runs_operation(node) for node in ast.walk(function))
        if has_others or len(outside_transaction) > 1:
            first = outside_transaction[0]
            # the line that a run reports
            line = first.body[0].lineno if isinstance(first, ast.With) else first.lineno
            yield file.finding("autocommit-block-shared", Level.WARNING, SHARES_REVISION, first, direction, line)


def _commit_by_hand(file: MigrationFile) -> Iterator[LintFinding]:
    """Yield the calls that end Alembic's transaction.

    Not the commit of an ORM session, which does not end it if the session uses Alembic's connection. A run shows the
    others.
    """
    if not MAY_END.search(read_source(str(file.path))):
        return  # most files: the search below takes a hundred times as long
    functions = file.functions
    reported: set[int] = set()
    for direction in DIRECTIONS:
        starts: list[ast.AST] = [file.tree] if direction == "upgrade" else []
        starts += [functions[direction]] if direction in functions else []
        for node in walk_transaction(file.tree, starts):
            if isinstance(node, ast.Call) and id(node) not in reported and _ends_transaction(node, file.tree):
                reported.add(id(node))
                yield file.finding("commit-by-hand", Level.DANGER, ENDS_TRANSACTION, node, direction)


def _ends_transaction(call: ast.Call, tree: ast.AST) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    owner, name = call.func.value, call.func.attr
    if name in ("commit", "rollback"):
        return _is_get_bind(owner) or is_result_of(owner, tree, ("get_bind",))
    if name not in ("execute", "exec_driver_sql") or not call.args or is_result_of(owner, tree, ("connect", "begin")):
        return False
    return any(map(ends_transaction, evaluate_sql(call.args[0])))


def _is_get_bind(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) == "get_bind"


def _unbound_parameter(file: MigrationFile) -> Iterator[LintFinding]:
    for top in file.tree.body:
        direction = "downgrade" if top is file.functions.get("downgrade") else "upgrade"
        for node in ast.walk(top):
            names = list(dict.fromkeys(_unbound_parameters(node))) if isinstance(node, ast.Call) else []
            if names and isinstance(node, ast.Call):
                yield file.finding("unbound-parameter", Level.DANGER, unbound_parameters(names), node, direction)


def _unbound_parameters(call: ast.Call) -> Iterator[str]:
    """Yield the parameters without a value of op.execute("…") or of execute(text("…"))."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr in ("execute", "scalar", "scalars") and call.args):
        return
    (argument, *others) = call.args
    of_op = isinstance(call.func.value, ast.Name) and call.func.value.id == "op"
    is_text = isinstance(argument, ast.Call) and last_name(argument.func) == "text" and bool(argument.args)
    if is_text and isinstance(argument, ast.Call) and (of_op or not (others or call.keywords)):
        argument = argument.args[0]
    elif not of_op:
        return
    for text in evaluate_strings(argument):
        if ":" in text:
            yield from sa.text(text).compile().params


def unbound_parameters(names: Sequence[str]) -> Violation:
    """Return the violation for parameters without a value."""
    bindable = [name for name in names if name.isidentifier() and not keyword.iskeyword(name)]
    bound = "".join(
        f'\nop.execute(sa.text("… :{name} …").bindparams({name}=…))  # if it is a parameter' for name in bindable[:1]
    )
    listed = ", ".join(f":{name}" for name in names)
    one = f"{listed} is taken for a parameter, and has no value"
    return Violation(
        f"{listed} are taken for parameters, and have no value" if len(names) > 1 else one,
        "SQLAlchemy reads a colon and a word in a string as a parameter, even within quotes: the migration fails, and"
        " the SQL of `alembic upgrade --sql` has NULL in its place.",
        f'op.execute(r"… \\:{names[0]} …")  # if it is text{bound}',
    )


SOURCE_RULES: tuple[Callable[[MigrationFile], Iterator[LintFinding]], ...] = (
    _empty_downgrade,
    _autocommit_block_shared,
    _commit_by_hand,
    _unbound_parameter,
)
"""The findings of one file have this order."""


def _stray_files(loaded: set[Path]) -> Iterator[LintFinding]:
    """Yield the files among the revisions that look like migrations and that Alembic does not read."""
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
            f"{path.name} is among the migrations, but Alembic does not read it",
            why="It looks like a part of the history, but what it changes is never applied.",
            fix="# remove it; or give it a name that ends in .py, in a directory of version_locations",
        )
