"""Select the catalog facts that the models define, of databases that have others, too."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from dbkit.catalog import Difference, Fact, compare_facts
from dbkit.catalog.facts import PLAIN

Facts = Mapping[Fact, str]
TABLE_PARTS = ("column", "constraint", "index", "sequence", "comment on table", "comment on column")
"""The kinds of facts that models define of a table, besides the table itself."""
TYPES = ("enum", "domain", "range type", "composite type")
PRESENT = PLAIN
# what follows, in the definition of a table, on what a model can define
BY_MIGRATIONS = re.compile(
    r'(?:^| )(?:TABLESPACE (?:"(?:[^"]|"")*"|\S+)|ENABLE ROW LEVEL SECURITY|FORCE ROW LEVEL SECURITY'
    r"|REPLICA IDENTITY (?:FULL|NOTHING|USING INDEX that is gone))$"
)
INDEX_BY_MIGRATIONS = re.compile(r" (?:CLUSTER|REPLICA IDENTITY|STATISTICS OF \d+ \d+)(?=$| )")
OPTIONS = re.compile(r"(?:^| )WITH \(([^()]*)\)$")


@dataclass(frozen=True)
class Scope:
    """The objects that count in a comparison. Tables are named as in Fact.identity."""

    tables: frozenset[str]
    """The tables of the models."""
    left_alone: frozenset[str] = frozenset()
    """Tables that no model has, and that are not the migrations' to drop."""
    initial: Collection[Fact] = frozenset()
    """The objects that are there before the first migration."""
    before_models: Collection[Fact] = frozenset()
    """The objects that the models' database had before the models were created in it."""
    excluded: frozenset[Fact] = frozenset()
    """The objects that the project excludes."""
    orphans: frozenset[Fact] = frozenset()
    """The types, sequences and schemas that go with their last user."""
    sql_files: Collection[Fact] = frozenset()
    """The objects of the project's SQL files, also of files that are gone."""

    def find_differences(self, migrated: Facts, modelled: Facts) -> list[Difference]:
        """Return the differences from the database of the migrations to that of the models, of what counts."""
        wanted = self.select_modelled(modelled)
        found = compare_facts(self.select_migrated(migrated, wanted), wanted)
        return [
            each
            for each in found
            if each.fact not in self.excluded and (each.after is not None or each.fact not in self.initial)
        ]

    def select_modelled(self, facts: Facts) -> dict[Fact, str]:
        """Select what counts of the database that the models have made."""
        kept = self._select_tables(facts, lambda table: table in self.tables)
        used = _used_types(kept)
        for fact, text in facts.items():
            is_new = fact not in self.before_models
            if fact in self.orphans:  # the models' database has the schemas of the migrations
                continue
            if fact.kind in ("schema", "extension"):
                kept[fact] = PRESENT
            elif fact in used or fact in self.sql_files or (is_new and fact.kind in (*TYPES, "sequence")):
                kept.setdefault(fact, text)
        comments = (fact for fact in facts if fact.kind.startswith("comment on ") and fact not in self.before_models)
        kept |= {fact: facts[fact] for fact in comments if any(owner in kept for owner in fact.of)}
        return kept | _select_type_parts(facts, kept)

    def select_migrated(self, facts: Facts, wanted: Facts) -> dict[Fact, str]:
        """Select what counts of the database of the migrations. `wanted` is what counts of that of the models."""
        kept = self._select_tables(facts, lambda table: table not in self.left_alone, wanted)
        kept |= {
            fact: PRESENT if fact.kind in ("schema", "extension") else text
            for fact, text in facts.items()
            if fact not in kept and (fact in wanted or fact in self.orphans or fact in self.sql_files)
        }
        return kept | _select_type_parts(facts, kept)

    def select_live(self, facts: Facts, wanted: Facts) -> dict[Fact, str]:
        """Select what counts of a database that has tables of others, too: what the models define."""
        kept = self._select_tables(facts, lambda table: table in self.tables, wanted)
        kept |= {
            fact: PRESENT if fact.kind in ("schema", "extension") else text
            for fact, text in facts.items()
            if fact in wanted and fact not in kept
        }
        return kept | _select_type_parts(facts, kept)

    def _select_tables(
        self, facts: Facts, counts: Callable[[str], bool], wanted: Facts | None = None
    ) -> dict[Fact, str]:
        """Select tables with their parts. `wanted` are those of the models, whose parameters are compared only."""
        tables = [fact for fact in facts if fact.kind == "table" and counts(fact.identity)]
        kept = {fact: _table_text(facts[fact], None if wanted is None else wanted.get(fact, "")) for fact in tables}
        known = set(tables)
        for fact, text in facts.items():
            # that of a comment on a column is named after the column
            owners = fact.of[:2] if fact.kind == "comment on column" else fact.of[:1]
            if fact.kind in TABLE_PARTS and not known.isdisjoint(owners):
                kept[fact] = INDEX_BY_MIGRATIONS.sub("", text) if fact.kind == "index" else text
        return kept


def _table_text(text: str, wanted: str | None) -> str:
    """Return what a model can define of a table. `wanted` is what its model defines, where that is known."""
    while (shorter := BY_MIGRATIONS.sub("", text)) != text:
        text = shorter
    match, named = OPTIONS.search(text), OPTIONS.search(wanted or "")
    if match and wanted is not None:
        names = {each.partition("=")[0] for each in named[1].split(", ")} if named else set()
        options = [each for each in match[1].split(", ") if each.partition("=")[0] in names]
        text = text[: match.start()] + (f" WITH ({', '.join(options)})" if options else "")
    return text.strip() or PRESENT


def _select_type_parts(facts: Facts, kept: Facts) -> dict[Fact, str]:
    """Select the constraints of domains that count."""
    return {
        fact: text
        for fact, text in facts.items()
        if fact.kind == "constraint" and fact.of[0].kind == "domain" and fact.of[0] in kept
    }


def _used_types(facts: Collection[Fact]) -> set[Fact]:
    return {fact.uses for fact in facts if fact.uses and fact.uses.kind in TYPES}
