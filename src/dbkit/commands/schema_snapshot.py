"""The schema snapshot: the dump of the migrated schema that is kept in git."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg

from dbkit import catalog, project
from dbkit.drafts.describe import describe_difference
from dbkit.drift.read import Facts
from dbkit.errors import WRITE_FIRST, InputError
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect
from dbkit.redaction import redact

LONGEST_DIFFERENCE = 20  # lines
SETTING = re.compile(r"^SET (\w+) = .*;$", re.MULTILINE)
# statements that pg_dump writes with a login in them
LOGIN = re.compile(r"^(?:CREATE|ALTER) (?:USER MAPPING|SERVER|SUBSCRIPTION)\b.*?;$", re.MULTILINE | re.DOTALL)


def snapshot_path(loaded: project.Project, database: str = "") -> Path:
    """Return the path of the snapshot: beside the directory of the migrations, one for each of several databases."""
    suffix = f"-{re.sub(r'[^A-Za-z0-9_.-]', '_', database)}" if database else ""
    return Path(loaded.script.dir).parent / f"schema{suffix}.sql"


def make_snapshot(loaded: project.Project, dump: str) -> str:
    """Return the snapshot for a dump at the head, without passwords of other servers.

    Raises InputError when there is no revision.
    """
    if not loaded.heads:
        raise InputError("there are no revisions yet, so there is no schema.", WRITE_FIRST)
    dump = LOGIN.sub(lambda match: redact.shapes(match[0]), dump)
    heads = " and ".join(head.revision for head in loaded.heads)
    return f"-- The schema at revision {heads}. Written by `make schema`; do not edit.\n\n{dump}"


def compare_snapshot(path: Path, want: str, cluster: Cluster, database: str = "") -> Iterator[str]:
    """Yield a finding where the snapshot is not `want`.

    Where the texts differ, the schemas are compared: another version of pg_dump writes the same schema differently.
    """
    if not path.exists():
        yield f"{path} is missing. Write it: `make schema`."
        return
    have = path.read_text(encoding="utf-8")
    if have == want:
        return
    if have.splitlines()[:1] != want.splitlines()[:1]:
        lines = [f"in git    {have.splitlines()[0] if have else 'nothing'}", f"migrated  {want.splitlines()[0]}"]
    else:
        texts = ((f"in_git{database}", have), (f"dumped{database}", want))
        try:
            before, after = (_read_dump(cluster, dbname, text) for dbname, text in texts)
        except psycopg.Error as error:
            yield f"{path} is stale. Write it: `make schema`.\nIt cannot be loaded: {error}"
            return
        differences = catalog.compare_facts(before, after)
        lines = [describe_difference(difference, "the snapshot", "the migrations") for difference in differences]
    if lines:
        shown = "\n".join(lines[:LONGEST_DIFFERENCE] + (["…"] if len(lines) > LONGEST_DIFFERENCE else []))
        yield f"{path} is stale. Write it: `make schema`.\n{shown}"


def _read_dump(cluster: Cluster, dbname: str, dump: str) -> Facts:
    """Load a dump and read the facts. Both sides are dumps, which lack some facts of a catalog, such as grants."""
    with connect(cluster.create_database(dbname)) as connection:
        query = "SELECT name FROM pg_catalog.pg_settings"
        known = {name for (name,) in connection.execute(query).fetchall()}
        head, separator, rest = dump.partition("\n-- Name: ")
        # a newer pg_dump sets parameters that an older server does not have
        head = SETTING.sub(lambda setting: setting[0] if setting[1] in known else "", head)
        connection.execute((head + separator + rest).encode())
        return catalog.read_facts(connection)
