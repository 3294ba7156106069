"""Compare the models, the result of the migrations and a live database, object by object."""

import re
from collections.abc import Iterator, Mapping

from dbkit import catalog
from dbkit.catalog import Difference, Fact
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.describe import describe_difference, describe_rename
from dbkit.drift.read import Facts, Live
from dbkit.errors import say

# owners and privileges differ between machines, not between migrations
MACHINE_KINDS = ("grants", "default privileges", "owner")
FOREIGN_KINDS = ("table", "foreign table", "schema")  # objects of another team, an extension or a job are in these
MOST_NAMED = 10
OWN_TABLE = re.compile(r"dbkit_(?:journal|backfill)(?:_.*)?")  # beside another version table, its name follows


def compare_two(migrated: Facts, live: Live) -> Iterator[str]:
    """Yield the differences between a database and the migrations in its version table, without foreign objects."""
    for difference in catalog.compare_facts(migrated, without_foreign(migrated, live.facts)):
        if _is_of_migrations(difference):
            yield _database_moved(difference)


def compare_models(comparison: Comparison) -> Iterator[str]:
    """Yield the differences between the migrations and the models."""
    yield from (f"the models moved: {describe_rename(each)}" for each in comparison.renames)
    yield from (_describe_moved(each.fact, each, None) for each in comparison.differences)


def compare_three(comparison: Comparison | None, migrated: Facts, live: Live) -> Iterator[str]:
    """Yield the differences between the three, each with the state that moved. The database must be at the head."""
    by_models: Mapping[Fact, Difference] = {}
    by_live: Mapping[Fact, Difference] = {}
    if comparison:
        scope = comparison.scope
        wanted = scope.select_modelled(comparison.modelled.facts)
        found = catalog.compare_facts(*(scope.select_live(facts, wanted) for facts in (migrated, live.facts)))
        by_models = {each.fact: each for each in comparison.differences}
        by_live = {each.fact: each for each in found if not each.is_residue}
        yield from (f"the models moved: {describe_rename(each)}" for each in comparison.renames)
    for fact in sorted(by_models.keys() | by_live.keys()):
        yield _describe_moved(fact, by_models.get(fact), by_live.get(fact))
    described = by_models.keys() | by_live.keys()
    for difference in catalog.compare_facts(migrated, without_foreign(migrated, live.facts)):
        if difference.fact not in described and _is_of_migrations(difference):
            yield _database_moved(difference)


def _describe_moved(fact: Fact, model: Difference | None, live: Difference | None) -> str:
    """Describe the difference of the models, or of the database, or of both, from the migrations."""
    if model and live and model.after != live.after:
        return (
            f"all three differ: {fact} is {model.before!r} in the migrations, {model.after!r} in the models"
            f" and {live.after!r} in the database"
        )
    if model and live:
        description = describe_difference(live, "the migrations", "the models and the database")
        return f"the migrations lack it: {description}"
    if model:
        return f"the models moved: {describe_difference(model, 'the migrations', 'the models')}"
    assert live is not None  # noqa: S101  # a fact is in one of the two
    return _database_moved(live)


def _database_moved(difference: Difference) -> str:
    return f"the database moved: {describe_difference(difference, 'the migrations', 'the database')}"


def without_foreign(migrated: Facts, live: Facts) -> Facts:
    """Return the facts of a database without foreign objects: tables and schemas that no migration creates.

    They are another team's, an extension's, or partitions that a job creates.
    """
    schemas = tuple(f"{fact.identity}." for fact in live if fact.kind == "schema" and fact not in migrated)

    def is_foreign(fact: Fact) -> bool:
        if fact in migrated:
            return False
        return fact.kind in FOREIGN_KINDS or fact.identity.startswith(schemas) or any(map(is_foreign, fact.of))

    return {fact: definition for fact, definition in live.items() if not is_foreign(fact)}


def report_foreign(migrated: Facts, live: Facts) -> None:
    """Name the foreign tables and schemas on stderr, so that a table made by hand is not overlooked."""
    foreign = live.keys() - without_foreign(migrated, live).keys()
    names = sorted(str(fact) for fact in foreign if fact.kind in FOREIGN_KINDS and not _is_own(fact))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    if names:
        say(f"ignored, since no migration creates them: {', '.join(names[:MOST_NAMED])}{more}")


def _is_of_migrations(difference: Difference) -> bool:
    fact = difference.fact
    return not (difference.is_residue or fact.kind.startswith(MACHINE_KINDS) or _is_own(fact))


def _is_own(fact: Fact) -> bool:
    """Whether it is a table of dbkit, which no migration creates."""
    return bool(OWN_TABLE.fullmatch(fact.identity.rpartition(".")[2].strip('"')))
