"""`make check` compares the schema that the snapshot makes, and not how a pg_dump has written it."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dbkit import project
from dbkit.commands.schema_snapshot import compare_snapshot, make_snapshot
from dbkit.gate import alembic_command
from dbkit.postgres import pg_dump, scratch_cluster, scratch_database
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings
from support.kit import REPOSITORY
from support.servers import DEBIAN

pytestmark = pytest.mark.shop
EDITS = {
    "a column's type": (r"sku text", "sku varchar(40)"),
    "a default": (r"DEFAULT now\(\)", "DEFAULT clock_timestamp()"),
    "NOT NULL": (r"(email text) NOT NULL", r"\1"),
    "an index": (r"(?m)^CREATE INDEX .*$", ""),
    "a check": (r"quantity > 0", "quantity > 1"),
    "an enum value": (r"(?s)(AS ENUM \(\n +'\w+'),\n +'\w+'", r"\1"),
    "the order of columns": (r"(?m)^(    sku .*\n)(    .*,\n)", r"\2\1"),
    "a comment on a table": (r"(COMMENT ON TABLE \S+ IS ')", r"\1x"),
    "a grant": (r"\Z", "GRANT SELECT ON TABLE public.orders TO PUBLIC;\n"),
}


@dataclass(frozen=True)
class Migrated:
    """A cluster with the shop at head, and the snapshot that this installation's pg_dump writes."""

    cluster: Cluster
    text: str

    def findings(self, path: Path, text: str) -> list[str]:
        path.write_text(text)
        try:
            return list(compare_snapshot(path, self.text, self.cluster))
        finally:
            for dbname in ("in_git", "dumped"):
                self.cluster.drop_database(dbname)


@pytest.fixture(scope="module")
def installations(local_settings: Settings) -> Iterator[list[Migrated]]:
    """The embedded server's, and Debian's where there is one."""
    made = []
    with ExitStack() as stack:
        for bindir in (None, *(each.parent for each in DEBIAN[-1:])):
            settings = replace(local_settings, pg_bindir=bindir)
            cluster = stack.enter_context(scratch_cluster.cluster(settings))
            on_scratch = scratch_database.settings_for(settings, cluster.target())
            loaded = project.load(REPOSITORY / "alembic.ini")
            alembic_command.run_alembic(loaded, on_scratch, "upgrade", "head")
            made.append(Migrated(cluster, make_snapshot(loaded, pg_dump.dump_schema(on_scratch, cluster.target()))))
        yield made


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN, reason="no PostgreSQL in /usr/lib/postgresql")
def test_a_snapshot_of_another_major_is_fresh(installations: list[Migrated], tmp_path: Path) -> None:
    embedded, system = installations
    assert embedded.text != system.text, "the two write the same: nothing is shown"
    assert embedded.findings(tmp_path / "schema.sql", system.text) == []
    assert system.findings(tmp_path / "schema.sql", embedded.text) == []


@pytest.mark.spread(3)
@pytest.mark.parametrize("edit", EDITS)
def test_a_snapshot_that_was_edited_is_stale(installations: list[Migrated], tmp_path: Path, edit: str) -> None:
    for here in installations:
        text, count = re.subn(*EDITS[edit], here.text, count=1)
        assert count == 1
        (found,) = here.findings(tmp_path / "schema.sql", text)
        assert "schema.sql is stale. Write it: `make schema`.\n" in found


def test_what_is_only_said_differently_is_fresh(installations: list[Migrated], tmp_path: Path) -> None:
    here = installations[0]
    assert here.findings(tmp_path / "schema.sql", here.text.replace("\n--\n", "\n-- x\n")) == []


def test_what_cannot_be_compared_says_why(installations: list[Migrated], tmp_path: Path) -> None:
    here = installations[0]
    path = tmp_path / "schema.sql"
    head = here.text.splitlines()[0]
    for text, why in {
        here.text + "CREATE TABLE public.x (a no_such_type);\n": 'type "no_such_type" does not exist',
        here.text.replace(head, head.replace("revision ", "revision x")): "in git",
        "": "in git    nothing",
    }.items():
        (found,) = here.findings(path, text)
        assert why in found
        assert "make schema" in found
    path.unlink()
    (found,) = compare_snapshot(path, here.text, here.cluster)
    assert "is missing" in found
