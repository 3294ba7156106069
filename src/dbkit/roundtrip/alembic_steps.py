"""One step of a migration, what made it fail, and what it does to its transaction."""

import ast
import dis
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script
from alembic.script.revision import RevisionMap

from dbkit.errors import InputError, without_secrets
from dbkit.postgres.sql_text import ends_transaction
from dbkit.roundtrip.outcome import Failure

OF_THE_SERVER = re.compile(rb"\b(?:create|alter|drop)\s+(?:role|user|group|tablespace|database)\b", re.IGNORECASE)
COMMITS = re.compile(rb"\.\s*(?:commit|rollback|autocommit|set_isolation_level)\b")
USED_ELSEWHERE = re.compile(r'role "[^"]*" cannot be dropped because .* objects? in database')
EXTENSION_HINT = "(Prove it on a server that has it: --server URL; or set PG_BINDIR to the programs of one.)"
LONGEST_WORDS = 300
# statements that are not indented, with the lines that go on with them; no imports, functions, decorators and texts
OUTSIDE_FUNCTIONS = re.compile(
    rb"^(?!def |async |import |from |[\s#@)\]}\"'])[^\n]*(?:\n[ \t)\]}][^\n]*|\r?\n)*", re.MULTILINE
)


class LeavesTransaction(BaseException):
    """A migration is about to leave its transaction. Not an Exception: a migration may catch those."""


class MigrationStep(RevisionStep):
    """Alembic's, without its walk over all ancestors in each step down a chain, which makes a chain quadratic.

    With one head and one parent there is nothing to find: the parent is what remains. `migration_fn` is to be set.
    """

    def __init__(self, revision_map: RevisionMap, revision: Script, is_upgrade: bool) -> None:
        self.revision_map = revision_map
        self.revision = revision
        self.is_upgrade = is_upgrade

    def should_delete_branch(self, heads: set[str]) -> bool:
        """Whether a step down leaves no head behind on this branch."""
        if self._has_scalar_down_revision and heads == {self.revision.revision}:
            return False
        return super().should_delete_branch(heads)


@cache
def read_source(path: str) -> bytes:
    """The text of a migration file; of one that is there as bytecode only, that, in which names and strings are."""
    return Path(path).read_bytes()


def is_bytecode(path: str | Path) -> bool:
    """Whether a migration file has no text (`sourceless` in alembic.ini): .pyc or .pyo."""
    return Path(path).suffix != ".py"


def parse_source(path: str) -> ast.Module:
    """The syntax tree of a migration file; an empty one where it has no text."""
    return ast.Module([], []) if is_bytecode(path) else ast.parse(read_source(path))


def migration_function(script: Script, *, up: bool) -> Callable[..., Any]:
    """upgrade() or downgrade() of a migration file; where it has none, a function that says so.

    Each `alembic` command loads the file anew. Where that makes a difference it is done here, too.
    """
    name = "upgrade" if up else "downgrade"
    module = _loaded_anew(script) if has_calls_on_load(str(script.path)) else script.module

    def missing(**_keywords: object) -> None:
        raise AttributeError(f"the file has no {name}()")

    function: Callable[..., Any] = getattr(module, name, missing)
    return function


@cache
def has_calls_on_load(path: str) -> bool:
    """Whether a migration file makes values when it is loaded, such as uuid4() or now() in a constant.

    Not where it has models: they are mapped once.
    """
    source = read_source(path) if path.endswith(".py") else b""
    if b"__table" in source or not any(b"(" in block[0] for block in OUTSIDE_FUNCTIONS.finditer(source)):
        return False
    return any(isinstance(node, ast.Call) for statement in ast.parse(source).body for node in _run_on_load(statement))


