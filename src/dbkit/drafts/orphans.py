"""Find the types, sequences and schemas that go with their last user."""

from collections.abc import Sequence

from dbkit.catalog import FIRST_NORMAL_OID, Difference, Fact
from dbkit.drafts.comparison import State
from dbkit.drafts.objects import DEFAULT, TYPE_KINDS


def find_orphans(migrated: State, modelled: State, differences: Sequence[Difference]) -> list[Difference]:
    """Return what to drop in addition, because all that used it goes, or is of another type, in the same draft.

    What nothing used before is left alone, and so is what something else still uses, such as a view in no model.
    """
    objects = migrated.objects
    users = objects.users
    gone = {each.fact for each in differences if each.after is None}
    known = set(gone)
    changed = {each.fact for each in differences if each.after is not None}
    candidates = {
        fact
        for fact, each in objects.by_fact.items()
        if fact.kind in (*TYPE_KINDS, "sequence") and fact not in modelled.facts and not each.is_owned
    } - gone
    found: dict[Fact, None] = {}

    def is_free(user: Fact, used: Fact) -> bool:
        if user in gone or any(owner in gone for owner in user.of):
            return True
        if user.kind in ("column", DEFAULT):
            column = user.of[0] if user.kind == DEFAULT else user
            return column in changed and not _still_uses(modelled, user, used)
        # what belongs to it, such as its comment, goes with it
        return used in user.of

    while True:
        more = [
            fact
            for fact in sorted(candidates)
            if _has_user(users.get(fact, set()), fact) and all(is_free(user, fact) for user in users[fact])
        ]
        if not more:
            break
        found |= dict.fromkeys(more)
        gone.update(more)
        candidates.difference_update(more)
    schemas = _find_empty_schemas(migrated, modelled, gone)
    return [Difference(fact, migrated.facts[fact], None) for fact in (*found, *schemas) if fact not in known]


def _has_user(users: set[Fact], used: Fact) -> bool:
    return any(used not in user.of for user in users)


def _still_uses(modelled: State, user: Fact, used: Fact) -> bool:
    return used in modelled.objects.uses.get(user, ())


def _find_empty_schemas(migrated: State, modelled: State, gone: set[Fact]) -> list[Fact]:
    """Return the schemas that have nothing left, and had something."""
    content, wanted = _group_by_schema(migrated), _group_by_schema(modelled)
    schemas = {each.schema: fact for fact, each in migrated.objects.by_fact.items() if fact.kind == "schema"}
    return [
        fact
        for name, fact in sorted(schemas.items())
        if fact not in gone
        and migrated.objects.by_fact[fact].oid >= FIRST_NORMAL_OID
        and name not in wanted
        and content.get(name)
        and all(each in gone or any(owner in gone for owner in each.of) for each in content[name])
    ]


def _group_by_schema(state: State) -> dict[str, list[Fact]]:
    """The objects of each schema, without what belongs to another one."""
    content: dict[str, list[Fact]] = {}
    for fact, each in state.objects.by_fact.items():
        if fact.kind != "schema" and (not fact.of or fact.kind == "sequence"):
            content.setdefault(each.schema, []).append(fact)
    return content
