"""Create what a project's SQL files define: views, functions, triggers, policies, grants, one object a file."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dbkit.catalog import Fact, collect_facts
from dbkit.catalog.collector import FactCollector
from dbkit.drafts.read_objects import read_catalog, split_row_security
from dbkit.drafts.sql_objects import name_in_comment
from dbkit.errors import InputError, describe_error
from dbkit.postgres.sql_script import (
    DUPLICATE_OBJECT,
    DUPLICATE_SCHEMA,
    MISSING_ROLE,
    UNDEFINED_OBJECT,
    UNIQUE_VIOLATION,
    run_step,
    split_script,
)
from dbkit.postgres.sql_script import Step as ScriptStep
from dbkit.postgres.sql_text import plain
from dbkit.project import Project, revision_source
from dbkit.project.revision_source import is_bytecode
from dbkit.settings import Settings
from dbkit.wording import counted

DIRECTORY = Path("backend/app/sql")
"""Where they are in the kit's layout; elsewhere, `sql` in [dbkit] names the directory."""
ONLY_GRANTS = re.compile(r"(?:grant|revoke|alter default privileges)\b")
MAKES_SHARED = re.compile(r"create (?:role|user|group|schema|extension)\b(?! mapping)")
DUPLICATES = (DUPLICATE_OBJECT, DUPLICATE_SCHEMA, UNIQUE_VIOLATION)
# system catalog and OID of what the present transaction has written
WRITTEN = " UNION ALL ".join(
    f"SELECT {catalog}, {oid}::bigint FROM pg_catalog.{table}"
    " WHERE xmin::text::bigint >= pg_catalog.pg_current_xact_id()::text::bigint"
    for table, catalog, oid in (
        *((name, f"'{name}'", "oid") for name in ("pg_class", "pg_proc", "pg_type", "pg_trigger", "pg_rewrite")),
        *((name, f"'{name}'", "oid") for name in ("pg_policy", "pg_constraint", "pg_extension", "pg_namespace")),
        ("pg_statistic_ext", "'pg_statistic_ext'", "oid"),
        ("pg_attribute", "'pg_class'", "attrelid"),
        ("pg_description", "classoid::regclass::text", "objoid"),
    )
)
COMMENT = re.compile(r"^[ \t]*# (?:drops (\S.*): (\S.*) is gone|(\S.*), from (\S.*?))[ \t]*$", re.MULTILINE)
DOWNGRADE = re.compile(r"^(?:async )?def downgrade\b", re.MULTILINE)


@dataclass(frozen=True)
class SqlSource:
    """Where a project has its SQL files, and what its revisions have from them."""

    directory: Path | None
    """None where it has none."""
    root: Path
    written: Mapping[str, str]
    """By the name in a comment, the file that an object of the revisions is from."""

    def open_files(self, version_table: str) -> "SqlFiles | None":
        """Return the files, to be run on a database."""
        return SqlFiles(self.directory, self.root, version_table) if self.directory else None


def read_source(settings: Settings, loaded: Project) -> SqlSource:
    """Read where a project has its SQL files. Raises InputError for a directory that is not there."""
    return SqlSource(find_directory(settings, loaded.dbkit.sql), settings.root, find_written(read_texts(loaded)))


def read_texts(loaded: Project) -> Iterator[str]:
    """Yield the texts of the revision files, in the order in which they run."""
    for script in reversed(list(loaded.script.walk_revisions())):
        if not is_bytecode(path := str(script.path)):
            yield revision_source.read_source(path).decode(errors="replace")


def find_directory(settings: Settings, named: Path | None) -> Path | None:
    """Return the directory of the SQL files, if the project has one. `named` is `sql` of [dbkit]."""
    directory = named or (None if settings.is_foreign else settings.root / DIRECTORY)
    if named and not named.is_dir():
        raise InputError(f"[dbkit] sql: there is no directory {named}.")
    return directory if directory and directory.is_dir() else None


