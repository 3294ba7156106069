"""The models of a project, as env.py gives them to Alembic: its target_metadata."""

from typing import Any

import sqlalchemy as sa

from dbkit.errors import InputError


def as_metadata(given: object) -> list[sa.MetaData]:
    """A list of target_metadata, which is None, one MetaData or several. Raises InputError for any other value."""
    if given is None:
        return []
    several: list[Any] = list(given) if isinstance(given, list | tuple | set | frozenset) else [given]
    for each in several:
        if not isinstance(each, sa.MetaData):
            raise InputError(f"the models' metadata is a {type(each).__name__}, not a MetaData or a list of them.")
    names = [name for each in several for name in each.tables]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"the models have the table {twice[0]} in two MetaData objects.", "Keep one of them.")
    return several
