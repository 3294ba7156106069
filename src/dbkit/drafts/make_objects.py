"""Put together the SQL that creates and drops each kind of object, from what the catalog has of it."""

import re
from collections.abc import Sequence
from typing import Any

from dbkit.catalog import Fact
from dbkit.catalog.facts import PLAIN
from dbkit.drafts.objects import DEFAULT, DatabaseObject
from dbkit.postgres.sql_quote import quote_ident, quote_literal

LIMITS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
TYPES = {"e": "TYPE", "d": "DOMAIN", "c": "TYPE", "r": "TYPE"}
RELATIONS = {"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE"}
ENABLED = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}
GRANTEE = re.compile(r' to ("(?:[^"]|"")*"|[^"\s]+)$')
USUAL_OF_PUBLIC = {"FUNCTION": "EXECUTE", "PROCEDURE": "EXECUTE", "AGGREGATE": "EXECUTE", "TYPE": "USAGE"}
WITHOUT_GRANT_WORD = ("TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE")


def _made(
    fact: Fact,
    schema: str,
    name: str,
    target: str,
    create: tuple[str, ...] = (),
    drop: str = "",
    replace: tuple[str, ...] = (),
    **more: Any,
) -> DatabaseObject:
    return DatabaseObject(fact, schema, name, target=target, create=create, drop=drop, replace=replace, **more)


def make_schema(fact: Fact, schema: str, name: str) -> DatabaseObject:
    target = f"SCHEMA {name}"
    return _made(fact, schema, name, target, (f"CREATE {target}",), f"DROP {target}")


def make_extension(fact: Fact, schema: str, name: str, in_schema: str, is_usual: bool) -> DatabaseObject:
    create = f"CREATE EXTENSION IF NOT EXISTS {name}" + ("" if is_usual else f" WITH SCHEMA {in_schema}")
    return _made(fact, schema, name, f"EXTENSION {name}", (create,), f"DROP EXTENSION {name}")


def make_type(
    fact: Fact,
    schema: str,
    name: str,
    kind: str,
    labels: Sequence[str],
    base: str | None,
    default: str | None,
    is_required: bool,
    bare_name: str,
    multirange: str | None,
    of_range: str | None,
    attributes: tuple[tuple[str, str], ...],
) -> DatabaseObject:
    target = f"{TYPES[kind]} {name}"
    if kind == "d":
        parts = [f"CREATE DOMAIN {name} AS {base}", default and f"DEFAULT {default}", "NOT NULL" if is_required else ""]
        create = " ".join(filter(None, parts))
    else:
        content = {
            "e": f"ENUM ({', '.join(map(quote_literal, labels))})",
            "c": f"({', '.join(' '.join(each) for each in attributes)})",
            "r": f"RANGE ({of_range})",
        }
        create = f"CREATE TYPE {name} AS {content[kind]}"
    return _made(
        fact,
        schema,
        name,
        target,
        (create,),
        f"DROP {target}",
        bare_name=bare_name,
        multirange=multirange or "",
        labels=tuple(labels),
        base=base or "",
        default=default,
        is_required=is_required,
        attributes=attributes,
        signature=(of_range or "",),
    )


def make_sequence(
    fact: Fact,
    schema: str,
    name: str,
    is_unlogged: bool,
    type_name: str,
    increment: int,
    least: int,
    most: int,
    start: int,
    cache: int,
    cycle: bool,
    is_owned: bool,
) -> DatabaseObject:
    limit = LIMITS[type_name]
    usual = (1, limit - 1) if increment > 0 else (-limit, -1)
    first = least if increment > 0 else most
    options = {
        "AS": f"AS {type_name}",
        "INCREMENT": f"INCREMENT BY {increment}",
        "MINVALUE": "NO MINVALUE" if least == usual[0] else f"MINVALUE {least}",
        "MAXVALUE": "NO MAXVALUE" if most == usual[1] else f"MAXVALUE {most}",
        "START": f"START WITH {start}",
        "CACHE": f"CACHE {cache}",
        "CYCLE": "CYCLE" if cycle else "NO CYCLE",
    }
    usual_options = (
        "AS bigint",
        "INCREMENT BY 1",
        "NO MINVALUE",
        "NO MAXVALUE",
        f"START WITH {first}",
        "CACHE 1",
        "NO CYCLE",
    )
    written = [text for text in options.values() if text not in usual_options]
    target = f"SEQUENCE {name}"
    create = " ".join(["CREATE UNLOGGED" if is_unlogged else "CREATE", target, *written])
    limits = {"least": str(least), "most": str(most)}
    return _made(fact, schema, name, target, (create,), f"DROP {target}", options=options | limits, is_owned=is_owned)