class SqlFiles:
    """The SQL files of a directory, which are run in an order that the server takes."""

    def __init__(self, directory: Path, shown_from: Path, version_table: str = "alembic_version") -> None:
        """`shown_from` is the directory that the names of the files are shown from."""
        self.directory, self.shown_from, self.version_table = directory, shown_from, version_table
        paths = (path for path in directory.rglob("*.sql") if path.is_file() and not path.name.startswith("."))
        self._waiting = dict.fromkeys(sorted(paths), "")
        """The files that were not run yet, with the reason."""
        self._before: FactCollector | None = None
        self._written: dict[tuple[str, int], list[Path]] = {}
        """By system catalog and OID, the files that have written it, in this order."""

    def drop_former(self, connection: psycopg.Connection[Any], written: Collection[str]) -> None:
        """Drop what revisions have from SQL files (`find_written`), where the database has it already."""
        objects = read_catalog(connection, version_tables=[self.version_table])[1]
        for fact, each in objects.by_fact.items():
            if name_in_comment(fact) in written and each.drop == f"DROP {each.target}" and fact.kind != "extension":
                with suppress(psycopg.errors.UndefinedObject, psycopg.errors.UndefinedTable):
                    connection.execute(f"{each.drop} CASCADE".encode())

    def apply(self, connection: psycopg.Connection[Any]) -> None:
        """Run the files that can run, each in a transaction, until none is left or none gets any further.

        The connection is in autocommit. It may be called again, once there is more that they depend on.
        """
        if self._before is None:
            self._before = collect_facts(connection, version_tables=[self.version_table])
        while self._waiting:
            # a grant on all tables is one on those that are there
            ready = [path for path in self._waiting if not _has_only_grants(path)] or list(self._waiting)
            self._waiting |= {path: self._run(connection, path) for path in ready}
            if all(self._waiting[path] for path in ready):
                break
            self._waiting = {path: reason for path, reason in self._waiting.items() if reason or path not in ready}

    def require_applied(self) -> None:
        """Raise InputError with each file that could not be run, and the server's error."""
        if self._waiting:
            lines = "\n".join(f"{self._name(path)}{reason}" for path, reason in self._waiting.items())
            raise InputError(
                f"{counted(len(self._waiting), 'SQL file')} cannot be run after the models' tables:", lines
            )

    def find_origins(self, connection: psycopg.Connection[Any]) -> dict[Fact, str]:
        """Return the objects that the files have made or changed, each with the name of its file."""
        if self._before is None:
            return {}
        after = collect_facts(connection, version_tables=[self.version_table])
        before = split_row_security(self._before.facts)
        keys = {fact: key for key, fact in after.objects.items()}
        origins = {}
        for fact, text in split_row_security(after.facts).items():
            if before.get(fact) != text:
                found = (self._written.get(keys[each]) for each in (fact, *fact.of) if each in keys)
                paths = next(filter(None, found), [self.directory])
                # the row of a table has its privileges, too
                origins[fact] = self._name(paths[-1 if fact.kind.startswith("grants on ") else 0])
        return origins

    def read_texts(self) -> dict[str, str]:
        """Return the text of each file that was run, by its name."""
        paths = {path for paths in self._written.values() for path in paths}
        return {self._name(path): path.read_text(encoding="utf-8-sig") for path in paths}

    def _name(self, path: Path) -> str:
        return path.relative_to(self.shown_from).as_posix() if path.is_relative_to(self.shown_from) else str(path)

    def _run(self, connection: psycopg.Connection[Any], path: Path) -> str:
        """Run a file. Returns where it failed, and why; "" where it did not."""
        try:
            steps = list(split_script(path.read_text(encoding="utf-8-sig")))
        except (OSError, UnicodeDecodeError) as error:
            return f": {error}"
        except ValueError as error:
            return f", {error}"
        while True:
            line = 0
            try:
                with connection.transaction(), _as_before(connection):
                    for step in steps:
                        line = step.line
                        _execute(connection, step)
                    for key in connection.execute(WRITTEN).fetchall():
                        self._written.setdefault(key, []).append(path)
            except psycopg.Error as error:
                role = MISSING_ROLE.search(str(error))
                if role is None or error.sqlstate != UNDEFINED_OBJECT:
                    return f", line {line}: {describe_error(error, primary=True)}"
                # roles belong to the server, and this one is thrown away
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role[1])))
            else:
                return ""


@contextmanager
def _as_before(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Let the next file have the search path and the role that this one had."""
    path = connection.execute("SELECT pg_catalog.current_setting('search_path')").fetchone()
    yield
    connection.execute("RESET ROLE")
    connection.execute("SELECT pg_catalog.set_config('search_path', %s, false)", path)


def _execute(connection: psycopg.Connection[Any], step: ScriptStep) -> None:
    """Run a statement to the letter. A role, schema or extension that is there already is kept."""
    try:
        with connection.transaction():
            run_step(connection, step)
    except psycopg.Error as error:
        if not MAKES_SHARED.match(plain(step.text)) or error.sqlstate not in DUPLICATES:
            raise


def _has_only_grants(path: Path) -> bool:
    try:
        statements = [plain(step.text) for step in split_script(path.read_text(encoding="utf-8-sig"))]
    except (OSError, ValueError):
        return False
    return bool(statements) and all(map(ONLY_GRANTS.match, statements))


def find_written(sources: Iterable[str]) -> dict[str, str]:
    """Return the objects that revisions have from SQL files, by the name in the comment, with those of the files.

    `sources` are the texts of the revision files, in the order in which they run.
    """
    origins: dict[str, str] = {}
    for source in sources:
        upgrade = DOWNGRADE.split(source, maxsplit=1)[0]
        for match in COMMENT.finditer(upgrade):
            if match[1]:
                origins.pop(match[1], None)
            else:
                origins[match[3]] = match[4]
    return origins
