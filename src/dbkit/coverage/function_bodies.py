"""The bodies of the functions and procedures that statements call, and of the triggers of tables."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psycopg

from dbkit.postgres.sql_text import SEPARATORS, Kind, read_string, tokenize, unquote_name

# All names are qualified and all operators, too: the project's search path may be in force.
# The functions of PostgreSQL and of extensions change no rows of the project.
FUNCTIONS = """
SELECT p.oid::pg_catalog.int8, p.proname::pg_catalog.text, l.lanname::pg_catalog.text,
    p.prosrc, CASE WHEN p.prosrc OPERATOR(pg_catalog.=) '' THEN pg_catalog.pg_get_functiondef(p.oid) END,
    p.proargnames::pg_catalog.text[], p.proargmodes::pg_catalog.text[], p.pronargs::pg_catalog.int4
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid OPERATOR(pg_catalog.=) p.prolang
WHERE (p.proname::pg_catalog.text OPERATOR(pg_catalog.=) ANY (%(names)s::pg_catalog.text[])
        OR p.oid::pg_catalog.int8 OPERATOR(pg_catalog.=) ANY (%(oids)s::pg_catalog.int8[]))
    AND p.prokind OPERATOR(pg_catalog.=) ANY ('{f,p}'::pg_catalog."char"[])
    AND l.lanname OPERATOR(pg_catalog.=) ANY ('{sql,plpgsql}'::pg_catalog.name[])
    AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[])
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
                        AND d.objid OPERATOR(pg_catalog.=) p.oid
                        AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog."char")
ORDER BY pg_catalog.pg_function_is_visible(p.oid), p.oid DESC
"""
# tgtype has one bit for each property; see src/include/catalog/pg_trigger.h
TRIGGERS = """
SELECT pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||)
        pg_catalog.quote_ident(c.relname),
    t.tgtype::pg_catalog.int4, pg_catalog.pg_get_triggerdef(t.oid), t.tgfoid::pg_catalog.int8
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE NOT t.tgisinternal
    AND t.tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}'::pg_catalog."char"[])
    AND (t.tgtype::pg_catalog.int4 OPERATOR(pg_catalog.&) 1) OPERATOR(pg_catalog.=) 1
    AND c.oid::pg_catalog.int8 OPERATOR(pg_catalog.=) ANY (%(tables)s::pg_catalog.int8[])
ORDER BY c.oid, t.tgname
"""
EVENTS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16}
WHEN = re.compile(r"\bWHEN \((.*)\) EXECUTE (?:FUNCTION|PROCEDURE) ", re.DOTALL)
ATOMIC = re.compile(r"\bBEGIN ATOMIC\b(.*)\bEND\s*\Z", re.DOTALL | re.IGNORECASE)
RETURN = re.compile(r"^\s*RETURN\s+(.*)\Z", re.DOTALL | re.MULTILINE)
DEEPEST = 5  # calls of calls


@dataclass(frozen=True)
class FunctionBody:
    """The source of a function, with the names of its input arguments, which may be empty."""

    name: str
    arguments: tuple[str, ...]
    language: str
    source: str


@dataclass(frozen=True)
class TriggerBody:
    """A row trigger: the qualified name of its table as SQL, its events and condition, and its function."""

    table: str
    events: tuple[str, ...]
    condition: str
    function: FunctionBody


def called_names(sql: str) -> set[str]:
    """Return the names before a parenthesis, without their schemas: those of functions, and some others."""
    tokens = [token for token in tokenize(sql) if token.kind not in SEPARATORS]
    found = {
        unquote_name(token.text)
        for token, following in pairwise(tokens)
        if following.text == "(" and token.kind in (Kind.WORD, Kind.NAME)
    }
    # the source of DO, the text of EXECUTE
    strings = [read_string(token.text) for token in tokens if token.kind == Kind.STRING and "(" in token.text]
    return found.union(*map(called_names, strings))


def read_functions(connection: psycopg.Connection[Any], names: Collection[str]) -> Mapping[str, FunctionBody]:
    """Read functions in SQL and PL/pgSQL by their names, and those that they call.

    A name has one function: the oldest that is visible in the search path, before others.
    """
    return _add_called(connection, {}, set(names))


def trigger_functions(
    connection: psycopg.Connection[Any], tables: Collection[int]
) -> tuple[list[TriggerBody], Mapping[str, FunctionBody]]:
    """Read the row triggers of tables, which are given by their OIDs, and the functions that these call."""
    rows = connection.execute(TRIGGERS, {"tables": list(tables)}).fetchall()
    bodies = _read_bodies(connection, (), {row[3] for row in rows})
    triggers = [
        TriggerBody(table, _read_events(flags), _read_condition(definition), bodies[oid])
        for table, flags, definition, oid in rows
        if oid in bodies
    ]
    names = {name for body in bodies.values() for name in called_names(body.source)}
    return triggers, _add_called(connection, {}, names)


def _add_called(
    connection: psycopg.Connection[Any], found: dict[str, FunctionBody], names: set[str]
) -> dict[str, FunctionBody]:
    for _ in range(DEEPEST):
        bodies = _read_bodies(connection, names - found.keys(), ()).values() if names - found.keys() else ()
        found |= {body.name: body for body in bodies}
        names = {name for body in bodies for name in called_names(body.source)}
    return found


def _read_bodies(
    connection: psycopg.Connection[Any], names: Collection[str], oids: Collection[int]
) -> dict[int, FunctionBody]:
    rows = connection.execute(FUNCTIONS, {"names": list(names), "oids": list(oids)})
    return {
        oid: FunctionBody(name, _input_names(arguments, modes, count), language, source or _read_body(definition))
        for oid, name, language, source, definition, arguments, modes, count in rows
    }


def _input_names(names: list[str] | None, modes: list[str] | None, count: int) -> tuple[str, ...]:
    if names is None:
        return ("",) * count
    return tuple(name for name, mode in zip(names, modes or "i" * len(names), strict=False) if mode in "ibv")


def _read_body(definition: str) -> str:
    """Return the body of a function whose catalog entry has no source: BEGIN ATOMIC or RETURN."""
    if body := ATOMIC.search(definition):
        return body[1]
    body = RETURN.search(definition)
    return f"SELECT {body[1]}" if body else ""


def _read_events(flags: int) -> tuple[str, ...]:
    return tuple(event for event, bit in EVENTS.items() if flags & bit)


def _read_condition(definition: str) -> str:
    found = WHEN.search(definition)
    return found[1] if found else ""
