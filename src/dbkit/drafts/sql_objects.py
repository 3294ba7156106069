"""Write the changes of views, functions, triggers, policies, grants and the like, which SQL files define."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from alembic.operations import ops

from dbkit.catalog import Difference, Fact
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.file_statements import OTHER_KINDS, find_statements
from dbkit.drafts.object_steps import find_parts, run
from dbkit.drafts.objects import DEFAULT, TYPE_KINDS, DatabaseObject, Objects, can_replace
from dbkit.drafts.read_objects import ROW_SECURITY
from dbkit.drafts.steps import CommentOp, Phase, Step
from dbkit.postgres.sql_quote import quote_ident, quote_literal

ROUTINES = ("function", "procedure", "aggregate")
OF_A_TABLE = ("trigger", "rule", "policy", "statistics", ROW_SECURITY)
"""What SQL files add to the models' tables."""
KINDS = (*ROUTINES, *OF_A_TABLE, *OTHER_KINDS, "view", "materialized view", "extension")
MODELS = "the models"
"""The origin of what `create_all` makes besides tables: by the DDL of event listeners."""


def write_sql_objects(comparison: Comparison) -> Iterator[Step]:
    """Yield the steps of all these objects, each after a comment that names its file."""
    objects = comparison.modelled.objects.by_fact
    steps = list(_write_once(_write_all(comparison)))
    found = {role for step in steps for fact in step.facts if fact in objects for role in objects[fact].roles}
    for role in sorted(found):
        # a new server does not have it, such as that of a proof
        exists = f"EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {quote_literal(role)})"
        body = f" BEGIN IF NOT {exists} THEN CREATE ROLE {quote_ident(role)}; END IF; END "
        yield from run(Phase.CREATE_SCHEMA, ["DO " + (quote_literal(body) if "$$" in body else f"$${body}$$")])
    yield from steps