def make_relation(
    fact: Fact,
    schema: str,
    name: str,
    kind: str,
    _has_security: bool,
    _forces_security: bool,
    query: str | None,
    options: str | None,
    method: str | None,
    tablespace: str | None,
    is_populated: bool,
    columns: Sequence[str] | None,
    defaults: Sequence[str] | None,
) -> DatabaseObject:
    """A view or a materialized view; a table only by its name."""
    target = f"{RELATIONS[kind]} {name}"
    drop = f"DROP {target}"
    settings = f" WITH ({options})" if options else ""
    if kind == "v":
        body = f"VIEW {name}{settings} AS\n{query}"
        more = tuple(f"ALTER VIEW {name} ALTER COLUMN {each}" for each in defaults or ())
        replaced = () if more else (f"CREATE OR REPLACE {body}",)
        return _made(fact, schema, name, target, (f"CREATE {body}", *more), drop, replaced, added=tuple(columns or ()))
    if kind == "m":
        using = f" USING {method}" if method else ""
        place = f" TABLESPACE {tablespace}" if tablespace else ""
        create = f"CREATE {target}{using}{settings}{place} AS\n{query}" + ("" if is_populated else "\nWITH NO DATA")
        return _made(fact, schema, name, target, (create,), drop)
    return _made(fact, schema, name, target, (), drop)


def make_index(fact: Fact, schema: str, name: str, definition: str) -> DatabaseObject:
    return _made(fact, schema, name, f"INDEX {name}", (definition,), f"DROP INDEX {name}")


def make_constraint(
    fact: Fact, schema: str, owner: str, name: str, definition: str, is_of_domain: bool
) -> DatabaseObject:
    kind = "DOMAIN" if is_of_domain else "TABLE"
    target = f"CONSTRAINT {name} ON {'DOMAIN ' if is_of_domain else ''}{owner}"
    create = f"ALTER {kind} {owner} ADD CONSTRAINT {name} {definition}"
    return _made(fact, schema, owner, target, (create,), f"ALTER {kind} {owner} DROP CONSTRAINT {name}")


def make_column(
    fact: Fact,
    table: DatabaseObject,
    quoted: str,
    generated: str,
    type_name: str,
    is_required: bool,
    default: str | None,
) -> tuple[DatabaseObject, DatabaseObject | None]:
    """A column, which only a generated one has statements for, and its default."""
    target = f"COLUMN {table.name}.{quoted}"
    change = f"ALTER TABLE {table.name}"
    if generated:
        how = "STORED" if generated == "s" else "VIRTUAL"
        content = f"{quoted} {type_name} GENERATED ALWAYS AS ({default}) {how}" + (" NOT NULL" if is_required else "")
        create, drop = (f"{change} ADD COLUMN {content}",), f"{change} DROP COLUMN {quoted}"
        return _made(fact, table.schema, quoted, target, create, drop, base=type_name), None
    column = _made(fact, table.schema, quoted, target, base=type_name)
    if default is None:
        return column, None
    change = f"{change} ALTER COLUMN {quoted}"
    made = _made(
        Fact(DEFAULT, fact.identity, (fact, *fact.of)),
        table.schema,
        table.name,
        target,
        (f"{change} SET DEFAULT {default}",),
        f"{change} DROP DEFAULT",
        default=default,
    )
    return column, made


def make_routine(
    fact: Fact,
    schema: str,
    name: str,
    qualified: str,
    kind: str,
    arguments: str,
    definition: str | None,
    result: str,
    names: Sequence[str],
    defaults: int,
) -> DatabaseObject:
    target = f"{kind} {name}({arguments})"
    if definition is None:
        return _made(fact, schema, name, target, (), f"DROP {target}")
    begin = f"CREATE OR REPLACE {kind} "
    text = f"{begin}{name}{definition.removeprefix(begin + qualified)}".rstrip("\n")
    create = text.replace("CREATE OR REPLACE", "CREATE", 1)
    # an argument that has a name keeps it; the number of defaults may only grow
    return _made(
        fact,
        schema,
        name,
        target,
        (create,),
        f"DROP {target}",
        (text,),
        signature=(result, *names),
        added=("",) * defaults,
    )


