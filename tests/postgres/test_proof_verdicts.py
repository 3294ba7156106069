"""Nobody is blamed for how a proof is run, and how far the chain went is said as it is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.reports import text
from dbkit.roundtrip.outcome import Outcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.battery import NOTHING
from support.plain import Revision, write_project


@pytest.fixture
def proven(local_settings: Settings, server: Cluster) -> Callable[..., Outcome]:
    def run(ini: Path, **request: object) -> Outcome:
        return prove(local_settings, ini, Request(server=server.target("postgres"), **request))  # type: ignore[arg-type]

    return run


def verdicts(outcome: Outcome) -> list[str]:
    return [" and ".join((each.verdict, *each.also)) for each in outcome.revisions]


# Values that are made when a file is loaded, which each `alembic` command does

MADE = """import uuid
from datetime import datetime
{shared}
import sqlalchemy as sa
from alembic import op

revision = "a2"
down_revision = "a1"
{value}


def upgrade():
    {up}


def downgrade():
    {down}
"""
INSERT = "for key in NEW:\n        op.execute(f\"INSERT INTO tariffs (id, note) VALUES ('{key}', 'new')\")"
KEYS = "NEW = [\n    uuid.uuid4(),\n    uuid.uuid4(),\n]"
AT_IMPORT = {
    "keys, taken back": (KEYS, INSERT, "op.execute(\"DELETE FROM tariffs WHERE note = 'new'\")", "proven"),
    "keys, left": (KEYS, INSERT, "pass", "lossy"),
    "keys, in a class": (
        "class Keys:\n    NEW = [uuid.uuid4()]\n\n\nNEW = Keys.NEW", INSERT, "pass", "lossy"
    ),
    "keys by which they are taken back": (
        KEYS, INSERT, 'for key in NEW:\n        op.execute(f"DELETE FROM tariffs WHERE id = \'{key}\'")', "lossy"
    ),
    "a name by which it is dropped": (
        'NAME = f"ck_{uuid.uuid4().hex}"',
        'op.create_check_constraint(NAME, "tariffs", "length(note) >= 0")',
        'op.drop_constraint(NAME, "tariffs")',
        "broken",
    ),
    "a name that stays the same": (
        'NAME = "_".join(("ck", "note"))',
        'op.create_check_constraint(NAME, "tariffs", "length(note) >= 0", postgresql_not_valid=True)',
        'op.drop_constraint(NAME, "tariffs")',
        "proven",
    ),
}  # fmt: skip


@pytest.mark.spread(3)
@pytest.mark.parametrize(("value", "up", "down", "expected"), AT_IMPORT.values(), ids=AT_IMPORT)
def test_a_value_made_when_a_file_is_loaded_is_made_for_each_step(
    proven: Callable[..., Outcome], tmp_path: Path, value: str, up: str, down: str, expected: str
) -> None:
    first = ("a1", None, "CREATE TABLE tariffs (id uuid PRIMARY KEY, note text)", "DROP TABLE tariffs")
    ini = write_project(tmp_path, [first])
    (tmp_path / "migrations/versions/a2.py").write_text(MADE.format(shared="", value=value, up=up, down=down))
    assert verdicts(proven(ini)) == ["proven", expected]


def test_a_file_whose_models_are_mapped_is_loaded_once(
    proven: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shared_base.py").write_text(
        "from sqlalchemy.orm import DeclarativeBase\n\n\nclass Base(DeclarativeBase):\n    pass\n"
    )
    first = ("a1", None, "CREATE TABLE tariffs (id int PRIMARY KEY, note text)", "DROP TABLE tariffs")
    ini = write_project(tmp_path, [first])
    model = "class Tariff(Base):\n    __tablename__ = 'tariffs'\n    id = sa.Column(sa.Integer, primary_key=True)"
    up = "op.execute(sa.update(Tariff).values(id=Tariff.id))"
    text = MADE.format(shared="from shared_base import Base\n", value=model, up=up, down="pass")
    (tmp_path / "migrations/versions/a2.py").write_text(text)
    assert verdicts(proven(ini)) == ["proven", "proven"]


# How far the chain went

TABLES: list[Revision] = [
    (f"r{number}", f"r{number - 1}" if number else None, f"CREATE TABLE t{number} ()", f"DROP TABLE t{number}")
    for number in range(5)
]


def with_fault(number: int, up: str, down: str) -> list[Revision]:
    revision, parent, _, _ = TABLES[number]
    return [*TABLES[:number], (revision, parent, up, down), *TABLES[number + 1 :]]


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("revisions", "jobs", "words"),
    [
        (TABLES, 1, "the whole chain went down and up again"),
        pytest.param(TABLES, 2, "the whole chain went down and up again", marks=pytest.mark.slow),
        (with_fault(1, "SELECT nothing", NOTHING), 1, "a part of the chain (1 of 5 migrations) went down and up again"),
        (with_fault(4, "SELECT nothing", NOTHING), 1, "a part of the chain (4 of 5 migrations) went down and up again"),
        (with_fault(0, "SELECT nothing", NOTHING), 1, "no chain could go down and up"),
        (with_fault(2, "CREATE TABLE t2 ()", "python:raise ValueError"), 1, "the chain above r2 (2 of 5 migrations) went down and up again"),
        (with_fault(2, "CREATE TABLE t2 ()", "python:raise ValueError"), 2, "the chain above r2 (2 of 5 migrations) went down and up again"),
    ],
    ids=["all", "all, two processes", "the second fails", "the last fails", "the first fails", "one cannot go down", "one cannot go down, two processes"],
)  # fmt: skip
def test_how_far_the_chain_went_is_counted(
    proven: Callable[..., Outcome], tmp_path: Path, revisions: list[Revision], jobs: int, words: str
) -> None:
    assert f"; {words} (" in text.summarize_roundtrip(proven(write_project(tmp_path, revisions), jobs=jobs, rows=0))