def _write_once(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps but for those of a statement of a file that another object has brought."""
    seen: set[str] = set()
    for step in steps:
        if not isinstance(step.operation, ops.ExecuteSQLOp) or step.facts[0].kind not in OTHER_KINDS:
            yield step
        elif (text := str(step.operation.sqltext)) not in seen:
            seen.add(text)
            yield step


def _write_all(comparison: Comparison) -> Iterator[Step]:
    for difference in comparison.differences:
        fact = difference.fact
        if fact.kind == "table" and difference.before is None:
            # triggers, policies and grants of a new table
            objects = comparison.modelled.objects
            for part in find_parts([fact], objects):
                if is_sql_object(part) and part.of[0] == fact:
                    yield from _create(comparison, part)
        elif is_sql_object(fact):
            yield from _write(comparison, difference)


def is_sql_object(fact: Fact) -> bool:
    """Whether an SQL file defines it, and not the models: by its kind, or by what it belongs to."""
    if fact.kind in KINDS:
        return True
    if fact.kind.startswith("grants on "):
        return not any(owner.kind in TYPE_KINDS for owner in fact.of)
    is_part = fact.kind == "index" or fact.kind.startswith("comment on ")
    return is_part and any(owner.kind in KINDS for owner in fact.of)


def name_in_comment(fact: Fact) -> str:
    """Return the kind and the name of an object, in one line."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(fact))


def find_origins(facts: Collection[Fact], before: Collection[Fact], of_files: Mapping[Fact, str]) -> dict[str, str]:
    """Return what the objects of a database are from, by str(fact): an SQL file, or the models' event listeners.

    `before` are the objects that were there before both.
    """
    return {
        name_in_comment(fact): of_files.get(fact, MODELS)
        for fact in facts
        if is_sql_object(fact) and fact.kind != "extension" and (fact in of_files or fact not in before)
    }


def _write(comparison: Comparison, difference: Difference) -> Iterator[Step]:
    fact = difference.fact
    before = comparison.migrated.objects.by_fact.get(fact)
    after = comparison.modelled.objects.by_fact.get(fact)
    if difference.before is None:
        yield from _create(comparison, fact)
    elif difference.after is None:
        yield from _drop(comparison, fact)
    elif before and after and can_replace(before, after):
        yield from _comment(comparison, fact, _phase(fact, comparison.modelled.objects))
        yield from run(_phase(fact, comparison.modelled.objects), after.replace, fact)
    else:
        yield from run(Phase.DROP_DEPENDENT, [before.drop] if before else [], fact)
        yield from _create(comparison, fact)
    if fact.kind.startswith("grants on ") and difference.before is not None:
        yield from _grant_columns(comparison, fact)


def _grant_columns(comparison: Comparison, fact: Fact) -> Iterator[Step]:
    """Grant again what a role has on columns: to revoke a privilege of a table revokes that of its columns, too."""
    objects = comparison.modelled.objects
    grantee = fact.identity.removeprefix(fact.of[0].identity)
    for part in find_parts(fact.of[:1], objects, ("grants on column",)):
        if part.identity == part.of[0].identity + grantee:
            yield from run(Phase.GRANT, objects.by_fact[part].create, part)


def _create(comparison: Comparison, fact: Fact) -> Iterator[Step]:
    """Create an object, with its comment, its grants, and its indexes or triggers."""
    objects = comparison.modelled.objects
    phase = _phase(fact, objects)
    made = objects.by_fact.get(fact)
    statements = list(made.create) if made else []
    if not statements:
        statements = find_statements(comparison, fact, comparison.modelled.origins.get(name_in_comment(fact), ""))
    if not statements:
        place = "downgrade" if comparison.is_reversed else "upgrade"
        sentence = (
            f"{name_in_comment(fact)}: PostgreSQL prints no statement that creates it: write that by hand, in {place}()"
        )
        yield Step(phase, CommentOp(sentence), (fact,), undecided=sentence)
        return
    yield from _comment(comparison, fact, phase)
    yield from run(phase, statements, fact)
    for part in find_parts([fact], objects):
        if part.of[0] == fact and part.kind != "comment on extension":
            yield from run(_phase(part, objects), objects.by_fact[part].create, part)
            for each in find_parts([part], objects):
                yield from run(_phase(each, objects), objects.by_fact[each].create, each)


def _drop(comparison: Comparison, fact: Fact) -> Iterator[Step]:
    objects = comparison.migrated.objects
    made = objects.by_fact.get(fact)
    if made is None or not made.drop:
        return
    phase = _drop_phase(comparison, fact)
    origin = comparison.migrated.origins.get(name_in_comment(fact))
    if origin and not comparison.is_reversed:
        yield Step(phase, CommentOp(f"drops {name_in_comment(fact)}: {origin} is gone"), (fact,))
    yield from run(phase, [made.drop], fact)


def _comment(comparison: Comparison, fact: Fact, phase: Phase) -> Iterator[Step]:
    """Name the file that an object is from: a later draft drops it when the file is gone."""
    origin = comparison.modelled.origins.get(name_in_comment(fact))
    if origin:
        yield Step(phase, CommentOp(f"{name_in_comment(fact)}, from {origin}"), (fact,))


def _phase(fact: Fact, objects: Objects) -> Phase:
    """When an object is created."""
    if fact.kind == "extension":
        return Phase.CREATE_SCHEMA
    if fact.kind in (*ROUTINES, *OTHER_KINDS):
        used_by = _table_users(fact, objects)
        if used_by & {"domain"}:
            return Phase.CREATE_TYPE
        if used_by and any(used.kind in ("table", "column") for used in objects.find_used([fact])):
            return Phase.CREATE_TABLE_FUNCTION
        return Phase.CREATE_FUNCTION if used_by else Phase.CREATE_DEPENDENT
    if fact.kind.startswith("grants on "):
        return Phase.GRANT
    return Phase.COMMENT if fact.kind.startswith("comment on ") else Phase.CREATE_DEPENDENT


def _drop_phase(comparison: Comparison, fact: Fact) -> Phase:
    """When an object is dropped."""
    objects = comparison.migrated.objects
    if fact.kind == "extension":
        return Phase.DROP_TYPE
    if fact.kind not in (*ROUTINES, *OTHER_KINDS):
        return Phase.DROP_DEPENDENT
    if any(Fact(kind, fact.identity) in comparison.modelled.facts for kind in ROUTINES):
        return Phase.DROP_DEPENDENT  # a procedure of the same name and arguments takes its place
    gone = {each.fact for each in comparison.differences if each.after is None and each.fact.kind not in ROUTINES}
    if any(gone.intersection((used, *used.of)) for used in objects.find_used([fact]) if used.kind not in TYPE_KINDS):
        return Phase.DROP_DEPENDENT
    return Phase.DROP_TYPE if "domain" in _table_users(fact, objects) else Phase.DROP_FUNCTION


def _table_users(fact: Fact, objects: Objects) -> set[str]:
    """The kinds of tables' parts, and of types, that need a function."""
    kinds = {user.kind for user in objects.find_users([fact])}
    return kinds & {"column", DEFAULT, "constraint", "index", "domain"}


def make_again(made: DatabaseObject, objects: Objects) -> Iterator[tuple[Phase, str, Fact]]:
    """Yield what creates an object and all that goes with it."""
    for statement in made.create:
        yield _phase(made.fact, objects), statement, made.fact
    for part in find_parts([made.fact], objects):
        for statement in objects.by_fact[part].create:
            yield _phase(part, objects), statement, part