def make_trigger(fact: Fact, schema: str, table: str, name: str, definition: str, enabled: str) -> DatabaseObject:
    more = (f"ALTER TABLE {table} {ENABLED[enabled]} TRIGGER {name}",) if enabled in ENABLED else ()
    target = f"TRIGGER {name} ON {table}"
    return _made(fact, schema, table, target, (definition, *more), f"DROP {target}")


def make_rule(fact: Fact, schema: str, table: str, name: str, definition: str, enabled: str) -> DatabaseObject:
    more = (f"ALTER TABLE {table} {ENABLED[enabled]} RULE {name}",) if enabled in ENABLED else ()
    target = f"RULE {name} ON {table}"
    return _made(fact, schema, table, target, (definition, *more), f"DROP {target}")


def make_policy(
    fact: Fact, schema: str, table: str, name: str, roles: Sequence[str], definition: str
) -> DatabaseObject:
    target = f"POLICY {name} ON {table}"
    create = f"CREATE {target} {definition}".rstrip()
    return _made(fact, schema, table, target, (create,), f"DROP {target}", roles=tuple(roles))


def make_statistics(fact: Fact, schema: str, name: str, definition: str) -> DatabaseObject:
    return _made(fact, schema, name, f"STATISTICS {name}", (definition,), f"DROP STATISTICS {name}")


def make_row_security(fact: Fact, table: DatabaseObject, settings: Sequence[str]) -> DatabaseObject:
    create = tuple(f"ALTER TABLE {table.name} {each}" for each in settings)
    reverse = {"ENABLE": "DISABLE", "FORCE": "NO FORCE"}
    undo = [f"{reverse[each.split()[0]]} {each.split(maxsplit=1)[1]}" for each in settings]
    drop = f"ALTER TABLE {table.name} {', '.join(undo)}"
    return _made(fact, table.schema, table.name, table.target, create, drop)


def make_comment(fact: Fact, owner: DatabaseObject, literal: str) -> DatabaseObject:
    begin = f"COMMENT ON {owner.target} IS"
    create = (f"{begin} {literal}",)
    return _made(fact, owner.schema, owner.name, owner.target, create, f"{begin} NULL", create)


def make_grants(fact: Fact, owner: DatabaseObject, privileges: str) -> DatabaseObject:
    """The privileges of one role, which the fact has as text; those that it has by default are revoked first."""
    kind, _, name = owner.target.partition(" ")
    found = GRANTEE.search(fact.identity)
    grantee = found[1] if found else ""
    named = grantee[1:-1].replace('""', '"') if grantee.startswith('"') else grantee
    role = grantee if grantee == "PUBLIC" else quote_ident(named)
    columns = ""
    if owner.fact.kind == "column":
        name, columns = owner.target.removeprefix("COLUMN "), f" ({owner.name})"
        name = name[: -len(owner.name) - 1]
        kind = "TABLE"
    elif owner.target.startswith(WITHOUT_GRANT_WORD):
        kind, name = "TABLE", owner.name
    elif owner.fact.kind == "domain":
        kind = "TYPE"
    place = f"ON {kind} {name}"
    revoke = f"REVOKE ALL{columns} {place} FROM {role}"
    given: list[tuple[str, str]] = []
    for each in privileges.split(", ") if privileges not in ("none", PLAIN) else ():
        privilege, _, _ = each.partition(" WITH GRANT OPTION")
        given.append((privilege.partition(" GRANTED BY ")[0], " WITH GRANT OPTION" if each != privilege else ""))
    create = [
        f"GRANT {', '.join(name + columns for name, how in given if how == option)} {place} TO {role}{option}"
        for option in ("", " WITH GRANT OPTION")
        if any(how == option for _, how in given)
    ]
    usual = USUAL_OF_PUBLIC.get(kind) if role == "PUBLIC" else None
    drop = f"GRANT {usual} {place} TO PUBLIC" if usual else revoke
    made = tuple(create) or (revoke,)
    roles = () if role == "PUBLIC" else (named,)
    return _made(fact, owner.schema, owner.name, owner.target, made, drop, (revoke, *create), roles=roles)