def _run_on_load(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement that are run when its file is loaded: not the bodies of functions."""
    yield node
    body = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
    for child in ast.iter_child_nodes(node):
        if child not in body and not isinstance(node, ast.Lambda):
            yield from _run_on_load(child)


def _loaded_anew(script: Script) -> ModuleType:
    spec = spec_from_file_location(script.module.__name__, script.path)
    if spec is None or spec.loader is None:
        return script.module
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception:  # there are files that can be loaded only once in a process
        return script.module
    return module


def mentions_table(script: Script, table: str, statements: str = "") -> bool:
    """Whether a migration file, or what it was seen to run, has the name of a table (without its schema) in it."""
    name = re.escape(table.rpartition(": ")[2].rpartition(".")[2])  # of several databases, the name is in front
    return bool(re.search(rf"(?<!\w){name}(?!\w)", read_source(str(script.path)).decode(errors="replace") + statements))


def mentions_commit(script: Script) -> bool:
    """Whether a migration may commit through an object of its own, where nobody can see it coming."""
    return bool(COMMITS.search(read_source(str(script.path))))


def mentions_extension(statement: str) -> bool:
    """Whether it may change what belongs to an extension, which is written where nearly all of DDL writes, too."""
    return "extension" in statement.lower()


def mentions_server_objects(script: Script) -> bool:
    """Whether a migration may make something that the whole server has, such as a role: it works only once there."""
    source = read_source(str(script.path))
    if not OF_THE_SERVER.search(source):
        return False
    # not in what it says of itself: "create role invitation table"
    body = parse_source(str(script.path)).body
    is_documented = bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    told = ast.get_source_segment(source.decode(errors="replace"), body[0]) if is_documented else None
    return bool(OF_THE_SERVER.search(source.replace((told or "").encode(), b"", 1)))


class TransactionGuard:
    """Stops a migration, by LeavesTransaction, before it leaves the transaction that it runs in."""

    def __init__(self) -> None:
        self.active = False
        self.needs_catalog = False
        """Whether a statement was seen that fingerprints do not cover."""
        self.statements: list[str] = []
        """What was run since this was last emptied."""

    def attach(self, context: MigrationContext) -> None:
        """Watch what is run in this context."""
        context.autocommit_block = self._leave  # type: ignore[method-assign]
        connection = connection_of(context)
        sa.event.listen(connection, "before_cursor_execute", self._look_at)
        for name in ("commit", "rollback"):
            sa.event.listen(connection, name, self._leave)

    @contextmanager
    def while_running(self) -> Iterator[None]:
        """Watch for as long as a migration's function runs."""
        self.active = True
        try:
            yield
        finally:
            self.active = False

    def connected(self) -> None:
        """A migration opened a connection of its own: it would wait for what this transaction has locked."""
        self._leave()

    def _leave(self, *_arguments: object, **_keywords: object) -> Any:
        if self.active:
            raise LeavesTransaction

    def _look_at(self, _connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if self.active and ends_transaction(statement):
            raise LeavesTransaction
        self.statements.append(statement)
        self.needs_catalog = self.needs_catalog or mentions_extension(statement)


def keep_local_settings(connection: sa.Connection) -> None:
    """Set for the session what env.py has set for its first transaction only: each revision has one of its own."""
    query = """
        SELECT name, setting FROM pg_settings WHERE source = 'session'
        UNION ALL
        SELECT 'role', current_setting('role')
    """
    for name, setting in connection.exec_driver_sql(query).all():
        connection.execute(sa.text("SELECT set_config(:name, :setting, false)"), {"name": name, "setting": setting})


def describe_failure(error: BaseException, script: Script) -> Failure:
    """What a migration raised: the words, the line of the file, the SQL, and whether the file raised it itself."""
    path = _name_in_frames(script)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    line = frames[-1].lineno if frames else None
    last = traceback.extract_tb(error.__traceback__)[-1:]
    raises = _ends_in_raise(error) if is_bytecode(script.path) else line in _raises(path)
    raised = bool(frames) and bool(last) and last[0].filename == path and raises
    original = getattr(error, "orig", None) or error
    statement = error.statement if isinstance(error, sa.exc.DBAPIError) else None
    sql = without_secrets(" ".join((statement or "").split()))  # first: the error may repeat a part of it
    said = without_secrets(" ".join(str(original).split()))
    words = re.sub(r" LINE \d+: .*", "", said) or type(original).__name__
    if not isinstance(error, sa.exc.DBAPIError):
        words = f"{type(original).__name__}: {words}" if words != type(original).__name__ else words
    if re.search(r'extension "[^"]*" is not available', words):
        words = f"{words} {EXTENSION_HINT}"
    elsewhere = bool(USED_ELSEWHERE.search(words))
    if elsewhere:
        words = f"not proven, since a copy of the database is beside it: {words}"
    if len(words) > LONGEST_WORDS:  # there may be a value in them
        words = f"{words[:LONGEST_WORDS]}…"
    return Failure(words, line, sql, raised, elsewhere, may_be_rows(error))


def _name_in_frames(script: Script) -> str:
    """What a traceback calls the file: bytecode is called by the name of the text that it was made from."""
    functions = (getattr(script.module, name, None) for name in ("upgrade", "downgrade"))
    names = [function.__code__.co_filename for function in functions if isinstance(function, FunctionType)]
    return names[0] if names and is_bytecode(script.path) else str(script.path)


def _ends_in_raise(error: BaseException) -> bool:
    """Whether it is a `raise` statement that the error comes from, as the bytecode says."""
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "RAISE_VARARGS"


def may_be_rows(error: BaseException) -> bool:
    """Whether rows can be why something failed, which works where tables are empty.

    Not what a server refuses because of names, or SQLAlchemy before it asks one. Python code may have met a row.
    """
    if isinstance(error, sa.exc.DBAPIError):
        return (getattr(error.orig, "sqlstate", None) or "")[:2] not in ("42", "2B", "0A", "25", "3F")
    return isinstance(error, Exception) and not isinstance(error, sa.exc.SQLAlchemyError)


def fails_without_transaction(error: BaseException, *, on_rows: bool = False) -> bool:
    """Whether an error would have come without the transaction around it, too.

    What a server refuses because of names or of what depends on an object (SQLSTATE classes 42 and 2B), and what
    Python raised. https://www.postgresql.org/docs/18/errcodes-appendix.html. Not that a table, cursor or prepared
    statement is there already: it may be a temporary one, of the same session. `on_rows`: tables have rows, so that it
    may also be a value (class 22) or a constraint (23) that it does not bear.
    """
    if isinstance(error, sa.exc.DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        classes = ("42", "2B", "22", "23") if on_rows else ("42", "2B")
        return state[:2] in classes and state not in ("42P03", "42P05", "42P07")
    return isinstance(error, Exception) and not isinstance(error, sa.exc.SQLAlchemyError)


@lru_cache(maxsize=64)
def _functions(path: str) -> tuple[dict[str, int], frozenset[int]]:
    """Where the functions of a migration file begin, and the lines that its `raise` statements are on."""
    tree = parse_source(path)
    functions = {
        node.name: node.lineno for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    raises = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    return functions, frozenset(raises)


def function_line(script: Script, function: str) -> int:
    """The line where a function of the migration file begins; 1 where it has none of that name."""
    return _functions(str(script.path))[0].get(function, 1)


def revision_id_line(script: Script) -> int:
    """The line of the migration file that its id is on."""
    lines = read_source(str(script.path)).splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.startswith(b"revision")), 1)


def _raises(path: str) -> frozenset[int]:
    return _functions(path)[1]


def connection_of(context: MigrationContext) -> sa.Connection:
    """The connection that env.py has configured Alembic with. Raises InputError where it has none (`url=` alone)."""
    if context.connection is None:
        raise InputError("env.py configures Alembic without a connection.", "A round trip needs an online env.py.")
    return context.connection


def commit_if_external(context: MigrationContext) -> None:
    """Commit what Alembic leaves to env.py, when env.py has begun a transaction before it configured Alembic.

    Through the driver: the transaction object that env.py holds stays usable. Each revision then has a transaction of
    its own, as with Alembic's transaction_per_migration.
    """
    if context._in_external_transaction:
        connection_of(context).connection.commit()
