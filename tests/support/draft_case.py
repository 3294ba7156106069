"""The form of a case of the draft battery: models before, models after, and what is right."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

PRELUDE = '''\
"""The models."""

import datetime
import enum
import uuid

import sqlalchemy as sa
from sqlalchemy import *
from sqlalchemy.dialects import postgresql as pg

metadata = MetaData()


def table(name, *parts, **options):
    """A table with the primary key that most have."""
    return Table(name, metadata, Column("id", Integer, Identity(), primary_key=True), *parts, **options)


'''
CLOSING = """

class Base:
    metadata = metadata
"""


@dataclass(frozen=True)
class ModelChange:
    """A change of models. Models are code, which PRELUDE precedes; "" is none."""

    name: str
    after: str
    before: str = ""
    setup: str = ""
    """SQL of a revision that people wrote by hand, which precedes the models."""
    undo: str = ""
    """SQL of its downgrade."""
    follow: str = ""
    """SQL of a revision that people wrote by hand, after that of the models before."""
    follow_undo: str = ""
    outside: str = ""
    """SQL that others have run in the database: objects that no revision has made."""
    rows: str = ""
    """SQL of rows in the tables of the models before."""
    holds: str = ""
    """A query whose result is true after the change, after it was undone, and when it is done again."""
    holds_after: str = ""
    """A query whose result is true after the change."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The SQL files of the models, by name."""
    files_before: Mapping[str, str] = field(default_factory=dict)
    decides: str = ""
    """A part of the sentence with which the draft ends (exit 1): a person must decide, and no draft can run."""
    may_decide: bool = False
    """Whether a draft that ends with such a sentence is right as well."""
    drops: tuple[str, ...] = ()
    """The tables and columns, such as `column t.a`, that the draft says it drops."""
    drifts: tuple[str, ...] = ()
    """The objects of others that check and drift name: only in the database, and neither tables nor schemas."""
    configure: str = ""
    """Options for `context.configure` in an env.py of the project's own; with any, env.py is not that of the kit."""
    excludes: tuple[str, ...] = ()
    """The models' tables that are not the migrations' to make: a hook or a mark says so."""
    without_create_all: bool = False
    """Whether the result is more than `create_all` and the SQL files make: what `follow` or `outside` made stays."""
    loses: bool = False
    """Whether the change itself loses values, and the proof says so: a dropped column, a type with fewer values."""
    is_staged: bool = True
    """Whether it is also drafted with online=1."""
    server: int = 13
    """The oldest major version of PostgreSQL that has the syntax."""

    def models(self, text: str) -> str:
        """Return the module of models."""
        return PRELUDE + textwrap.dedent(text).strip() + CLOSING


def table(*parts: str, name: str = "t") -> str:
    """Return the code of one table with these columns, constraints and indexes."""
    return f"table({name!r}, {', '.join(parts)})"


def column(name: str, before: str, after: str, /, *others: str, **more: object) -> ModelChange:
    """Return the case of a column `a` of table `t` that changes, beside other parts of that table."""
    return part(name, f'Column("a", {before})', f'Column("a", {after})', *others, **more)


def part(name: str, before: str, after: str, /, *others: str, **more: object) -> ModelChange:
    """Return the case of a part of table `t` that changes, comes ("" before) or goes ("" after)."""
    texts = (table(*(each for each in (*others, changing) if each)) for changing in (before, after))
    old, new = texts
    return ModelChange(name, new, old, **more)  # type: ignore[arg-type]
